"""Language models in OpenVINO: every family the original's own text at full precision, and opened by other programs."""

import dataclasses
import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mct import MctError
from mct.compress.openvino import export_lm as export_openvino_lm
from mct.compress.openvino import half as openvino_half
from mct.compress.openvino import quantise_lm as quantise_openvino_lm
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.plan import make_plan, supported
from mct.compress.run.parity import Parity, Reference, measure_parity, require_parity, run_original
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable

TEXTS = (
    "Where is my order? It was due on Monday, and nobody at the shop picks up the phone.",
    "I want to return volume 3, it arrived damaged and two pages are missing at the end.",
    "recommend me something like Berserk, but not for children, and not longer than ten volumes",
    "is this suitable for a 12 year old who reads a lot and likes robots more than dragons",
    "注文 12345 はどこですか 😀 it says delivered but there was nothing at my door this morning",
)

SIZES = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 128, "max_position_embeddings": 128,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
GEMMA = {"head_dim": 32, "sliding_window": 24}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": SIZES,
    "mistral": SIZES | {"sliding_window": None},
    "qwen2": SIZES,
    "qwen3": SIZES | {"head_dim": 32},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "mixtral": SIZES | {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    "qwen2_moe": SIZES | EXPERTS | {"shared_expert_intermediate_size": 64, "decoder_sparse_step": 1},
    "qwen3_moe": SIZES | EXPERTS | {"head_dim": 32, "decoder_sparse_step": 1},
    "smollm3": SIZES | {"no_rope_layers": [1, 0]},
    "phi3": SIZES | {"sliding_window": 24},
    "gemma2": SIZES | GEMMA | {"query_pre_attn_scalar": 40, "final_logit_softcapping": 3.0},
    "gemma3_text": SIZES | GEMMA | {"layer_types": ["sliding_attention", "full_attention"]},
    "gpt_neox": {name: size for name, size in SIZES.items() if name != "num_key_value_heads"},
    "bloom": {"hidden_size": 64, "n_layer": 2, "n_head": 4},
}

Make = Callable[[str], Product]


def write(family: str, folder: Path) -> Path:
    """A small checkpoint of a family with random weights, wide enough apart that next tokens are no ties."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=["<|end|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family, vocab_size=tokenizer.get_vocab_size(), initializer_range=0.2, bos_token_id=0, eos_token_id=0,
        pad_token_id=0, **FAMILIES[family],
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", bos_token="<|end|>", model_max_length=128
    ).save_pretrained(folder)
    return folder


def resources(folder: Path, texts: tuple[str, ...] = ()) -> Resources:
    data = Dataset("texts.jsonl", tuple({"text": text} for text in texts), "0" * 64) if texts else None
    return Resources(inspect(folder), data, probe_machine(), seed=0)


def executable(folder: Path, product: Product) -> Executable:
    found = inspect(folder)
    return Executable(product.folder, product.model, found.task, 0, found.max_tokens, product.settings)


def parity_of(reference: Reference, folder: Path, product: Product, form: str) -> Parity:
    return measure_parity(reference, form, executable(folder, product), 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_the_original_at_fp32_and_continues_alike(family: str, tmp_path: Path) -> None:
    folder = write(family, tmp_path / family)
    (draft := tmp_path / "draft").mkdir()
    product = export_openvino_lm.run(Product(folder, ""), draft, {}, resources(folder))
    parity = parity_of(run_original(inspect(folder), list(TEXTS), 1), folder, product, "openvino-fp32")
    assert parity.max_abs_delta <= 1e-3 and parity.agreement == 1.0
    assert parity.more["continued_alike"] == 1.0
    require_parity(parity, "openvino-fp32", folder)
    assert product.notes == {"openvino_genai": "opens this"}
    assert {path.name for path in draft.iterdir()} == {
        "openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml", "openvino_tokenizer.bin",
        "openvino_detokenizer.xml", "openvino_detokenizer.bin", "config.json", "generation_config.json",
    }  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write("llama", tmp_path_factory.mktemp("lm") / "llama")


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Reference:
    return run_original(inspect(checkpoint), list(TEXTS), 1)


@pytest.fixture(scope="module")
def make(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The product of each form, made once."""

    @functools.cache
    def product(form: str) -> Product:
        draft, without_texts = tmp_path_factory.mktemp(form), resources(checkpoint)
        if form == "fp32":
            return export_openvino_lm.run(Product(checkpoint, ""), draft, {}, without_texts)
        if form == "fp16":
            return openvino_half.run(product("fp32"), draft, {}, without_texts)
        return quantise_openvino_lm.run(product("fp32"), draft, {"bits": int(form[-1])}, without_texts)

    return product


def size(product: Product) -> int:
    return (product.folder / "openvino_model.bin").stat().st_size


def test_fewer_bits_are_smaller_and_stay_close(checkpoint: Path, reference: Reference, make: Make) -> None:
    found = {
        form: parity_of(reference, checkpoint, make(form), f"openvino-{form}") for form in ("fp16", "int8", "int4")
    }
    assert found["fp16"].max_abs_delta <= 0.05 and found["fp16"].more["mean_kl"] <= 1e-4
    assert found["fp16"].more["mean_kl"] < found["int8"].more["mean_kl"] < found["int4"].more["mean_kl"] < 1.0
    assert found["int8"].more["mean_kl"] <= 0.05
    assert size(make("fp32")) > 1.9 * size(make("fp16")) > 1.9 * 1.5 * size(make("int8")) > 1.9 * size(make("int4"))
    for form in found:
        assert (make(form).folder / "openvino_tokenizer.xml").is_file()


def test_a_second_run_gives_the_same_bytes(checkpoint: Path, make: Make, tmp_path: Path) -> None:
    again = {"fp32": tmp_path / "fp32", "int4": tmp_path / "int4"}
    for folder in again.values():
        folder.mkdir()
    export_openvino_lm.run(Product(checkpoint, ""), again["fp32"], {}, resources(checkpoint))
    quantise_openvino_lm.run(make("fp32"), again["int4"], {"bits": 4}, resources(checkpoint))
    for form, folder in again.items():
        for file in sorted(make(form).folder.iterdir()):
            assert (folder / file.name).read_bytes() == file.read_bytes(), f"{form}: {file.name}"


def test_files_name_nothing_of_this_machine(checkpoint: Path, make: Make) -> None:
    for form in ("fp32", "int4"):
        for file in make(form).folder.glob("*.xml"):
            text = file.read_text(encoding="utf-8")
            assert str(checkpoint.parent) not in text and str(make("fp32").folder) not in text


def test_four_bits_take_the_method_that_is_nearest_on_texts_it_did_not_see(
    checkpoint: Path, make: Make, tmp_path: Path
) -> None:
    texts = tuple(f"{text} {number}" for number in range(8) for text in TEXTS)
    product = quantise_openvino_lm.run(make("fp32"), tmp_path, {"bits": 4}, resources(checkpoint, texts))
    distances = product.notes["held_out_kl"]
    assert set(distances) == set(quantise_openvino_lm.METHODS)
    assert distances[product.notes["method"]] == min(distances.values()) > 0
    assert (product.notes["calibration_texts"], product.notes["held_out"]) == (len(texts), len(texts) // 4)
    assert product.notes["group_size"] == 32


def test_texts_are_drawn_from_the_whole_file_and_few_of_them_decide_nothing(
    checkpoint: Path, make: Make, tmp_path: Path
) -> None:
    """A file in the order of length, as one in the order of labels, says little in its first rows."""
    texts = tuple(" ".join(["order"] * (1 + number // 10)) + f" {number}" for number in range(400))
    encode = open_tokenizer(checkpoint, 128)
    every = [len(encode(text).ids) for text in texts]
    drawn = [len(tokens.ids) for tokens in quantise_openvino_lm._texts(resources(checkpoint, texts))]
    held_out = drawn[:: quantise_openvino_lm.HELD_OUT]
    assert (len(drawn), len(held_out)) == (128, 32)
    for share in (10, 50, 90):
        for lengths in (drawn, held_out):
            assert abs(np.percentile(lengths, share) - np.percentile(every, share)) <= 4
    few = quantise_openvino_lm.run(make("fp32"), tmp_path, {"bits": 4}, resources(checkpoint, texts[:31]))
    assert few.notes["method"] == "rounding"


def test_an_unknown_family_is_refused_with_those_that_are_known(checkpoint: Path, tmp_path: Path) -> None:
    strange = dataclasses.replace(
        resources(checkpoint), checkpoint=dataclasses.replace(inspect(checkpoint), model_type="opt")
    )
    with pytest.raises(MctError, match="opt language model") as caught:
        export_openvino_lm.run(Product(checkpoint, ""), tmp_path, {}, strange)
    assert "qwen3" in caught.value.message and not list(tmp_path.iterdir())


def test_the_plan_knows_the_precisions_of_language_models(checkpoint: Path) -> None:
    assert {"fp32", "fp16", "int8", "int4"} <= set(supported("causal-lm")["openvino"])
    described = make_plan(inspect(checkpoint), ["openvino"], ["int4"]).describe()
    assert described.startswith("# openvino-int4: export-openvino -> quantise-openvino\n")


# -- opened by others -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["fp32", "int4"])
def test_openvino_genai_writes_the_same_text(form: str, checkpoint: Path, reference: Reference, make: Make) -> None:
    genai = pytest.importorskip("openvino_genai", reason="openvino-genai is not installed")
    from mct.targets.runtimes.generate_openvino import open_session
    from mct.targets.runtimes.run_openvino import rounding_properties

    properties = {"INFERENCE_PRECISION_HINT": "f32", "ATTENTION_BACKEND": "SDPA"} | rounding_properties()
    pipeline = genai.LLMPipeline(str(make(form).folder), "CPU", **properties)
    tokenize = open_tokenizer(checkpoint, 128)
    session = open_session(executable(checkpoint, make(form)), 1)
    for text in TEXTS:
        prompt = " ".join(text.split()[:5])
        ours = tokenize.text(session.generate(tokenize(prompt), 24, stop=frozenset({0})))
        theirs = pipeline.generate(prompt, max_new_tokens=24, do_sample=False, apply_chat_template=False)
        assert theirs == ours


def test_the_tokenizer_graph_gives_the_same_ids(checkpoint: Path, make: Make) -> None:
    genai = pytest.importorskip("openvino_genai", reason="openvino-genai is not installed")
    theirs, ours = genai.Tokenizer(str(make("fp32").folder)), open_tokenizer(checkpoint, 128)
    for text in TEXTS:
        assert theirs.encode(text).input_ids.data[0].tolist() == ours(text).ids
        assert theirs.decode(ours(text).ids) == text


def test_optimum_opens_the_finished_folder_and_writes_the_same_text(
    checkpoint: Path, reference: Reference, make: Make, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    optimum = pytest.importorskip("optimum.intel", reason="optimum-intel is not installed")
    shutil.copytree(make("fp32").folder, tmp_path, dirs_exist_ok=True)
    opened = optimum.OVModelForCausalLM.from_pretrained(
        tmp_path, ov_config={"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    )
    tokens = reference.asked.inputs[0].ids[:16]
    given = torch.tensor([tokens])
    found = opened.generate(
        given, attention_mask=torch.ones_like(given), max_new_tokens=64, do_sample=False, eos_token_id=None,
        pad_token_id=0,
    )  # fmt: skip
    assert tuple(found[0, 16:].tolist()) == reference.continued[0].tokens
    theirs = opened(given, attention_mask=torch.ones_like(given)).logits.numpy()
    np.testing.assert_allclose(theirs[0], reference.outputs[0]["logits"][0, :16], atol=1e-3)

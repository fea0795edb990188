import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
import torch
import transformers
from gguf import GGUFReader
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from mct import MctError
from mct.compress.gguf import export_decoder as export_gguf_lm
from mct.compress.gguf import quantise as quantise_gguf
from mct.compress.gguf.byte_level import LLAMA_3, QWEN_2
from mct.compress.gguf.graphs.decoders import GRAPHS
from mct.compress.gguf.importance import Importance, mean_squares, measure
from mct.compress.gguf.tokenizer import read_vocabulary
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.passes_gguf import EXACT_TYPES, WEIGHED_TYPES
from mct.compress.run.parity import Reference, measure_parity, require_parity, run_original
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_model
from mct.models.data.declared import declared
from mct.models.families.table import with_graph
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.examples import find_kind
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.targets.machine import probe_machine
from mct.targets.runtimes.settings import LlamaSettings
from mct.targets.runtimes.table import Executable, open_session, runtime_for

TEXTS = (
    "Where is my order?", "I want to return volume 3, it arrived damaged", "recommend me something like Berserk",
    "is this suitable for a 12 year old 🙂", "my card was declined at checkout", "let me talk to a human now",
    "do you have One Piece box sets in stock", "注文 12345 はどこですか", "how long does shipping take to Osaka",
)  # fmt: skip
LONGEST = 128


def _tokenizer(pattern: str = "") -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    split = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=specials, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def _sizes(vocabulary: int) -> dict:
    return {
        "vocab_size": vocabulary, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 96, "max_position_embeddings": LONGEST,
        "initializer_range": 0.15, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
    }  # fmt: skip


def _of(name: str, pattern: str = LLAMA_3, **more: object) -> tuple[str, Callable[[int], torch.nn.Module]]:
    def make(vocabulary: int) -> torch.nn.Module:
        config = getattr(transformers, f"{name}Config")(**(_sizes(vocabulary) | more))
        return transformers.AutoModelForCausalLM.from_config(config)

    return pattern, make


def _gpt2(vocabulary: int) -> torch.nn.Module:
    config = transformers.GPT2Config(
        vocab_size=vocabulary, n_embd=64, n_layer=2, n_head=4, n_positions=LONGEST, initializer_range=0.15,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


LLAMA_3_ROPE = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip

PARTIAL = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5}
LONG_ROPE = {
    "rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
    "long_factor": [2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5],
}  # fmt: skip
TWO_ROPES = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    "full_attention": {"rope_type": "linear", "rope_theta": 1_000_000.0, "factor": 8.0},
}

MAKERS = {
    "llama": _of("Llama"),
    "llama-tied": _of("Llama", tie_word_embeddings=True),
    "llama-biased": _of("Llama", attention_bias=True, mlp_bias=True, head_dim=32),
    "llama-3-rope": _of("Llama", rope_parameters=LLAMA_3_ROPE),
    "llama-linear-rope": _of("Llama", rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}),
    "mistral": _of("Mistral", sliding_window=96),
    "qwen2": _of("Qwen2", QWEN_2),
    "qwen3": _of("Qwen3", QWEN_2, head_dim=32),
    "gpt2": ("", _gpt2),
    "mixtral": _of("Mixtral", num_local_experts=4, num_experts_per_tok=2),
    "qwen2-moe": _of(
        "Qwen2Moe", QWEN_2, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32,
        shared_expert_intermediate_size=64, norm_topk_prob=False,
    ),
    "qwen3-moe": _of(
        "Qwen3Moe", QWEN_2, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, head_dim=16,
        norm_topk_prob=True,
    ),
    "smollm3": _of("SmolLM3", num_hidden_layers=4),
    "phi3": _of("Phi3", sliding_window=96, rope_parameters=PARTIAL),
    "phi3-long": _of(
        "Phi3", rope_parameters=LONG_ROPE, original_max_position_embeddings=300, max_position_embeddings=512,
        tie_word_embeddings=True,
    ),
    "gemma2": _of("Gemma2", head_dim=32, sliding_window=24, query_pre_attn_scalar=40, final_logit_softcapping=3.0),
    "gemma3": _of(
        "Gemma3Text", head_dim=32, sliding_window=24, query_pre_attn_scalar=40, num_hidden_layers=3,
        layer_types=["full_attention", "sliding_attention", "full_attention"], rope_parameters=TWO_ROPES,
    ),
    "gpt-neox": _of("GPTNeoX", ""),
    "gpt-neox-in-turn": _of("GPTNeoX", "", use_parallel_residual=False, tie_word_embeddings=True),
    "bloom": _of("Bloom", "", n_layer=2, n_head=4),
}  # fmt: skip


def _write(name: str, folder: Path) -> Path:
    pattern, make = MAKERS[name]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(pattern), bos_token="<s>", eos_token="</s>", model_max_length=LONGEST
    )
    torch.manual_seed(1)
    model = make(len(tokenizer) + 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small decoder of every family, its embedding larger than its vocabulary as real ones often are."""
    return {name: _write(name, tmp_path_factory.mktemp(name)) for name in MAKERS}


@pytest.fixture(scope="module")
def exported(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Product]:
    return {name: _export(folder, tmp_path_factory.mktemp("gguf")) for name, folder in checkpoints.items()}


@pytest.fixture(scope="module")
def references(checkpoints: dict[str, Path]) -> dict[str, Reference]:
    return {name: run_original(inspect(folder), TEXTS, 1) for name, folder in checkpoints.items()}


def _resources(folder: Path, texts: tuple[str, ...] = ()) -> Resources:
    rows = tuple({"text": text} for text in texts)
    return Resources(inspect(folder), Dataset("texts", rows, "0" * 64) if rows else None, probe_machine(), 0)


def _export(folder: Path, draft: Path) -> Product:
    draft.mkdir(exist_ok=True)
    return export_gguf_lm.run(Product(folder, ""), draft, {}, _resources(folder))


def _executable(product: Product) -> Executable:
    longest = min(LONGEST, product.settings["context"])
    return Executable(product.folder, product.model, "causal-lm", 0, longest, product.settings)


@pytest.mark.parametrize("name", MAKERS)
def test_f32_is_the_original_and_goes_on_like_it(
    name: str, references: dict[str, Reference], exported: dict[str, Product]
) -> None:
    parity = measure_parity(references[name], "gguf-f32", _executable(exported[name]), 1)
    require_parity(parity, "gguf-f32", exported[name].folder)
    assert parity.max_abs_delta <= 1e-2
    assert parity.more["continued_otherwise"] == 0, "they part at near ties alone"
    logits = np.concatenate([each["logits"][0] for each in references[name].outputs])
    assert logits.std(axis=0).mean() > 0.1, "a model that says the same of every text proves nothing"
    assert len({ids for each in references[name].continued for ids in each.tokens}) > 5


def test_what_a_file_tells_its_runtime_is_what_a_manifest_may_say(exported: dict[str, Product]) -> None:
    for name, product in exported.items():
        told = declared(dict(product.settings), LlamaSettings, name)
        assert told.context == product.settings["context"] > 0


def test_every_family_of_the_table_is_tested(checkpoints: dict[str, Path]) -> None:
    assert {inspect(folder).model_type for folder in checkpoints.values()} == set(with_graph("gguf", GRAPHS))


@pytest.mark.parametrize("name", MAKERS)
def test_importance_is_asked_of_modules_that_the_model_has(name: str, checkpoints: dict[str, Path]) -> None:
    checkpoint = inspect(checkpoints[name])
    weights = export_gguf_lm.plan(checkpoint, export_gguf_lm.read_config(checkpoint.path)).weights
    reads = {weight.reads for weight in weights if weight.reads}
    assert len(reads) > 5
    assert reads <= {name for name, _ in load_model(checkpoint).named_modules()}


def _as_reward(folder: Path, copy: Path) -> Path:
    """The same backbone with a score."""
    shutil.copytree(folder, copy)
    torch.manual_seed(2)
    config = transformers.AutoConfig.from_pretrained(copy, num_labels=1, pad_token_id=1)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(copy)
    return copy


@pytest.mark.parametrize("name", ["smollm3", "phi3", "gemma2", "gemma3", "bloom"])
def test_a_reward_model_scores_as_the_original(name: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _as_reward(checkpoints[name], tmp_path / "reward")
    rows = [{"prompt": TEXTS[0], "chosen": text, "rejected": text[:8]} for text in TEXTS]
    reference = run_original(inspect(folder), find_kind("reward").texts(rows), 1)
    assert np.ptp([outputs["logits"] for outputs in reference.outputs]) > 0.5
    product = _export(folder, tmp_path / "gguf")
    executable = replace(_executable(product), task="reward", outputs=1)
    require_parity(measure_parity(reference, "gguf-f32", executable, 1), "gguf-f32", folder)


def test_a_graph_that_insists_on_an_output_refuses_a_reward_model(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _as_reward(checkpoints["gpt-neox"], tmp_path / "reward")
    with pytest.raises(MctError, match="gptneox needs an output matrix"):
        _export(folder, tmp_path / "gguf")


@pytest.mark.parametrize("name", ["llama", "gpt2", "mixtral"])
@pytest.mark.parametrize("kind", [*EXACT_TYPES, *WEIGHED_TYPES])
def test_every_type_is_written_and_runs(
    name: str, kind: str, checkpoints: dict[str, Path], exported: dict[str, Product],
    references: dict[str, Reference], tmp_path: Path,
) -> None:  # fmt: skip
    resources = _resources(checkpoints[name], TEXTS)
    product = quantise_gguf.run(exported[name], tmp_path, {"type": kind}, resources)
    parity = measure_parity(references[name], f"gguf-{kind.lower()}", _executable(product), 1)
    assert 0 < parity.mean_abs_delta < 1.5
    assert parity.more["mean_kl"] < 1.0
    assert (tmp_path / product.model).stat().st_size < (exported[name].folder / "model.gguf").stat().st_size
    assert ("importance" in product.notes) == (kind in WEIGHED_TYPES)
    assert sum(product.notes["tensors"].values()) == len(GGUFReader(tmp_path / product.model).tensors)
    again = tmp_path / "again"
    again.mkdir()
    second = quantise_gguf.run(exported[name], again, {"type": kind}, resources)
    assert (again / second.model).read_bytes() == (tmp_path / product.model).read_bytes()


def test_rows_that_blocks_of_256_do_not_divide_are_said(
    checkpoints: dict[str, Path], exported: dict[str, Product], tmp_path: Path
) -> None:
    product = quantise_gguf.run(exported["llama"], tmp_path, {"type": "Q4_K_M"}, _resources(checkpoints["llama"]))
    kinds = product.notes["tensors"]
    assert not any(kind.endswith("_K") for kind in kinds)
    assert product.notes["rows_not_of_256"] == sum(count for kind, count in kinds.items() if kind.startswith("Q"))


def test_the_same_checkpoint_gives_the_same_bytes(
    checkpoints: dict[str, Path], exported: dict[str, Product], tmp_path: Path
) -> None:
    again = _export(checkpoints["mixtral"], tmp_path)
    assert (tmp_path / again.model).read_bytes() == (exported["mixtral"].folder / "model.gguf").read_bytes()


@pytest.mark.parametrize("name", ["llama-tied", "qwen2", "gpt2", "gemma3", "gpt-neox"])
def test_llama_cpp_s_own_class_writes_the_same_text(
    name: str, checkpoints: dict[str, Path], exported: dict[str, Product], references: dict[str, Reference]
) -> None:
    model = llama_cpp.Llama(
        str(exported[name].folder / "model.gguf"), n_ctx=LONGEST, n_threads=1, verbose=False,
        type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32,
    )  # fmt: skip
    encode = open_tokenizer(checkpoints[name], LONGEST)
    for text in TEXTS:
        assert model.tokenize(text.encode(), add_bos=True, special=True) == encode(text).ids
    prompt = references[name].asked.inputs[0].ids[:16]
    generated = []
    for token in model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
        generated.append(token)
        if len(generated) == 64:
            break
    assert tuple(generated) == references[name].continued[0].tokens


def test_the_chat_template_and_special_tokens_go_along(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoints["llama"], tmp_path / "chat")
    template = "{% for message in messages %}{{ message['content'] }}{{ eos_token }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    product = _export(folder, tmp_path / "gguf")
    fields = GGUFReader(product.folder / product.model).fields
    assert fields["tokenizer.chat_template"].contents() == template
    assert fields["tokenizer.ggml.bos_token_id"].contents() == 0
    assert fields["tokenizer.ggml.eos_token_id"].contents() == 1
    assert fields["tokenizer.ggml.add_bos_token"].contents() is True
    model = llama_cpp.Llama(str(product.folder / product.model), verbose=False)
    assert model.metadata["tokenizer.chat_template"] == template


def test_a_sliding_window_is_the_longest_input(exported: dict[str, Product]) -> None:
    assert exported["mistral"].notes["remarks"] == ["inputs end at the sliding window of 96 tokens"]
    session = open_session(runtime_for("gguf"), _executable(exported["mistral"]), 1)
    with pytest.raises(MctError, match="100 tokens; this model takes 1 to 96"):
        session.generate(Tokens([5] * 60, [0] * 60), 40)  # type: ignore[attr-defined]


def _altered(folder: Path, copy: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
    shutil.copytree(folder, copy)
    save_file(change(load_file(folder / "model.safetensors")), copy / "model.safetensors", metadata={"format": "pt"})
    return copy


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("llama", lambda w: {n: v for n, v in w.items() if n != "lm_head.weight"}, "no tensor lm_head.weight"),
        ("llama", lambda w: w | {"model.norm.weight": torch.ones(32)}, r"norm.weight has shape \(32,\)"),
        ("llama", lambda w: w | {"model.layers.0.self_attn.q_proj.bias": torch.ones(64)}, "no place for: .*bias"),
        ("llama-tied", lambda w: w | {"lm_head.weight": torch.ones(323, 64)}, "ties output and input embeddings"),
        ("gpt2", lambda w: w | {"transformer.h.0.attn.c_attn.weight": torch.ones(192, 64)}, "c_attn.weight has shape"),
        (
            "mixtral",
            lambda w: {n: v for n, v in w.items() if "experts.3.w2" not in n},
            r"no tensor model.layers.0.block_sparse_moe.experts.3.w2.weight",
        ),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused_by_name(
    name: str,
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    says: str,
    checkpoints: dict[str, Path],
    tmp_path: Path,
) -> None:
    folder = _altered(checkpoints[name], tmp_path / "bad", change)
    with pytest.raises(MctError, match=says):
        _export(folder, tmp_path / "gguf")


def test_a_tied_output_that_is_stored_all_the_same_is_read(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    def with_output(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return weights | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()}

    folder = _altered(checkpoints["llama-tied"], tmp_path / "stored", with_output)
    names = {tensor.name for tensor in GGUFReader(_export(folder, tmp_path / "gguf").folder / "model.gguf").tensors}
    assert "output.weight" not in names


def test_a_tied_embedding_that_is_stored_as_the_output_is_read(
    checkpoints: dict[str, Path], exported: dict[str, Product], tmp_path: Path
) -> None:
    """So TinyStories-656K has it: safetensors keeps one of two names for one tensor."""

    def as_output(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name.replace("model.embed_tokens", "lm_head"): value for name, value in weights.items()}

    again = _export(_altered(checkpoints["llama-tied"], tmp_path / "stored", as_output), tmp_path / "gguf")
    assert (again.folder / again.model).read_bytes() == (exported["llama-tied"].folder / "model.gguf").read_bytes()


def test_gpt2_saved_without_its_prefix_is_read(
    checkpoints: dict[str, Path], exported: dict[str, Product], tmp_path: Path
) -> None:
    folder = _altered(
        checkpoints["gpt2"], tmp_path / "bare", lambda w: {n.removeprefix("transformer."): v for n, v in w.items()}
    )
    again = _export(folder, tmp_path / "gguf")
    assert (again.folder / again.model).read_bytes() == (exported["gpt2"].folder / "model.gguf").read_bytes()


@pytest.mark.parametrize(
    ("name", "key", "value", "says"),
    [
        ("llama", "hidden_act", "gelu", "hidden_act 'silu'"),
        ("llama", "rope_parameters", {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}, "'dynamic'"),
        ("gpt2", "scale_attn_by_inverse_layer_idx", True, "inverse_layer_idx False"),
        ("qwen2", "use_sliding_window", True, "use_sliding_window"),
        ("smollm3", "no_rope_layers", [1, 1, 0, 1], "all layers but every fourth"),
        ("gemma2", "final_logit_softcapping", None, "gemma2 bounds by final_logit_softcapping"),
        ("gemma3", "use_bidirectional_attention", True, "use_bidirectional_attention False"),
        ("phi3", "head_dim", 32, "4 of 32 in 64"),
        ("gpt-neox", "hidden_act", "relu", "hidden_act 'gelu'"),
        ("bloom", "apply_residual_connection_post_layernorm", True, "post_layernorm False"),
        ("qwen3-moe", "norm_topk_prob", False, "norm_topk_prob True"),
    ],
)
def test_variants_that_llama_cpp_does_not_compute_are_refused(
    name: str, key: str, value: object, says: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoints[name], tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(MctError, match=says):
        _export(folder, tmp_path / "gguf")


def _edited_tokenizer(folder: Path, copy: Path, edit: Callable[[dict], None]) -> Path:
    shutil.copytree(folder, copy)
    tokenizer = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    edit(tokenizer)
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return copy


def test_an_unknown_pre_tokenizer_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    def other(tokenizer: dict) -> None:
        tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{L}{1,7}|."

    folder = _edited_tokenizer(checkpoints["llama"], tmp_path / "x", other)
    with pytest.raises(MctError, match=r"no name that is known here for this pre-tokenizer: \\p\{L\}") as refusal:
        read_vocabulary(folder, 400)
    assert "gpt-2, llama-bpe" in refusal.value.hint


def test_ignoring_merges_is_part_of_the_pre_tokenizer(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    assert read_vocabulary(checkpoints["llama"], 400).pre == "smaug-bpe"
    folder = _edited_tokenizer(checkpoints["llama"], tmp_path / "x", lambda t: t["model"].update(ignore_merges=True))
    assert read_vocabulary(folder, 400).pre == "llama-bpe"


# -- importance -----------------------------------------------------------------------------------------------------


def test_the_importance_of_a_linear_layer_is_the_mean_square_of_what_it_reads(checkpoints: dict[str, Path]) -> None:
    model = load_model(inspect(checkpoints["llama"]))
    inputs = [[0, 5, 9, 7], [0, 8]]
    name = "model.layers.0.self_attn.v_proj"
    found = mean_squares(model, {(name, "")}, [Tokens(ids, []) for ids in inputs])[name, ""]
    rows = []
    for ids in inputs:
        with torch.inference_mode():
            states = model.model.embed_tokens(torch.tensor(ids))
            rows.append(model.model.layers[0].input_layernorm(states))
    expected = torch.cat(rows).square().mean(0).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_each_expert_counts_its_own_tokens(checkpoints: dict[str, Path]) -> None:
    """Worked out with the experts one by one, as their own source has it."""
    model = load_model(inspect(checkpoints["mixtral"]))
    experts, seen = model.model.layers[0].mlp.experts, {}

    def keep(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen["states"], seen["chosen"] = inputs[0], inputs[1]

    handle = experts.register_forward_pre_hook(keep)
    tokens = open_tokenizer(checkpoints["mixtral"], LONGEST)(TEXTS[1])
    name = "model.layers.0.mlp.experts"
    found = mean_squares(model, {(name, "up"), (name, "down")}, [tokens])
    handle.remove()
    for expert in range(4):
        rows = seen["states"][(seen["chosen"] == expert).any(dim=1)]
        assert len(rows) > 0
        gate, up = (rows @ experts.gate_up_proj[expert].T).chunk(2, dim=-1)
        between = torch.nn.functional.silu(gate) * up
        np.testing.assert_allclose(found[name, "up"][expert], rows.square().mean(0).numpy(), rtol=1e-4)
        np.testing.assert_allclose(found[name, "down"][expert], between.square().mean(0).detach().numpy(), rtol=1e-4)


def test_an_expert_without_tokens_is_given_the_mean_of_the_others(checkpoints: dict[str, Path]) -> None:
    model = load_model(inspect(checkpoints["mixtral"]))
    name = "model.layers.0.mlp.experts"
    found = mean_squares(model, {(name, "up"), (name, "down")}, [Tokens([0], [])])[name, "up"]
    idle = [row for row in found if np.allclose(row, found.mean(axis=0), rtol=1e-3)]
    assert len(idle) >= 2
    assert (found.sum(axis=1) > 0).all()


def test_the_matrix_says_where_it_comes_from_and_names_gguf_s_tensors(
    checkpoints: dict[str, Path], exported: dict[str, Product]
) -> None:
    importance = measure(_resources(checkpoints["mixtral"], TEXTS))
    assert importance.notes["calibration_texts"] == len(TEXTS)
    assert importance.notes["calibration_sha256"] == "0" * 64
    tensors = {tensor.name: tensor for tensor in GGUFReader(exported["mixtral"].folder / "model.gguf").tensors}
    for name, values in importance.tensors.items():
        shape = [int(size) for size in tensors[name].shape]
        assert values.size == shape[0] * (shape[2] if len(shape) == 3 else 1)
    matrices = {name for name, tensor in tensors.items() if len(tensor.shape) > 1}
    assert matrices - set(importance.tensors) == {
        "token_embd.weight", "blk.0.ffn_gate_inp.weight", "blk.1.ffn_gate_inp.weight",
    }  # fmt: skip


def test_importance_changes_what_is_written_and_not_how_much(
    checkpoints: dict[str, Path], exported: dict[str, Product], tmp_path: Path
) -> None:
    written = []
    for name, texts in (("bare", ()), ("weighed", TEXTS)):
        (tmp_path / name).mkdir()
        resources = _resources(checkpoints["llama"], texts)
        product = quantise_gguf.run(exported["llama"], tmp_path / name, {"type": "Q4_0"}, resources)
        written.append((product.folder / product.model).read_bytes())
    assert len(written[0]) == len(written[1])
    assert written[0] != written[1]


def test_importance_is_that_of_the_folder_as_it_is_now(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """Another model under the same name, written between two measurements of one process."""
    folder = tmp_path / "model"
    found = []
    for source in ("llama", "scaled"):
        shutil.copytree(checkpoints["llama"], folder, dirs_exist_ok=True)
        if source == "scaled":
            weights = load_file(folder / "model.safetensors")
            weights["model.layers.0.input_layernorm.weight"] *= 2
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        found.append(measure(_resources(folder, TEXTS)).tensors["blk.0.attn_q.weight"])
    np.testing.assert_allclose(found[1], 4 * found[0], rtol=1e-4)


def test_memory_that_is_lent_to_llama_cpp_stays_what_it_was(
    checkpoints: dict[str, Path], exported: dict[str, Product], tmp_path: Path
) -> None:
    """Numbers that have to be copied before they can be lent: the copies must live as long as they are read."""
    importance = measure(_resources(checkpoints["llama"], TEXTS))
    wide = Importance({name: values.astype(np.float64) for name, values in importance.tensors.items()}, {})
    source = exported["llama"].folder / "model.gguf"
    for name, each in (("plain", importance), ("wide", wide)):
        quantise_gguf.quantise(source, tmp_path / name, quantise_gguf.Wanted("Q4_0", 1, each))
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "wide").read_bytes()


# -- reward models --------------------------------------------------------------------------------------------------


def test_a_reward_model_gives_the_rewards_of_the_original(tmp_path: Path) -> None:
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(LLAMA_3), bos_token="<s>", eos_token="</s>", model_max_length=LONGEST
    )
    torch.manual_seed(1)
    config = transformers.LlamaConfig(**_sizes(len(tokenizer)), num_labels=1)
    folder = tmp_path / "reward"
    transformers.LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert inspect(folder).task == "reward"
    product = _export(folder, tmp_path / "gguf")
    requests = [{"prompt": text, "answers": [answer]} for text in TEXTS for answer in (" yes", " no, sorry")]
    reference = run_original(inspect(folder), requests, 1)
    for kind, most in (("f32", 1e-3), ("Q8_0", 0.5)):
        made = product
        if kind != "f32":
            (tmp_path / kind).mkdir()
            made = quantise_gguf.run(product, tmp_path / kind, {"type": kind}, _resources(folder))
        executable = replace(_executable(made), task="reward", outputs=1)
        parity = measure_parity(reference, f"gguf-{kind.lower()}", executable, 1)
        assert parity.max_abs_delta <= most
    rewards = np.array([each["logits"][0, 0] for each in reference.outputs])
    assert rewards.std() > 0.1

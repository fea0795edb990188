"""ONNX decoders: every family gives the model's own logits and continuations, and other programs open the same file."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mct import MctError
from mct.compress.onnx import export_decoder as export_onnx_lm
from mct.compress.onnx import half as onnx_half
from mct.compress.onnx import quantise_decoder as quantise_onnx_lm
from mct.compress.onnx.graphs import graph as onnx_draft
from mct.compress.onnx.graphs.blocks import pack, quantise_blocks, restore
from mct.compress.onnx.graphs.decoder import build_lm
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.plan import make_plan
from mct.compress.run.execute import execute
from mct.compress.run.parity import Parity, Reference, measure_parity, require_parity, run_original
from mct.compress.run.resources import ParityTexts, Source
from mct.models.checkpoints.checkpoint import Checkpoint, inspect
from mct.models.tasks.tokens import Tokens
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable, open_session, original, runtime_for

SHARED = Path(__file__).resolve().parents[4] / "shared"
TINY_STORIES = SHARED / "weights" / "tinystories656K"
SCRIPT = Path(__file__).resolve().parents[2] / "node" / "generate.mjs"

TEXTS = (
    "Once upon a time there was a shop that sold nothing but manga, and its owner had read all of it twice.",
    "Where is my order? It was to arrive on Friday, and it is Monday now, and I have no message from you.",
    "recommend me something like Berserk but with less blood, please, and in English if there is such a thing",
    "注文 12345 はどこですか。金曜日に届くはずでしたが、まだ届いていません。よろしくお願いします。",
)

CHECKED_ON = ParityTexts(TEXTS, Source("texts", "0" * 64, len(TEXTS)))

SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256,
}  # fmt: skip
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
WINDOW = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}
LONG_ROPE = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
PARTIAL = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}}
TWO_TABLES = {
    "rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0 + 0.1 * channel for channel in range(8)],
    "long_factor": [2.0 + 0.5 * channel for channel in range(8)],
}  # fmt: skip
BY_TURNS = ["sliding_attention", "full_attention", "sliding_attention"]
GEMMA = {"head_dim": 32, "sliding_window": 8}
TWO_ROPES = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
}
NEOX = {"hidden_size": 128, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}

# What each row is there for stands in its name: every family, and every variant that the graph has a branch for.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", SIZES),
    "llama-tied-long": (
        "llama",
        SIZES | {"tie_word_embeddings": True, "rope_parameters": LONG_ROPE | {"original_max_position_embeddings": 32}},
    ),
    "llama-biases-yarn": (
        "llama",
        SIZES
        | {"attention_bias": True, "mlp_bias": True}
        | {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}},
    ),
    "mistral-window": ("mistral", SIZES | {"sliding_window": 8}),
    "qwen2-window": ("qwen2", SIZES | WINDOW),
    "qwen3": ("qwen3", SIZES | {"head_dim": 32, "tie_word_embeddings": True}),
    "gpt2": ("gpt2", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}),
    "gpt2-gelu-scaled": (
        "gpt2",
        {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256, "activation_function": "gelu"}
        | {"scale_attn_by_inverse_layer_idx": True},
    ),
    "mixtral": ("mixtral", SIZES | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2-moe": ("qwen2_moe", SIZES | EXPERTS | {"shared_expert_intermediate_size": 96, "mlp_only_layers": [0]}),
    "qwen3-moe": ("qwen3_moe", SIZES | EXPERTS | {"head_dim": 16, "norm_topk_prob": True}),
    "smollm3": ("smollm3", SIZES | {"num_hidden_layers": 4}),
    "smollm3-window": ("smollm3", SIZES | {"no_rope_layers": [0, 1], "use_sliding_window": True, "sliding_window": 6}),
    "phi3-window": ("phi3", SIZES | {"sliding_window": 8}),
    "phi3-long": ("phi3", SIZES | {"rope_parameters": TWO_TABLES, "original_max_position_embeddings": 90}),
    "phi3-partial": ("phi3", SIZES | PARTIAL | {"head_dim": 32, "tie_word_embeddings": True}),
    "gemma2": ("gemma2", SIZES | GEMMA | {"query_pre_attn_scalar": 40, "final_logit_softcapping": 3.0}),
    "gemma3": ("gemma3_text", SIZES | GEMMA | {"layer_types": ["full_attention", "sliding_attention"]}),
    "gemma3-long": (
        "gemma3_text",
        SIZES | GEMMA | {"rope_parameters": TWO_ROPES, "num_hidden_layers": 3, "layer_types": BY_TURNS},
    ),
    "gpt-neox": ("gpt_neox", NEOX | {"max_position_embeddings": 256}),
    "gpt-neox-in-turn": (
        "gpt_neox",
        NEOX | {"max_position_embeddings": 256, "use_parallel_residual": False, "attention_bias": False},
    ),
    "bloom": ("bloom", {"hidden_size": 64, "n_layer": 2, "n_head": 4}),
    "bloom-6-heads": ("bloom", {"hidden_size": 96, "n_layer": 2, "n_head": 6}),
}
QUANTISED = ("llama", "llama-tied-long", "gpt2", "qwen2-moe", "gemma2", "gpt-neox")

Saved = Callable[[str], Path]


@pytest.fixture(scope="module")
def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """A byte-level BPE of a few hundred tokens."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=["<pad>", "<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        ),
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", eos_token="<end>", model_max_length=256
    )


def save_decoder(
    folder: Path,
    tokenizer: transformers.PreTrainedTokenizerFast,
    model_type: str,
    settings: Mapping[str, Any],
    auto: Any = transformers.AutoModelForCausalLM,
) -> Path:
    """A decoder with random weights, biases included, wide enough apart that its answers are no ties."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        model_type, vocab_size=400, initializer_range=0.15, pad_token_id=0, bos_token_id=1, eos_token_id=1, **settings
    )
    model = auto.from_config(config)
    for name, values in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(values, std=0.1)
        elif values.dim() == 1:
            values.data += 0.1 * torch.randn_like(values)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def saved(
    tokenizer: transformers.PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The folder of a family's checkpoint, made once."""
    root, made = tmp_path_factory.mktemp("decoders"), {}

    def save(name: str) -> Path:
        if name not in made:
            made[name] = save_decoder(root / name, tokenizer, *FAMILIES[name])
        return made[name]

    return save


def _resources(checkpoint: Checkpoint) -> Resources:
    return Resources(checkpoint, None, probe_machine(), seed=0)


def _export(folder: Path, draft: Path) -> Product:
    return export_onnx_lm.run(Product(folder, ""), draft, {}, _resources(inspect(folder)))


def _executable(checkpoint: Checkpoint, product: Product) -> Executable:
    return Executable(product.folder, product.model, checkpoint.task, 0, checkpoint.max_tokens, product.settings)


def _reference(checkpoint: Checkpoint) -> Reference:
    return run_original(checkpoint, list(TEXTS), 1)


def _parity(reference: Reference, checkpoint: Checkpoint, product: Product, precision: str) -> Parity:
    return measure_parity(reference, f"onnx-{precision}", _executable(checkpoint, product), 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_fp32_gives_the_models_logits_and_continues_texts_by_the_same_64_tokens(
    saved: Saved, tmp_path: Path, family: str
) -> None:
    folder = saved(family)
    checkpoint = inspect(folder)
    product = _export(folder, tmp_path)
    parity = _parity(_reference(checkpoint), checkpoint, product, "fp32")
    require_parity(parity, "onnx-fp32", folder)
    assert parity.max_abs_delta <= 1e-3
    assert parity.agreement == 1.0
    assert parity.more["continued_alike"] == 1.0
    assert parity.decisions > 100
    again = _export(folder, tmp_path / "again")
    assert (again.folder / again.model).read_bytes() == (product.folder / product.model).read_bytes()


@pytest.mark.parametrize("family", QUANTISED)
def test_fewer_bits_are_smaller_and_stay_as_close_as_their_bits_allow(
    saved: Saved, tmp_path: Path, family: str
) -> None:
    checkpoint = inspect(saved(family))
    reference, source = _reference(checkpoint), _export(checkpoint.path, tmp_path / "fp32")
    sizes, losses = [_size(source)], [0.0]
    for name, run, settings in (
        ("fp16", onnx_half.run, {}),
        ("int8", quantise_onnx_lm.run, {"bits": 8}),
        ("int4", quantise_onnx_lm.run, {"bits": 4}),
    ):
        product = run(source, tmp_path / name, settings, _resources(checkpoint))
        again = run(source, tmp_path / f"{name}-again", settings, _resources(checkpoint))
        assert (product.folder / product.model).read_bytes() == (again.folder / again.model).read_bytes()
        parity = _parity(reference, checkpoint, product, name)
        sizes.append(_size(product))
        losses.append(parity.more["mean_kl"])
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.45 * sizes[0]
    assert losses[1] < 1e-4 < losses[3]
    assert losses[2] < 0.02
    assert losses[2] < losses[3] < 0.6


def _size(product: Product) -> int:
    return (product.folder / product.model).stat().st_size


def _run(session: ort.InferenceSession, ids: np.ndarray, mask: np.ndarray, past: Mapping[str, np.ndarray]) -> Any:
    """Logits and the cache that goes in next, by plain onnxruntime."""
    outputs = [value.name for value in session.get_outputs()]
    found = dict(zip(outputs, session.run(outputs, {"input_ids": ids, "attention_mask": mask, **past}), strict=True))
    cache = {name.replace("present", "past_key_values"): value for name, value in found.items() if name != "logits"}
    return found["logits"], cache


def _empty(session: ort.InferenceSession, batch: int) -> dict[str, np.ndarray]:
    caches = [value for value in session.get_inputs() if value.name.startswith("past_key_values")]
    return {value.name: np.zeros((batch, value.shape[1], 0, value.shape[3]), np.float32) for value in caches}


@pytest.mark.parametrize("family", ["llama", "mistral-window", "gpt2", "gemma3", "gpt-neox", "bloom", "phi3-long"])
def test_a_batch_padded_left_answers_as_its_prompts_alone(saved: Saved, tmp_path: Path, family: str) -> None:
    product = _export(saved(family), tmp_path)
    session = ort.InferenceSession(str(product.folder / product.model), providers=["CPUExecutionProvider"])
    ids = np.random.default_rng(0).integers(2, 400, size=(2, 14))
    mask = np.ones_like(ids)
    mask[0, :5], ids[0, :5] = 0, 0
    logits, cache = _run(session, ids[:, :12], mask[:, :12], _empty(session, 2))
    later = []
    for place in (12, 13):  # and one by one on the cache
        step, cache = _run(session, ids[:, place : place + 1], mask[:, : place + 1], cache)
        later.append(step)
    found = np.concatenate([logits, *later], axis=1)
    for row, first in ((0, 5), (1, 0)):
        alone = ids[row : row + 1, first:]
        expected, _ = _run(session, alone, np.ones_like(alone), _empty(session, 1))
        np.testing.assert_allclose(found[row : row + 1, first:], expected, atol=1e-4)


def test_inputs_and_outputs_are_those_the_ecosystem_expects(saved: Saved, tmp_path: Path) -> None:
    product = _export(saved("llama"), tmp_path)
    session = ort.InferenceSession(str(product.folder / product.model), providers=["CPUExecutionProvider"])
    caches = [f"{layer}.{part}" for layer in (0, 1) for part in ("key", "value")]
    inputs = {value.name: value.shape for value in session.get_inputs()}
    assert list(inputs) == ["input_ids", "attention_mask", *(f"past_key_values.{name}" for name in caches)]
    assert inputs["past_key_values.1.value"] == ["batch_size", 2, "past_sequence_length", 16]
    assert [value.name for value in session.get_outputs()] == ["logits", *(f"present.{name}" for name in caches)]
    ids = np.array([[5, 6, 7, 8]])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), **_empty(session, 1)}
    everything = session.run(["logits"], feed)[0]
    for keep, rows in ((0, slice(None)), (1, slice(-1, None)), (3, slice(-3, None))):
        found = session.run(["logits"], {**feed, "num_logits_to_keep": np.array(keep)})[0]
        np.testing.assert_allclose(found, everything[:, rows], atol=1e-5)


def test_tied_embeddings_stand_in_the_file_once(saved: Saved, tmp_path: Path) -> None:
    checkpoint = inspect(saved("qwen3"))
    source = _export(checkpoint.path, tmp_path / "fp32")
    for product in (source, quantise_onnx_lm.run(source, tmp_path / "int8", {"bits": 8}, _resources(checkpoint))):
        constants = onnx.load(product.folder / product.model).graph.initializer
        assert sum(int(np.prod(value.dims)) == 400 * 64 for value in constants) == 1


@pytest.mark.parametrize(
    ("model_type", "settings", "reason"),
    [
        ("olmo2", SIZES, "olmo2 is not known; known"),
        ("llama", SIZES | {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "rotation"),
        ("llama", SIZES | {"hidden_act": "gelu"}, "its activation is gelu"),
        ("llama", SIZES | {"head_dim": 8}, "rotates 8 channels"),
    ],
)  # fmt: skip
def test_what_the_graph_does_not_know_is_refused_with_the_reason(
    tokenizer: transformers.PreTrainedTokenizerFast,
    tmp_path: Path,
    model_type: str,
    settings: dict[str, Any],
    reason: str,
) -> None:
    folder = save_decoder(tmp_path / "checkpoint", tokenizer, model_type, settings)
    with pytest.raises(MctError) as caught:
        _export(folder, tmp_path / "draft")
    assert reason in str(caught.value) and "gguf and openvino" in caught.value.hint


REWARDED = (Tokens([7, 8, 9, 1], [0] * 4), Tokens(list(range(20, 44)), [0] * 24), Tokens([11, 12, 0], [0] * 3))


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2", "mixtral", "phi3-window", "gemma2", "gpt-neox", "bloom"])
@pytest.mark.parametrize("pad_id", [0, None])
def test_a_reward_model_scores_as_the_original_alone_and_in_a_padded_batch(
    tokenizer: transformers.PreTrainedTokenizerFast, tmp_path: Path, family: str, pad_id: int | None
) -> None:
    model_type, settings = FAMILIES[family]
    auto = transformers.AutoModelForSequenceClassification
    folder = save_decoder(tmp_path / "checkpoint", tokenizer, model_type, {**settings, "num_labels": 1}, auto)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": pad_id}))
    checkpoint = inspect(folder)
    assert checkpoint.task == "reward"
    before = open_session(runtime_for("checkpoint"), original(checkpoint), 1)
    expected = np.concatenate([before([one])["logits"] for one in REWARDED])
    assert np.ptp(expected) > 0.01
    source = _export(folder, tmp_path / "fp32")
    session = open_session(runtime_for("onnx"), _executable(checkpoint, source), 1)
    np.testing.assert_allclose(np.concatenate([session([one])["logits"] for one in REWARDED]), expected, atol=1e-3)
    np.testing.assert_allclose(session(REWARDED)["logits"], expected, atol=1e-3)


def test_a_reward_model_in_fewer_bits_ranks_texts_much_as_the_original(
    tokenizer: transformers.PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    settings, auto = {**SIZES, "num_labels": 1}, transformers.AutoModelForSequenceClassification
    checkpoint = inspect(save_decoder(tmp_path / "checkpoint", tokenizer, "llama", settings, auto))
    texts = [Tokens(row.tolist(), [0] * 12) for row in np.random.default_rng(0).integers(2, 400, size=(40, 12))]
    source = _export(checkpoint.path, tmp_path / "fp32")
    expected = _scores(checkpoint, source, texts)
    for bits, least in ((8, 0.99), (4, 0.8)):
        product = quantise_onnx_lm.run(source, tmp_path / str(bits), {"bits": bits}, _resources(checkpoint))
        scores = _scores(checkpoint, product, texts)
        assert least < np.corrcoef(scores, expected)[0, 1] < 1.0
        assert "score.weight" in product.notes["fp32"]


def _scores(checkpoint: Checkpoint, product: Product, texts: list[Tokens]) -> np.ndarray:
    session = open_session(runtime_for("onnx"), _executable(checkpoint, product), 1)
    return np.concatenate([session([one])["logits"][:, 0] for one in texts])


def test_a_block_by_hand() -> None:
    """-3 … 12 in 15 steps of 1: zero point 3, and every value lies on a step."""
    weights = np.array([[-3, 0, 1, 12] + [0] * 28], np.float32)
    blocks = quantise_blocks(weights, 4, 32)
    assert blocks.scales.tolist() == [[1.0]]
    assert blocks.zeros.tolist() == [[3]]
    assert blocks.values[0, 0, :4].tolist() == [0, 3, 4, 15]
    assert pack(blocks.values, 4)[0, 0, :2].tolist() == [0 | 3 << 4, 4 | 15 << 4]
    assert pack(np.array([[5, 6, 7]], np.uint8), 4).tolist() == [[5 | 6 << 4, 7]]


@pytest.mark.parametrize("bits", [4, 8])
def test_blocks_are_off_by_at_most_a_step_and_the_best_range_is_no_worse_than_the_whole(bits: int) -> None:
    weights = np.random.default_rng(0).standard_t(3, size=(16, 80)).astype(np.float32)
    blocks = quantise_blocks(weights, bits, 32)
    found = restore(blocks).reshape(16, -1)[:, :80]
    assert blocks.values.shape == (16, 3, 32)
    whole = np.ptp(np.pad(weights, ((0, 0), (0, 16))).reshape(16, 3, 32), axis=2) / (2**bits - 1)
    if bits == 8:
        assert (np.abs(found - weights) <= np.repeat(whole, 32, axis=1)[:, :80]).all()
    plain = np.rint(weights / np.repeat(whole, 32, axis=1)[:, :80]) * np.repeat(whole, 32, axis=1)[:, :80]
    assert np.square(found - weights).sum() <= np.square(plain - weights).sum() * 1.05
    assert (restore(quantise_blocks(np.zeros((2, 64), np.float32), bits, 32)) == 0).all()


def _in_node(node_modules: Path, folder: Path, dtype: str, prompts: list[str], tokens: int) -> list[str]:
    asked = {"folder": str(folder), "dtype": dtype, "prompts": prompts, "tokens": tokens}
    done = subprocess.run(
        ["node", str(SCRIPT), str(node_modules)], input=json.dumps(asked), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [text.strip() for text in json.loads(done.stdout)]  # a first space is the tokenizer's, not the model's


def _continued(checkpoint: Checkpoint, prompts: list[str], tokens: int) -> list[str]:
    """Each prompt by transformers itself, alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.path)
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint.path)
    texts = []
    for prompt in prompts:
        asked = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        ids = model.generate(**asked, max_new_tokens=tokens, do_sample=False)[0, asked["input_ids"].shape[1] :]
        texts.append(tokenizer.decode(ids, skip_special_tokens=True).strip())
    return texts


def test_transformers_js_writes_the_same_texts_as_the_original(node_modules: Path, tmp_path: Path) -> None:
    if not TINY_STORIES.is_dir():
        pytest.skip(f"{TINY_STORIES} is not here")
    checkpoint = inspect(TINY_STORIES)
    prompts = ["Once upon a time there was a little dragon who", "Spot"]
    plan = make_plan(checkpoint, ["onnx"], ["fp32", "int4"])
    folders = execute(plan, _resources(checkpoint), CHECKED_ON, tmp_path)
    assert [folder.name for folder in folders] == ["onnx-fp32", "onnx-int4"]
    assert _in_node(node_modules, folders[0], "fp32", prompts, 48) == _continued(checkpoint, prompts, 48)
    written = _in_node(node_modules, folders[1], "q4", prompts, 24)
    assert all(len(text.split()) > 8 for text in written)


def test_transformers_js_opens_a_mixture_of_experts_in_8_bits(saved: Saved, node_modules: Path, tmp_path: Path) -> None:
    checkpoint = inspect(saved("qwen2-moe"))
    folders = execute(make_plan(checkpoint, ["onnx"], ["fp32", "int8"]), _resources(checkpoint), CHECKED_ON, tmp_path)
    assert _in_node(node_modules, folders[0], "fp32", [TEXTS[0]], 16) == _continued(checkpoint, [TEXTS[0]], 16)
    assert len(_in_node(node_modules, folders[1], "q8", [TEXTS[0]], 16)[0]) > 0


def test_weights_beyond_one_file_stand_beside_it_and_transformers_js_finds_them(
    saved: Saved, node_modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_draft, "LARGEST_FILE_BYTES", 200_000)
    checkpoint = inspect(saved("llama"))
    folders = execute(make_plan(checkpoint, ["onnx"], ["fp32", "int4"]), _resources(checkpoint), CHECKED_ON, tmp_path)
    files = [sorted(path.name for path in (folder / "onnx").iterdir()) for folder in folders]
    assert files == [["model.onnx", "model.onnx_data"], ["model_q4.onnx"]]
    assert (folders[0] / "onnx" / "model.onnx").stat().st_size < 200_000
    assert _in_node(node_modules, folders[0], "fp32", [TEXTS[0]], 16) == _continued(checkpoint, [TEXTS[0]], 16)


@pytest.mark.parametrize("family", ["llama", "qwen3", "mixtral", "gpt2"])
def test_onnxruntime_genai_continues_by_the_same_tokens(saved: Saved, tmp_path: Path, family: str) -> None:
    genai = pytest.importorskip("onnxruntime_genai")
    checkpoint = inspect(saved(family))
    (folder,) = execute(make_plan(checkpoint, ["onnx"], ["fp32"]), _resources(checkpoint), CHECKED_ON, tmp_path)
    prompt, model = [5, 77, 120, 33, 250, 8], genai.Model(str(folder))
    asked = genai.GeneratorParams(model)
    asked.set_search_options(max_length=len(prompt) + 40, do_sample=False)
    generator = genai.Generator(model, asked)
    generator.append_tokens(np.array(prompt, np.int32))
    while not generator.is_done():
        generator.generate_next_token()
    found = [int(token) for token in generator.get_sequence(0)[len(prompt) :]]
    session: Any = open_session(runtime_for("checkpoint"), original(checkpoint), 1)
    expected = session.generate(Tokens(prompt, [0] * len(prompt)), 40)
    assert found[:40] == expected[: len(found)]
    assert len(found) == 40 or found[-1] == 1


def test_a_token_starts_few_nodes_beside_those_of_the_layers() -> None:
    """Masks, lengths, the words, the last norm and the logits: each costs the same however small the model is."""

    def nodes(layers: int) -> int:
        config = transformers.LlamaConfig(
            vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=layers, num_attention_heads=4
        )
        return len(build_lm(transformers.LlamaForCausalLM(config)).graph.node)

    assert 2 * nodes(1) - nodes(2) <= 17

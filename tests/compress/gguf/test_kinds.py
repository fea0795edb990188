"""Every kind of encoder as GGUF, run by llama.cpp and held against torch: tiny and random."""

import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import llama_cpp
import numpy as np
import pytest
import torch
from gguf import GGUFReader, dequantize
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerFast,
)

from mct import MctError
from mct.compress.gguf import export_encoder as export_gguf
from mct.compress.gguf import quantise as quantise_gguf
from mct.compress.gguf.graphs.encoders import find_encoder
from mct.compress.gguf.importance import measure
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.plan import supported
from mct.compress.run.calibration import calibration_inputs
from mct.compress.run.parity import Parity, measure_parity, require_parity, run_original
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_model
from mct.models.checkpoints.load_heads import save_heads
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.examples import Request
from mct.models.tasks.table import Head, find_task
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.targets.llama.encoders import open_session
from mct.targets.llama.heads import open_outputs
from mct.targets.llama.segments import open_segments
from mct.targets.machine import probe_machine
from mct.targets.runtimes.run_torch import input_names
from mct.targets.runtimes.table import Executable, Session

TEXTS = [
    "where is my order", "i would like to return volume 3", "recommend me something like berserk", "hi",
    "is this suitable for a 12 year old", "my card was declined at checkout", "let me talk to a human now please",
]  # fmt: skip
TEXTS += [" ".join(TEXTS), " ".join(TEXTS[::-1] * 2)]
PAIRS = [{"query": query, "docs": TEXTS[:7]} for query in ("berserk deluxe", "a very long question about " + TEXTS[7])]
MAX_TOKENS = 120
PADDING = {"bert": 0, "distilbert": 0, "electra": 0, "roberta": 1, "xlm-roberta": 1, "modernbert": 0}
SPECIALS = {
    "bert": ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "roberta": ("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
}
SPECIALS |= dict.fromkeys(("distilbert", "electra", "modernbert"), SPECIALS["bert"])
SPECIALS["xlm-roberta"] = SPECIALS["roberta"]
BACKBONES = tuple(PADDING)


def _save_tokenizer(backbone: str, folder: Path) -> None:
    """Words and letters by WordPiece, or bytes by BPE, both without training: the same in every run."""
    specials = SPECIALS[backbone]
    tokenizer = _bytes(specials) if PADDING[backbone] else _word_pieces(specials)
    first, last = ("<s>", "</s>") if PADDING[backbone] else ("[CLS]", "[SEP]")
    named = dict(zip(("cls_token", "sep_token"), (first, last), strict=True))
    named["pad_token"] = specials[PADDING[backbone]]
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=MAX_TOKENS, **named).save_pretrained(folder)


def _word_pieces(specials: tuple[str, ...]) -> Tokenizer:
    words = sorted({word for text in TEXTS for word in text.split()})[::2]
    letters = sorted({letter for text in TEXTS for letter in text if letter != " "})
    pieces = (*specials, *letters, *(f"##{letter}" for letter in letters), *words)
    tokenizer = Tokenizer(models.WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _bytes(specials: tuple[str, ...]) -> Tokenizer:
    merges = [("e", "r"), ("i", "n"), ("o", "u")]
    pieces = (*specials, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges))
    tokenizer = Tokenizer(models.BPE({piece: row for row, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def _config(backbone: str, **more: Any) -> Any:
    """Two layers of width 64. RoBERTa's positions begin behind its padding's."""
    positions = MAX_TOKENS + (2 if PADDING[backbone] else 0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    if backbone == "distilbert":
        sizes = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 96}
    if backbone == "modernbert":
        sizes |= {"num_hidden_layers": 4, "local_attention": 16}
    if backbone == "electra":
        sizes |= {"embedding_size": 64}
    return AutoConfig.for_model(
        backbone, vocab_size=300, max_position_embeddings=positions, initializer_range=0.2,
        pad_token_id=PADDING[backbone],
        type_vocab_size={"bert": 2, "electra": 2}.get(backbone, 1), **sizes, **more,
    )  # fmt: skip


def _named(count: int) -> dict[str, Any]:
    names = {number: f"label {number}" for number in range(count)}
    return {"id2label": names, "label2id": {name: number for number, name in names.items()}}


def _save_classifier(backbone: str, folder: Path) -> None:
    config = _config(backbone, problem_type="multi_label_classification", **_named(4))
    _save(AutoModelForSequenceClassification.from_config(config), folder)


def _save_scorer(backbone: str, folder: Path) -> None:
    _save(AutoModelForSequenceClassification.from_config(_config(backbone, **_named(1))), folder)


def _save_tagger(backbone: str, folder: Path) -> None:
    _save(AutoModelForTokenClassification.from_config(_config(backbone, **_named(5))), folder)


def _save_several_heads(backbone: str, folder: Path) -> None:
    _save(AutoModel.from_config(_config(backbone)), folder)
    heads = (Head("label", "label", ("a", "b", "c")), Head("slots", "tags", ("O", "B-x", "I-x", "B-y")))
    save_heads(folder, heads, {head.name: torch.nn.Linear(64, len(head.labels)) for head in heads})


def _save_embedder(backbone: str, folder: Path, mode: str = "mean", dense: bool = False) -> None:
    """As sentence-transformers writes it: a backbone, a pooling, perhaps a dense layer with tanh, a normalisation."""
    _save(AutoModel.from_config(_config(backbone)), folder)
    modules = [
        ("Transformer", "", {}),
        ("Pooling", "1_Pooling", {"word_embedding_dimension": 64, "pooling_mode": mode}),
    ]
    if dense:
        sizes = {"in_features": 64, "out_features": 24, "bias": True}
        modules.append(("Dense", "2_Dense", sizes | {"activation_function": "torch.nn.modules.activation.Tanh"}))
        (folder / "2_Dense").mkdir()
        layer = {"linear.weight": torch.randn(24, 64) / 8, "linear.bias": torch.randn(24) / 8}
        save_file(layer, folder / "2_Dense" / "model.safetensors")
    modules.append(("Normalize", "3_Normalize", {}))
    rows = [
        {"idx": row, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for row, (kind, path, _) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(rows))
    for _, path, config in modules[1:]:
        (folder / path).mkdir(exist_ok=True)
        (folder / path / "config.json").write_text(json.dumps(config))


def _save_setfit(backbone: str, folder: Path) -> None:
    _save_embedder(backbone, folder)
    rng = np.random.default_rng(0)
    head = LogisticRegression().fit(rng.standard_normal((60, 64)), np.arange(60) % 3)
    head.coef_ *= 8
    joblib.dump(head, folder / "model_head.pkl")
    (folder / "config_setfit.json").write_text(json.dumps({"labels": ["a", "b", "c"], "normalize_embeddings": False}))


def _save(model: Any, folder: Path) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(folder)


KINDS: dict[str, Callable[[str, Path], None]] = {
    "multi-label-classification": _save_classifier,
    "pair-scoring": _save_scorer,
    "token-classification": _save_tagger,
    "multi-head": _save_several_heads,
    "sentence-embedding": _save_embedder,
    "embedding-head": _save_setfit,
}
OUTPUTS = {"sentence-embedding": {"sentence_embedding"}, "multi-head": {"label_logits", "slots_logits"}}


def _make(save: Callable[[str, Path], None], backbone: str, folder: Path) -> Path:
    folder.mkdir()
    torch.manual_seed(7)
    save(backbone, folder)
    _save_tokenizer(backbone, folder)
    return folder


def _resources(folder: Path) -> Resources:
    return Resources(inspect(folder), None, probe_machine(), 0)


def _export(folder: Path) -> Product:
    draft = folder.parent / f"{folder.name}-gguf"
    draft.mkdir()
    return export_gguf.run(Product(folder, ""), draft, {}, _resources(folder))


def _quantised(folder: Path, product: Product, kind: str, resources: Resources | None = None) -> Product:
    draft = Path(tempfile.mkdtemp(prefix=kind, dir=folder.parent))
    return quantise_gguf.run(product, draft, {"type": kind}, resources or _resources(folder))


def _executable(folder: Path, product: Product) -> Executable:
    checkpoint = inspect(folder)
    labels = len(checkpoint.labels)
    return Executable(product.folder, product.model, checkpoint.task, labels, MAX_TOKENS, product.settings)


def _parity(folder: Path, product: Product, form: str = "gguf-f32") -> Parity:
    requests: list[Request] = PAIRS if inspect(folder).task == "pair-scoring" else TEXTS
    reference = run_original(inspect(folder), requests, 1)
    assert max(len(tokens.ids) for tokens in reference.asked.inputs) > 64, "both kinds of attention are to be seen"
    return measure_parity(reference, form, _executable(folder, product), 1)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("kind", KINDS)
def test_f32_is_the_same_model_and_smaller_types_stay_near(kind: str, backbone: str, tmp_path: Path) -> None:
    folder = _make(KINDS[kind], backbone, tmp_path / "checkpoint")
    assert inspect(folder).task == kind
    product = _export(folder)
    parity = _parity(folder, product)
    assert parity.max_abs_delta <= 1e-2
    require_parity(parity, "gguf-f32", folder)
    assert parity.more.get("min_cosine", 1.0) >= 1 - 1e-4
    session = open_session(_executable(folder, product), 1)
    assert set(session([Tokens([2, 5, 3], [0, 0, 0])])) == OUTPUTS.get(kind, {"logits"})
    small = _parity(folder, _quantised(folder, product, "Q8_0"), "gguf-q8_0")
    assert parity.max_abs_delta < small.max_abs_delta <= 0.3


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_matrix_that_reads_is_weighed_by_the_users_texts(kind: str, backbone: str, tmp_path: Path) -> None:
    folder = _make(KINDS[kind], backbone, tmp_path / "checkpoint")
    product = _export(folder)
    pairs = find_task(kind).inputs == ("query", "doc")
    asked = [{"query": "berserk deluxe", "doc": text} if pairs else {"text": text} for text in TEXTS]
    resources = replace(_resources(folder), calibration=Dataset("texts", tuple(asked), "0" * 64))
    importance = measure(resources)
    tensors = {tensor.name: tensor for tensor in GGUFReader(product.folder / "model.gguf").tensors}
    matrices = {name for name, tensor in tensors.items() if len(tensor.shape) > 1}
    assert matrices - set(importance.tensors) <= {"token_embd.weight", "position_embd.weight", "token_types.weight"}
    for name, values in importance.tensors.items():
        assert values.shape == (int(tensors[name].shape[0]),)
    hidden = _after_the_embeddings(folder, resources)
    first = "blk.0.attn_qkv.weight" if backbone == "modernbert" else "blk.0.attn_q.weight"
    np.testing.assert_allclose(importance.tensors[first], hidden.square().mean(0).numpy(), rtol=1e-4)
    bare, weighed = (_quantised(folder, product, "Q4_0", each) for each in (_resources(folder), resources))
    assert "importance" in weighed.notes
    written = [(each.folder / each.model).read_bytes() for each in (bare, weighed)]
    assert written[0] != written[1]
    assert len(written[0]) == len(written[1])


def _after_the_embeddings(folder: Path, resources: Resources) -> torch.Tensor:
    """What the first layer reads of every token of the calibration texts, worked out by its own module."""
    model = load_model(inspect(folder))
    rows = []
    for tokens in calibration_inputs(resources):
        more = {"token_type_ids": torch.tensor([tokens.type_ids])} if "token_type_ids" in input_names(model) else {}
        with torch.inference_mode():
            rows.append(model.base_model.embeddings(input_ids=torch.tensor([tokens.ids]), **more)[0])
    return torch.cat(rows)


@pytest.mark.parametrize("kind", ["sequence-classification", *KINDS])
def test_the_table_of_passes_offers_every_kind(kind: str) -> None:
    assert {"f32", "f16", "q8_0"} <= set(supported(kind)["gguf"])


def _vectors(session: Session, texts: list[str], folder: Path) -> np.ndarray:
    encode = open_tokenizer(folder, MAX_TOKENS)
    return np.concatenate([session([encode(text)])["sentence_embedding"] for text in texts])


@pytest.mark.parametrize("mode", ["mean", "cls", "lasttoken"])
def test_llama_cpp_alone_gives_an_embedders_vectors(mode: str, tmp_path: Path) -> None:
    """Another program, from the text on: its own tokenizer, the pooling that the file asks for."""
    folder = _make(partial(_save_embedder, mode=mode), "bert", tmp_path / "checkpoint")
    product = _export(folder)
    require_parity(_parity(folder, product), "gguf-f32", folder)
    other = llama_cpp.Llama(str(product.folder / product.model), embedding=True, n_ctx=MAX_TOKENS, verbose=False)
    texts = TEXTS[:-1]  # the last is cut off: llama.cpp's program cuts off the separator at its end as well
    theirs = np.array([other.embed(text, normalize=True) for text in texts])
    ours = _vectors(open_session(_executable(folder, product), 1), texts, folder)
    assert (theirs * ours).sum(axis=1).min() >= 1 - 1e-6
    assert (ours @ ours.T).min() < 0.99, "texts whose vectors are all alike prove nothing"


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_dense_layer_behind_the_pooling_stays_outside(backbone: str, tmp_path: Path) -> None:
    folder = _make(partial(_save_embedder, dense=True), backbone, tmp_path / "checkpoint")
    product = _export(folder)
    parity = _parity(folder, product)
    require_parity(parity, "gguf-f32", folder)
    assert product.settings["outputs"]["sentence_embedding"]["steps"] == [{"linear": "dense_0"}, "tanh", "normalise"]
    assert _vectors(open_session(_executable(folder, product), 1), TEXTS[:2], folder).shape == (2, 24)


def test_a_pooling_that_llama_cpp_has_not_is_refused(tmp_path: Path) -> None:
    folder = _make(partial(_save_embedder, mode="max"), "bert", tmp_path / "checkpoint")
    with pytest.raises(MctError, match=r"pools by max, which llama\.cpp does not"):
        _export(folder)


def test_the_second_segment_of_a_pair_counts(tmp_path: Path) -> None:
    """llama.cpp's graph adds the first segment's vector to all: were it left at that, these two would be equal."""
    folder = _make(_save_scorer, "bert", tmp_path / "checkpoint")
    product = _export(folder)
    assert product.settings["second_segment"] == "added"
    session = open_session(_executable(folder, product), 1)
    ids = [2, 10, 11, 3, 12, 13, 14, 3]
    pair, single = (session([Tokens(ids, [0, 0, 0, 0, *[second] * 4])])["logits"] for second in (1, 0))
    assert abs(float(pair[0, 0] - single[0, 0])) > 0.01


def test_a_word_outside_the_vocabulary_is_refused_in_a_pair_too(tmp_path: Path) -> None:
    folder = _make(_save_scorer, "bert", tmp_path / "checkpoint")
    session = open_session(_executable(folder, _export(folder)), 1)
    with pytest.raises(MctError, match=r"token_embd.weight of .* has no row 5000"):
        session([Tokens([2, 5000, 3, 7, 3], [0, 0, 0, 1, 1])])


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
def test_words_are_widened_as_the_gguf_library_widens_them(kind: str, tmp_path: Path) -> None:
    folder = _make(_save_scorer, "bert", tmp_path / "checkpoint")
    product = _export(folder)
    if kind != "F32":
        product = _quantised(folder, product, kind)
    path = product.folder / product.model
    tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    words = tensors["token_embd.weight"]
    types = tensors["token_types.weight"].data.reshape(2, 64)
    embed = open_segments(path)
    ids = np.array([2, 299, 7, 7])
    found = embed(Tokens(ids.tolist(), [0, 0, 1, 0]))
    expected = dequantize(words.data, words.tensor_type).reshape(-1, 64)[ids]
    expected[2] += types[1] - types[0]
    assert np.allclose(found, expected, atol=1e-6)
    assert words.tensor_type.name == kind or kind == "Q4_0", "llama.cpp widens the words of its 4-bit files"


def test_tags_of_a_batch_are_padded_with_zeros(tmp_path: Path) -> None:
    folder = _make(_save_several_heads, "bert", tmp_path / "checkpoint")
    session = open_session(_executable(folder, _export(folder)), 1)
    long, short = Tokens([2, 9, 10, 11, 3], [0] * 5), Tokens([2, 9, 3], [0] * 3)
    outputs = session([long, short])
    assert outputs["label_logits"].shape == (2, 3)
    assert outputs["slots_logits"].shape == (2, 5, 4)
    assert (outputs["slots_logits"][1, 3:] == 0).all()
    for name, values in session([short]).items():
        assert np.allclose(values, outputs[name][1:, :3], atol=1e-6)


@pytest.mark.parametrize(
    ("save", "backbone", "tensor", "shape"),
    [
        (_save_tagger, "roberta", "classifier.bias", (9,)),
        (_save_classifier, "roberta", "classifier.out_proj.weight", (5, 64)),
        (_save_classifier, "distilbert", "pre_classifier.weight", (32, 64)),
        (_save_scorer, "distilbert", "distilbert.transformer.layer.1.ffn.lin2.weight", (96, 64)),
        (_save_embedder, "bert", "encoder.layer.0.attention.self.key.weight", (64, 32)),
    ],
)
def test_a_wrong_shape_is_named_before_llama_cpp_sees_the_file(
    save: Callable[[str, Path], None], backbone: str, tensor: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    folder = _make(save, backbone, tmp_path / "checkpoint")
    [path] = [file for file in folder.glob("*.safetensors") if tensor in load_file(file)]
    save_file(load_file(path) | {tensor: torch.zeros(shape)}, path, metadata={"format": "pt"})
    with pytest.raises(MctError, match=rf"{re.escape(tensor)} has shape \({', '.join(map(str, shape))}"):
        _export(folder)


def test_a_trunk_saved_with_its_prefix_is_found(tmp_path: Path) -> None:
    """Some embedders' weights still carry the name of the model they were once part of."""
    folder = _make(_save_embedder, "bert", tmp_path / "checkpoint")
    weights = {f"bert.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    require_parity(_parity(folder, _export(folder)), "gguf-f32", folder)


def test_a_head_that_does_not_belong_to_the_file_is_refused(tmp_path: Path) -> None:
    folder = _make(_save_setfit, "bert", tmp_path / "checkpoint")
    product = _export(folder)
    executable, head = _executable(folder, product), product.folder / product.settings["head"]
    with pytest.raises(MctError, match="has 3 labels, its manifest says 4"):
        open_session(replace(executable, outputs=4), 1)
    save_numpy({"head.weight": np.zeros((3, 60), np.float32), "head.bias": np.zeros(3, np.float32)}, head)
    with pytest.raises(MctError, match="the layers of 'logits' do not fit"):
        open_session(executable, 1)
    save_numpy({"other.weight": np.zeros((3, 64), np.float32)}, head)
    with pytest.raises(MctError, match="no layer 'head'"):
        open_session(executable, 1)
    head.write_bytes(head.read_bytes()[:20])
    with pytest.raises(MctError, match="missing or damaged"):
        open_session(executable, 1)


def test_activations_are_those_of_torch() -> None:
    rows = np.linspace(-4, 4, 33, dtype=np.float32)[None]
    functions = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": torch.nn.functional.gelu}
    functions["normalise"] = torch.nn.functional.normalize
    for name, function in functions.items():
        settings = {"outputs": {"logits": {"per": "text", "steps": [name]}}}
        answer = open_outputs(Executable(Path(), "", "sequence-classification", 33, 8, settings), 33)
        assert np.allclose(answer([rows])["logits"], function(torch.from_numpy(rows)).numpy(), atol=1e-6)


@pytest.mark.parametrize("model_type", ["mpnet", "deberta-v2", "albert"])
def test_trunks_without_a_graph_are_refused_with_what_can(model_type: str) -> None:
    with pytest.raises(MctError, match=f"{model_type!r} model cannot be written as GGUF") as refusal:
        find_encoder(model_type)
    assert "bert, roberta, xlm-roberta, camembert, distilbert, electra, modernbert" in refusal.value.hint

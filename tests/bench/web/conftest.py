"""What these tests share: Node and Chromium as they are here, and small artifacts of every task, made without torch."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from mct import MctError
from mct.bench.web.packages import packages_folder, require_packages
from mct.compress.run.artifact import Artifact, seal
from mct.models.tasks.table import Head
from mct.targets.programs import Program, find_chromium, find_node

TEXTS = (
    "Where is my order?", "I want to return volume 3, it arrived damaged", "is this suitable for a 12 year old",
    "my card was declined at checkout", "注文 12345 はどこですか", "do you have One Piece box sets in stock", "hi",
    "Café Ünïcode naïve 👍🏽 ok", "let me talk to a human now please, I have waited for more than twenty minutes",
)  # fmt: skip
LABELS = ("order", "returns", "human", "a", "Z")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
TOKENIZE = Path(__file__).resolve().parents[2] / "node" / "tokenize.mjs"


def _or_skip(found: Callable[[], Program]) -> Program:
    """The program, with the packages; the test is skipped, with the line that brings what is missing."""
    try:
        require_packages()
        return found().require()
    except MctError as error:
        pytest.skip(f"{error.message}: {error.hint}")


@pytest.fixture(scope="session")
def node() -> Program:
    return _or_skip(find_node)


@pytest.fixture(scope="session")
def chromium() -> Program:
    return _or_skip(find_chromium)


@pytest.fixture(params=["node", "browser"])
def host(request: pytest.FixtureRequest) -> str:
    """Each place where JavaScript runs, as far as it is here."""
    request.getfixturevalue({"node": "node", "browser": "chromium"}[request.param])
    return str(request.param)


Tokenized = dict[str, list[list[list[int]]]]


@pytest.fixture(scope="session")
def in_javascript(node: Program) -> Callable[..., Tokenized]:
    """Texts, pairs and texts with their words tokenised by what artifacts run with in Node and in a page."""

    def tokenise(
        tokenizer: Path, most: int = 64, special: bool = True, texts: Sequence[str] = (),
        pairs: Sequence[tuple[str, str]] = (), words: Sequence[str] = (),
    ) -> Tokenized:  # fmt: skip
        asked = {"tokenizer": str(tokenizer), "most": most, "special": special} | {
            "texts": list(texts), "pairs": list(pairs), "words": list(words),
        }  # fmt: skip
        command = [node.path, str(TOKENIZE), str(packages_folder())]
        done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        found: Tokenized = json.loads(done.stdout)
        return found

    return tokenise


def word_pieces() -> Tokenizer:
    """A WordPiece tokenizer as BERT has it: every letter of the texts, and half of their words."""
    plain, cut = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in TEXTS for word, _ in cut.pre_tokenize_str(plain.normalize_str(text))})
    letters = sorted({letter for word in words for letter in word})
    pieces = dict.fromkeys([*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *words[::2]])
    tokenizer = Tokenizer(models.WordPiece({piece: at for at, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = plain, cut
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


HEADS = {
    "sequence-classification": (Head("logits", "label", LABELS),),
    "embedding-head": (Head("logits", "label", LABELS),),
    "multi-label-classification": (Head("logits", "labels", LABELS),),
    "token-classification": (Head("logits", "tags", ("O", "B-order", "I-order", "B-item", "I-item")),),
    "multi-head": (
        Head("intent", "label", LABELS), Head("moods", "labels", LABELS),
        Head("slots", "tags", ("O", "B-order", "I-order", "B-item", "I-item")),
    ),
    "sentence-embedding": (), "pair-scoring": (), "reward": (),
}  # fmt: skip
REQUESTS: dict[str, list[Any]] = {
    "sentence-embedding": [{"query": TEXTS[0], "docs": list(TEXTS[1:6])}, {"query": TEXTS[5], "docs": list(TEXTS[:4])}],
    "pair-scoring": [{"query": text, "docs": list(TEXTS)} for text in TEXTS],
    "reward": [{"prompt": text, "answers": [TEXTS[0], TEXTS[3]]} for text in TEXTS],
}
MOST = 24


def write_artifact(folder: Path, task: str, operator: str = "Identity") -> Path:
    """A sealed ONNX artifact of a task, whose tokens have random vectors: the mean of them, or each, is the answer."""
    tokenizer, width = word_pieces(), len(LABELS)
    rng = np.random.default_rng(3)
    constants = {
        "pieces": rng.normal(size=(tokenizer.get_vocab_size(), width)).astype(np.float32),
        "segments": rng.normal(size=(2, width)).astype(np.float32),
        "mix": rng.normal(size=(width, width)).astype(np.float32),
        "one": rng.normal(size=(width, 1)).astype(np.float32),
        "middle": np.array([1]), "last": np.array([-1]),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Gather", ["pieces", "input_ids"], ["of_pieces"]),
        node("Gather", ["segments", "token_type_ids"], ["of_segments"]),
        node("Add", ["of_pieces", "of_segments"], ["vectors"]),
        node("Cast", ["attention_mask"], ["shown"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["shown", "last"], ["mask"]), node("Mul", ["vectors", "mask"], ["masked"]),
        node("ReduceSum", ["masked", "middle"], ["sum"], keepdims=0), node("ReduceSum", ["shown", "middle"], ["count"]),
        node("Div", ["sum", "count"], ["mean"]),
    ]  # fmt: skip
    each, whole = ["batch", "tokens", width], ["batch", width]
    outputs = {
        "token-classification": {"logits": (node("MatMul", ["vectors", "mix"], ["logits"]), each)},
        "multi-head": {
            "intent_logits": (node("MatMul", ["mean", "mix"], ["intent_logits"]), whole),
            "moods_logits": (node("Identity", ["mean"], ["moods_logits"]), whole),
            "slots_logits": (node("MatMul", ["vectors", "mix"], ["slots_logits"]), each),
        },
        "sentence-embedding": {"sentence_embedding": (node("Identity", ["mean"], ["sentence_embedding"]), whole)},
        "pair-scoring": {"logits": (node("MatMul", ["mean", "one"], ["logits"]), ["batch", 1])},
        "reward": {"logits": (node("MatMul", ["mean", "one"], ["logits"]), ["batch", 1])},
    }.get(task, {"logits": (node(operator, ["mean"], ["logits"]), whole)})
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        [*nodes, *(made for made, _ in outputs.values())], "small",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (_, shape) in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    (folder / "onnx").mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "onnx" / "model.onnx")
    tokenizer.save(str(folder / "tokenizer.json"))
    heads = HEADS[task]
    labels = heads[0].labels if len(heads) == 1 else ()
    seal(
        Artifact("onnx", "fp32", "onnxruntime", task, labels, "none", MOST, "onnx/model.onnx", {}, (), {}, {}, heads),
        folder,
    )
    return folder


@pytest.fixture(scope="session")
def small_artifact(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The artifact of a task, made once."""
    folder, made = tmp_path_factory.mktemp("web"), {}

    def make(task: str) -> Path:
        if task not in made:
            made[task] = write_artifact(folder / task, task)
        return made[task]

    return make


@pytest.fixture(scope="session")
def word_piece_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of BERT's kind of tokenizer."""
    folder = tmp_path_factory.mktemp("word-pieces")
    word_pieces().save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return list(TEXTS)


@pytest.fixture(scope="session")
def requests_of() -> Callable[[str], list[Any]]:
    """What an artifact of a task is asked."""
    return lambda task: REQUESTS.get(task, list(TEXTS))


@pytest.fixture
def lacking(tmp_path: Path) -> Path:
    """An artifact whose graph has an operator that no runtime knows."""
    return write_artifact(tmp_path / "lacking", "sequence-classification", "NoSuchOperator")

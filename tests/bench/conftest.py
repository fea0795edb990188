"""What the bench tests share: a tiny ONNX artifact that needs no torch, and measurements made up by hand."""

import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from mct.bench.samples.measurement import Answers, Block, Failure, Measurement, Start
from mct.bench.samples.subject import Subject
from mct.compress.run.artifact import Artifact, seal
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.table import Head
from mct.targets.runtimes.table import Executable

LABELS = ("order", "returns", "human")
WORDS = ("[PAD]", "[UNK]", "order", "returns", "human", "where", "is", "my", "please", "now")


def write_tiny_artifact(
    folder: Path,
    output: str = "logits",
    votes: Mapping[str, Sequence[float]] | None = None,
    lineage: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """A sealed ONNX artifact whose answer is the label-word that a text holds most often.

    `votes` are what some words say for each label otherwise.
    """
    (folder / "onnx").mkdir(parents=True)
    embedding = np.zeros((len(WORDS), len(LABELS)), dtype=np.float32)
    for column, label in enumerate(LABELS):
        embedding[WORDS.index(label), column] = 1.0
    for word, said in (votes or {}).items():
        embedding[WORDS.index(word)] = said
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["vectors"]),
        helper.make_node("ReduceSum", ["vectors", "axis"], [output], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "votes",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", len(LABELS)])],
        [numpy_helper.from_array(embedding, "embedding"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "onnx" / "model.onnx")
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    artifact = Artifact(
        "onnx", "fp32", "onnxruntime", "sequence-classification", LABELS, "none", 32, "onnx/model.onnx", {},
        tuple(lineage), {}, {}, (Head("logits", "label", LABELS),),
    )  # fmt: skip
    seal(artifact, folder)
    return folder


@pytest.fixture
def tiny_artifact(tmp_path: Path) -> Path:
    return write_tiny_artifact(tmp_path / "onnx-fp32")


@pytest.fixture
def dataset() -> Dataset:
    """60 texts of several lengths, each answered rightly by the tiny artifact."""
    rng = random.Random(0)
    rows = []
    for number in range(60):
        label = LABELS[number % 3]
        words = [label, *rng.choices(("where", "is", "my", "please", "now"), k=number % 7)]
        rows.append({"text": " ".join(words), "label": label})
    return Dataset("tiny.jsonl", tuple(rows), "0" * 64)


def make_subject(name: str = "onnx-int8", labels: Sequence[str] = LABELS, size_mb: float = 10.0) -> Subject:
    folder = Path("artifacts") / name
    return Subject(
        name=name,
        path=folder,
        format="onnx",
        precision="int8",
        runtime="onnxruntime",
        task="sequence-classification",
        labels=tuple(labels),
        heads=(Head("logits", "label", tuple(labels)),),
        executable=Executable(folder, "onnx/model.onnx", "sequence-classification", len(labels), 32),
        files=("onnx/model.onnx",),
        size_mb=size_mb,
        digest=name.encode().hex().ljust(64, "0")[:64],
    )


def make_start(round_number: int = 0, typical_ms: float = 1.0, peak_rss_mb: float = 100.0) -> Start:
    return Start(
        round=round_number,
        import_ms=50.0,
        load_ms=80.0 + round_number,
        first_call_ms=2.0,
        read_mb=0.0,
        peak_rss_mb=peak_rss_mb,
        bare_rss_mb=15.0,
        warm_up_requests=40,
        warm_up_s=0.2,
        warm_up_ended=True,
        typical_ms=typical_ms,
        libraries=("onnxruntime",),
    )


def make_block(milliseconds: Sequence[float], round_number: int = 0, position: int = 0, **changes: float) -> Block:
    nanoseconds = [round(value * 1e6) for value in milliseconds]
    wall_s = sum(nanoseconds) / 1e9
    quiet = {"involuntary_switches": 0, "stolen_s": 0.0, "waited_s": 0.0, "minor_faults": 0, "major_faults": 0}
    return Block(
        round=round_number,
        position=position,
        end_to_end_ns=array("q", nanoseconds),
        model_ns=array("q", [value * 9 // 10 for value in nanoseconds]),
        **{"wall_s": wall_s, "cpu_s": wall_s, **quiet, **changes},
    )


def lognormal_blocks(median_ms: float, rounds: int = 4, size: int = 300, seed: int = 1) -> tuple[Block, ...]:
    """Two blocks per round of independent log-normal latencies; P95 is median * exp(1.645 * 0.2), 1.39 times it."""
    rng = np.random.default_rng(seed)
    draws = median_ms * np.exp(0.2 * rng.standard_normal((2 * rounds, size)))
    return tuple(make_block(list(draw), number // 2, number) for number, draw in enumerate(draws))


MakeMeasurement = Callable[..., Measurement]


@pytest.fixture
def measured() -> MakeMeasurement:
    """A measurement of 1 ms median whose answers are `answers` (right where they equal `truth`)."""

    def make(
        name: str = "onnx-int8",
        truth: Sequence[str] = ("order", "returns", "human"),
        answers: Sequence[str] | None = ("order", "returns", "human"),
        blocks: Sequence[Block] | None = None,
        failure: Failure | None = None,
        size_mb: float = 10.0,
    ) -> Measurement:
        return Measurement(
            subject=make_subject(name, size_mb=size_mb),
            truth=tuple(truth),
            starts=tuple(make_start(number) for number in range(4)),
            blocks=lognormal_blocks(1.0) if blocks is None else tuple(blocks),
            answers=None if answers is None else Answers(tuple(answers), tuple(5 for _ in answers)),
            failure=failure,
        )

    return make


@pytest.fixture
def made_up() -> SimpleNamespace:
    """Functions that make values by hand: `subject`, `start`, `block`, `blocks` (log-normal), `artifact` (on disk)."""
    return SimpleNamespace(
        subject=make_subject,
        start=make_start,
        block=make_block,
        blocks=lognormal_blocks,
        artifact=write_tiny_artifact,
    )

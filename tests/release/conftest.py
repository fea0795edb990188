"""What these tests share: small files, rows whose labels are known to be right, tiny artifacts and benches of them."""

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Answers, Measurement
from mct.bench.samples.subject import identify
from mct.bench.store.store import append, make_question
from mct.models.scenarios.shop.intents import generate
from mct.models.tasks.datasets import Dataset
from mct.targets.budget import Budget
from mct.targets.target import Target

Row = dict[str, Any]
Put = Callable[[str, Sequence[Mapping[str, Any]]], Path]
Stored = Callable[..., Path]

TRUTH = ("order", "returns", "human") * 100
ROOT = "1" * 64
MADE_OF = ({"step": "checkpoint", "architecture": "Tiny", "answers": ROOT}, {"step": "export-onnx"})
BUDGET = Budget("quick", "sequence-classification", p95_ms=3.0, quality_at_least=0.9)


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write rows as JSON Lines under a name."""

    def write(name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def clean_rows() -> list[Row]:
    """Six hundred synthetic messages of ten intents, each labelled right."""
    made = [row for row in generate(0, 10, 600).train if row["source"] == "synthetic"]
    return [{"text": row["text"], "label": row["label"]} for row in made][:600]


def _of_bench() -> ModuleType:
    """What the tests of the bench make by hand."""
    place = Path(__file__).resolve().parents[1] / "bench" / "conftest.py"
    spec = importlib.util.spec_from_file_location("made_by_hand", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BY_HAND = _of_bench()


@pytest.fixture(scope="session")
def by_hand() -> ModuleType:
    """Functions that make subjects, starts and blocks: `make_subject`, `make_start`, `lognormal_blocks`."""
    return BY_HAND


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Three tiny artifacts of one task, exported from one checkpoint, whose bytes differ: to read, not to change."""
    folder = tmp_path_factory.mktemp("artifacts")
    votes = ({}, {"now": (0.1, 0.0, 0.0)}, {"now": (0.0, 0.1, 0.0)})
    return tuple(
        BY_HAND.write_tiny_artifact(folder / f"v{n}" / "onnx-int8", votes=votes[n], lineage=MADE_OF) for n in range(3)
    )


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Store a bench of an artifact, with a median latency and so many wrong answers; `beside` another, its baseline."""

    def run(
        artifact: Path, median_ms: float = 1.0, wrong: int = 0, target: str | Target | None = "cpu", seed: int = 1,
        data: str = "a" * 64, truth: Sequence[str] = TRUTH, own_baseline: bool = False, beside: Path | None = None,
        median_beside_ms: float = 1.0, renamed: Mapping[str, str] | None = None, wrong_beside: int = 0,
        place: str = "results", memory_mb: int = 0,
    ) -> Path:  # fmt: skip
        subject = identify(artifact)

        def answers(wrong: int) -> Answers:
            said = ["human" if number < wrong else right for number, right in enumerate(truth)]
            return Answers(tuple(said), (5,) * len(truth))

        timed = [(subject, median_ms, wrong)]
        timed += [(identify(beside), median_beside_ms, wrong_beside or wrong)] if beside else []
        measurements = [
            Measurement(
                each, tuple(truth), tuple(BY_HAND.make_start(number) for number in range(4)),
                BY_HAND.lognormal_blocks(median, rounds=6, seed=seed), answers(how_many),
            )
            for each, median, how_many in timed
        ]  # fmt: skip
        baseline = subject.name if own_baseline else measurements[-1].subject.name if beside else None
        dataset = Dataset(
            "test.jsonl", tuple({"text": "t", "label": label} for label in truth), data, renamed=renamed or {}
        )
        question = make_question(
            [each.subject for each in measurements], dataset, BenchPlan(threads=1, memory_mb=memory_mb), budget=BUDGET,
            baseline=baseline, target=Target(target, "cpu", "made up") if isinstance(target, str) else target,
        )  # fmt: skip
        return append(tmp_path / place, question, measurements, dataset)

    return run

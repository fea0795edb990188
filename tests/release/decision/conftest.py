"""A folder of evidence that lacks nothing: a result with its samples, real artifacts in a real release store."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Answers, Failure, Measurement
from mct.bench.samples.subject import Origin, identify
from mct.bench.store.store import append, make_question
from mct.compress.run.artifact import MANIFEST, read_artifact
from mct.models.tasks.datasets import Dataset
from mct.models.writing.folders import sha256
from mct.release.promotion.gate_values import GateVerdict
from mct.release.promotion.releases import Added, Moved, Practised
from mct.release.promotion.store import Store, now, open_store
from mct.targets.budget import Budget
from mct.targets.target import Target

NAME = "intent-router"
TOML = """\
schema = 1
scenario = "intent-router"
artifact = "onnx-int8"

[pain]
figure = "pain.json"
tolerated = 0.1

[data]
check = "check.json"

[metric]
result = "bench.json"
untuned = "untuned.json"
tie = "tie.json"

[budget]
load_qps = 20.0
cost_per_month = 150.0
assumed = false
budgets = "budgets.toml"

[rollback]
store = "store"
release = "intent-router"

[commands]
"bench.json" = "mct bench …"
"""


LIMITS = """\
[intent-router]
slices = ["returns", "checkout"]
slice_max_drop = 0.02
"""


@dataclass(frozen=True)
class Case:
    """Evidence for a test to change: its folder and the store in it; the artifact that it is about."""

    folder: Path
    store: Store
    artifact: Path
    bench: Callable[..., None]

    def write(self, name: str, value: Any) -> None:
        (self.folder / name).write_text(json.dumps(value), encoding="utf-8")

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def edit(self, name: str, **other: Any) -> None:
        self.write(name, self.read(name) | other)

    def figure(self, name: str, value: float, ends: tuple[float, float], **other: Any) -> None:
        told = {
            "schema": 1, "kind": "mct-figure", "what": "messages that reach the wrong team", "value": value,
            "low": ends[0], "high": ends[1], "n": 1200, "source": "tickets of October", "date": "2026-10-31",
            "origin": "production", "command": "count tickets",
        }  # fmt: skip
        self.write(name, told | other)

    def add(self, artifact: Path) -> int:
        """Add an artifact as the next release; gives its version."""
        found, subject = read_artifact(artifact), identify(artifact)
        self.store.keep_artifact(artifact, subject.digest, (*found.files, MANIFEST))
        version = len(self.store.track(NAME).releases) + 1
        told = (artifact.name, found.format, found.precision, found.task, subject.size_mb)
        self.store.note(NAME, Added(version, subject.digest, sha256(artifact / MANIFEST), *told))
        return version

    def put_in_production(self, version: int) -> None:
        release = self.store.track(NAME).release(version)
        said = GateVerdict(1, "mct-release-gate", release.ref, release.digest, "production", now(), "pass", ())
        self.store.note(NAME, Moved(version, "production", "promote", self.store.keep_json(said.as_json())))

    def practise(self, outcome: Any = "pass") -> None:
        self.store.note(NAME, Practised(outcome, 1.0, 1.0))

    def measure(self, **other: Any) -> None:
        """Replace the bench by which it is judged, and its samples, by another one."""
        self.bench(self.folder, identify(self.artifact).digest, **other)

    def measure_production(self, outcome: str, **other: Any) -> None:
        """Write a bench of what is in production, with that outcome."""
        production = self.store.track(NAME).production
        assert production is not None
        median_ms = {"pass": 1.47, "fail": 22.0}[outcome]
        self.bench(self.folder, production.digest, "production", median_ms=median_ms, **other)
        self._say("result", "production.json")

    def serve(self, limit_ms: float, meets_qps: float, **other: Any) -> None:
        """Write what a search of the highest load found on the machine of the bench, and name it."""
        (entry,) = [each for each in self.read("bench.json")["artifacts"] if each["artifact"] == "onnx-int8"]
        told = {"artifact_digest": entry["digest"], "fingerprint": entry["environment"]["fingerprint"]} | other
        row = {"artifact": "onnx-int8", "limit_ms": limit_ms, "meets_qps": meets_qps}
        self.write("load.json", {"kind": "mct-max-load", "results": [row], "environments": {"onnx-int8": told}})
        index = self.folder / "evidence.toml"
        text = index.read_text(encoding="utf-8")
        if "load.json" not in text:
            named = '[budget.max_load]\ncpu = "load.json"\n\n[rollback]'
            index.write_text(text.replace("[rollback]", named), encoding="utf-8")

    def watch(self, release: str, *alarms: str) -> None:
        told = {"share": "0.5 to 0.6", "before": 0.1, "now": 0.4, "p_value": 1e-9}
        look = {"changes": [{"signal": alarm} | told for alarm in alarms]}
        self.write("watch.json", {"release": release, "outcome": "fail" if alarms else "pass", "look": look})
        self._say("watch", "watch.json")

    def _say(self, how: str, file: str) -> None:
        """Name a file that tells how production behaves."""
        index = self.folder / "evidence.toml"
        text = index.read_text(encoding="utf-8")
        head, line = "[production]\n", f'{how} = "{file}"\n'
        if line not in text:
            told = text.replace(head, head + line) if head in text else f"{head}{line}\n"
            index.write_text(
                told if head in text else text.replace("[commands]", f"{told}[commands]"), encoding="utf-8"
            )


TRUTH = ("returns",) * 300 + ("checkout",) * 200 + ("other",) * 1500
BUDGET = Budget(
    NAME, "sequence-classification", p95_ms=15.0, quality_at_least=0.921, quality_max_drop=0.005,
    slices=("returns", "checkout"), slice_max_drop=0.02,
)  # fmt: skip
CPU = Target("cpu", "cpu", "made up", price_per_hour=0.09)


def bench(
    by_hand: ModuleType, folder: Path, digest: str, name: str = "bench", worse: int = 0, median_ms: float = 1.47,
    budget: Budget | None = BUDGET, target: Target | None = CPU, baseline: str = "router", copied: bool = False,
    renamed: Mapping[str, str] | None = None, origins: tuple[str, str] | None = ("1" * 64, "1" * 64),
) -> None:  # fmt: skip
    """Write NAME.json with its samples: a checkpoint, onnx-int8 of that digest, and one that could not be measured.

    onnx-int8 takes 1.5 ms on average and answers as the checkpoint does, but to so many returns that only that knew;
    the checkpoint is a copy of it where it is `copied`. `origins` are what onnx-int8 was made of, and what the
    checkpoint is.
    """
    before = ["human" if number % 13 == 0 else label for number, label in enumerate(TRUTH)]
    now = ["human" if 1 <= number <= worse else label for number, label in enumerate(before)]
    labels = (*dict.fromkeys(TRUTH), "human")
    router = replace(by_hand.make_subject("router", labels, 90.9), format="checkpoint", runtime="torch")
    router = replace(router, digest=digest) if copied else router
    tuned = replace(by_hand.make_subject("onnx-int8", labels, 23.4), digest=digest)
    if origins is not None:
        tuned = replace(tuned, origin=Origin(origins[:1]))
        router = replace(router, origin=Origin(tuple(filter(None, origins[1:])), origins[1]))
    starts = tuple(by_hand.make_start(number) for number in range(4))
    tokens = (5,) * len(TRUTH)
    measurements = [
        Measurement(router, TRUTH, starts, by_hand.lognormal_blocks(6.0), Answers(tuple(before), tokens)),
        Measurement(tuned, TRUTH, starts, by_hand.lognormal_blocks(median_ms), Answers(tuple(now), tokens)),
        Measurement(by_hand.make_subject("gguf-q8_0", labels), TRUTH, (), (), None, Failure("it was ended by SIGSEGV")),
    ]
    data = Dataset(
        "test.jsonl", tuple({"text": "t", "label": label} for label in TRUTH), "a" * 64, renamed=renamed or {}
    )
    asked = make_question(
        [each.subject for each in measurements], data, BenchPlan(threads=1), target=target, budget=budget,
        baseline=baseline,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        path = append(Path(scratch), asked, measurements, data)
        shutil.copy(path.with_suffix(".samples.jsonl.gz"), folder)
        shutil.copy(path, folder / f"{name}.json")


@pytest.fixture(scope="session")
def measured_once(by_hand: ModuleType, tiny_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bench by which onnx-int8 passes, and its samples: to copy."""
    folder = tmp_path_factory.mktemp("measured")
    bench(by_hand, folder, identify(tiny_onnx / "onnx-int8").digest)
    return folder


@pytest.fixture
def case(by_hand: ModuleType, tiny_onnx: Path, measured_once: Path, tmp_path: Path) -> Case:
    """Evidence by which onnx-int8 is to be promoted (release 2); onnx-fp32 (release 1) is in production."""
    folder = tmp_path / "evidence"
    shutil.copytree(measured_once, folder)
    (folder / "evidence.toml").write_text(TOML, encoding="utf-8")
    case = Case(folder, open_store(folder / "store"), tiny_onnx / "onnx-int8", partial(bench, by_hand))
    case.figure("pain.json", 0.23, (0.2, 0.26))
    case.figure("untuned.json", 0.7, (0.68, 0.72), metric="accuracy")
    case.figure("tie.json", 0.2, (0.17, 0.23))
    judged_by = {"name": "test.jsonl", "sha256": "a" * 64, "rows": 2000}
    taught_by = {"name": "train.jsonl", "sha256": "b" * 64, "rows": 9000}
    files = [judged_by, taught_by]
    case.write("check.json", {"task": "sequence-classification", "files": files, "leaks": [], "near": 0.9})
    (folder / "budgets.toml").write_text(LIMITS, encoding="utf-8")
    case.put_in_production(case.add(tiny_onnx / "onnx-fp32"))
    case.practise()
    case.add(tiny_onnx / "onnx-int8")
    return case

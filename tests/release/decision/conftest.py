"""A folder of evidence that lacks nothing: a real result's form, real artifacts in a real release store."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mct.bench.samples.subject import identify
from mct.compress.run.artifact import MANIFEST, read_artifact
from mct.models.writing.folders import sha256
from mct.release.promotion.releases import Added, Moved, Practised
from mct.release.promotion.store import Store, open_store

EXAMPLE = Path(__file__).resolve().parents[2] / "bench" / "result_example.json"
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

[rollback]
store = "store"
release = "intent-router"

[commands]
"bench.json" = "mct bench …"
"""


@dataclass(frozen=True)
class Case:
    """Evidence for a test to change: its folder and the store in it."""

    folder: Path
    store: Store

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
        self.store.note(NAME, Moved(version, "production", "promote"))

    def practise(self, outcome: Any = "pass") -> None:
        self.store.note(NAME, Practised(outcome, 1.0, 1.0))

    def measure_production(self, outcome: str) -> None:
        """Write a bench of what is in production, with that outcome."""
        production = self.store.track(NAME).production
        assert production is not None
        result = passing_result(production.digest)
        verdict = result["artifacts"][1]["verdict"]
        verdict["lines"][0] |= {"outcome": outcome, "measured": "22.10 ms [20.40, 24.00]"}
        verdict["outcome"] = outcome
        self.write("production.json", result)
        self._say("result", "production.json")

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


def passing_result(digest: str) -> dict[str, Any]:
    """The example's result, in which onnx-int8 is of that digest and passes every line."""
    result: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    tuned = result["artifacts"][1]
    tuned["digest"] = digest
    for line in tuned["verdict"]["lines"]:
        line["outcome"] = "pass"
    tuned["verdict"]["outcome"] = "pass"
    tuned["quality"]["delta_ci"] = [-0.003, 0.0016]
    for part, ends in zip(tuned["quality"]["slices"], ([-0.008, 0.003], [-0.006, 0.006]), strict=True):
        part["delta_ci"] = ends
    return result


@pytest.fixture
def case(tiny_onnx: Path, tmp_path: Path) -> Case:
    """Evidence by which onnx-int8 is to be promoted (release 2); onnx-fp32 (release 1) is in production."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "evidence.toml").write_text(TOML, encoding="utf-8")
    case = Case(folder, open_store(folder / "store"))
    case.figure("pain.json", 0.23, (0.2, 0.26))
    case.figure("untuned.json", 0.7, (0.68, 0.72), metric="accuracy")
    case.figure("tie.json", 0.2, (0.17, 0.23))
    case.write("bench.json", passing_result(identify(tiny_onnx / "onnx-int8").digest))
    judged_by = {"name": "test.jsonl", "sha256": "a" * 64, "rows": 2000}
    taught_by = {"name": "train.jsonl", "sha256": "b" * 64, "rows": 9000}
    files = [judged_by, taught_by]
    case.write("check.json", {"task": "sequence-classification", "files": files, "leaks": []})
    case.put_in_production(case.add(tiny_onnx / "onnx-fp32"))
    case.practise()
    case.add(tiny_onnx / "onnx-int8")
    return case

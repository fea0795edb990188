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

[production]
result = "production.json"
watch = "watch.json"

[commands]
"bench.json" = "mct bench …"
"""


def figure(value: float, low: float, high: float, **other: Any) -> dict[str, Any]:
    return {
        "schema": 1, "kind": "mct-figure", "what": "messages that reach the wrong team", "value": value, "low": low,
        "high": high, "n": 1200, "source": "tickets of October", "date": "2026-10-31", "origin": "production",
        "command": "count tickets", **other,
    }  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Evidence for a test to change: its folder, its store, the artifacts in it and what it was made from."""

    folder: Path
    store: Store
    artifacts: Path

    def write(self, name: str, value: Any) -> None:
        (self.folder / name).write_text(json.dumps(value), encoding="utf-8")

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def edit(self, name: str, **other: Any) -> None:
        self.write(name, self.read(name) | other)

    def figure(self, name: str, value: float, low: float, high: float, **other: Any) -> None:
        self.write(name, figure(value, low, high, **other))

    @pytest.fixture
def case(tiny_onnx: Path, tmp_path: Path) -> Case:
    """Evidence by which onnx-int8 is to be promoted (release 2); onnx-fp32 (release 1) is in production."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "evidence.toml").write_text(TOML, encoding="utf-8")
    case = Case(folder, open_store(folder / "store"), tiny_onnx)
    case.figure("pain.json", 0.23, 0.2, 0.26)
    case.figure("untuned.json", 0.7, 0.68, 0.72, metric="accuracy")
    case.figure("tie.json", 0.2, 0.17, 0.23)
    case.write("bench.json", passing_result(identify(tiny_onnx / "onnx-int8").digest, "b" * 64))
    case.write("check.json", check("a" * 64))
    case.put_in_production(add(case.store, tiny_onnx / "onnx-fp32"))
    case.practise()
    add(case.store, tiny_onnx / "onnx-int8")
    return case


def check(*digests: str, leaks: int = 0) -> dict[str, Any]:
    """A report of `mct data check`."""
    files = [{"name": f"{place}.jsonl", "sha256": each, "rows": 2000} for place, each in enumerate(digests)]
    return {"kind": "mct-data-check", "files": files, "leaks": leaks}

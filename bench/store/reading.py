"""A stored run as reports and gates read it: the result that was written, and the raw values behind it.

The trade-off: results travel without their samples (a comment, a CI cache), and a report can do with less. A gate
cannot: it judges from the samples, and refuses a run whose samples are missing, damaged or not its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mct import MctError

if TYPE_CHECKING:
    from mct.bench.samples.measurement import Measurement
    from mct.bench.statistics.percentiles import Floats
    from mct.bench.store.samples_file import Samples


@dataclass(frozen=True)
class StoredRun:
    """One stored run. `latencies_ms`: for each artifact that has samples, milliseconds per request of each process.

    `agreement` is the share of examples to which an artifact gives the same answer as the baseline, right or wrong; of
    labels and tags only, as scores of pairs and likelihoods are never quite the same.
    """

    result: Mapping[str, Any]
    latencies_ms: Mapping[str, Sequence[Floats]] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)

    @property
    def entries(self) -> Sequence[Mapping[str, Any]]:
        """The artifacts of the run, as stored."""
        entries: Sequence[Mapping[str, Any]] = self.result["artifacts"]
        return entries

    @property
    def baseline(self) -> str | None:
        """Name of the artifact that quality is compared with."""
        name: str | None = self.result["baseline"]
        return name

    @property
    def budget(self) -> Mapping[str, Any]:
        """The limits it was judged against; empty where there were none."""
        return self.result["budget"] or {}


def read_run(path: Path) -> StoredRun:
    """A stored result and, where they lie beside it, its samples. MctError where either is damaged."""
    from mct.bench.samples.measurement import per_process_ms
    from mct.bench.store.store import read_result

    result = read_result(path)
    if not _samples_path(path, result).is_file():
        return StoredRun(result)
    measured = {each.subject.name: each for each in read_own_samples(path, result).measurements}
    return StoredRun(
        result,
        latencies_ms={name: per_process_ms(each.blocks) for name, each in measured.items() if each.blocks},
        agreement=_agreement(measured, result["baseline"]),
    )


def read_own_samples(path: Path, result: Mapping[str, Any]) -> Samples:
    """The samples of the result at `path`. MctError where they are missing, damaged or those of another run.

    Nor may the result say otherwise of what was asked of whom, where and when: a gate finds runs by what results say.
    """
    from mct.bench.store.samples_file import read_samples

    where = _samples_path(path, result)
    samples = read_samples(where)
    timed = {each.subject.name: (each.subject.digest, each.requests) for each in samples.measurements}
    told = {entry["artifact"]: (entry["digest"], (entry["latency"] or {"n": 0})["n"]) for entry in result["artifacts"]}
    target = samples.question.target.name if samples.question.target else None
    data = samples.question.data.as_json()
    asked = (samples.identity.id, samples.identity.created, data, target)
    said = (result["id"], result["created"], result["data"], (result["target"] or {}).get("name"))
    if asked != said or timed != told:
        raise MctError(f"{where} does not hold the samples of {path.name}", "copy both files of one run together")
    return samples


def _samples_path(path: Path, result: Mapping[str, Any]) -> Path:
    """Named by the result relative to itself: a copy made with --json lies elsewhere than its samples."""
    return path.parent / str(result["samples"])


def _agreement(measured: Mapping[str, Measurement], baseline: str | None) -> dict[str, float]:
    reference = measured[baseline].answers if baseline is not None else None
    if reference is None:
        return {}
    return {
        name: sum(map(eq, each.answers.values, reference.values)) / len(reference.values)
        for name, each in measured.items()
        if name != baseline and each.answers is not None and each.subject.heads
    }

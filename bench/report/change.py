"""What changed since an earlier stored run: the ratio of P95, artifact by artifact, with its interval.

The two runs were not interleaved, so what differs between two jobs on one machine (neighbours, clock, placement) is in
no interval: a change is called one only beyond `ACROSS_RUNS`, and `mct compare` is what decides a small one. Latencies
of different machines, thread counts or library versions are not compared at all unless asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mct.bench.judge.regression import ACROSS_RUNS, compare_runs
from mct.bench.store.reading import StoredRun

Outcome = Literal["faster", "slower", "about the same", "undecided"]

NOT_OF_THE_MACHINE = {"fingerprint", "artifact_digest", "data_sha256", "seed", "mct", "commit", "made_for"}


@dataclass(frozen=True)
class Change:
    """P95 now over P95 then, with its 95 % interval: above 1 is slower."""

    artifact: str
    before_ms: float
    after_ms: float
    ratio: float
    low: float
    high: float

    @property
    def outcome(self) -> Outcome:
        """A change where the whole interval lies beyond what two jobs may differ by, none where it lies within."""
        if self.low > 1 + ACROSS_RUNS:
            return "slower"
        if self.high < 1 / (1 + ACROSS_RUNS):
            return "faster"
        within = self.low >= 1 / (1 + ACROSS_RUNS) and self.high <= 1 + ACROSS_RUNS
        return "about the same" if within else "undecided"


@dataclass(frozen=True)
class Changes:
    """All changes since the run `since`, and remarks on what was not compared, or not under the same conditions."""

    since: str
    changes: tuple[Change, ...]
    remarks: tuple[str, ...]


def find_changes(now: StoredRun, before: StoredRun, allow_different: bool = False) -> Changes:
    """Compare artifacts of the same name. `allow_different` compares across fingerprints too, and says so."""
    earlier = {entry["artifact"]: entry["environment"] for entry in before.entries}
    changes: list[Change] = []
    remarks: dict[str, list[str]] = {}
    for entry in now.entries:
        name = entry["artifact"]
        different = differences(earlier[name], entry["environment"]) if name in earlier else []
        if different:
            what = "compared all the same" if allow_different else "not compared"
            remarks.setdefault(f"Measured under other conditions ({', '.join(different)}), {what}", []).append(name)
        if different and not allow_different:
            continue
        shift = compare_runs(before.latencies_ms.get(name, ()), now.latencies_ms.get(name, ()))
        if shift is not None:
            changes.append(Change(name, shift.before.value, shift.after.value, shift.value, shift.low, shift.high))
        else:
            why = "Too few samples in one of the two runs" if name in earlier else "New, not in the earlier run"
            remarks.setdefault(why, []).append(name)
    said = tuple(f"{why}: {', '.join(names)}." for why, names in remarks.items())
    return Changes(str(before.result["id"]), tuple(changes), said)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What of two environments differs, in words with both values; empty where their fingerprints are equal."""
    if before["fingerprint"] == after["fingerprint"]:
        return []
    keys = [key for key in sorted(before.keys() | after.keys()) if key not in NOT_OF_THE_MACHINE]
    found = [_differs(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]
    return found or ["fingerprint"]


def _differs(key: str, before: Any, after: Any) -> str:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
        return ", ".join(f"{name} {before.get(name, 'absent')} → {after.get(name, 'absent')}" for name in names)
    return f"{key.replace('_', ' ')} {before} → {after}"

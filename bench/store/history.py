"""The history of an artifact over stored runs, and where its P95 went over to another level.

Only what may be compared stands in one series: the same artifact by name, the same budget, the same texts, the same
fingerprint of machine and libraries. What a commit has to do with a change is for a reader to judge: it is shown, and
"-dirty" where the folder held more than it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mct import MctError
from mct.bench.store.store import list_results, read_result
from mct.models.tables import load

if TYPE_CHECKING:
    from mct.bench.statistics.change_points import ChangePoint

Run = tuple[Mapping[str, Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Point:
    """One run: which, when (ISO 8601, UTC), of which commit and which artifact; P95 in ms with its 95 % interval."""

    id: str
    created: str
    commit: str | None
    digest: str
    p95_ms: float
    low_ms: float
    high_ms: float
    steady: bool


@dataclass(frozen=True)
class Series:
    """Runs that may be compared, oldest first, and the changes among them."""

    artifact: str
    budget: str | None
    limit_ms: float | None
    data: str
    cpu: str
    fingerprint: str
    points: tuple[Point, ...]
    changes: tuple[ChangePoint, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def read_history(folder: Path, artifacts: Sequence[str] = (), budget: str | None = None) -> tuple[Series, ...]:
    """Every series of the store, of these artifacts and this budget where they are named; the longest first.

    MctError where there is none. A result of another schema is passed over: it counts by other rules.
    """
    runs: dict[tuple[Any, ...], list[Run]] = {}
    for path in list_results(folder):
        result = _readable(path)
        for entry in result["artifacts"] if result else ():
            if artifacts and entry["artifact"] not in artifacts:
                continue
            key = _key(result, entry)
            if entry["latency"] and entry["latency"]["p95_ms"] is not None and budget in (None, key[1]):
                runs.setdefault(key, []).append((result, entry))
    if not runs:
        named = ", ".join(artifacts) or "any artifact"
        raise MctError(f"{folder} holds no P95 of {named}", "make results with: mct bench --results FOLDER")
    return tuple(sorted(map(_series, runs.values()), key=lambda series: -len(series.points)))


def _readable(path: Path) -> dict[str, Any]:
    try:
        return read_result(path)
    except MctError:
        return {}


def _key(result: Mapping[str, Any], entry: Mapping[str, Any]) -> tuple[Any, ...]:
    budget = result["budget"]
    return (
        entry["artifact"],
        None if budget is None else budget["name"],
        result["data"]["sha256"],
        entry["environment"]["fingerprint"],
    )


def _series(runs: Sequence[Run]) -> Series:
    points = tuple(_point(result, entry) for result, entry in runs)
    result, entry = runs[-1]
    budget = result["budget"] or {}
    return Series(
        artifact=entry["artifact"],
        budget=budget.get("name"),
        limit_ms=budget.get("p95_ms"),
        data=result["data"]["name"],
        cpu=entry["environment"]["cpu"],
        fingerprint=entry["environment"]["fingerprint"],
        points=points,
        changes=tuple(load("mct.bench.statistics.change_points:find_change_points")([each.p95_ms for each in points])),
    )


def _point(result: Mapping[str, Any], entry: Mapping[str, Any]) -> Point:
    latency = entry["latency"]
    low, high = latency["p95_ci_ms"]
    return Point(
        id=result["id"],
        created=result["created"],
        commit=entry["environment"].get("commit"),
        digest=entry["digest"],
        p95_ms=latency["p95_ms"],
        low_ms=low,
        high_ms=high,
        steady=bool(entry["stability"] and entry["stability"]["ok"]),
    )

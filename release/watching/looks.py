"""One look at production: its new rows counted, held against the reference, and kept, so that every look is counted.

Looks lie beside the releases, a file each, created under the next number only if it is free; a look that finds no new
rows is none, and gives the last one again: an alarm stands until enough new rows say otherwise. One that is lost keeps
its number, and what it might err is spent. A look keeps counts, not rows: no text of a customer is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mct import MctError
from mct.bench.judge.line import Outcome
from mct.models.data.declared import Amount, Count, Digest, Index, Name, Share, parse_json
from mct.release.promotion.places import Place
from mct.release.promotion.releases import Time
from mct.release.promotion.store import now
from mct.release.watching import drift
from mct.release.watching.log import Log, Row, in_order, read_log
from mct.release.watching.reference import Reference
from mct.release.watching.signals import Lengths, count, facts_of, p95_of

NEEDED = ("answers", "confidence")
"""What no all-clear can do without, where the reference holds it; confidence only where a look of the series had it."""
SLOW_SHARE = 0.05
"""Of requests that may be slower than the reference's P95, by its meaning."""


class Found(Struct, frozen=True, forbid_unknown_fields=True):
    """A share that changed, as one look saw it over so many of the newest looks."""

    signal: Name
    share: Name
    looks: Count
    before: Share
    now: Share
    p_value: Share
    level: Share


class Look(Struct, frozen=True, forbid_unknown_fields=True):
    """A look: how many rows were new, what they count, P95 with its interval, and what changed."""

    schema: Literal[1]
    number: Count
    at: Time
    reference: str
    rows: Index
    seen: dict[Digest, Index]
    counts: dict[Name, dict[str, tuple[Amount, Amount]]]
    p95_ms: tuple[Amount, Amount, Amount] | None
    changes: tuple[Found, ...]
    outcome: Outcome


@dataclass(frozen=True)
class Watched:
    """What a look came to. `new` is False where it found no new rows, or too few: nothing was spent then.

    `lost` are the numbers of looks that are not there any more, `others` how many more series there are of the same
    artifact, each with another reference or margin and an error of its own. `lacking` is what the look's rows hardly
    hold, so that there can be no all-clear.
    """

    look: Look | None
    new: bool
    waiting: int
    outcome: Outcome
    reference: Reference
    lost: tuple[int, ...]
    others: int
    lacking: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "outcome": self.outcome, "new": self.new, "rows_waiting": self.waiting, "reference": self.reference.of,
            "reference_p95_ms": self.reference.p95_ms, "slow_ms": self.reference.slow_ms,
            "watched": sorted(watched_of(self.look.counts if self.look else self.reference.counts, self.reference)),
            "lacking": list(self.lacking), "lost": list(self.lost), "other_series": self.others,
            "look": None if self.look is None else msgspec.to_builtins(self.look),
        }  # fmt: skip


def take_look(
    place: Place, digest: str, reference: Reference, paths: Sequence[Path], lengths: Lengths | None
) -> Watched:
    """Look at the rows of these logs that no look has seen. MctError where a log is none, or lost rows since."""
    logs = [read_log(path) for path in paths]
    if len({log.key for log in logs}) < len(logs):
        raise MctError("two logs begin with the same line, so that one would be taken for the other", "log the time")
    for path, log in zip(paths, logs, strict=True):
        if any(log.is_same_as(other) for other in reference.logs):
            raise MctError(f"{path} is its own reference", "give a log of the time before: --reference LOG")
    folder = _folder(digest, reference)
    series = [name for name in place.names("watch") if name.startswith(f"{digest[:16]}-")]
    others = len({*series} - {folder.rpartition("/")[2]})
    while True:
        before = looks_at(place, digest, reference)
        seen = dict(before[-1].seen) if before else {}
        _require_whole(paths, logs, seen)
        rows = in_order([row for log in logs for row in log.rows[seen.get(log.key, 0) :]])
        if len(rows) < drift.FEWEST:
            last = before[-1] if before else None
            lack = lacking(before, reference)
            stands = last and (last.outcome == "fail" or (not rows and not lack))
            outcome: Outcome = last.outcome if last and stands else "inconclusive"
            return Watched(last, False, len(rows), outcome, reference, _lost(before), others, lack)
        look = _look(before, reference, rows, seen | _positions(logs), lengths)
        content = msgspec.json.format(msgspec.json.encode(look), indent=2) + b"\n"
        if place.create(f"{folder}/{_file(look.number)}", content):
            lack = lacking([*before, look], reference)
            return Watched(look, True, 0, look.outcome, reference, _lost(before), others, lack)


def _require_whole(paths: Sequence[Path], logs: Sequence[Log], seen: Mapping[str, int]) -> None:
    """MctError where a log has fewer rows than a look saw of it: which of the others are new cannot be told."""
    for path, log in zip(paths, logs, strict=True):
        if len(log.rows) < seen.get(log.key, 0):
            raise MctError(
                f"{path} has {len(log.rows):,} rows, and an earlier look saw {seen[log.key]:,} of it",
                "give the log whole; one that was begun anew begins with another line",
            )


def watched_of(counted: Iterable[str], reference: Reference) -> list[str]:
    """The signals that can be held against the reference: those that it holds too, and latency where it has a limit."""
    return [name for name in counted if name in reference.counts or name == "latency"]


def looks_at(place: Place, digest: str, reference: Reference) -> list[Look]:
    """The looks that were taken of a release with this reference, oldest first."""
    found, folder = [], _folder(digest, reference)
    for name in place.names(folder):
        where = f"{place.address}: {folder}/{name}"
        look = parse_json(place.read(f"{folder}/{name}") or b"", Look, where)
        if name != _file(look.number):
            raise MctError(f"{where} holds look {look.number}", "restore the store from a copy")
        found.append(look)
    return found


def lacking(looks: Sequence[Look], reference: Reference) -> tuple[str, ...]:
    """What too few rows of the last of these looks hold, of what no all-clear can do without."""
    return _lacking([look.counts for look in looks], reference) if looks else ()


def _lacking(counted: Sequence[Collection[str]], reference: Reference) -> tuple[str, ...]:
    ever = {"answers"}.union(*counted)
    return tuple(name for name in NEEDED if name in reference.counts and name in ever.difference(counted[-1]))


def _lost(looks: Sequence[Look]) -> tuple[int, ...]:
    there = {look.number for look in looks}
    return tuple(number for number in range(1, max(there, default=0)) if number not in there)


def _file(number: int) -> str:
    return f"{number:08d}.json"


def _look(
    before: Sequence[Look], reference: Reference, rows: Sequence[Row], seen: dict[str, int], lengths: Lengths | None
) -> Look:
    facts = facts_of(rows, lengths)
    number = before[-1].number + 1 if before else 1
    counts = count(facts, reference.cuts, reference.slow_ms, reference.counts.get("answers", ()))
    earlier = [{name: _counts(shares) for name, shares in look.counts.items()} for look in before]
    limits = {"latency": SLOW_SHARE} if reference.slow_ms is not None else {}
    changes = drift.find_changes([*earlier, counts], reference.counts, limits, number)
    told = watched_of(counts, reference) and not _lacking([*earlier, counts], reference)
    unchanged: Outcome = "pass" if told else "inconclusive"
    worth = counts["latency"]["share"].rows / len(facts.latency_ms[0]) if "latency" in counts else 1.0
    return Look(
        1, number, now(), reference.of, len(rows), seen,
        {name: {share: (each.hits, each.rows) for share, each in shares.items()} for name, shares in counts.items()},
        p95_of(facts, worth), tuple(Found(**asdict(change)) for change in changes), "fail" if changes else unchanged,
    )  # fmt: skip


def _counts(shares: dict[str, tuple[float, float]]) -> dict[str, drift.Count]:
    return {name: drift.Count(*each) for name, each in shares.items()}


def _positions(logs: Sequence[Log]) -> dict[str, int]:
    return {log.key: len(log.rows) for log in logs if log.key}


def _folder(digest: str, reference: Reference) -> str:
    return f"watch/{digest[:16]}-{reference.key[:16]}"

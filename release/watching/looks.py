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
from mct.release.watching.log import MARK, Log, Row, in_order, marks_to, read_log
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
    """A look: how many rows were new, what they count, P95 with its interval, and what changed.

    `seen` holds how many rows of each log were seen by then, by the SHA-256 of these rows, `begins` that of its first
    lines, and `marks` the begins of those of its first rows at so many as `marks_to` says. `effects` are what the
    counts were divided by.
    """

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
    begins: dict[Digest, Digest] = {}
    marks: dict[Digest, tuple[str, ...]] = {}
    effects: dict[Name, Amount] = {}


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
        counted = self.look.counts if self.look else self.reference.counts
        return {
            "outcome": self.outcome, "new": self.new, "rows_waiting": self.waiting, "reference": self.reference.of,
            "reference_p95_ms": self.reference.p95_ms, "slow_ms": self.reference.slow_ms,
            "watched": sorted(watched_of(counted, self.reference)), "lacking": list(self.lacking),
            "too_short": list(self.reference.too_short), "lost": list(self.lost), "other_series": self.others,
            "look": None if self.look is None else msgspec.to_builtins(self.look),
        }  # fmt: skip


def take_look(
    place: Place, digest: str, reference: Reference, paths: Sequence[Path], lengths: Lengths | None
) -> Watched:
    """Look at the rows of these logs that no look has seen. MctError where a log is none, or lost rows since."""
    logs = [read_log(path) for path in paths]
    _require_apart(paths, logs)
    for path, log in zip(paths, logs, strict=True):
        if any(log.is_same_as(other) for other in reference.logs):
            raise MctError(f"{path} is its own reference", "give a log of the time before: --reference LOG")
    folder = _folder(digest, reference)
    series = [name for name in place.names("watch") if name.startswith(f"{digest[:16]}-")]
    others = len({*series} - {folder.rpartition("/")[2]})
    while True:
        before = looks_at(place, digest, reference)
        known = [_known_as(log, before[-1].seen if before else {}) for log in logs]
        _require_whole(paths, logs, known, before)
        seen = [before[-1].seen[key] if key else 0 for key in known]
        rows = in_order([row for log, old in zip(logs, seen, strict=True) for row in log.rows[old:]])
        if len(rows) < drift.FEWEST:
            last = before[-1] if before else None
            lack = lacking(before, reference)
            stands = last and (last.outcome == "fail" or (not rows and not lack and not reference.too_short))
            outcome: Outcome = last.outcome if last and stands else "inconclusive"
            return Watched(last, False, len(rows), outcome, reference, _lost(before), others, lack)
        look = _look(before, reference, rows, _positions(before, logs, known), lengths)
        content = msgspec.json.format(msgspec.json.encode(look), indent=2) + b"\n"
        if place.create(f"{folder}/{_file(look.number)}", content):
            lack = lacking([*before, look], reference)
            return Watched(look, True, 0, look.outcome, reference, _lost(before), others, lack)


def _require_apart(paths: Sequence[Path], logs: Sequence[Log]) -> None:
    """MctError where one log begins with all rows of another: they would count twice."""
    counts = {len(log.rows) for log in logs}
    digests = [log.digests(counts) for log in logs]
    for one, log in enumerate(logs):
        for other in range(len(logs)):
            if one != other and log.rows and digests[other].get(len(log.rows)) == digests[one][len(log.rows)]:
                raise MctError(
                    f"{paths[other]} begins with all rows of {paths[one]}, which would count twice", "give one of them"
                )


def _known_as(log: Log, seen: Mapping[str, int]) -> str:
    """What an earlier look knew this log by: the most of its first rows that were all seen; "" where none did."""
    digests = log.digests({*seen.values()})
    known = [key for key, count in seen.items() if digests.get(count) == key]
    return max(known, key=seen.__getitem__, default="")


def _require_whole(paths: Sequence[Path], logs: Sequence[Log], known: Sequence[str], before: Sequence[Look]) -> None:
    """MctError where a log is the beginning of one that a look saw more of: which rows are new, none can tell.

    And where two logs begin with the same rows that a look saw. One that begins alike and goes on otherwise is another.
    """
    for path, log, key in zip(paths, logs, known, strict=True):
        cut = [count for each, count in (before[-1].seen if before else {}).items()
               if not key and len(log.rows) < count and _begins(log, before[-1], each)]  # fmt: skip
        if cut:
            raise MctError(
                f"{path} has {len(log.rows):,} rows, and an earlier look saw {max(cut):,} of it",
                "give the log whole; one that was begun anew has rows of its own among them",
            )
        if key and list(known).count(key) > 1:
            raise MctError(f"two logs begin with the same rows as {path}, which would count twice", "give one of them")


def _begins(log: Log, look: Look, seen: str) -> bool:
    """Whether the rows of a shorter log are the first of those that a look saw, up to the last mark within them."""
    if look.begins.get(seen) != log.begins:
        return False
    counts = marks_to(len(log.rows))
    marks = look.marks.get(seen, ())[: len(counts)]
    return not marks or log.digests({counts[-1]})[counts[-1]].startswith(marks[-1])


def watched_of(counted: Iterable[str], reference: Reference) -> list[str]:
    """The signals that can be held against the reference: those that it holds too, and latency where it has a limit.

    None of those for which it is too short.
    """
    known = {*reference.counts, "latency"}.difference(reference.too_short)
    return [name for name in counted if name in known]


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


def newest_looks(place: Place, digest: str) -> list[tuple[str, bytes, Look]]:
    """The last look of each series about an artifact, oldest first: its place, what it holds, and the look.

    A series is that of one reference and margin; of looks of the same second an alarm is the newest. MctError where one
    is damaged.
    """
    found = []
    for series in place.names("watch"):
        names = place.names(f"watch/{series}") if series.startswith(f"{digest[:16]}-") else []
        if names:
            name = f"watch/{series}/{names[-1]}"
            content = place.read(name) or b""
            found.append((name, content, parse_json(content, Look, f"{place.address}: {name}")))
    return sorted(found, key=lambda each: (each[2].at, each[2].outcome == "fail", each[0]))


def _file(number: int) -> str:
    return f"{number:08d}.json"


def _look(
    before: Sequence[Look], reference: Reference, rows: Sequence[Row], seen: _Seen, lengths: Lengths | None
) -> Look:
    facts = facts_of(rows, lengths)
    number = before[-1].number + 1 if before else 1
    counts = count(facts, reference.cuts, reference.slow_ms, reference.counts.get("answers", ()))
    earlier = [_counts(look) for look in before]
    limits = {"latency": SLOW_SHARE} if reference.slow_ms is not None else {}
    held = [{name: each[name] for name in watched_of(each, reference)} for each in (*earlier, counts)]
    changes = drift.find_changes(held, reference.counts, limits, number, reference.slow)
    lack = _lacking([*earlier, counts], reference)
    told = held[-1] and not lack and not reference.too_short
    unchanged: Outcome = "pass" if told else "inconclusive"
    worth = counts["latency"]["share"].rows / len(facts.latency_ms[0]) if "latency" in counts else 1.0
    return Look(
        1, number, now(), reference.of, len(rows), seen.rows,
        {name: {share: (each.hits, each.rows) for share, each in shares.items()} for name, shares in counts.items()},
        p95_of(facts, worth), tuple(Found(**asdict(change)) for change in changes), "fail" if changes else unchanged,
        seen.begins, seen.marks,
        {name: max(each.effect for each in shares.values()) for name, shares in counts.items()},
    )  # fmt: skip


def _counts(look: Look) -> dict[str, dict[str, drift.Count]]:
    return {
        name: {share: drift.Count(*each, look.effects.get(name, 1.0)) for share, each in shares.items()}
        for name, shares in look.counts.items()
    }


@dataclass(frozen=True)
class _Seen:
    """How many rows of each log were seen, by the SHA-256 of these rows; that of its first lines, and its marks."""

    rows: dict[str, int]
    begins: dict[str, str]
    marks: dict[str, tuple[str, ...]]


def _positions(before: Sequence[Look], logs: Sequence[Log], known: Sequence[str]) -> _Seen:
    """What is seen once these logs are: each in the place of what it was known as."""
    last = before[-1] if before else None
    rows, begins, marks = (dict(last.seen), dict(last.begins), dict(last.marks)) if last else ({}, {}, {})
    for log, key in zip(logs, known, strict=True):
        rows.pop(key, None)
        begins.pop(key, None)
        marks.pop(key, None)
        if log.rows:
            counts = marks_to(len(log.rows))
            found = log.digests({*counts, len(log.rows)})
            digest = found[len(log.rows)]
            rows[digest], begins[digest] = len(log.rows), log.begins
            marks[digest] = tuple(found[each][:MARK] for each in counts)
    return _Seen(rows, begins, marks)


def _folder(digest: str, reference: Reference) -> str:
    return f"watch/{digest[:16]}-{reference.key[:16]}"

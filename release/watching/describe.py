"""A look at production as a person reads it in a terminal."""

from __future__ import annotations

from mct.bench.report.table import MARKS
from mct.models.command_line import one_line
from mct.release.watching.drift import ALPHA
from mct.release.watching.looks import Found, Watched, watched_of

ALARMS = {"pass": "no alarm", "fail": "ALARM", "inconclusive": "too little to tell"}


def describe(watched: Watched, name: str) -> str:
    """What a look found: every alarm first, then P95 and what was watched."""
    mark = MARKS[watched.outcome].split()[0]
    lines = [f"{mark} {ALARMS[watched.outcome]}: {one_line(name)} held against {one_line(watched.reference.of)}"]
    look = watched.look
    if look is None:
        return "\n".join([*lines, f"- {watched.waiting} rows so far: a look needs 100"]) + "\n"
    if not watched.new:
        lines.append(
            f"- {watched.waiting} new rows since look {look.number}, too few for another: this is that one again"
        )
    lines += [f"- {one_line(each.signal)}: {_said(each)}" for each in look.changes]
    if look.p95_ms is not None:
        value, low, high = look.p95_ms
        was = f"; it was {watched.reference.p95_ms:.2f} ms" if watched.reference.p95_ms else ""
        lines.append(f"- P95 {value:.2f} ms [{low:.2f}, {high:.2f}] in {look.rows:,} rows{was}")
    watching = watched_of(look.counts, watched.reference)
    absent = [each for each in ("answers", "lengths", "confidence", "deferred", "latency") if each not in watching]
    lines.append(f"- look {look.number}, {look.rows:,} new rows; watched: {', '.join(watching) or 'nothing'}")
    if absent:
        lines.append(f"- not watched, for want of rows that hold it here and there: {', '.join(absent)}")
    if watched.lacking:
        lines.append(
            f"- no all-clear without what the reference holds and these rows do not: {', '.join(watched.lacking)}"
        )
    if watched.reference.too_short:
        lines.append(
            f"- no all-clear: the reference is too short to tell, it varies as slowly as it is long: "
            f"{', '.join(watched.reference.too_short)}; give one that spans whole cycles (days, weeks), several times"
        )
    if watched.lost:
        lines.append(f"- looks that are gone, and count as looks: {', '.join(map(str, watched.lost))}")
    lines.append(f"- false alarms: at most {ALPHA:.0%} over all looks with this reference and margin together")
    if watched.others:
        lines.append(
            f"- {watched.others} other series of looks at this artifact, with another reference or margin: "
            f"each may err by {ALPHA:.0%} of its own"
        )
    return "\n".join(lines) + "\n"


def _said(found: Found) -> str:
    over = "in the newest rows" if found.looks == 1 else f"over the newest {found.looks} looks"
    what = "slower than it may be" if found.signal == "latency" else one_line(found.share)
    return (
        f"{what}: {found.before:.1%} before, {found.now:.1%} {over} (p = {found.p_value:.1g}, needed {found.level:.1g})"
    )

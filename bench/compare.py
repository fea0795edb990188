"""A against B, from measurements whose rounds ran side by side: is B slower, is it worse, and could this run have told.

Pure: two measurements in, a comparison out. Latency is judged by the ratio's interval over rounds, quality on the same
rows, paired; the outcome is "worse" only where one of them is shown to be, and "inconclusive" where the run or the
evaluation set was too small to exclude it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from mct.bench.measurement import Measurement, per_process_ms
from mct.bench.paired import NonInferiority, compare_slices, find_flips, mcnemar_mid_p, non_inferior, paired_difference
from mct.bench.quality import right_answers
from mct.bench.ratio import Ratio, compare_percentile, judge_ratio

Outcome = Literal["better", "no difference", "worse", "inconclusive"]
EXIT_CODES: dict[Outcome, int] = {"better": 0, "no difference": 0, "worse": 1, "inconclusive": 3}


@dataclass(frozen=True)
class Limits:
    """What may pass: a difference of P95 below `latency`, and a drop of quality below `quality` (fractions)."""

    latency: float = 0.10
    quality: float = 0.01


@dataclass(frozen=True)
class Flip:
    """One row on which exactly one side is right: its number in file order, the truth, and both answers."""

    row: int
    truth: str
    a: str
    b: str


@dataclass(frozen=True)
class Slice:
    """The recall of one label, tested together with all others (Holm)."""

    name: str
    n: int
    drop: float
    outcome: str


@dataclass(frozen=True)
class Comparison:
    """The whole answer. Ratios are B over A: above 1, B is slower. `lost` rows only A has right, `gained` only B."""

    a: str
    b: str
    p95: Ratio
    p50: Ratio
    latency: str
    quality: NonInferiority
    mid_p: float
    delta: float
    delta_ci: tuple[float | None, float | None]
    lost: tuple[Flip, ...]
    gained: tuple[Flip, ...]
    slices: tuple[Slice, ...]
    limits: Limits

    @property
    def outcome(self) -> Outcome:
        """Of latency, the whole set and every slice together."""
        found = {self.latency, self.quality.outcome, *(each.outcome for each in self.slices)}
        if found & {"slower", "inferior"}:
            return "worse"
        if "inconclusive" in found:
            return "inconclusive"
        return "better" if self.latency == "faster" else "no difference"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"schema": 1, "kind": "mct-compare", "outcome": self.outcome} | asdict(self)


def compare(a: Measurement, b: Measurement, limits: Limits, slices: tuple[str, ...] = ()) -> Comparison:
    """Compare two measurements of `mct.bench.pairs`. `slices` are labels whose recall is held to the same limit."""
    before, after = right_answers(a), right_answers(b)
    flips = find_flips(before, after)
    difference = paired_difference(len(flips.lost), len(flips.gained), flips.n)
    p95, p50 = (compare_percentile(per_process_ms(a.blocks), per_process_ms(b.blocks), p) for p in (0.95, 0.50))
    return Comparison(
        a=a.subject.name,
        b=b.subject.name,
        p95=p95,
        p50=p50,
        latency=judge_ratio(p95, limits.latency).outcome,
        quality=non_inferior(before, after, limits.quality),
        mid_p=mcnemar_mid_p(len(flips.lost), len(flips.gained)),
        delta=difference.value,
        delta_ci=(difference.low, difference.high),
        lost=_describe(flips.lost, a, b),
        gained=_describe(flips.gained, a, b),
        slices=_slices(a, b, limits, slices),
        limits=limits,
    )


def _describe(rows: tuple[int, ...], a: Measurement, b: Measurement) -> tuple[Flip, ...]:
    assert a.answers is not None and b.answers is not None
    return tuple(Flip(row, a.truth[row], a.answers.labels[row], b.answers.labels[row]) for row in rows)


def _slices(a: Measurement, b: Measurement, limits: Limits, names: tuple[str, ...]) -> tuple[Slice, ...]:
    truth = np.asarray(a.truth)
    rows = {name: truth == name for name in names if (truth == name).any()}
    if not rows:
        return ()
    tests = compare_slices(rows, right_answers(a), right_answers(b), limits.quality)
    return tuple(Slice(name, test.n, test.drop, test.outcome) for name, test in tests.items())


def markdown(comparison: Comparison, texts: list[str], most: int = 10) -> str:
    """The comparison for a person: what was found, how sure it is, and the rows that changed (at most `most`)."""
    margin, c = comparison.limits, comparison
    latency = f"no difference larger than {margin.latency:.0%}" if c.latency == "no difference" else c.latency
    lines = [
        f"**{c.outcome}**: {c.b} against {c.a}",
        "",
        "| | B / A | 95 % interval | |",
        "|--|--:|--:|--|",
        f"| P95 | {c.p95.value:.3f} | {c.p95.low:.3f} to {c.p95.high:.3f} | {latency} |",
        f"| P50 | {c.p50.value:.3f} | {c.p50.low:.3f} to {c.p50.high:.3f} | |",
        "",
        f"{c.p95.rounds} rounds of fresh processes in turns; they could have told a P95 "
        f"{100 * (c.p95.detectable - 1):.1f} % slower.",
        "",
        *_quality_lines(c),
        *(
            f"- recall of {each.name}: {-100 * each.drop:+.2f} points on {each.n:,}: {each.outcome}"
            for each in c.slices
        ),
        *_flip_lines(c, texts, most),
    ]
    return "\n".join(lines) + "\n"


def _quality_lines(c: Comparison) -> list[str]:
    low, high = c.delta_ci
    interval = "" if low is None or high is None else f" (95 % interval {100 * low:+.2f} to {100 * high:+.2f})"
    return [
        f"Quality, paired on {c.quality.n:,} rows: {100 * c.delta:+.2f} points{interval}; "
        f"{len(c.lost)} lost, {len(c.gained)} gained, McNemar mid-p {c.mid_p:.3g}: {c.quality.outcome} "
        f"at a margin of {100 * c.limits.quality:g} point(s). This set can resolve a drop of "
        f"{100 * c.quality.resolvable:.2f} points.",
    ]


def _flip_lines(c: Comparison, texts: list[str], most: int) -> list[str]:
    flips = [("lost", flip) for flip in c.lost] + [("gained", flip) for flip in c.gained]
    if not flips:
        return []
    shown = [f"- {kind}: {texts[flip.row]!r} is {flip.truth}: A {flip.a}, B {flip.b}" for kind, flip in flips[:most]]
    more = [f"- and {len(flips) - most} more (all in --json)"] if len(flips) > most else []
    return ["", *shown, *more]

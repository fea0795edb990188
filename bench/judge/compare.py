"""A against B, from measurements whose rounds ran side by side: is B slower, is it worse, and could this run have told.

Pure: two measurements in, a comparison out. Latency is judged by P50 and P95 together, each by its ratio's interval
over pairs of processes: a slow-down of the median counts even where the tail is too noisy to judge, and the text says
which of the two was shown. Quality is judged on the same rows, paired; the outcome is "worse" only where one of them is
shown to be, and "inconclusive" where the run or the evaluation set was too small to exclude it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from mct.bench.judge.quality import Flip, Quality, flipped, headline, part_of, score, slice_metric
from mct.bench.measure.pairs import ratios
from mct.bench.samples.measurement import Measurement
from mct.bench.statistics.paired import NonInferiority, compare_slices, difference, difference_p, non_inferior
from mct.bench.statistics.ratio import FEWEST_ROUNDS, Ratio, are_alike, judge_latency

Outcome = Literal["better", "no difference", "worse", "inconclusive"]
EXIT_CODES: dict[Outcome, int] = {"better": 0, "no difference": 0, "worse": 1, "inconclusive": 3}


@dataclass(frozen=True)
class Limits:
    """What may pass: a difference of P50 and P95 below `latency`, and a drop of quality below `quality` (fractions)."""

    latency: float = 0.10
    quality: float = 0.01


@dataclass(frozen=True)
class Slice:
    """A label's recall or a part of the rows, tested together (`mct.bench.statistics.paired.compare_slices`)."""

    name: str
    n: int
    drop: float
    outcome: str


@dataclass(frozen=True)
class Comparison:
    """The whole answer. Ratios are B over A: above 1, B is slower. On `lost` examples A does better, on `gained` B.

    `mid_p` is the p-value of "no difference in quality" (McNemar's mid-p where an example is right or wrong).
    `latency_shown` names the percentiles that are shown to differ. `scored` are the scores of A and of B, B's against
    A's: among them what beside the headline a technique gave, which is shown and decides nothing here.
    """

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
    latency_shown: tuple[str, ...]
    scored: tuple[Quality, Quality]

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
        scored = [quality.as_json() for quality in self.scored]
        return {"schema": 1, "kind": "mct-compare", "outcome": self.outcome} | asdict(self) | {"scored": scored}


def compare(a: Measurement, b: Measurement, limits: Limits, slices: tuple[str, ...] = ()) -> Comparison:
    """Compare what `mct.bench.measure.pairs` measured. `slices` (labels, "month=2026-03") have the same limit."""
    before, after = headline(a), headline(b)
    change, (lost, gained) = difference(before, after), flipped(a, b)
    own, against = score(a, a, ()), score(b, a, ())
    assert own is not None and against is not None  # a pair without answers is none
    parts = {name: (part_of(a, name), part_of(b, name)) for name in slices}
    tests = compare_slices({name: both for name, both in parts.items() if both[0].value is not None}, limits.quality)
    p50, p95 = ratios(a.blocks, b.blocks)
    latency = judge_latency(p50, p95, limits.latency)
    return Comparison(
        a=a.subject.name,
        b=b.subject.name,
        p95=p95,
        p50=p50,
        latency=latency.outcome,
        latency_shown=latency.shown,
        quality=non_inferior(before, after, limits.quality),
        mid_p=difference_p(before, after),
        delta=change.value,
        delta_ci=(change.low, change.high),
        lost=lost,
        gained=gained,
        slices=tuple(Slice(name, test.n, test.drop, test.outcome) for name, test in tests.items()),
        limits=limits,
        scored=(own, against),
    )


def markdown(comparison: Comparison, texts: list[str], most: int = 10) -> str:
    """The comparison for a person: what was found, how sure it is, and the rows that changed (at most `most`)."""
    c = comparison
    lines = [
        f"**{c.outcome}**: {c.b} against {c.a}",
        "",
        "| | B / A | 95 % interval | |",
        "|--|--:|--:|--|",
        *(
            f"| {name} | {ratio.value:.3f} | {ratio.low:.3f} to {ratio.high:.3f} | {_found(name, ratio, c)} |"
            for name, ratio in (("P95", c.p95), ("P50", c.p50))
        ),
        "",
        _latency_sentence(c),
        "",
        _resolution_sentence(c),
        "",
        _quality_sentence(c),
        *(
            f"- {slice_metric(each.name)}: {-100 * each.drop:+.2f} points on {each.n:,}: {each.outcome}"
            for each in c.slices
        ),
        *_flip_lines(c, texts, most),
    ]
    return "\n".join(lines) + "\n"


def _found(name: str, ratio: Ratio, c: Comparison) -> str:
    """What one percentile alone tells."""
    if name in c.latency_shown:
        return "slower" if ratio.value > 1 else "faster"
    within = are_alike(ratio, c.limits.latency)
    return f"no difference larger than {c.limits.latency:.0%}" if within else "cannot tell"


def _latency_sentence(c: Comparison) -> str:
    """Both percentiles together: which of them was shown, by how much, and which this run could not resolve."""
    margin, both = f"{c.limits.latency:.0%}", (("P50", c.p50), ("P95", c.p95))
    if c.latency == "no difference":
        return f"Latency: no difference larger than {margin}, at P50 and at P95."
    told = [
        f"{_found(name, ratio, c)} at {name} by {abs(ratio.value - 1):.1%}"
        for name, ratio in both
        if name in c.latency_shown
    ]
    open_ = [
        f"{name} could not be resolved ({100 * (ratio.low - 1):+.0f} to {100 * (ratio.high - 1):+.0f} %)"
        for name, ratio in both
        if _found(name, ratio, c) == "cannot tell"
    ]
    return f"Latency: {c.latency}: {'; '.join([*told, *open_])}."


def _resolution_sentence(c: Comparison) -> str:
    rounds = f"{c.p95.rounds} rounds of fresh processes in turns"
    if c.p95.rounds < FEWEST_ROUNDS:
        return f"{rounds}; fewer than {FEWEST_ROUNDS} decide nothing: allow more seconds."
    p95, p50 = (f"{100 * (ratio.detectable - 1):.1f} % slower" for ratio in (c.p95, c.p50))
    return f"{rounds}; they could have told a P95 {p95}, a P50 {p50}."


def _quality_sentence(c: Comparison) -> str:
    low, high = c.delta_ci
    interval = "" if low is None or high is None else f" (95 % interval {100 * low:+.2f} to {100 * high:+.2f})"
    test = "McNemar mid-p" if c.quality.method == "exact" else "bootstrap p"
    return (
        f"Quality, paired on {c.quality.n:,} examples: {100 * c.delta:+.2f} points{interval}; "
        f"{len(c.lost)} lost, {len(c.gained)} gained, {test} {c.mid_p:.3g}: {c.quality.outcome} "
        f"at a margin of {100 * c.limits.quality:g} point(s). This set can resolve a drop of "
        f"{100 * c.quality.resolvable:.2f} points."
    )


def _flip_lines(c: Comparison, texts: list[str], most: int) -> list[str]:
    flips = [("lost", flip) for flip in c.lost] + [("gained", flip) for flip in c.gained]
    if not flips:
        return []
    shown = [f"- {kind}: {texts[flip.row]!r} is {flip.truth}: A {flip.a}, B {flip.b}" for kind, flip in flips[:most]]
    more = [f"- and {len(flips) - most} more (all in --json)"] if len(flips) > most else []
    return ["", *shown, *more]

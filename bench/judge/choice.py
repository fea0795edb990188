"""Which artifact to ship: the fastest that meets the budget, chosen among several, and those that may be as fast.

Who looks at several and takes the best takes the luckiest: an artifact that misses the budget passes in one of twenty
runs, and among five artifacts in one of four. So the one that is named must meet its budget at the error divided by the
number of artifacts it was chosen from (Bonferroni). Whatever is not shown to be slower than it, from the rounds that
both took turns in and at the error divided by the number of rivals, is named beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mct.bench.judge.latency import summarise
from mct.bench.judge.verdict import judge
from mct.bench.measure.pairs import ratios, shared_rounds
from mct.bench.samples.measurement import Measurement
from mct.bench.statistics.levels import ERROR
from mct.targets.budget import Budget
from mct.targets.runtimes.table import is_on, runtime_for
from mct.targets.target import Target


@dataclass(frozen=True)
class Choice:
    """`fastest` is shown to meet the whole budget although it was chosen among `considered` artifacts; None if none is.
    None is considered where the target has a runtime for none of them.

    `ties` are not shown to be slower than it, the fastest first. `uncorrected` meet the budget each by itself only.
    """

    fastest: str | None
    ties: tuple[str, ...]
    uncorrected: tuple[str, ...]
    considered: int

    def as_json(self) -> dict[str, Any]:
        """As result.schema.json has it."""
        return asdict(self) | {"ties": list(self.ties), "uncorrected": list(self.uncorrected)}


def choose(
    measurements: Sequence[Measurement], budget: Budget, baseline: Measurement | None, target: Target | None = None
) -> Choice:
    """The choice among all that were measured, the baseline too; but for what has no runtime on the target."""
    among = [each for each in measurements if target is None or is_on(runtime_for(each.subject.format), target)]
    error = ERROR / max(1, len(among))
    passed = [each for each in among if judge(each, budget, baseline).outcome == "pass" and each.blocks]
    shown = [each for each in passed if judge(each, budget, baseline, error).outcome == "pass"]
    ordered = sorted(shown, key=_p95_ms)
    fastest = ordered[0] if ordered else None
    rivals = ordered[1:]
    ties = [each for each in rivals if fastest and not _is_slower(each, fastest, ERROR / len(rivals))]
    return Choice(
        fastest=None if fastest is None else fastest.subject.name,
        ties=tuple(each.subject.name for each in ties),
        uncorrected=tuple(each.subject.name for each in passed if each not in shown),
        considered=len(among),
    )


def _p95_ms(measured: Measurement) -> float:
    latency = summarise(measured.blocks)
    if latency and latency.p95:
        return latency.p95.value
    return max(max(block.end_to_end_ns) for block in measured.blocks) / 1e6


def _is_slower(rival: Measurement, fastest: Measurement, error: float) -> bool:
    """Whether its P95 is shown to be the greater one: one-sided."""
    if len(shared_rounds(rival.blocks, fastest.blocks)) < 2:
        return False
    _, p95 = ratios(fastest.blocks, rival.blocks)
    return p95.value > 1 and p95.p_value / 2 <= error

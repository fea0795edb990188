"""The highest load that still meets the P95 budget, as a search found it: a bracket, and every rate that was tried."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from mct.bench.judge.rounding import rounded

Answer = Literal["meets", "misses", "open"]

IDLE = 0.05
"""Share of capacity up to which there is as good as no queue."""


@dataclass(frozen=True)
class Tried:
    """One rate: what was decided, on how many requests, at which utilisation; `p95_ms` is the point, no evidence."""

    qps: float
    answer: Answer
    requests: int
    utilisation: float
    p95_ms: float | None


@dataclass(frozen=True)
class MaxLoad:
    """The outcome for one subject: the highest load that keeps P95 below `limit_ms` lies between the two rates.

    `meets_qps` 0 and `misses_qps` None: no rate was shown to meet, or to miss. `capacity_qps` is what a closed loop
    gets through. `reasons` say why the machine was too unsteady for this to be repeated.
    """

    artifact: str
    limit_ms: float
    capacity_qps: float
    meets_qps: float
    misses_qps: float | None
    tried: tuple[Tried, ...]
    reasons: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """ "pass" where some load meets the limit, "fail" where not even the lowest does; unsteady runs cannot pass."""
        if self.meets_qps > 0:
            return "inconclusive" if self.reasons else "pass"
        lowest = min(self.tried, key=lambda each: each.qps, default=None)
        is_hopeless = lowest is not None and lowest.answer == "misses" and lowest.qps <= IDLE * self.capacity_qps
        return "fail" if is_hopeless else "inconclusive"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        plain: dict[str, Any] = rounded(asdict(self), 4)
        return plain | {"outcome": self.outcome}

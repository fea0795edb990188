"""Runs under load as Markdown: what the queue adds beside what a closed loop sees, and the highest load found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mct.bench.judge.load_result import LoadResult
    from mct.bench.judge.max_load import MaxLoad
    from mct.bench.statistics.percentiles import Estimate

HEAD = (
    "artifact", "load /s", "served /s", "utilisation", "P50 ms", "P95 ms under load (95 % interval)", "P99 ms",
    "closed-loop P95 ms", "P95 of first and last tenth, ms", "steady state",
)  # fmt: skip
MAX_HEAD = ("artifact", "P95 limit ms", "highest load shown to meet /s", "lowest shown to miss /s", "closed loop /s")
STATES = {"steady": "✓ yes", "above capacity": "✗ ABOVE CAPACITY", "undecided": "? undecided"}


def load_table(results: Sequence[LoadResult]) -> str:
    """One row per artifact, and below it why a row has no percentiles or cannot be trusted."""
    rows = [_row(HEAD), _row(("---", *["---:"] * (len(HEAD) - 2), "---")), *(_row(_cells(each)) for each in results)]
    return "\n".join([*rows, "", *_remarks([(_at(each), each.reasons) for each in results]), _reading()]) + "\n"


def max_load_table(results: Sequence[MaxLoad]) -> str:
    """One row per artifact, and below it every rate that was tried."""
    rows = [_row(MAX_HEAD), _row(("---", *["---:"] * (len(MAX_HEAD) - 1)))]
    rows += [_row(_max_cells(each)) for each in results]
    return (
        "\n".join([*rows, "", *_remarks([(each.artifact, each.reasons) for each in results]), *_tried(results)]) + "\n"
    )


def _cells(result: LoadResult) -> tuple[str, ...]:
    low, high = result.utilisation_ci
    steady = result.state == "steady"
    none = "none: above capacity" if result.state == "above capacity" else "not known"
    return (
        result.artifact,
        f"{result.offered_qps:g}",
        f"{result.achieved_qps:.1f}",
        f"{result.utilisation:.0%} ({low:.0%} to {high:.0%})",
        _value(result.p50) if steady else "-",
        _interval(result.p95) if steady else none,
        _value(result.p99) if steady else "-",
        _interval(result.closed),
        f"{result.climb[0]:.1f} → {result.climb[-1]:.1f}",
        STATES[result.state],
    )


def _at(result: LoadResult) -> str:
    return f"{result.artifact} at {result.offered_qps:g}/s"


def _max_cells(result: MaxLoad) -> tuple[str, ...]:
    return (
        result.artifact,
        f"{result.limit_ms:g}",
        f"{result.meets_qps:.1f}" if result.meets_qps else "none",
        "none" if result.misses_qps is None else f"{result.misses_qps:.1f}",
        f"{result.capacity_qps:.1f}",
    )


def _tried(results: Sequence[MaxLoad]) -> list[str]:
    lines = []
    for result in results:
        tried = sorted(result.tried, key=lambda each: each.qps)
        rates = ", ".join(f"{each.qps:.1f} {each.answer} ({each.requests:,} requests)" for each in tried)
        lines.append(f"- **{result.artifact}**, rates tried: {rates or 'none'}")
    return lines


def _remarks(reasons: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    lines = [f"- **{artifact}**: {reason}." for artifact, said in reasons for reason in said]
    return [*lines, ""] if lines else []


def _reading() -> str:
    return (
        "Poisson arrivals to one server, latency from the scheduled arrival. The closed loop ran on the same processes"
        " and sends a request only when the last is answered, so it cannot see a queue."
    )


def _value(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.2f}"


def _interval(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"

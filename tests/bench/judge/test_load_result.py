"""What is said of traffic: on simulated queues whose state is known, and of generators that were late."""

from array import array
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from mct.bench.judge.load_result import LoadResult, read_queue, summarise_load
from mct.bench.report.table import load_table
from mct.bench.samples.measurement import Block
from mct.bench.statistics.queueing import serve
from mct.bench.statistics.student import student
from mct.bench.worker.open_loop import Segment, poisson_arrivals, segment_from, segment_record

SERVICE_MS = 2.0


def make_stretch(
    arrivals_ms: Sequence[float], services_ms: Sequence[float], qps: float, number: int, late_ms: float = 0.0
) -> Segment:
    """A server that begins each request `late_ms` after it could."""
    takes = np.asarray(services_ms) + late_ms
    ended = np.asarray(arrivals_ms) + serve(arrivals_ms, takes)
    started = ended - np.asarray(services_ms)
    arrays = (
        array("q", np.rint(np.asarray(each) * 1e6).astype(int).tolist()) for each in (arrivals_ms, started, ended)
    )
    return Segment(number, number, qps, len(takes), *arrays, cpu_s=0.0, stolen_s=0.0, waited_s=0.0)


def traffic(qps: float, count: int = 4000, late_ms: float = 0.0, rounds: int = 4) -> list[Segment]:
    """Poisson arrivals to a server that takes 2 ms a request, a little more or less in each process."""
    rng = np.random.default_rng(1)
    found = []
    for number in range(rounds):
        arrivals = [1e3 * value for value in poisson_arrivals(qps, count, number)]
        services = SERVICE_MS * (1 + 0.002 * number) * np.exp(0.05 * rng.standard_normal(count))
        found.append(make_stretch(arrivals, list(services), qps, number, late_ms))
    return found


@pytest.fixture
def blocks(made_up: SimpleNamespace) -> tuple[Block, ...]:
    found: tuple[Block, ...] = made_up.blocks(SERVICE_MS, size=300)
    return found


def test_what_a_stretch_worked_by_hand_says() -> None:
    """Due at 0, 1 and 10 ms; the first is begun 0.5 ms late, the second waits for the first, the third for no one."""
    segment = Segment(
        0, 0, 300.0, 3, array("q", [0, 1_000_000, 10_000_000]), array("q", [500_000, 3_500_000, 10_000_000]),
        array("q", [3_500_000, 5_500_000, 12_000_000]), 0.0, 0.0, None,
    )  # fmt: skip
    queue = read_queue([segment])
    assert queue.latency_ms[0].tolist() == [3.5, 4.5, 2.0]
    assert queue.busy_ms[0].tolist() == [3.5, 2.0, 2.0]
    assert queue.late_ms[0].tolist() == [0.5, 0.0, 0.0]


def test_a_stretch_survives_its_record() -> None:
    segment = traffic(100.0, 20)[0]
    assert segment_from(segment_record(segment)) == segment


def test_below_capacity_the_queue_is_in_the_p95_and_the_closed_loop_misses_it(blocks: tuple[Block, ...]) -> None:
    result = summarise_load("A", traffic(350.0), blocks)
    assert (result.state, result.outcome, result.reasons) == ("steady", "pass", ())
    assert result.utilisation == pytest.approx(0.7, rel=0.02)
    assert result.achieved_qps == pytest.approx(350.0, rel=0.02)
    assert result.p95 is not None and result.closed is not None
    assert result.p95.low > 1.5 * result.closed.high
    assert result.p95.low < 10.2 < result.p95.high  # M/D/1 at 0.7: P95 is 5.10 services (Erlang's formula)


def test_above_capacity_there_is_no_p95_but_a_climb(blocks: tuple[Block, ...]) -> None:
    result = summarise_load("A", traffic(600.0), blocks)
    assert (result.state, result.outcome) == ("above capacity", "fail")
    assert (result.p50, result.p95, result.p99) == (None, None, None)
    assert result.achieved_qps == pytest.approx(500.0, rel=0.02)
    assert list(result.climb) == sorted(result.climb)
    assert result.climb[-1] == pytest.approx(4000 * (SERVICE_MS - 1e3 / 600), rel=0.05)
    assert result.closed is not None and result.closed.high < 4.0
    assert "none: above capacity" in load_table([result])
    assert result.as_json()["p95"] is None


def test_near_capacity_nothing_is_claimed(blocks: tuple[Block, ...]) -> None:
    """Utilisation 0.99 or 1.01: neither can be told from 4,000 requests."""
    for qps in (493.0, 500.0):
        result = summarise_load("A", traffic(qps), blocks)
        assert (result.state, result.outcome, result.p95) == ("undecided", "inconclusive", None)
        assert result.reasons


def test_a_run_shorter_than_the_memory_of_its_queue_is_no_evidence(blocks: tuple[Block, ...]) -> None:
    result = summarise_load("A", traffic(450.0, count=1000), blocks)
    assert (result.state, result.p95) == ("undecided", None)
    assert "give it more time" in result.reasons[0]


def test_a_late_generator_is_refused(blocks: tuple[Block, ...]) -> None:
    result = summarise_load("A", traffic(100.0, late_ms=1.0), blocks)
    assert result.late_ms == pytest.approx(1.0)
    assert (result.state, result.p95) == ("undecided", None)
    assert "generator itself was up to 1.00 ms late" in result.reasons[0]


@pytest.mark.parametrize(("limit_ms", "outcome"), [(20.0, "pass"), (10.2, "inconclusive"), (5.0, "fail")])
def test_the_budget_is_judged_by_interval(blocks: tuple[Block, ...], limit_ms: float, outcome: str) -> None:
    assert summarise_load("A", traffic(350.0), blocks, limit_ms).outcome == outcome


def test_an_unsteady_machine_cannot_pass(made_up: SimpleNamespace) -> None:
    robbed = [made_up.block([2.0] * 100, number, number, stolen_s=0.1) for number in range(4)]
    result = summarise_load("A", traffic(350.0), robbed, 20.0)
    assert (result.state, result.outcome) == ("steady", "inconclusive")
    assert "other virtual machines" in result.reasons[-1]


def test_the_interval_of_a_mean_is_students() -> None:
    """1, 2, 3: mean 2, standard error 1 / sqrt(3), t(2, 0.975) = 4.3027."""
    assert student([1.0, 2.0, 3.0], 0.95) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)
    assert student([1.0], 0.95) == (float("-inf"), float("inf"))


def test_the_table_shows_both_loops(blocks: tuple[Block, ...]) -> None:
    results: list[LoadResult] = [summarise_load("A", traffic(350.0), blocks)]
    head, _, row = load_table(results).splitlines()[:3]
    assert "P95 ms under load" in head and "closed-loop P95 ms" in head
    assert row.startswith("| A | 350 |") and row.endswith("| ✓ yes |")

import os
from types import SimpleNamespace

import pytest

from mct import MctError
from mct.bench.measure.sampling import BenchPlan, block_size, is_enough, plan_bench
from mct.bench.worker.facts import Facts, facts_here
from mct.targets.machine import Machine

FACTS = Facts(Machine("cpu", "x86_64", ("avx2",), 8, 4, 2.5, 16000, "Linux"), (0, 2, 1, 3), "3.12.1", {}, "rlimit")


def test_threads_come_from_quota_and_more_are_refused() -> None:
    assert plan_bench(FACTS).threads == 2
    assert plan_bench(FACTS, threads=1).threads == 1
    with pytest.raises(MctError, match="only 2 can run at once"):
        plan_bench(FACTS, threads=3)


def test_pinned_to_as_many_cpus_as_threads_those_of_their_own_first() -> None:
    assert plan_bench(FACTS, threads=1).affinity == (0,)
    assert plan_bench(FACTS).affinity == (0, 2)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system pins nothing")
def test_pinned_here_to_what_this_process_may_use() -> None:
    (cpu,) = plan_bench(facts_here(), threads=1).affinity
    assert cpu in os.sched_getaffinity(0)


def test_blocks_take_the_same_time_for_slow_and_fast(made_up: SimpleNamespace) -> None:
    plan = BenchPlan(threads=1, block_s=0.3)
    sizes = [block_size(made_up.start(typical_ms=typical), plan) for typical in (0.5, 6.0, 500.0, 0.01)]
    assert sizes == [600, 50, 15, 4000]


@pytest.mark.parametrize(("median_ms", "enough"), [(1.0, True), (15.0 / 1.39, False), (30.0, True)])
def test_enough_when_decided_either_way(made_up: SimpleNamespace, median_ms: float, enough: bool) -> None:
    blocks = made_up.blocks(median_ms)
    assert is_enough(blocks, BenchPlan(threads=1, limit_ms=15.0)) is enough


def test_never_enough_before_it_is_known_how_processes_differ(made_up: SimpleNamespace) -> None:
    plan = BenchPlan(threads=1, limit_ms=15.0)
    assert not is_enough(made_up.blocks(1.0, rounds=2, size=200), plan)
    assert is_enough(made_up.blocks(1.0, rounds=3, size=200), plan)


def test_a_model_that_is_too_slow_takes_no_more_than_its_p95_needs(made_up: SimpleNamespace) -> None:
    plan = BenchPlan(threads=1, limit_ms=15.0)
    assert is_enough(made_up.blocks(200.0, rounds=4, size=20), plan)
    assert not is_enough(made_up.blocks(200.0, rounds=2, size=17), plan), "68 requests have no P95"


def test_without_a_limit_enough_is_a_narrow_interval(made_up: SimpleNamespace) -> None:
    plan = BenchPlan(threads=1)
    assert not is_enough(made_up.blocks(1.0, rounds=4, size=50), plan)
    assert is_enough(made_up.blocks(1.0, rounds=4, size=3000), plan)


def test_rigorous_asks_for_the_number_of_mlperf(made_up: SimpleNamespace) -> None:
    plan = BenchPlan(threads=1, limit_ms=15.0, rigorous=True)
    assert not is_enough(made_up.blocks(1.0, rounds=2, size=12_600), plan)  # 50,400 of 50,425
    assert is_enough(made_up.blocks(1.0, rounds=2, size=12_607), plan)

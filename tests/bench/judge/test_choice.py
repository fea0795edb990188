"""Which artifact to ship: corrected for how many it was chosen from, with those that may be as fast."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from mct.bench.judge.choice import choose
from mct.bench.judge.verdict import judge
from mct.bench.samples.measurement import Measurement
from mct.targets.budget import Budget
from mct.targets.target import Target

MakeMeasurement = Callable[..., Measurement]
BUDGET = Budget("b", "sequence-classification", p95_ms=2.0)


def timed(made_up: SimpleNamespace, measured: MakeMeasurement, name: str, median_ms: float, seed: int) -> Measurement:
    """Eight processes of 200 requests; P95 is 1.39 times the median."""
    rng = np.random.default_rng(seed)
    draws = median_ms * np.exp(0.2 * rng.standard_normal((8, 200)))
    return measured(name, blocks=[made_up.block(list(draw), number, number) for number, draw in enumerate(draws)])


def test_the_fastest_and_what_may_be_as_fast(made_up: SimpleNamespace, measured: MakeMeasurement) -> None:
    speeds = {"original": 3.0, "slow": 1.2, "twin": 1.0, "fast": 0.99}
    all_of_them = [timed(made_up, measured, name, ms, seed) for seed, (name, ms) in enumerate(speeds.items())]
    found = choose(all_of_them, BUDGET, all_of_them[0])
    assert {found.fastest, *found.ties} == {"fast", "twin"}
    assert (found.uncorrected, found.considered) == ((), 4)


def test_who_passes_only_by_itself_is_not_the_best_of_many(made_up: SimpleNamespace, measured: MakeMeasurement) -> None:
    """P95 of 1.39 below a limit at which its own interval just ends: 95 % are enough for one, not for one of ten."""
    near = timed(made_up, measured, "near", 1.0, 1)
    limit = next(
        limit
        for limit in np.arange(1.3, 2.0, 0.01)
        if judge(near, Budget("b", BUDGET.task, p95_ms=limit)).outcome == "pass"
    )
    budget = Budget("b", BUDGET.task, p95_ms=float(limit))
    slow = [timed(made_up, measured, f"slow {number}", 3.0, number) for number in range(9)]
    assert choose([near], budget, None).fastest == "near"
    found = choose([near, *slow], budget, None)
    assert (found.fastest, found.uncorrected) == (None, ("near",))


def test_one_without_a_p95_is_ordered_by_its_slowest_request(
    made_up: SimpleNamespace, measured: MakeMeasurement
) -> None:
    """All of which took less than the others' P95."""
    shortly = measured("shortly", blocks=[made_up.block([0.5] * 120)])
    found = choose([timed(made_up, measured, "slow", 1.2, 1), shortly], BUDGET, None)
    assert (found.fastest, found.ties) == ("shortly", ("slow",))


def test_none_meets_it(made_up: SimpleNamespace, measured: MakeMeasurement) -> None:
    found = choose([timed(made_up, measured, "slow", 3.0, 1)], BUDGET, None)
    assert (found.fastest, found.ties, found.uncorrected, found.considered) == (None, (), (), 1)


def test_what_the_target_cannot_run_is_measured_beside_and_never_chosen(
    made_up: SimpleNamespace, measured: MakeMeasurement
) -> None:
    """A checkpoint, which torch runs, is the baseline on a target that has another runtime alone."""
    original, artifact = (timed(made_up, measured, name, ms, 1) for name, ms in (("original", 0.5), ("slower", 1.0)))
    original = replace(original, subject=replace(original.subject, format="checkpoint"))
    box = Target("box", "cpu", "", runtimes=("onnxruntime",))
    assert choose([original, artifact], BUDGET, original).fastest == "original"
    found = choose([original, artifact], BUDGET, original, box)
    assert (found.fastest, found.considered) == ("slower", 1)
    assert choose([original], BUDGET, original, box).fastest is None

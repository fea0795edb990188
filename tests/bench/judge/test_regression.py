"""What counts as worse: on made-up latencies and answers whose truth is known."""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mct.bench.judge.quality import flipped
from mct.bench.judge.regression import (
    ACROSS_RUNS,
    compare_runs,
    judge_quality,
    judge_same_job,
    judge_stored,
    other_conditions,
)
from mct.bench.samples.measurement import Answers, Block, Measurement
from mct.bench.samples.subject import Subject
from mct.models.tasks.table import Head
from mct.targets.budget import Budget
from mct.targets.runtimes.table import Executable

LABELS = ("returns", "other")
TRUTH = ("returns", "other") * 500


def measured(
    ms: float, rounds: int = 10, seed: int = 0, answers: Sequence[str] = TRUTH, waited_s: float = 0.0, digest: str = "a"
) -> Measurement:
    """Log-normal latencies with the given median; each round is one process, no two quite alike."""
    rng = np.random.default_rng(seed)
    blocks = [block(ms * rng.normal(1, 0.01), number, rng, waited_s) for number in range(rounds)]
    subject = Subject(
        "m", Path("m"), "onnx", "fp32", "onnxruntime", "sequence-classification", LABELS,
        Executable(Path("m"), "m.onnx", "sequence-classification", 2, 64), ("m.onnx",), 1.0, digest,
        (Head("logits", "label", LABELS),),
    )  # fmt: skip
    return Measurement(subject, TRUTH, blocks=tuple(blocks), answers=Answers(tuple(answers), (3,) * len(answers)))


def block(ms: float, number: int, rng: np.random.Generator, waited_s: float) -> Block:
    times = array("q", (rng.lognormal(np.log(ms * 1e6), 0.2, size=400)).astype(np.int64).tolist())
    return Block(
        round=number, position=number, end_to_end_ns=times, model_ns=times, wall_s=sum(times) / 1e9,
        cpu_s=sum(times) / 1e9, involuntary_switches=0, stolen_s=0.0, waited_s=waited_s, minor_faults=0, major_faults=0,
    )  # fmt: skip


def test_in_turns_a_slow_down_of_ten_per_cent_is_found_and_a_gain_passes() -> None:
    base = measured(1.0, seed=1)
    assert judge_same_job(base, measured(1.1, seed=2)).outcome == "fail"
    assert judge_same_job(base, measured(0.9, seed=2)).outcome == "pass"
    assert judge_same_job(base, measured(1.0, seed=2)).outcome == "pass"


def test_in_turns_what_was_allowed_does_not_fail() -> None:
    """18 % slower where 20 % are allowed: most intervals reach beyond, and none lies there."""
    base = measured(1.0, seed=1)
    found = {judge_same_job(base, measured(1.18, seed=seed), 0.2).outcome for seed in range(100, 108)}
    assert found <= {"pass", "inconclusive"}
    assert judge_same_job(base, measured(1.3, seed=2), 0.2).outcome == "fail"


def test_the_limit_is_said_as_it_was_set() -> None:
    line = judge_same_job(measured(1.0, seed=1), measured(1.0, seed=2), max_slowdown=0.125)
    assert "at most 12.5% slower" in line.limit


def test_in_turns_five_rounds_decide_nothing() -> None:
    line = judge_same_job(measured(1.0, rounds=5, seed=1), measured(3.0, rounds=5, seed=2))
    assert line.outcome == "inconclusive"
    assert "allow more seconds" in line.reason


def test_rounds_that_only_one_side_played_do_not_count() -> None:
    eight, went_on = measured(1.0, rounds=8, seed=1), measured(1.0, rounds=12, seed=2)
    assert judge_same_job(eight, went_on).outcome == "pass"
    assert judge_same_job(measured(1.0, rounds=5, seed=1), went_on).outcome == "inconclusive"


def test_across_jobs_only_more_than_jobs_differ_by_counts() -> None:
    base = measured(1.0, seed=1)
    assert judge_stored(base, measured(1.5, seed=2)).outcome == "fail"
    assert judge_stored(base, measured(1 + ACROSS_RUNS, seed=2)).outcome == "inconclusive"
    assert judge_stored(base, measured(1.1, seed=2)).outcome == "pass"
    assert judge_stored(base, measured(0.5, seed=2)).outcome == "pass"


def test_across_jobs_the_interval_covers_the_true_ratio() -> None:
    """Of 200 pairs with a true ratio of 1.2, 95 % are to be covered; 3.3 standard deviations below that is 180."""
    from mct.bench.samples.measurement import per_process_ms

    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(1000 + seed)
        before, after = ([rng.lognormal(np.log(ms), 0.2, size=400) for _ in range(4)] for ms in (1.0, 1.2))
        shift = compare_runs(before, after)
        assert shift is not None
        covered += shift.low <= 1.2 <= shift.high
    assert covered >= 180
    assert compare_runs(per_process_ms(measured(1.0, rounds=0).blocks), before) is None


def test_an_unsteady_run_fails_only_where_its_best_process_is_too_slow() -> None:
    base, busy = measured(1.0, seed=1), 0.2
    assert judge_stored(base, measured(3.0, seed=2, waited_s=busy)).outcome == "fail"
    line = judge_stored(base, measured(1.0, seed=2, waited_s=busy))
    assert line.outcome == "inconclusive"
    assert "unsteady" in line.reason


def test_quality_is_paired_and_the_drop_allowed_is_the_budgets() -> None:
    base = measured(1.0)
    lost = [*TRUTH[:-30], *["?"] * 30]
    worse = measured(1.0, answers=lost, digest="b")
    (line,) = judge_quality(base, worse, None)
    assert (line.outcome, line.limit) == ("fail", "accuracy at most 1 point below the baseline")
    lenient = Budget("b", "sequence-classification", quality_max_drop=0.05, quality_at_least=0.999, p95_ms=0.1)
    (line,) = judge_quality(base, worse, lenient)
    assert line.outcome == "pass", "absolute limits are judged elsewhere"
    assert [line.outcome for line in judge_quality(base, measured(1.0, digest="b"), None)] == ["pass"]


def test_a_risky_label_may_not_lose_what_the_average_hides() -> None:
    budget = Budget("b", "sequence-classification", quality_max_drop=0.2, slices=("returns",), slice_max_drop=0.01)
    answers = ["other" if row < 100 else truth for row, truth in enumerate(TRUTH)]
    lines = judge_quality(measured(1.0), measured(1.0, answers=answers, digest="b"), budget)
    assert [line.outcome for line in lines] == ["pass", "fail"]


def test_what_was_lost_is_named_by_row() -> None:
    base = measured(1.0)
    worse = measured(1.0, answers=[*TRUTH[:3], "returns", *TRUTH[4:]], digest="b")
    assert [(each.row, each.truth, each.a, each.b) for each in flipped(base, worse)[0]] == [
        (3, "other", "other", "returns")
    ]
    assert flipped(base, replace(worse, answers=None)) == ((), ())


def test_other_conditions_are_named_and_decide_nothing() -> None:
    line = other_conditions(["cpu A → B", "threads 2 → 4"])
    assert line.outcome == "inconclusive"
    assert "cpu A → B, threads 2 → 4" in line.reason

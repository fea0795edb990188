"""The judge on measurements made by hand: one thing is changed at a time."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mct.bench.judge.line import Line
from mct.bench.judge.verdict import Verdict, judge
from mct.bench.judge.verdict_quality import points
from mct.bench.samples.measurement import Failure, Measurement
from mct.targets.budget import Budget

MakeMeasurement = Callable[..., Measurement]
TASK = "sequence-classification"
TRUTH = ["order", "returns"] * 1000


def _budget(**limits: object) -> Budget:
    return Budget("b", TASK, **limits)  # type: ignore[arg-type]


def _only(verdict: Verdict) -> Line:
    assert len(verdict.lines) == 1
    assert verdict.outcome == verdict.lines[0].outcome
    return verdict.lines[0]


def _with_errors(rows: range) -> list[str]:
    """All right but `rows`, which are answered "human"."""
    return ["human" if row in rows else label for row, label in enumerate(TRUTH)]


@pytest.mark.parametrize(("limit", "outcome"), [(2.0, "pass"), (1.39, "inconclusive"), (1.0, "fail")])
def test_latency_is_judged_by_the_interval(measured: MakeMeasurement, limit: float, outcome: str) -> None:
    line = _only(judge(measured(), _budget(p95_ms=limit)))
    assert line.outcome == outcome
    assert line.limit == f"P95 < {limit:g} ms"
    assert line.measured.startswith("1.3") or line.measured.startswith("1.4")


def test_too_few_requests_are_inconclusive(made_up: SimpleNamespace, measured: MakeMeasurement) -> None:
    line = _only(judge(measured(blocks=made_up.blocks(1.0, rounds=2, size=15)), _budget(p95_ms=15.0)))
    assert line.outcome == "inconclusive"
    assert line.reason.startswith("P95 needs at least 72 requests")


@pytest.mark.parametrize(("waited", "outcome"), [(0.0, "fail"), (0.5, "inconclusive")])
def test_too_few_for_an_interval_can_be_enough_to_fail(
    made_up: SimpleNamespace, measured: MakeMeasurement, waited: float, outcome: str
) -> None:
    """60 requests of about 20 ms are too few for a P95, and plenty to know that it is not below 15; unless as much time
    again was taken by others, which may have doubled them."""
    blocks = [replace(each, waited_s=waited * 2 * each.wall_s) for each in made_up.blocks(20.0, rounds=2, size=15)]
    line = _only(judge(measured(blocks=blocks), _budget(p95_ms=15.0)))
    assert (line.measured, line.outcome) == ("60 requests of 2 processes", outcome)
    assert ("enough to show that it lies above 15 ms" in line.reason) is (outcome == "fail")


@pytest.mark.parametrize(("limit", "outcome"), [(2.8, "inconclusive"), (4.0, "pass"), (0.5, "fail")])
def test_of_two_processes_nobody_knows_how_they_differ(
    made_up: SimpleNamespace, measured: MakeMeasurement, limit: float, outcome: str
) -> None:
    """Neither has a request above 1.5 ms: others may be twice as slow, which 4 ms allow and 2.8 ms do not."""
    blocks = [made_up.block([1.0 + 0.005 * number for number in range(100)], place, place) for place in range(2)]
    line = _only(judge(measured(blocks=blocks), _budget(p95_ms=limit)))
    assert (line.measured, line.outcome) == ("200 requests of 2 processes", outcome)


def test_one_process_says_nothing_of_a_limit_nearby(made_up: SimpleNamespace, measured: MakeMeasurement) -> None:
    line = _only(judge(measured(blocks=made_up.blocks(1.0, rounds=1)), _budget(p95_ms=2.0)))
    assert line.outcome == "inconclusive"
    assert "not known from one process" in line.reason


def test_noise_only_adds_time(made_up: SimpleNamespace, measured: MakeMeasurement) -> None:
    """Requests of 1 ms with half of the CPU time taken: what lies below the limit passes all the same, with a word."""
    blocks = [made_up.block([1.0] * 300, number // 2, number, waited_s=0.3) for number in range(8)]
    line = _only(judge(measured(blocks=blocks), _budget(p95_ms=1.1)))
    assert line.outcome == "pass"
    assert "The run was unsteady, which only adds time." in line.reason


@pytest.mark.parametrize(("limit", "outcome"), [(0.49, "fail"), (0.51, "inconclusive")])
def test_what_noise_may_have_pushed_over_the_limit_is_left_open(
    made_up: SimpleNamespace, measured: MakeMeasurement, limit: float, outcome: str
) -> None:
    """Requests of 1 ms with half of the CPU time taken were perhaps of half a millisecond."""
    blocks = [made_up.block([1.0] * 300, number // 2, number, waited_s=0.3) for number in range(8)]
    line = _only(judge(measured(blocks=blocks), _budget(p95_ms=limit)))
    assert line.outcome == outcome
    assert "unsteady" in line.reason


def test_a_wandering_run_fails_where_its_fastest_process_does(
    made_up: SimpleNamespace, measured: MakeMeasurement
) -> None:
    """Ten processes, each slower than the last, from 1 ms to 1.9: the P95 of them all lies above 0.9 and above 1.2."""
    blocks = [made_up.block([1.0 + 0.1 * number] * 300, number, number) for number in range(10)]
    outcomes = [_only(judge(measured(blocks=blocks), _budget(p95_ms=limit))).outcome for limit in (0.9, 1.2)]
    assert outcomes == ["fail", "inconclusive"]


def test_absolute_quality_needs_its_lower_bound(measured: MakeMeasurement) -> None:
    """1900 of 2000 right: 95 % has the one-sided bounds 94.1 % and 95.8 % at 95 % confidence."""
    subject = measured(truth=TRUTH, answers=_with_errors(range(100)))
    outcomes = [_only(judge(subject, _budget(quality_at_least=least))).outcome for least in (0.94, 0.95, 0.96)]
    assert outcomes == ["pass", "inconclusive", "fail"]


def test_a_drop_is_judged_paired(measured: MakeMeasurement) -> None:
    """The baseline errs on 100 rows. No new error excludes half a point; 40 new ones exceed it; 8 decide nothing, and
    were bad luck: of artifacts that flip as much and lose nothing 4 of 5 would have passed."""
    baseline = measured("router", TRUTH, _with_errors(range(100)))
    budget = _budget(quality_max_drop=0.005)
    lines = [
        _only(judge(measured("int8", TRUTH, _with_errors(range(errors))), budget, baseline))
        for errors in (100, 108, 140)
    ]
    assert [line.outcome for line in lines] == ["pass", "inconclusive", "fail"]
    assert lines[1].measured == "94.60% (-0.40 points)"
    assert "Of 2,000 examples 8 got lost and 0 won" in lines[1].reason
    assert "on as many, 4 of 5 artifacts that lost nothing pass" in lines[1].reason


def test_either_way_of_passing_is_enough_and_both_must_fail(measured: MakeMeasurement) -> None:
    baseline = measured("router", TRUTH, _with_errors(range(100)))
    like_it = measured("int8", TRUTH, _with_errors(range(100)))
    worse = measured("int4", TRUTH, _with_errors(range(200)))

    def outcome(subject: Measurement, at_least: float, against: Measurement | None = baseline) -> str:
        return judge(subject, _budget(quality_at_least=at_least, quality_max_drop=0.005), against).outcome

    assert outcome(like_it, 0.99) == "pass"  # far below 99 %, but nothing lost
    assert outcome(worse, 0.80) == "pass"  # 5 points lost, but far above 80 %
    assert outcome(worse, 0.99) == "fail"
    assert outcome(worse, 0.99, None) == "inconclusive"  # below 99 %, and nothing to compare with
    assert outcome(worse, 0.80, None) == "pass"


def test_the_baseline_against_itself_has_lost_nothing(measured: MakeMeasurement) -> None:
    baseline = measured("router", TRUTH, _with_errors(range(500)))
    verdict = judge(baseline, _budget(quality_max_drop=0.005, slices=("order",), slice_max_drop=0.01), baseline)
    assert verdict.outcome == "pass"
    assert all("baseline itself" in line.reason for line in verdict.lines)


def test_slices_that_hold_pass_and_a_lost_one_fails(measured: MakeMeasurement) -> None:
    baseline = measured("router", TRUTH, TRUTH)
    answers = ["returns" if row < 200 else label for row, label in enumerate(TRUTH)]  # 100 of 1000 orders lost
    budget = _budget(slices=("order", "returns"), slice_max_drop=0.01)
    order, returns = judge(measured("int8", TRUTH, answers), budget, baseline).lines
    assert (order.outcome, returns.outcome) == ("fail", "pass")
    assert order.limit == "recall of order at most 1 point below the baseline"
    assert order.measured == "90.00% (-10.00 points)"


def test_a_slice_too_small_is_inconclusive_and_says_how_many_are_missing(measured: MakeMeasurement) -> None:
    """100 of each label, nothing flipped: (1 - 0.01)^n <= 0.05 takes 299, so about 199 more."""
    truth = ["order", "returns"] * 100
    budget = _budget(slices=("order", "returns"), slice_max_drop=0.01)
    verdict = judge(measured("int8", truth, truth), budget, measured("router", truth, truth))
    assert verdict.outcome == "inconclusive"
    missing = [int(line.reason.split("about ")[1].split()[0]) for line in verdict.lines]
    assert all(199 <= count <= 206 for count in missing)


def test_slices_without_baseline_or_examples_are_inconclusive(measured: MakeMeasurement) -> None:
    budget = _budget(slices=("order", "ghost"), slice_max_drop=0.01)
    order, ghost = judge(measured("int8", TRUTH, TRUTH), budget).lines
    assert (order.outcome, ghost.outcome) == ("inconclusive", "inconclusive")
    assert "--baseline" in order.reason
    assert "No example of the evaluation set has the label ghost" in ghost.reason


def test_a_baseline_without_answers_leaves_it_open(measured: MakeMeasurement) -> None:
    baseline = measured("router", TRUTH, None)
    line = _only(judge(measured("int8", TRUTH, TRUTH), _budget(quality_max_drop=0.005), baseline))
    assert line.outcome == "inconclusive"
    assert "router gave no answers" in line.reason


def test_size_and_memory(measured: MakeMeasurement) -> None:
    subject = measured(size_mb=23.4)  # its processes peaked at 100 MB
    assert _only(judge(subject, _budget(size_mb=25.0))).outcome == "pass"
    line = _only(judge(subject, _budget(size_mb=20.0)))
    assert (line.outcome, line.reason) == ("fail", "That is 3.4 MB too much.")
    assert _only(judge(subject, _budget(peak_rss_mb=100.0))).outcome == "pass"
    assert _only(judge(subject, _budget(peak_rss_mb=99.0))).outcome == "fail"


def test_a_failure_fails_and_what_is_missing_is_inconclusive(measured: MakeMeasurement) -> None:
    subject = measured(blocks=(), answers=None, failure=Failure("the worker was ended by SIGSEGV"))
    verdict = judge(subject, _budget(p95_ms=15.0, quality_max_drop=0.005, slices=("order",), slice_max_drop=0.01))
    assert verdict.outcome == "fail"
    assert [line.outcome for line in verdict.lines] == ["fail", "inconclusive", "inconclusive", "inconclusive"]
    assert "SIGSEGV" in verdict.lines[0].reason


def test_a_budget_without_limits_says_nothing(measured: MakeMeasurement) -> None:
    assert judge(measured(), _budget()).outcome == "inconclusive"


@pytest.mark.parametrize(("share", "text"), [(0.005, "0.5 points"), (0.01, "1 point"), (0.0123, "1.23 points")])
def test_points(share: float, text: str) -> None:
    assert points(share) == text


def _of_task(measured: MakeMeasurement, task: str, name: str, truth: list[Any], answers: list[Any]) -> Measurement:
    """A measurement of a model that does another task than naming one label."""
    found = measured(name, truth, answers)
    return replace(found, subject=replace(found.subject, task=task))


def test_each_head_has_a_limit_of_its_own(measured: MakeMeasurement) -> None:
    """Of 2,000 texts the tags of 200 got lost and no label: the drop of F1 is plain, accuracy is untouched."""
    right = {"label": "order", "slots": ["B-title", "O"]}
    wrong = {"label": "order", "slots": ["O", "O"]}
    before = _of_task(measured, "multi-head", "original", [right] * 2000, [right] * 2000)
    after = _of_task(measured, "multi-head", "int8", [right] * 2000, [wrong] * 200 + [right] * 1800)
    drops = {"label accuracy": 0.01, "slots f1_entities": 0.01, "risk accuracy": 0.01}
    budget = Budget("b", "multi-head", quality_max_drop=0.2, metric_max_drop=drops)
    overall, label, slots, risk = judge(after, budget, before).lines
    assert [line.outcome for line in (overall, label, slots, risk)] == ["pass", "pass", "fail", "inconclusive"]
    assert slots.limit == "slots f1_entities at most 1 point below the baseline"
    assert slots.measured == "94.74% (-5.26 points)"  # 2 x 1800 of 1800 + 2000
    assert "there are: all_heads_right, label accuracy, slots f1_entities" in risk.reason
    assert "200 got worse and 0 better" in slots.reason


def test_the_order_of_documents_is_judged_by_ndcg(measured: MakeMeasurement) -> None:
    """Two documents, one relevant: second place counts 1 / log2(3) = 0.63 of first. Few queries decide nothing."""
    truth, good, bad = [1.0, 0.0], [0.9, 0.1], [0.1, 0.9]
    budget = Budget("b", "pair-scoring", quality_max_drop=0.05)

    def line(queries: int, lost: int) -> Line:
        answers = [bad] * lost + [good] * (queries - lost)
        before = _of_task(measured, "pair-scoring", "original", [truth] * queries, [good] * queries)
        return _only(judge(_of_task(measured, "pair-scoring", "int8", [truth] * queries, answers), budget, before))

    assert line(400, 2).outcome == "pass"
    assert line(400, 200).outcome == "fail"
    assert line(400, 200).measured == "81.55% (-18.45 points)"
    assert line(20, 1).outcome == "inconclusive"
    assert "more examples like these, 4 of 5 artifacts that lost nothing pass" in line(20, 1).reason


def test_a_rise_of_perplexity_is_judged_paired(measured: MakeMeasurement) -> None:
    """100 texts of 50 tokens at 2 nats each: 0.01 nats more is 1 % more perplexity, 0.1 nats 10.5 %."""

    def texts(nats: float) -> list[dict[str, float]]:
        return [{"tokens": 50, "right": 20, "nll": 50 * (2 + nats + 0.3 * (number % 5 - 2))} for number in range(100)]

    before = _of_task(measured, "causal-lm", "original", [None] * 100, texts(0.0))
    budget = Budget("b", "causal-lm", perplexity_max_increase=0.05)
    lines = [
        _only(judge(_of_task(measured, "causal-lm", "q4", [None] * 100, texts(nats)), budget, before))
        for nats in (0.01, 0.1)
    ]
    assert [line.outcome for line in lines] == ["pass", "fail"]
    assert lines[0].measured == "7.46 (+1.01 %)"  # exp(2.01)
    alone = _only(judge(before, budget))
    assert (alone.outcome, alone.measured) == ("inconclusive", "7.39")

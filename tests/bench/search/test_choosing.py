"""Who goes on, who is joined, who is judged: from answers alone, and nothing by what chance may have done."""

from typing import Any

import numpy as np
import pytest

from mct.bench.search.choosing import (
    MOST_DEFERRED,
    Standing,
    beaten,
    finalists,
    front,
    is_worse,
    likely,
    safest_first,
    split,
    upper_share,
)
from mct.bench.search.finals import shown, winner_of
from mct.bench.search.timing import Timed
from mct.bench.search.work import Answered

ROWS = 1000


def answered(right: Any, best: Any = (), label: Any = ()) -> Answered:
    got = np.asarray(right, dtype=np.float64)
    return Answered(got, np.ones(len(got)), np.asarray(best, dtype=np.float64), np.asarray(label, dtype=np.int64))


def losing(lost: int, gained: int = 0, rows: int = ROWS) -> Answered:
    """Right in nine rows of ten as a reference is, but for `lost` that it has right and `gained` that it has wrong."""
    right = np.arange(rows) % 10 > 0
    right[np.flatnonzero(right)[:lost]] = False
    right[np.flatnonzero(np.arange(rows) % 10 == 0)[:gained]] = True
    return answered(right)


REFERENCE = losing(0)


def standing(name: str, lost: int, p95_ms: float, gained: int = 0) -> Standing:
    return Standing(name, losing(lost, gained), Timed(p95_ms / 2, p95_ms, p95_ms, p95_ms, 1.0))


def test_a_candidate_goes_only_where_a_paired_test_shows_it() -> None:
    assert beaten([standing("a", 0, 1.0), standing("b", 3, 2.0)]) == {}, "three flips may be chance"
    assert beaten([standing("a", 0, 1.0), standing("b", 30, 2.0)]) == {"b": "a"}
    assert beaten([standing("a", 0, 2.0), standing("b", 30, 1.0)]) == {}, "the faster one stays"


def test_being_worse_by_chance_is_called_so_in_one_of_twenty_at_most() -> None:
    drawn = np.random.default_rng(3)
    called = sum(is_worse(*(answered(drawn.random(400) < 0.9) for _ in range(2))) for _ in range(400))
    assert called <= 32, "20 are to be expected, 32 come in one of a hundred such counts"


def test_the_front_is_what_nothing_beats_in_both() -> None:
    found = front([standing("slow and best", 0, 9.0), standing("fast", 50, 1.0), standing("beaten", 60, 2.0)])
    assert found == ["fast", "slow and best"]


def test_a_threshold_defers_what_is_least_sure_and_stays_below_its_bound() -> None:
    drawn = np.random.default_rng(0)
    best = drawn.random(ROWS)
    first, second = answered(best > 0.02, best, np.zeros(ROWS)), answered(np.ones(ROWS))
    found = split(first, second)
    assert found is not None
    assert found.deferred == np.mean(best < found.threshold) and found.upper <= MOST_DEFERRED
    assert upper_share(round(found.deferred * ROWS) + 1, ROWS) > MOST_DEFERRED, "as much as the bound allows"
    assert found.answered.value == 1.0, "those that the first stage got wrong were its least sure"


def test_labels_that_always_go_on_count_as_deferred() -> None:
    drawn = np.random.default_rng(0)
    best, label = drawn.random(ROWS), (np.arange(ROWS) < 10).astype(int)
    found = split(answered(np.ones(ROWS), best, label), answered(np.ones(ROWS)), always=[1])
    assert found is not None and found.upper <= MOST_DEFERRED
    assert found.deferred == np.mean((best < found.threshold) | (label == 1))
    assert split(answered(np.ones(ROWS), best, label), answered(np.ones(ROWS)), always=[0]) is None, "nearly all"


def test_too_few_rows_allow_no_cascade() -> None:
    assert split(answered(np.ones(40), np.linspace(0, 1, 40), np.zeros(40)), answered(np.ones(40))) is None


def test_the_bound_of_a_share_holds() -> None:
    """Against counts drawn from the binomial itself: the bound lies below the truth in one of twenty."""
    counts = np.random.default_rng(1).binomial(1500, 0.03, size=4000)
    assert np.mean(upper_share(counts, 1500) < 0.03) <= 0.05 + 0.012


def test_the_last_few_are_the_fastest_likely_one_and_what_stands_around_it() -> None:
    all_of_them = [
        standing("hopeless", 100, 0.1), standing("near", 12, 0.2, gained=4), standing("likely", 2, 0.3),
        standing("no better", 3, 0.4), standing("surer", 0, 0.5), standing("best", 0, 5.0, gained=5),
    ]  # fmt: skip
    assert likely(all_of_them, REFERENCE, 0.01, 3000)[0].name == "likely"
    assert finalists(all_of_them, REFERENCE, 0.01, 3000) == ["near", "likely", "surer"]
    assert finalists(all_of_them, REFERENCE, 0.01, 3000, most=4)[-1] == "best"


def test_where_none_is_likely_those_that_lose_least_are_judged() -> None:
    found = finalists(
        [standing("a", 90, 0.1), standing("b", 40, 1.0), standing("c", 60, 0.5)], REFERENCE, 0.005, 3000, 2
    )
    assert found == ["c", "b"]


def test_the_safest_is_to_be_shown_first() -> None:
    few = [standing("near", 12, 0.2, gained=4), standing("likely", 2, 0.3), standing("surer", 0, 0.5)]
    assert safest_first(["near", "likely", "surer"], few, REFERENCE, 3000) == ["surer", "likely", "near"]


def judged(**outcomes: str) -> dict[str, Any]:
    """A verdict on some, the fastest first, to be shown from the last to the first; the checkpoint failed."""
    entries = [
        {"path": f"/{name}", "verdict": {"outcome": outcome}, "latency": {"p95_ms": 1.0 + at, "mean_ms": 1.0}}
        for at, (name, outcome) in enumerate([*outcomes.items(), ("checkpoint", "fail")])
    ]
    names = {f"/{name}": name for name in outcomes}
    return {"names": names, "order": list(outcomes)[::-1], "result": {"artifacts": entries}}


@pytest.mark.parametrize(
    ("outcomes", "named", "won"),
    [
        ({"a": "pass", "b": "pass", "c": "pass"}, ["c", "b", "a"], "a"),
        ({"a": "inconclusive", "b": "pass", "c": "pass"}, ["c", "b"], "b"),
        ({"a": "pass", "b": "inconclusive", "c": "pass"}, ["c"], "c"),
        ({"a": "pass", "b": "pass", "c": "fail"}, [], None),
    ],
)
def test_what_comes_after_one_that_is_not_shown_is_not_shown_either(
    outcomes: dict[str, str], named: list[str], won: str | None
) -> None:
    assert shown(judged(**outcomes)) == named
    assert winner_of(judged(**outcomes)) == won


def test_one_that_misses_the_budget_is_named_in_one_of_twenty_at_most() -> None:
    """Three finalists that truly lose just the margin, their losses on the same rows alike or not: 4,000 verdicts."""
    draw = np.random.default_rng(5)
    for alike in (0.0, 0.9):
        named = 0
        for _ in range(4000):
            common, own = draw.normal(), draw.normal(size=3)
            passes = np.sqrt(alike) * common + np.sqrt(1 - alike) * own < -1.6449
            outcomes = {name: "pass" if each else "inconclusive" for name, each in zip("abc", passes, strict=True)}
            named += winner_of(judged(**outcomes)) is not None
        assert named / 4000 <= 0.05 + 0.01


@pytest.mark.parametrize("rows", [200, 5000])
def test_more_rows_to_judge_on_make_more_likely(rows: int) -> None:
    found = likely([standing("a", 8, 1.0, gained=4)], REFERENCE, 0.01, rows)
    assert bool(found) is (rows == 5000)

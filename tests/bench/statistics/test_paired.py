"""Paired quality: values worked by hand or published, exact error rates, and what small sets may not prove."""

import json
from dataclasses import asdict
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mct.bench.statistics.paired import (
    compare_slices,
    find_flips,
    holm,
    mcnemar_mid_p,
    non_inferior,
    paired_difference,
    resolvable_drop,
)
from mct.bench.statistics.score_test import drop_bound, drop_p_value, score


def answers(lost: int, gained: int, n: int, both_right: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Right answers of baseline and candidate with so many flips; the others right for both, or as many as told."""
    baseline, candidate = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
    candidate[:lost] = False
    baseline[lost : lost + gained] = False
    if both_right is not None:
        baseline[lost + gained + both_right :] = candidate[lost + gained + both_right :] = False
    return baseline, candidate


def test_mcnemar_mid_p_by_hand() -> None:
    # Airway hyper-responsiveness before and after transplantation (Bentur et al. 2009, the example of Fagerland et al.
    # 2013): 1 and 7 of 21 changed. Exact: 2 * (1 + 8) / 2^8 = 0.0703; less the point (8 / 2^8 = 0.03125): 0.0391.
    assert mcnemar_mid_p(1, 7) == pytest.approx(2 * (comb(8, 0) + comb(8, 1)) / 2**8 - comb(8, 1) / 2**8)
    assert mcnemar_mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)


def test_the_published_complete_response_example() -> None:
    # Complete response before and after consolidation (Cavo et al. 2012), 6 and 16 of 161 changed. Published with the
    # R package contingencytables (Fagerland, Lydersen & Laake 2017): mid-p 0.034690, exact p 0.052479, Tango's interval
    # for the difference -0.0621: -0.1240 to -0.0054.
    assert mcnemar_mid_p(16, 6) == pytest.approx(0.034690, abs=1e-6)
    found = paired_difference(lost=16, gained=6, n=161)
    assert (found.value, found.low, found.high) == pytest.approx((-0.0621, -0.1240, -0.0054), abs=6e-5)


def test_the_score_at_no_difference_is_mcnemars() -> None:
    # (16 - 6) / sqrt(16 + 6) = 2.132, the z published for the same example.
    assert float(score(16, 6, 161, 0.0)) == pytest.approx(10 / sqrt(22)) == pytest.approx(2.132, abs=5e-4)


def test_agrestis_approval_ratings() -> None:
    # 1,600 people asked twice, 150 turned away and 86 turned round (Agresti 2002): difference 0.04, Wald interval
    # 0.021 to 0.059; with so many flips the score interval agrees.
    found = paired_difference(lost=150, gained=86, n=1600)
    assert (found.low, found.high) == pytest.approx((-0.059, -0.021), abs=1e-3)


def test_a_loss_that_the_unpaired_test_misses() -> None:
    # 1,000 examples, 100 and 138 wrong: the unpaired test cannot tell 90.0 % from 87.6 %, the flips (48 and 24) can.
    baseline, candidate = answers(lost=48, gained=24, n=1000, both_right=852)
    right = np.array([baseline.sum(), candidate.sum()])
    assert right.tolist() == [900, 876]
    unpaired = stats.chi2_contingency([right, 1000 - right], correction=False).pvalue
    paired = mcnemar_mid_p(48, 24)
    assert unpaired > 0.08
    assert paired < 0.006


def test_flips_name_the_examples() -> None:
    flips = find_flips([True, True, False, False, True], [True, False, True, False, False])
    assert (flips.lost, flips.gained, flips.n) == ((1, 4), (2,), 5)
    with pytest.raises(ValueError, match="same examples"):
        find_flips([True], [True, False])
    with pytest.raises(ValueError, match="at least one"):
        find_flips([], [])


def test_without_flips_the_bound_is_the_rule_of_three() -> None:
    for n in (20, 300, 5000):
        assert drop_bound(0, 0, n, 0.05) == pytest.approx(1 - 0.05 ** (1 / n), abs=1e-5)
        assert drop_p_value(0, 0, n, 0.01, "less") == pytest.approx(0.99**n)


def test_twenty_examples_without_a_flip_prove_nothing_about_one_point() -> None:
    found = non_inferior(*answers(0, 0, 20), margin=0.01)
    assert found.outcome == "inconclusive"
    assert found.drop == 0 and found.drop_at_most == pytest.approx(0.139, abs=1e-3)
    assert found.resolvable > 0.1
    assert non_inferior(*answers(0, 0, 298), margin=0.01).outcome == "inconclusive"
    assert non_inferior(*answers(0, 0, 299), margin=0.01).outcome == "non-inferior"


def test_the_three_answers() -> None:
    assert non_inferior(*answers(10, 10, 3000), margin=0.005).outcome == "non-inferior"
    assert non_inferior(*answers(60, 10, 3000), margin=0.005).outcome == "inferior"
    assert non_inferior(*answers(20, 8, 3000), margin=0.005).outcome == "inconclusive"
    assert non_inferior(*answers(0, 40, 3000), margin=0.0).outcome == "non-inferior"
    assert non_inferior(*answers(20, 0, 20), margin=0.01).outcome == "inferior"


@pytest.mark.parametrize(("n", "margin"), [(20, 0.1), (50, 0.05), (150, 0.02)])
def test_the_error_of_passing_is_at_most_alpha_by_enumeration(n: int, margin: float) -> None:
    passes = np.array(
        [
            [i + j <= n and drop_p_value(i, j, n, margin, "less") <= 0.05 for j in range(min(n, 16) + 1)]
            for i in range(min(n, 16) + 1)
        ]
    )
    for gain in (0.0, 0.005, 0.01, 0.03):
        law = stats.multinomial(n, [gain + margin, gain, 1 - 2 * gain - margin])
        error = sum(law.pmf([i, j, n - i - j]) for i, j in np.argwhere(passes))
        assert error <= 0.0505


@settings(max_examples=40, deadline=None)
@given(lost=st.integers(0, 40), gained=st.integers(0, 40), rest=st.integers(1, 500))
def test_intervals_turn_over_when_the_sides_are_swapped(lost: int, gained: int, rest: int) -> None:
    n = lost + gained + rest
    assert mcnemar_mid_p(lost, gained) == mcnemar_mid_p(gained, lost)
    assert 0 < mcnemar_mid_p(lost, gained) <= 1
    forth, back = paired_difference(lost, gained, n), paired_difference(gained, lost, n)
    assert forth.low is not None and forth.high is not None and back.high is not None
    assert forth.low == pytest.approx(-back.high, abs=1e-9)
    assert -1 <= forth.low < forth.value < forth.high <= 1
    wide = paired_difference(lost, gained, n, confidence=0.99)
    assert wide.low is not None and wide.high is not None
    assert wide.low < forth.low and forth.high < wide.high


@settings(max_examples=40, deadline=None)
@given(lost=st.integers(0, 30), gained=st.integers(0, 30), rest=st.integers(1, 400))
def test_a_margin_beyond_the_bound_is_excluded_and_one_within_is_not(lost: int, gained: int, rest: int) -> None:
    n = lost + gained + rest
    bound = drop_bound(lost, gained, n, 0.05)
    seen = (lost - gained) / n
    assert seen < bound <= 1
    assert drop_p_value(lost, gained, n, seen + 0.5 * (bound - seen), "less") > 0.05
    assert drop_p_value(lost, gained, n, min(1.0, bound + 0.1 * (bound - seen)), "less") <= 0.05


def test_more_examples_resolve_smaller_drops_and_power_is_as_told() -> None:
    assert resolvable_drop(100, 0.02) > resolvable_drop(1000, 0.02) > resolvable_drop(10_000, 0.02)
    assert resolvable_drop(1000, 0.02) > resolvable_drop(1000, 0.005)
    assert resolvable_drop(100, 0.0) == pytest.approx(1 - 0.05**0.01)
    margin, rng = resolvable_drop(2000, 0.03), np.random.default_rng(1)
    flips = rng.multinomial(2000, [0.015, 0.015, 0.97], size=200)
    passed = np.mean([drop_p_value(lost, gained, 2000, margin, "less") <= 0.05 for lost, gained, _ in flips.tolist()])
    assert passed == pytest.approx(0.8, abs=3 * sqrt(0.8 * 0.2 / 200))


def test_holm_by_hand() -> None:
    # 0.01 * 4, 0.02 * 3, max(0.06, 0.03 * 2), max(0.06, 0.6 * 1).
    assert holm([0.6, 0.01, 0.03, 0.02]) == pytest.approx([0.6, 0.04, 0.06, 0.06])
    assert holm([]) == []


def test_a_slice_that_is_too_small_stays_open_beside_one_that_passes() -> None:
    baseline, candidate = answers(0, 0, 1020)
    slices = {
        "checkout": (baseline[:20], candidate[:20]),
        "returns": (baseline[20:], candidate[20:]),
    }
    found = compare_slices(slices, margin=0.01)
    assert found["checkout"].outcome == "inconclusive" and found["checkout"].n == 20
    assert found["returns"].outcome == "non-inferior"
    assert json.loads(json.dumps({name: asdict(each) for name, each in found.items()}))["returns"]["n"] == 1000


def test_slices_that_must_all_hold_pass_on_the_evidence_that_one_needs() -> None:
    """Without a flip, 299 examples: passing is wrong for all together no more often than for the one that lost."""
    slices = {str(index): answers(0, 0, 299) for index in range(5)}
    found = compare_slices(slices, 0.01)
    assert {each.outcome for each in found.values()} == {"non-inferior"}
    assert found["0"].p_value == pytest.approx(0.99**299)
    assert compare_slices({"few": answers(0, 0, 298)}, 0.01)["few"].outcome == "inconclusive"


def test_the_more_slices_the_more_evidence_it_takes_to_accuse_one() -> None:
    lost, held = answers(17, 0, 1000), answers(0, 0, 1000)
    assert compare_slices({"lost": lost}, 0.01)["lost"].outcome == "inferior"
    found = compare_slices({"lost": lost, **{str(index): held for index in range(4)}}, 0.01)
    assert found["lost"].outcome == "inconclusive"
    assert found["lost"].p_inferior == pytest.approx(5 * compare_slices({"lost": lost}, 0.01)["lost"].p_inferior)


def test_all_slices_pass_wrongly_no_more_often_than_the_one_that_lost_the_margin() -> None:
    """One of five truly lost a point of 1,000, with four losses in a thousand to spare on either side."""
    rng = np.random.default_rng(2)
    rates = [[0.014, 0.004, 0.982], *[[0.004, 0.004, 0.992]] * 4]
    runs = [[rng.multinomial(1000, rate) for rate in rates] for _ in range(300)]
    passed = [
        all(drop_p_value(int(lost), int(gained), 1000, 0.01, "less") <= 0.05 for lost, gained, _ in run) for run in runs
    ]
    assert np.mean(passed) <= 0.05 + 3 * sqrt(0.05 * 0.95 / 300)

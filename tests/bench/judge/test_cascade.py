from array import array
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mct.bench.judge.cascade import assess_cascade, mixed_percentile
from mct.bench.samples.measurement import Answers, Measurement


def _measured(made_up: SimpleNamespace, deferred: int, of: int = 1000) -> Measurement:
    """Three processes in which every fiftieth request took 4 ms in the second stage, the others 0.2 ms."""
    went_on = [int(place % 50 == 0) for place in range(500)]
    times = [4.0 if on else 0.2 for on in went_on]
    blocks = [replace(made_up.block(times, at, at), deferred=array("q", went_on)) for at in range(3)]
    answers = Answers(("a",) * of, (3,) * of, deferred=tuple(place < deferred for place in range(of)))
    return Measurement(made_up.subject(), ("a",) * of, (), tuple(blocks), answers)


def test_p95_is_the_first_stage_s_until_one_in_twenty_goes_on(made_up: SimpleNamespace) -> None:
    found = assess_cascade(_measured(made_up, 20), limit_ms=1.0)
    assert found is not None and (found.deferred, found.of) == (20, 1000)
    assert found.upper == pytest.approx(0.0289, abs=2e-4)  # Clopper and Pearson, one-sided, 20 of 1,000
    assert {p95 for share, p95 in found.p95_ms if share <= 0.05} == {0.2}
    assert {p95 for share, p95 in found.p95_ms if share > 0.05} == {4.0}
    assert found.most == 0.05


def test_a_limit_that_both_keep_or_neither(made_up: SimpleNamespace) -> None:
    for limit, most in ((5.0, 1.0), (0.1, None), (None, None)):
        found = assess_cascade(_measured(made_up, 20), limit)
        assert found is not None and found.most == most


def test_what_is_no_cascade_has_none(made_up: SimpleNamespace) -> None:
    plain = replace(_measured(made_up, 20), answers=Answers(("a",), (3,)))
    assert assess_cascade(plain, 1.0) is None
    assert assess_cascade(replace(plain, answers=None), 1.0) is None


def test_a_mixture_has_the_percentile_that_drawing_from_it_has() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.gamma(4, 0.05, 4000), rng.gamma(9, 0.4, 300)
    for share in (0.02, 0.08, 0.3):  # at 0.05 is the cliff between the stages
        drawn = np.where(rng.random(400_000) < share, rng.choice(second, 400_000), rng.choice(first, 400_000))
        assert mixed_percentile(first, second, share, 0.95) == pytest.approx(np.quantile(drawn, 0.95), rel=0.02)

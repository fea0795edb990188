from types import SimpleNamespace

import pytest

from mct.bench.judge.noise import assess, fastest_ms


def test_a_quiet_run_is_stable(made_up: SimpleNamespace) -> None:
    found = assess(made_up.blocks(1.0))
    assert found is not None
    assert found.ok
    assert found.reasons == ()
    assert found.floor_p50 is not None
    assert found.floor_p50 < 0.05


def test_figures_by_hand(made_up: SimpleNamespace) -> None:
    """Four blocks of 100 requests: P50 1, 1, 1.1, 1.2 ms; two rounds of P50 1 and 1.15."""
    blocks = [
        made_up.block([median] * 100, number // 2, number, involuntary_switches=3, stolen_s=0.001, waited_s=0.002)
        for number, median in enumerate((1.0, 1.0, 1.1, 1.2))
    ]
    found = assess(blocks)
    assert found is not None
    wanted_s = 0.43 + 4 * 0.003
    assert found.stolen_share == pytest.approx(0.004 / wanted_s)
    assert found.waited_share == pytest.approx(0.008 / wanted_s)
    assert found.switches_per_request == pytest.approx(12 / 400)
    assert found.switches_per_s == pytest.approx(12 / 0.43)
    assert found.floor_p50 == pytest.approx(1.4826 * 0.05 / 1.05)  # median 1.05, deviations .05 .05 .05 .15
    assert found.drift == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("disturbance", "named"),
    [({"stolen_s": 0.05}, "other virtual machines"), ({"waited_s": 0.05}, "other processes")],
)
def test_lost_time_is_named(made_up: SimpleNamespace, disturbance: dict[str, float], named: str) -> None:
    blocks = [made_up.block([1.0] * 300, number // 2, number, **disturbance) for number in range(4)]
    found = assess(blocks)
    assert found is not None
    assert not found.ok
    assert len(found.reasons) == 1
    assert named in found.reasons[0]


def test_drift_and_a_wide_floor_are_named(made_up: SimpleNamespace) -> None:
    drifting = [made_up.block([1.0 + 0.1 * number] * 300, number, number) for number in range(4)]
    found = assess(drifting)
    assert found is not None
    assert any("slowest round was 30% slower" in reason for reason in found.reasons)
    swinging = [made_up.block([1.0 + 0.5 * (number % 2)] * 300, number // 2, number) for number in range(8)]
    found = assess(swinging)
    assert found is not None
    assert any("two blocks of the same artifact differ" in reason for reason in found.reasons)


def test_one_process_says_nothing_of_how_processes_differ(made_up: SimpleNamespace) -> None:
    found = assess(made_up.blocks(1.0, rounds=1))
    assert found is not None
    assert not found.ok
    assert (found.drift, found.floor_p95) == (None, None)


def test_nothing_timed_has_no_stability() -> None:
    assert assess([]) is None


def test_the_fastest_requests(made_up: SimpleNamespace) -> None:
    """Of 200 requests the ten fastest took 2 ms, all others 5: P5 lies between the tenth and the eleventh."""
    blocks = [made_up.block([5.0] * 100), made_up.block([2.0] * 10 + [5.0] * 90, 1, 1)]
    assert 2.0 <= fastest_ms(blocks) <= 5.0
    assert fastest_ms([made_up.block([5.0] * 100), made_up.block([2.0] * 20 + [5.0] * 80, 1, 1)]) == 2.0

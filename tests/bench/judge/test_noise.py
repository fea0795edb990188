from types import SimpleNamespace

import pytest

from mct.bench.judge.noise import assess, least_disturbed_ms


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
    blocks = [made_up.block([1.0] * 300, number, number, **disturbance) for number in range(4)]
    found = assess(blocks)
    assert found is not None
    assert not found.ok
    assert len(found.reasons) == 1
    assert named in found.reasons[0]


def test_rounds_that_wander_are_named_and_rounds_that_differ_are_not(made_up: SimpleNamespace) -> None:
    climbing = [made_up.block([1.0 + 0.05 * number] * 300, number, number) for number in range(8)]
    found = assess(climbing)
    assert found is not None and found.drift_p is not None and found.drift_p < 0.01
    assert ["wandered while it was measured, by 35%" in reason for reason in found.reasons] == [True]
    order = (3, 0, 6, 1, 7, 2, 5, 4)
    differing = [made_up.block([1.0 + 0.05 * order[number]] * 300, number, number) for number in range(8)]
    found = assess(differing)
    assert found is not None and found.ok and found.drift == pytest.approx(0.35)


def test_one_process_says_nothing_of_how_processes_differ(made_up: SimpleNamespace) -> None:
    found = assess(made_up.blocks(1.0, rounds=1))
    assert found is not None
    assert not found.ok
    assert (found.drift, found.floor_p95) == (None, None)


def test_nothing_timed_has_no_stability() -> None:
    assert assess([]) is None


def test_what_noise_spared_most(made_up: SimpleNamespace) -> None:
    """The second process is the faster one; a third of its time went to others."""
    blocks = [made_up.block([5.0] * 100), made_up.block([3.0] * 100, 1, 1, waited_s=0.15)]
    assert least_disturbed_ms(blocks, 0.95) == pytest.approx(3.0 * (1 - 0.15 / 0.45))
    spread = [made_up.block([1.0] * 90 + [9.0] * 10)]
    assert least_disturbed_ms(spread, 0.95) == 1.0, "of 100 requests the 90th is a lower bound for P95"


def test_a_quota_that_stopped_the_run_is_noise(made_up: SimpleNamespace) -> None:
    """30 ms of every second is more than the 2 % that are let pass, 10 ms is not."""

    def reasons(stopped_s: float) -> str:
        blocks = [made_up.block([1.0] * 1000, number, number, throttled_s=stopped_s) for number in range(6)]
        found = assess(blocks)
        assert found is not None
        return "; ".join(found.reasons)

    assert "quota stopped it for 3.0% of the time" in reasons(0.03)
    assert "quota" not in reasons(0.01)

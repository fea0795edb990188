"""When warm-up ends, on traces whose truth is known: drawn here, by a process that knows nothing of the detector."""

import math
import random
from dataclasses import dataclass, field
from statistics import quantiles

import pytest

from mct.bench.worker.warm_up import CAP_S, WarmUp, requests_a_lap, warm_up

TRACES = 30


@dataclass
class Process:
    """Requests of `usual_ms` that begin slower by the share `extra`, of which e^-1 is left after `decay_s` of work.

    Each is off by a log-normal factor of spread `noise`; `bursts` times a second all of them take twice as long for 30
    ms or so.
    """

    seed: int
    usual_ms: float
    extra: float
    decay_s: float
    noise: float
    bursts: float = 0.0
    now_s: float = 0.0
    disturbed_until_s: float = 0.0
    rng: random.Random = field(init=False)
    texts_ms: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        count = requests_a_lap(self.usual_ms * 1e6)
        self.texts_ms = [self.usual_ms * self.rng.uniform(0.6, 1.6) for _ in range(count)]

    @property
    def still_to_come(self) -> float:
        """Share of its final time that a request takes too long by now."""
        return self.extra * math.exp(-self.now_s / self.decay_s)

    def lap(self) -> list[int]:
        times = []
        for usual_ms in self.texts_ms:
            if self.rng.random() < self.bursts * usual_ms / 1e3:
                self.disturbed_until_s = self.now_s + self.rng.expovariate(1 / 0.03)
            slower = 2.0 if self.now_s < self.disturbed_until_s else 1.0
            took_ms = usual_ms * (1 + self.still_to_come) * slower * self.rng.lognormvariate(0, self.noise)
            self.now_s += took_ms / 1e3
            times.append(round(took_ms * 1e6))
        return times


def measure(**process: float) -> tuple[list[WarmUp], list[float]]:
    """What was found in each of many processes of one sort, and what was still to come in each when it ended."""
    processes = [Process(seed, **process) for seed in range(TRACES)]
    found = [warm_up(each.lap) for each in processes]
    return found, [each.still_to_come for each in processes]


NOISE = [(0.05, 0.0), (0.10, 0.0), (0.20, 0.0), (0.10, 2.0)]


@pytest.mark.parametrize(("noise", "bursts"), NOISE)
@pytest.mark.parametrize("usual_ms", [0.3, 2.0, 15.0])
def test_what_is_warm_from_the_start_is_soon_said_to_be(usual_ms: float, noise: float, bursts: float) -> None:
    found, _ = measure(usual_ms=usual_ms, extra=0.0, decay_s=1.0, noise=noise, bursts=bursts)
    assert sum(each.ended for each in found) >= 0.85 * TRACES
    assert quantiles([each.seconds for each in found], n=2)[0] < 1.2
    assert max(each.seconds for each in found) < 1.1 * CAP_S


@pytest.mark.parametrize(("noise", "bursts"), NOISE)
@pytest.mark.parametrize("usual_ms", [0.3, 2.0, 15.0])
@pytest.mark.parametrize(("extra", "decay_s"), [(0.25, 0.05), (1.0, 0.2)])
def test_hardly_anything_is_still_to_come_when_it_ends(
    usual_ms: float, extra: float, decay_s: float, noise: float, bursts: float
) -> None:
    """Half of all processes have at most 1 % left, 9 of 10 at most 5 %, at any of these noises."""
    found, left = measure(usual_ms=usual_ms, extra=extra, decay_s=decay_s, noise=noise, bursts=bursts)
    tenths = quantiles(left, n=10)
    assert tenths[4] <= 0.01
    assert tenths[8] <= 0.05
    assert all(each.ended or each.seconds >= CAP_S for each in found)


def test_the_same_texts_in_every_lap_so_that_lengths_are_no_noise() -> None:
    """Texts of 1 and of 9 ms, no noise: every lap is like every other, and nothing has to be averaged away."""
    found = warm_up(lambda: [1_000_000, 9_000_000, 1_000_000])
    assert found.ended
    assert found.seconds < 0.45
    assert found.typical_ns == 1_000_000


def test_gives_up_at_the_cap_and_says_so() -> None:
    nanoseconds = 2_000_000_000

    def ever_faster() -> list[int]:
        nonlocal nanoseconds
        nanoseconds = nanoseconds * 9 // 10
        return [nanoseconds] * 2

    found = warm_up(ever_faster, cap_s=20.0)
    assert not found.ended
    assert 20.0 <= found.seconds < 24.0


def test_a_slow_model_makes_few_requests_a_lap_and_a_fast_one_not_too_many() -> None:
    assert [requests_a_lap(ms * 1e6) for ms in (0.1, 3.0, 200.0)] == [32, 10, 2]

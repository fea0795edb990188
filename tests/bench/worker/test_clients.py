"""Several clients of one model at once: how many calls there are at a time, and that none is lost."""

from threading import Barrier, Lock
from typing import Any

import pytest

from mct.bench.worker.clients import one_call_at_a_time, time_clients
from mct.bench.worker.predict import Predictor
from mct.models.tasks.tokens import Tokens

TEXTS = [f"text {number}" for number in range(24)]
LONG_NS = 60_000_000_000


def predictor(infer: Any, asked: list[str]) -> Predictor:
    """One that notes what it is asked; a text is as many tokens as it has letters."""

    def encode(request: Any) -> list[Tokens]:
        asked.append(request)
        return [Tokens([0] * len(request), [0] * len(request))]

    return Predictor(encode, infer, lambda outputs, inputs: "answer")


def test_as_many_calls_run_at_once_as_there_are_clients() -> None:
    """Each call waits for three others: with fewer at once none would ever end."""
    together, asked = Barrier(4, timeout=20), list[str]()

    def infer(inputs: Any) -> dict[str, Any]:
        together.wait()
        return {}

    timings = time_clients(predictor(infer, asked), TEXTS, 4, LONG_NS)
    assert sorted(asked) == sorted(TEXTS), "every request once"
    assert len(timings.end_to_end) == len(timings.tokens) == len(TEXTS)
    assert sum(timings.tokens) == sum(map(len, TEXTS))


def test_a_session_for_one_call_gets_one_at_a_time() -> None:
    inside, most, lock, asked = 0, 0, Lock(), list[str]()

    def infer(inputs: Any) -> dict[str, Any]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        sum(range(20_000))
        with lock:
            inside -= 1
        return {}

    timings = time_clients(one_call_at_a_time(predictor(infer, asked)), TEXTS, 6, LONG_NS)
    assert (most, len(timings.model), len(asked)) == (1, len(TEXTS), len(TEXTS))


def test_the_cap_ends_every_client() -> None:
    asked: list[str] = []
    timings = time_clients(predictor(lambda inputs: {}, asked), TEXTS, 3, 0)
    assert len(timings.end_to_end) == len(asked) == 3


def test_an_error_of_one_client_is_that_of_all() -> None:
    def infer(inputs: Any) -> dict[str, Any]:
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        time_clients(predictor(infer, []), TEXTS, 2, LONG_NS)

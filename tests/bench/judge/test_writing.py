from array import array
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mct.bench.judge.writing import summarise_writing
from mct.bench.samples.measurement import Block


def wrote(made_up: SimpleNamespace, number: int, written: int = 5) -> Block:
    """Fifty requests of 8 tokens: the first new token after 2 ms, each further one 0.5 ms later."""
    block: Block = made_up.block([2.0 + 0.5 * (written - 1)] * 50, number, number)
    return replace(
        block,
        tokens=array("q", [8] * 50),
        first_ns=array("q", [2_000_000] * 50),
        written=array("q", [written] * 50),
        new_tokens=50 * written,
    )


def test_reading_and_writing_are_told_apart(made_up: SimpleNamespace) -> None:
    found = summarise_writing([wrote(made_up, number) for number in range(4)])
    assert found is not None
    assert found["new_tokens"] == 5
    assert found["first_token"]["p50_ms"] == found["first_token"]["p95_ms"] == 2.0
    assert found["per_token"]["p50_ms"] == found["per_token"]["p95_ms"] == 0.5
    assert (found["prefill_tokens_per_s"], found["decode_tokens_per_s"]) == (4000.0, 2000.0)
    assert found["tokens_per_s"] == pytest.approx(5 / (0.9 * 4e-3))  # of the runtime's nine tenths


def test_one_token_alone_takes_no_time_per_token(made_up: SimpleNamespace) -> None:
    found = summarise_writing([wrote(made_up, 0, written=1)])
    assert found is not None
    assert (found["per_token"], found["decode_tokens_per_s"]) == (None, None)
    assert found["first_token"]["p50_ms"] == 2.0


def test_older_samples_tell_the_whole_alone(made_up: SimpleNamespace) -> None:
    old = replace(wrote(made_up, 0), tokens=None, first_ns=None, written=None)
    found = summarise_writing([old])
    assert found is not None and set(found) == {"new_tokens", "tokens_per_s"}


def test_what_writes_nothing_has_nothing_to_tell(made_up: SimpleNamespace) -> None:
    assert summarise_writing(made_up.blocks(1.0)) is None

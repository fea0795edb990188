"""A first visit to a page by hand, and answers beside the native ones."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mct.bench.samples.measurement import Answers, Measurement
from mct.bench.store.web import summarise_web

MakeMeasurement = Callable[..., Measurement]
STAGES = {"fetch": 500.0, "tokenizer": 10.0, "wasm": 60.0, "session": 100.0}
DOWNLOADS = {
    "model": {"raw": 4_000_000, "gzip": 3_000_000, "brotli": 3_100_000},
    "wasm": {"raw": 10_000_000, "gzip": 4_000_000, "brotli": 2_000_000},
}


@pytest.fixture
def in_a_page(measured: MakeMeasurement, made_up: SimpleNamespace) -> Measurement:
    starts = tuple(
        replace(
            made_up.start(number), import_ms=20.0 + number, stages_ms=STAGES, downloads=DOWNLOADS if not number else {}
        )
        for number in range(3)
    )
    return replace(measured(), starts=starts)


def test_the_download_comes_first_and_the_network_of_loopback_counts_as_none(
    in_a_page: Measurement,
) -> None:
    """Five million bytes by 25 Mbit/s are 1.6 s; scripts 21, tokenizer 10, compiling 60, session 100, call 2 ms."""
    found = summarise_web(in_a_page, 25.0)
    assert found is not None
    assert found["sent_mb"] == 5.0
    assert found["first_answer_ms"] == 193.0
    assert found["downloaded_first_answer_ms"] == 1793.0
    assert list(found["stages_ms"]) == ["scripts", "tokenizer", "wasm", "session", "first call"]
    assert found["downloads"][0] == {"name": "model", "raw_mb": 4.0, "gzip_mb": 3.0, "brotli_mb": 3.1}


def test_without_a_line_or_a_download_there_is_no_time_of_one(in_a_page: Measurement) -> None:
    assert (summarise_web(in_a_page, None) or {})["downloaded_first_answer_ms"] is None
    here = replace(in_a_page, starts=tuple(replace(start, downloads={}) for start in in_a_page.starts))
    found = summarise_web(here, 25.0) or {}
    assert (found["downloads"], found["sent_mb"], found["downloaded_first_answer_ms"]) == ([], None, None)


def test_what_did_not_run_in_javascript_has_none(measured: MakeMeasurement) -> None:
    assert summarise_web(measured(), 25.0) is None


def test_flips_are_counted_apart_by_whether_the_text_was_tokenised_otherwise(in_a_page: Measurement) -> None:
    answers = Answers(tuple("abcde"), (1,) * 5, native=tuple("abXXe"), unlike=(1, 0, 2, 0, 0))
    found = summarise_web(replace(in_a_page, answers=answers), None) or {}
    assert found["native"] == {"n": 5, "flips": 2, "unlike": 2, "unlike_flips": 1}
    alone = replace(answers, native=())
    assert (summarise_web(replace(in_a_page, answers=alone), None) or {})["native"] is None


def test_scores_flip_where_another_candidate_is_best(in_a_page: Measurement) -> None:
    subject = replace(in_a_page.subject, task="pair-scoring")
    answers = Answers(([1.0, 2.0], [2.0, 1.0], []), (1, 1, 1), native=([1.1, 1.9], [1.0, 1.1], []), unlike=(0, 0, 0))
    found = summarise_web(replace(in_a_page, subject=subject, answers=answers), None) or {}
    assert found["native"]["flips"] == 1

"""Calibration texts have every label, short texts and long ones, and are the same on every run."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mct import MctError
from mct.compress.plan.passes import Resources
from mct.compress.run.calibration import calibration_inputs, calibration_notes, hold_out, share_out
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.machine import probe_machine


def _resources(folder: Path, rows: list[dict[str, str]], seed: int = 0) -> Resources:
    return Resources(inspect(folder), Dataset("rows", tuple(rows), "a" * 64), probe_machine(), seed)


def _rows(counts: dict[str, int]) -> list[dict[str, str]]:
    """Texts that all differ, of 1 to 20 words; the first word tells the label."""
    return [
        {"text": " ".join([label, *["manga"] * (number % 20), str(number)]), "label": label}
        for label, count in counts.items()
        for number in range(count)
    ]


def test_every_label_is_there_in_proportion_and_a_rare_one_at_least_once(tiny_bert: Path) -> None:
    resources = _resources(tiny_bert, _rows({"order": 600, "returns": 300, "hi": 3}))
    inputs = calibration_inputs(resources, most=90)
    tokenize = open_tokenizer(tiny_bert, 64)
    first = {tokenize(label).ids[1]: label for label in ("order", "returns", "hi")}
    found = Counter(first[tokens.ids[1]] for tokens in inputs)
    assert sum(found.values()) == 90 and found["hi"] == 1
    assert abs(found["order"] - 60) <= 1 and abs(found["returns"] - 30) <= 1
    assert calibration_inputs(resources, most=90) == inputs
    assert calibration_inputs(dataclasses.replace(resources, seed=1), most=90) != inputs


def test_short_and_long_texts_of_a_label_are_among_them(tiny_bert: Path) -> None:
    rows = _rows({"order": 400})
    tokenize = open_tokenizer(tiny_bert, 64)
    all_lengths = sorted(len(tokenize(row["text"]).ids) for row in rows)
    lengths = sorted(len(tokens.ids) for tokens in calibration_inputs(_resources(tiny_bert, rows), most=20))
    assert (lengths[0], lengths[-1]) == (all_lengths[0], all_lengths[-1])
    assert abs(lengths[10] - all_lengths[200]) <= 2


def test_a_text_that_occurs_twice_counts_once_and_rows_need_no_label(tiny_bert: Path) -> None:
    rows = [{"text": "hi"}, {"text": "hi"}, {"text": "where is my order"}]
    resources = _resources(tiny_bert, rows)
    inputs = calibration_inputs(resources)
    assert len(inputs) == 2
    longest = max(len(tokens.ids) for tokens in inputs)
    notes = calibration_notes(resources, inputs)
    assert notes["calibration_texts"] == 2 and notes["calibration_tokens"]["p100"] == longest
    assert notes["calibration_sha256"] == "a" * 64


def test_without_texts_it_says_how_to_give_some(tiny_bert: Path) -> None:
    with pytest.raises(MctError, match="calibrated on your own texts") as refused:
        calibration_inputs(dataclasses.replace(_resources(tiny_bert, []), calibration=None))
    assert "--data" in refused.value.hint


def test_more_labels_than_texts_gives_a_text_of_some(tiny_bert: Path) -> None:
    rows = [{"text": f"order {number}", "label": str(number)} for number in range(50)]
    assert len(calibration_inputs(_resources(tiny_bert, rows), most=20)) == 20


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(40, 300))
def test_shares_fill_what_is_asked_and_leave_nobody_out(sizes: list[int], most: int) -> None:
    shares = share_out(sizes, most)
    assert sum(shares) == min(most, sum(sizes))
    assert all(1 <= share <= size for share, size in zip(shares, sizes, strict=True))


def test_what_is_held_out_is_like_what_is_kept_and_shares_nothing_with_it(tiny_bert: Path) -> None:
    """Rows in the order of their labels, each text twice: file order would have kept one label and held out another."""
    rows = _rows({"order": 300, "returns": 100, "hi": 8})
    given = _resources(tiny_bert, [row for row in rows for _ in range(2)])
    kept, requests = hold_out(given, 102)
    assert kept.calibration is not None
    ours = {row["text"] for row in kept.calibration.rows}
    assert len(ours) == 102 and len(requests) == len(set(requests)) == 306 and not ours & set(requests)
    shares = Counter(row["label"] for row in kept.calibration.rows), Counter(text.split()[0] for text in requests)
    assert [shares[0][label] for label in ("order", "returns", "hi")] == [150, 50, 4]
    assert [shares[1][label] for label in ("order", "returns", "hi")] == [225, 75, 6]
    assert requests != sorted(requests) and hold_out(given, 102)[1] == requests
    assert hold_out(dataclasses.replace(given, seed=1), 102)[1] != requests


def test_documents_of_one_query_stay_together(tiny_bert: Path) -> None:
    pairs = dataclasses.replace(inspect(tiny_bert), task="pair-scoring", heads=())
    rows = tuple({"query": f"order {number % 40}", "doc": f"doc {number}"} for number in range(200))
    given = Resources(pairs, Dataset("rows", rows, "a" * 64), probe_machine(), 0)
    kept, requests = hold_out(given, 10)
    assert kept.calibration is not None and len(kept.calibration.rows) == 50 and len(requests) == 30
    assert not {row["query"] for row in kept.calibration.rows} & {request["query"] for request in requests}
    assert all(len(request["docs"]) == 5 for request in requests)

"""What parity is checked on: never what ranges were taken from, whole queries together, its source on record."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.compress.plan.passes import Resources
from mct.compress.plan.plan import Plan
from mct.compress.run.resources import ParityTexts, gather
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.tasks.table import Head


def checkpoint(folder: Path, task: str) -> Checkpoint:
    """No weights are read to gather texts."""
    heads = (Head("logits", "label", ("a", "b")),) if task == "sequence-classification" else ()
    return Checkpoint(folder, "?", "bert", task, "full fine-tuning", heads, 64, 1, 1.0)


def gathered(
    folder: Path, task: str, data: Path | None = None, evaluation: Path | None = None, seed: int = 0
) -> tuple[Resources, ParityTexts]:
    return gather(Plan(checkpoint(folder, task), ()), data, evaluation, {}, seed)


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def texts(*numbers: int) -> list[dict[str, str]]:
    return [{"text": f"text {number}"} for number in numbers]


def test_without_an_evaluation_file_a_fifth_of_the_rows_is_held_out(tmp_path: Path) -> None:
    data = written(tmp_path / "train.jsonl", texts(*range(50)))
    resources, found = gathered(tmp_path, "sequence-classification", data)
    assert resources.calibration is not None
    calibrated, checked = set(resources.calibration.column("text")), set(found.requests)
    assert (len(calibrated), len(checked)) == (40, 10) and not calibrated & checked
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    assert found.source.as_json() == {
        "name": "train.jsonl", "sha256": digest, "rows": 10, "left_out": 0, "held_out": True,
    }  # fmt: skip
    assert gathered(tmp_path, "sequence-classification", data)[1] == found
    assert set(gathered(tmp_path, "sequence-classification", data, seed=1)[1].requests) != checked


def test_all_documents_of_a_query_are_held_out_together_and_asked_in_one_request(tmp_path: Path) -> None:
    """Also where its rows lie scattered over the file."""
    rows = [{"query": f"query {number % 10}", "doc": f"document {number}"} for number in range(40)]
    resources, found = gathered(tmp_path, "pair-scoring", written(tmp_path / "data.jsonl", rows))
    assert resources.calibration is not None
    calibrated = Counter(row["query"] for row in resources.calibration.rows)
    assert set(calibrated.values()) == {4} and len(calibrated) == 8
    assert [len(request["docs"]) for request in found.requests] == [4, 4]
    assert not {request["query"] for request in found.requests} & set(calibrated)


def test_rows_of_both_files_serve_neither_and_are_counted(tmp_path: Path) -> None:
    data = written(tmp_path / "train.jsonl", texts(*range(8)))
    evaluation = written(tmp_path / "test.jsonl", texts(6, 7, 8, 9, 10))
    resources, found = gathered(tmp_path, "sequence-classification", data, evaluation)
    assert resources.calibration is not None
    assert sorted(resources.calibration.column("text")) == [f"text {number}" for number in range(6)]
    assert sorted(found.requests) == ["text 10", "text 8", "text 9"]
    assert (found.source.name, found.source.rows, found.source.left_out) == ("test.jsonl", 3, 2)
    assert not found.source.held_out


def test_an_evaluation_file_of_nothing_but_calibration_rows_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path / "train.jsonl", texts(*range(8)))
    evaluation = written(tmp_path / "test.jsonl", texts(2, 3))
    with pytest.raises(MctError, match=r"every row of test\.jsonl.* also a row of train\.jsonl") as refused:
        gathered(tmp_path, "sequence-classification", data, evaluation)
    assert "--eval FILE" in refused.value.hint
    with pytest.raises(MctError, match="also an evaluation row"):
        gathered(tmp_path, "sequence-classification", evaluation, data)


def test_one_text_is_not_both_calibrated_and_checked_on(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="asks one thing only") as refused:
        gathered(tmp_path, "sequence-classification", written(tmp_path / "train.jsonl", texts(1, 1)))
    assert "--eval FILE" in refused.value.hint


@pytest.mark.parametrize(("task", "asked"), [("pair-scoring", "docs"), ("reward", "answers")])
def test_the_built_in_messages_give_every_query_and_prompt_something_to_compare(
    tmp_path: Path, task: str, asked: str
) -> None:
    _, found = gathered(tmp_path, task)
    assert all(len(set(request[asked])) > 1 for request in found.requests)
    assert found.source.name == "built-in shop messages" and len(found.requests) > 100


def test_requests_are_drawn_by_the_seed_and_not_from_the_head_of_the_file(tmp_path: Path) -> None:
    """A language model is asked the first forty of them, and files are often sorted."""
    evaluation = written(tmp_path / "test.jsonl", texts(*range(1000)))
    first, second = (gathered(tmp_path, "causal-lm", None, evaluation, seed)[1].requests[:40] for seed in (0, 1))
    assert first != second
    assert all(max(int(text.split()[1]) for text in drawn) > 500 for drawn in (first, second))


def test_capitals_and_spaces_make_no_other_text(tmp_path: Path) -> None:
    """An uncased model reads the very same tokens."""
    data = written(tmp_path / "train.jsonl", [*texts(*range(8)), {"text": "Text  7 "}])
    evaluation = written(tmp_path / "test.jsonl", [{"text": "TEXT 6"}, {"text": "text\u00a07"}, *texts(9)])
    resources, found = gathered(tmp_path, "sequence-classification", data, evaluation)
    assert resources.calibration is not None
    assert sorted(resources.calibration.column("text")) == [f"text {number}" for number in range(6)]
    assert (found.requests, found.source.left_out) == (("text 9",), 2)
    with pytest.raises(MctError, match="asks one thing only"):
        gathered(
            tmp_path, "sequence-classification", written(tmp_path / "one.jsonl", [{"text": "a b"}, {"text": "A B "}])
        )

"""Data files are read in three spellings, and every fault names its file, row and column."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mct import MctError
from mct.models.data import files as data_files
from mct.models.tasks.datasets import check_labels, read_dataset, read_examples
from mct.models.tasks.table import Head, find_task

TASK = find_task("sequence-classification")
ROWS = [{"text": "where is my order", "label": "tracking"}, {"text": 'say "hi", ok?', "label": "other"}]


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def jsonl(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_three_spellings_of_the_same_rows(tmp_path: Path) -> None:
    plain = write(tmp_path / "rows.jsonl", jsonl(ROWS))
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    table = write(tmp_path / "rows.csv", 'text,label\nwhere is my order,tracking\n"say ""hi"", ok?",other\n')
    assert [list(read_dataset(path, TASK).rows) for path in (plain, packed, table)] == [ROWS] * 3


def test_a_renamed_column(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "utterance,label\nhello,other\n")
    assert read_dataset(path, TASK, {"text": "utterance"}).column("text") == ["hello"]


def test_columns_that_swap_their_names(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "label,text\nhello,other\n")
    assert read_dataset(path, TASK, {"text": "label", "label": "text"}).rows == ({"text": "hello", "label": "other"},)


def test_documents_named_by_id_are_looked_up_beside_the_data(tmp_path: Path) -> None:
    graded = write(tmp_path / "test.jsonl", jsonl([{"query": "ninja", "doc_id": 7, "grade": 2}]))
    documents = write(tmp_path / "docs.jsonl", jsonl([{"id": "7", "title": "Naruto"}, {"id": "8", "title": "Monster"}]))
    before = read_dataset(graded, find_task("pair-scoring"), {"doc": "title"})
    assert before.column("doc") == ["Naruto"]
    write(documents, jsonl([{"id": "7", "title": "Naruto, volume 1"}]))
    after = read_dataset(graded, find_task("pair-scoring"), {"doc": "title"})
    assert before.sha256 != after.sha256, "other texts are other data"


@pytest.mark.parametrize(
    ("documents", "says"),
    [
        (None, "names documents by 'doc_id', and there are none beside it"),
        ([{"doc_id": 8, "doc": "One Piece"}], "row 1: docs.jsonl has no text for document 7"),
        ([{"doc_id": 7, "title": "Naruto"}], "row 1: docs.jsonl has no text for document 7"),
        ([], "has no text"),
        ([{"doc": "without an id"}], "has no text"),
        ([{"doc_id": 7, "doc": "Naruto"}, {"doc_id": "7", "doc": "Bleach"}], "row 2: document '7' has another text"),
        ([{"doc_id": 7, "doc": 5}], "'doc' is not a text"),
    ],
)
def test_documents_that_cannot_be_found(tmp_path: Path, documents: list[dict[str, object]] | None, says: str) -> None:
    graded = write(tmp_path / "test.jsonl", jsonl([{"query": "ninja", "doc_id": 7, "grade": 2}]))
    if documents is not None:
        write(tmp_path / "docs.jsonl", jsonl(documents))
    with pytest.raises(MctError, match=says):
        read_dataset(graded, find_task("pair-scoring"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.jsonl", "", "no rows"),
        ("rows.csv", "text,label\n", "no rows"),
        ("rows.jsonl", '{"text": "a", "label": "b"}\nnot json\n', "line 2 is not readable as JSON"),
        ("rows.jsonl", '["a"]\n', "line 1: `.` is a list, expected an object"),
        ("rows.jsonl", '{"text": "a", "text": "b", "label": "c"}\n', "the name 'text' stands twice"),
        ("rows.jsonl", '{"text": "a", "label": NaN}\n', "line 1 is not readable as JSON"),
        ("rows.jsonl", '{"text": "\\ud800", "label": "a"}\n', "line 1 is not readable as JSON"),
        ("rows.jsonl", "[" * 100_000 + "\n", "line 1"),
        ("rows.jsonl", '{"text": ' + "[" * 100_000 + "\n", "line 1"),
        ("rows.jsonl", '{"text": "a", "label": 1' + "0" * 5000 + "}\n", "line 1"),
        ("rows.csv", "text,text\na,b\n", "a column twice"),
        ("rows.csv", "text,label\na,b,c\n", "line 2 has 3 cells, its header 2"),
        ("rows.csv", "text,label\na\n", "line 2 has 1 cells, its header 2"),
        ("rows.csv", 'text,label\n"a,b\nc,d\n', "not CSV: unexpected end of data"),
        ("rows.csv", 'text,label\n"a"b,c\n', "line 2 is not CSV"),
        ("rows.csv", "text,label\na\rb,c\n", "line 2 has 1 cells"),
        ("rows.csv", f"text,label\n{'a' * 131_073},b\n", "line 2 is not CSV: field larger than field limit"),
        ("rows.csv", "text,label\na\0,b\n", "NUL bytes"),
        ("rows.jsonl", '{"text": "a"}\n', "no 'label'"),
        ("rows.csv", "utterance,label\nhello,other\n", "no 'text'"),
        ("rows.parquet", "PAR1", "unknown kind"),
        ("rows.jsonl.gz", "not gzip", "gzip"),
    ],
)
def test_faults_are_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    with pytest.raises(MctError, match=says):
        read_dataset(write(tmp_path / name, content), TASK)


@pytest.mark.parametrize(
    ("task", "row", "says"),
    [
        ("sequence-classification", {"text": 5, "label": "a"}, "'text' is not a text"),
        ("multi-label-classification", {"text": "a", "labels": "price"}, "'labels' is not a list"),
        ("token-classification", {"text": "two words", "slots": ["O"]}, "'slots' is not one tag for each word"),
        ("pair-scoring", {"query": "a", "doc": "b", "grade": "good"}, "'grade' is not a number"),
        ("pair-scoring", {"query": "a", "doc": "b", "grade": "nan"}, "'grade' is not a number"),
        ("pair-scoring", {"query": "a", "doc": "b", "grade": True}, "'grade' is not a number"),
        ("pair-scoring", {"query": "a", "doc": "b", "grade": -1}, "'grade' is not a number from 0"),
        (
            "pair-scoring",
            {"query": "a", "doc": "b", "grade": "31"},
            "is not a number from 0, irrelevant, to 30",
        ),
        ("sentence-embedding", {"query": "a", "doc": "b", "grade": "inf"}, "'grade' is not a number"),
        ("pair-scoring", {"query": "a", "doc": "b", "grade": 10**400}, "'grade' is not a number"),
        ("pair-scoring", {"query": "a", "doc": ["b"], "grade": 1}, "'doc' is not a text"),
        ("sequence-classification", {"text": "a", "label": True}, "'label' is not one label"),
        ("sequence-classification", {"text": "a", "label": ["b"]}, "'label' is not one label"),
        ("multi-label-classification", {"text": "a", "labels": ["b", "b"]}, "'labels' is not a list of labels"),
        ("multi-label-classification", {"text": "a", "labels": ["b", {}]}, "'labels' is not a list of labels"),
        ("token-classification", {"text": "two words", "slots": ["O", 5]}, "'slots' is not one tag for each word"),
        ("causal-lm", {"text": "a", "prompt": 5}, "'prompt' is not a text"),
        ("reward", {"prompt": "a", "chosen": "b"}, "no 'rejected'"),
    ],
)
def test_a_field_of_the_wrong_form_is_named(tmp_path: Path, task: str, row: dict[str, object], says: str) -> None:
    with pytest.raises(MctError, match=says):
        read_dataset(write(tmp_path / "rows.jsonl", json.dumps(row) + "\n"), find_task(task))


def test_rows_of_one_query_are_one_example(tmp_path: Path) -> None:
    rows = [{"query": "ninja", "doc": doc, "grade": grade} for doc, grade in (("a", 0), ("b", 2))]
    dataset = read_dataset(write(tmp_path / "rows.jsonl", jsonl(rows)), find_task("pair-scoring"))
    (example,) = read_examples(dataset, "pair-scoring", ())
    assert (example.request, example.truth) == ({"query": "ninja", "docs": ["a", "b"]}, [0.0, 2.0])


def test_a_row_without_an_id_does_not_find_the_document_without_one(tmp_path: Path) -> None:
    graded = write(tmp_path / "test.jsonl", jsonl([{"query": "ninja", "doc_id": None, "grade": 2}]))
    write(tmp_path / "docs.jsonl", jsonl([{"title": "?", "doc": "nobody's"}]))
    with pytest.raises(MctError, match="no text for document None"):
        read_dataset(graded, find_task("pair-scoring"))


def test_documents_are_not_read_through_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.jsonl", jsonl([{"doc_id": 7, "doc": "the key to everything"}]))
    (tmp_path / "data").mkdir()
    graded = write(tmp_path / "data" / "test.jsonl", jsonl([{"query": "ninja", "doc_id": 7, "grade": 2}]))
    (tmp_path / "data" / "docs.jsonl").symlink_to(secret)
    with pytest.raises(MctError, match="leads out of its folder"):
        read_dataset(graded, find_task("pair-scoring"))
    named = tmp_path / "named.jsonl"
    named.symlink_to(write(tmp_path / "rows.jsonl", jsonl(ROWS)))
    assert len(read_dataset(named, TASK).rows) == len(ROWS), "a link that the user names is the user's own affair"


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-9], lambda raw: raw[:20] + b"\xff" * 8 + raw[28:]])
def test_a_damaged_gzip_body_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    whole = gzip.compress(jsonl(ROWS * 50).encode())
    (tmp_path / "rows.jsonl.gz").write_bytes(spoil(whole))
    with pytest.raises(MctError, match="not a complete gzip file"):
        read_dataset(tmp_path / "rows.jsonl.gz", TASK)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.jsonl")
    with pytest.raises(MctError, match="is a pipe"):
        read_dataset(tmp_path / "rows.jsonl", TASK)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="does not exist"):
        read_dataset(tmp_path / "none.jsonl", TASK)


def test_labels_the_model_does_not_know_are_named(tmp_path: Path) -> None:
    dataset = read_dataset(write(tmp_path / "rows.jsonl", jsonl(ROWS)), TASK)
    check_labels(dataset, TASK.name, [Head("logits", "label", ("tracking", "other"))])
    with pytest.raises(MctError, match="'tracking'"):
        check_labels(dataset, TASK.name, [Head("logits", "label", ("other",))])


@pytest.mark.parametrize(
    ("field", "value", "strange"),
    [("intent", "joy", "'joy'"), ("moods", ["joy", "other"], "'other'"), ("slots", ["O", "B-volume"], "'B-volume'")],
)
def test_each_head_knows_its_own_labels_alone(tmp_path: Path, field: str, value: object, strange: str) -> None:
    """A mood is no intent, though the model knows both: it would be scored as wrong on every row."""
    heads = [
        Head("intent", "label", ("other", "tracking")),
        Head("moods", "labels", ("joy", "anger")),
        Head("slots", "tags", ("O", "B-title")),
    ]
    row = {"text": "two words", "intent": "other", "moods": ["anger"], "slots": "O B-title"}
    task = find_task("multi-head")
    check_labels(read_dataset(write(tmp_path / "good.jsonl", jsonl([row])), task), task.name, heads)
    dataset = read_dataset(write(tmp_path / "bad.jsonl", jsonl([row | {field: value}])), task)
    with pytest.raises(MctError, match=rf"1 label\(s\) the model does not know: {strange}"):
        check_labels(dataset, task.name, heads)


@given(st.lists(st.fixed_dictionaries({"text": st.text(min_size=1), "label": st.text(min_size=1)}), min_size=1))
def test_any_text_survives_json_lines(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]) -> None:
    path = write(tmp_path_factory.mktemp("rows") / "rows.jsonl", jsonl(rows))
    assert list(read_dataset(path, TASK).rows) == rows


def test_a_file_that_unpacks_to_more_than_any_evaluation_set_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_files, "MOST_BYTES", 1 << 20)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b"\n" * (2 << 20)))
    with pytest.raises(MctError, match="unpacks to more than"):
        read_dataset(tmp_path / "rows.jsonl.gz", TASK)


def test_an_ending_is_known_in_capitals_too(tmp_path: Path) -> None:
    (tmp_path / "ROWS.JSONL.GZ").write_bytes(gzip.compress(jsonl(ROWS).encode()))
    assert len(read_dataset(tmp_path / "ROWS.JSONL.GZ", TASK).rows) == len(ROWS)

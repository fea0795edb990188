"""`mct data clean`: what is changed, the record of it, and what is never changed."""

import gzip
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.models.data.card import card_path, read_card
from mct.models.data.files import read_data_file

Run = Callable[..., subprocess.CompletedProcess[str]]
Rows = list[dict[str, Any]]

DIRTY = [
    {"text": "where is my order", "label": "tracking"},
    {"text": "Where is my order?", "label": "tracking"},
    {"text": "mail me at ada@shop.example.com", "label": "account", "note": 7},
    {"text": "send it back", "label": "returns"},
    {"text": "Send it back!", "label": "account"},
]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [dict(row) for row in read_data_file(path, {}).rows]


def test_every_change_is_recorded_and_nothing_else_changes(
    run_mct: Run, put: Callable[..., Path], tmp_path: Path
) -> None:
    file, out = put("rows.jsonl", DIRTY), tmp_path / "out.jsonl"
    before = file.read_bytes()
    done = run_mct("data", "clean", file, "-o", out, "--drop", "duplicates,conflicts", "--mask", "personal", "--json")
    assert json.loads(done.stdout) == {"rows": 2, "changes": {"dropped": 3, "masked": 1}}
    assert file.read_bytes() == before
    assert rows_of(out) == [DIRTY[0], {**DIRTY[2], "text": "mail me at [mail]"}]
    changes = rows_of(tmp_path / "out.jsonl.changes.jsonl")
    assert [(each["row"], each["what"]) for each in changes] == [
        (2, "dropped"), (3, "masked"), (4, "dropped"), (5, "dropped"),
    ]  # fmt: skip
    assert changes[0]["before"] == DIRTY[1] and "row 1" in changes[0]["why"]
    assert "ada@" not in (tmp_path / "out.jsonl.changes.jsonl").read_text()


def test_the_card_says_where_the_rows_come_from(run_mct: Run, put: Callable[..., Path], tmp_path: Path) -> None:
    file, out = put("rows.jsonl", DIRTY), tmp_path / "out.jsonl"
    run_mct("data", "clean", file, "-o", out, "--drop", "duplicates")
    card = read_card(out)
    assert card is not None and card.cleaned_from is not None
    assert card.cleaned_from.sha256 == read_data_file(file, {}).sha256
    assert card.made["drop"] == ["duplicates"] and card.made["changes"] == {"dropped": 1}


def test_labels_are_put_right_and_leaks_left_out(
    run_mct: Run, put: Callable[..., Path], clean_rows: Rows, tmp_path: Path
) -> None:
    names = sorted({row["label"] for row in clean_rows})
    wrong = {
        place: {**clean_rows[place], "label": names[names.index(clean_rows[place]["label"]) - 1]}
        for place in range(0, 300, 20)
    }
    rows = [wrong.get(place, row) for place, row in enumerate(clean_rows)]
    file, test = put("rows.jsonl", rows), put("test.jsonl", [clean_rows[7]])
    out = tmp_path / "out.jsonl"
    done = run_mct(
        "data", "clean", file, "-o", out, "--against", test, "--drop", "leaks", "--fix", "labels", "--sure", 0.2
    )
    assert done.returncode == 0, done.stderr
    texts = {row["text"]: row["label"] for row in rows_of(out)}
    assert clean_rows[7]["text"] not in texts
    right = [texts.get(clean_rows[place]["text"]) == clean_rows[place]["label"] for place in wrong]
    assert sum(right) >= 0.4 * len(right), "as many as are estimated to be wrong and are sure enough"


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl.gz", "out.jsonl"])
def test_the_same_bytes_again_in_every_kind_of_file(
    run_mct: Run, put: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    file = put("rows.jsonl", [{"text": row["text"], "label": row["label"]} for row in DIRTY])
    made = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        run_mct("data", "clean", file, "-o", tmp_path / folder / name, "--drop", "duplicates")
        made.append([path.read_bytes() for path in sorted((tmp_path / folder).iterdir())])
    assert made[0] == made[1] and len(made[0]) == 3
    assert len(read_data_file(tmp_path / "a" / name, {}).rows) == 4
    if name.endswith("gz"):
        assert gzip.decompress(made[0][0]).startswith(b'{"text"')


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_cannot_be_written_loses_nothing(
    run_mct: Run, put: Callable[..., Path], tmp_path: Path, files_of_at_most: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    rows = [{"text": row["text"], "label": row["label"]} for row in DIRTY]
    words = ("data", "clean", put("rows.jsonl", rows), "--drop", "duplicates", "-o")
    for name in ("a.csv", "a.jsonl"):
        assert run_mct(*words, out / name).returncode == 0
    before = contents(out)
    put("rows.jsonl", [{**row, "tags": ["a", "list"]} for row in rows])
    done = run_mct(*words, out / "a.csv")
    assert done.returncode == 2 and "CSV holds no lists" in done.stderr and contents(out) == before
    put("rows.jsonl", [*rows, *({"text": f"row {number}", "label": "x"} for number in range(200))])
    with files_of_at_most(5_000):  # the record fits, the rows do not
        done = run_mct(*words, out / "a.jsonl")
    assert done.returncode == 2 and contents(out) == before, done.stderr


def test_a_column_that_no_row_has_is_named(run_mct: Run, put: Callable[..., Path], tmp_path: Path) -> None:
    file, test = put("rows.jsonl", DIRTY), put("test.jsonl", [{"utterance": "hi", "label": "x"}])
    for words in (
        ("check", file, "--field", "label=lable"),
        ("clean", file, "-o", tmp_path / "o.jsonl", "--drop", "duplicates", "--field", "label=lable"),
        ("synthesise", file, "-o", tmp_path / "o.jsonl", "--count", 1, "--field", "label=lable"),
    ):
        done = run_mct("data", *words)
        assert done.returncode == 2 and "unknown column of --field label: 'lable'" in done.stderr
        assert "did you mean label?" in done.stderr
    assert run_mct("data", "check", file, test, "--field", "text=utterance").returncode == 0, "one of the files has it"


def test_columns_of_documents_count_where_rows_name_them(run_mct: Run, put: Callable[..., Path]) -> None:
    """What else is called docs.jsonl is nobody's input."""
    file = put("rows.jsonl", DIRTY)
    (file.parent / "docs.jsonl").write_text("no rows at all")
    done = run_mct("data", "check", file, "--field", "label=lable")
    assert done.returncode == 2 and "unknown column of --field label: 'lable'" in done.stderr, done.stderr
    put("docs.jsonl", [{"doc_id": "1", "page": "a series about ghosts"}])
    assert "unknown column" in run_mct("data", "check", file, "--field", "doc=page").stderr
    pairs = put("pairs.jsonl", [{"query": "ghosts", "doc_id": "1", "grade": 2}])
    assert run_mct("data", "check", pairs, "--field", "doc=page").returncode == 0


def test_what_is_cut_off_in_between_is_no_file_with_a_card_that_is_believed(
    run_mct: Run, put: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill leaves it after the first of the three files took its name."""
    file, out = put("rows.jsonl", DIRTY), tmp_path / "out.jsonl"
    words = ("data", "clean", file, "-o", out, "--drop")
    assert run_mct(*words, "conflicts").returncode == 0
    replace, done = os.replace, []

    def replace_once(draft: Path, final: Path) -> None:
        if done:
            raise RuntimeError("killed")
        done.append(final)
        replace(draft, final)

    monkeypatch.setattr(os, "replace", replace_once)
    with pytest.raises(RuntimeError, match="killed"):
        run_mct(*words, "duplicates")
    assert done == [out]
    with pytest.raises(MctError, match="card of other bytes"):
        read_card(out)


def test_a_check_of_other_bytes_is_refused(run_mct: Run, put: Callable[..., Path], tmp_path: Path) -> None:
    file, out = put("rows.jsonl", DIRTY), tmp_path / "out.jsonl"
    run_mct("data", "check", file, "-o", tmp_path / "checked")
    found = tmp_path / "checked" / "check.json"
    assert run_mct("data", "clean", file, "-o", out, "--check", found, "--drop", "duplicates").returncode == 0
    put("rows.jsonl", DIRTY[1:])
    done = run_mct("data", "clean", file, "-o", tmp_path / "other.jsonl", "--check", found, "--drop", "duplicates")
    assert done.returncode == 2 and "as it is now" in done.stderr
    assert not (tmp_path / "other.jsonl").exists()


def test_leaks_are_dropped_from_the_file_whose_rows_are_listed(
    run_mct: Run, put: Callable[..., Path], tmp_path: Path
) -> None:
    train, test = put("train.jsonl", DIRTY[:3]), put("test.jsonl", [DIRTY[0], DIRTY[3]])
    run_mct("data", "check", train, test, "-o", tmp_path / "checked")
    check = ("--check", tmp_path / "checked" / "check.json", "--drop", "leaks")
    done = run_mct("data", "clean", train, "-o", tmp_path / "out.jsonl", *check)
    assert done.returncode == 2 and "--against test.jsonl" in done.stderr
    assert run_mct("data", "clean", test, "-o", tmp_path / "out.jsonl", *check).returncode == 0
    assert rows_of(tmp_path / "out.jsonl") == [DIRTY[3]]


def test_the_file_itself_and_its_neighbours_are_safe(run_mct: Run, put: Callable[..., Path], tmp_path: Path) -> None:
    file = put("rows.jsonl", DIRTY)
    (tmp_path / "link.jsonl").symlink_to(file)
    for out, reason in (
        (file, "would change"), (tmp_path / "link.jsonl", "would change"), (tmp_path, "no kind of data file"),
        (tmp_path / "out.txt", "no kind of data file"), (tmp_path / "rows.jsonl" / "x.jsonl", "would change"),
    ):  # fmt: skip
        done = run_mct("data", "clean", file, "-o", out, "--drop", "duplicates")
        assert done.returncode == 2 and reason in done.stderr, done.stderr
    assert rows_of(file) == DIRTY


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "nothing is asked for"), (("--drop", "dupes"), "unknown name"), (("--fix", "texts"), "unknown name"),
        (("--sure", "2", "--fix", "labels"), "2"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(
    run_mct: Run, put: Callable[..., Path], tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    done = run_mct("data", "clean", put("rows.jsonl", DIRTY), "-o", tmp_path / "out.jsonl", *words)
    assert done.returncode == 2 and reason in done.stderr


def test_nothing_is_left_of_a_file_that_is_all_leak(run_mct: Run, put: Callable[..., Path], tmp_path: Path) -> None:
    file, test = put("rows.jsonl", DIRTY[:1]), put("test.jsonl", DIRTY)
    done = run_mct("data", "clean", file, "-o", tmp_path / "out.jsonl", "--against", test, "--drop", "leaks")
    assert done.returncode == 2 and "nothing" in done.stderr and not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema": 99}', '{"schema": 1}', '{"schema": 1, "task": 3}', '{"schema": 1, "evil": {}}']
)
def test_a_check_that_is_none_is_refused(run_mct: Run, put: Callable[..., Path], tmp_path: Path, content: str) -> None:
    (tmp_path / "check.json").write_text(content)
    words = ("--check", tmp_path / "check.json", "--drop", "duplicates")
    done = run_mct("data", "clean", put("rows.jsonl", DIRTY), "-o", tmp_path / "out.jsonl", *words)
    assert done.returncode == 2 and "Traceback" not in done.stderr and not card_path(tmp_path / "out.jsonl").exists()

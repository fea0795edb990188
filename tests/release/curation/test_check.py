"""`mct data check`: what it finds in files whose faults are known, how it says so, and what it refuses."""

import csv
import json
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct.models.data.card import card_path, read_card
from mct.models.tasks.datasets import read_dataset
from mct.models.tasks.table import find_task
from mct.release.curation.check import Asked, check
from mct.release.curation.cleaning import read_check
from mct.release.curation.page import markdown

Run = Callable[..., subprocess.CompletedProcess[str]]
Rows = list[dict[str, Any]]


def test_a_leak_is_found_and_ends_with_one(run_mct: Run, put: Callable[..., Path], clean_rows: Rows) -> None:
    train, test = put("train.jsonl", clean_rows[:60]), put("test.jsonl", [*clean_rows[60:80], clean_rows[3]])
    done = run_mct("data", "check", train, test, "--json")
    assert done.returncode == 1
    (leak,) = [each for each in json.loads(done.stdout)["leaks"] if each["row"] == 21]
    assert (leak["file"], leak["other_file"], leak["other_row"], leak["how"]) == (
        "test.jsonl",
        "train.jsonl",
        4,
        "same",
    )


def test_against_is_compared_with_and_not_checked(run_mct: Run, put: Callable[..., Path], clean_rows: Rows) -> None:
    train, test = put("train.jsonl", clean_rows[:40]), put("test.jsonl", [clean_rows[5], clean_rows[5]])
    found = json.loads(run_mct("data", "check", train, "--against", test, "--json").stdout)
    assert [(each["name"], each["against"]) for each in found["files"]] == [
        ("train.jsonl", False),
        ("test.jsonl", True),
    ]
    assert [(leak["file"], leak["row"]) for leak in found["leaks"]] == [("train.jsonl", 6)]
    assert not found["duplicates"] and len(found["compositions"]) == 1


def test_what_is_compared_with_is_compared_with_each_other_too(
    run_mct: Run, put: Callable[..., Path], clean_rows: Rows
) -> None:
    other, test = put("other.jsonl", clean_rows[:20]), put("test.jsonl", clean_rows[20:40])
    train = put("train.jsonl", [*clean_rows[40:60], clean_rows[25]])
    done = run_mct("data", "check", other, "--against", test, "--against", train, "--json")
    assert done.returncode == 1
    (leak,) = json.loads(done.stdout)["leaks"]
    assert (leak["file"], leak["row"], leak["other_file"], leak["other_row"]) == ("train.jsonl", 21, "test.jsonl", 6)


def test_rows_that_name_their_documents_are_checked_with_the_texts_beside_them(
    run_mct: Run, put: Callable[..., Path]
) -> None:
    """As the product's own search rows do; a query with the same document again is a leak."""
    docs = [{"doc_id": f"manga-{at}", "doc": f"a series about {word}"} for at, word in enumerate(("ghosts", "chess"))]
    rows = [{"query": "something with ghosts", "doc_id": "manga-0", "grade": 2}]
    put("docs.jsonl", docs)
    train, test = (
        put("train.jsonl", rows),
        put("test.jsonl", [*rows, {**rows[0], "query": "chess", "doc_id": "manga-1"}]),
    )
    done = run_mct("data", "check", train, test, "--json")
    assert done.returncode == 1, done.stderr
    assert [(each["file"], each["row"]) for each in json.loads(done.stdout)["leaks"]] == [("test.jsonl", 1)]
    found = json.loads(done.stdout)
    assert found["files"][1]["sha256"] == read_dataset(test, find_task("pair-scoring")).sha256, "as a bench calls it"
    checked = put("check.json", [found])
    done = run_mct("data", "clean", test, "-o", test.with_name("clean.jsonl"), "--check", checked, "--drop", "leaks")
    assert done.returncode == 0, done.stderr
    assert len(test.with_name("clean.jsonl").read_text().splitlines()) == 1


def test_no_leak_ends_with_zero_and_says_what_was_not_checked(run_mct: Run, put: Callable[..., Path]) -> None:
    file = put("one.jsonl", [{"text": "where is it", "label": "a"}, {"text": "send it back", "label": "b"}])
    done = run_mct("data", "check", file)
    assert done.returncode == 0 and done.stdout.startswith("# Data check\n\n**No leak found.**")
    for part in ("label noise", "truncation", "drift"):
        assert f"Not checked: {part}" in done.stdout


def test_flipped_labels_are_suspected_with_their_evidence(put: Callable[..., Path], clean_rows: Rows) -> None:
    draw, names = random.Random(0), sorted({row["label"] for row in clean_rows})
    flipped = set(draw.sample(range(len(clean_rows)), 30))
    rows = [
        {**row, "label": draw.choice([name for name in names if name != row["label"]])} if place in flipped else row
        for place, row in enumerate(clean_rows)
    ]
    found = check(Asked((put("rows.jsonl", rows),)))
    listed = {each.row - 1: each for each in found.suspicions}
    hits = flipped & set(listed)
    assert len(hits) >= 0.9 * len(flipped), "synthetic messages are easy"
    assert len(listed) - len(hits) <= 0.06 * len(rows)
    assert sum(listed[place].suggested == clean_rows[place]["label"] for place in hits) >= 0.8 * len(hits)
    first = found.suspicions[0]
    assert first.self_confidence < first.confidence and len(first.neighbours) == 3
    assert [near.likeness for near in first.neighbours] == sorted((n.likeness for n in first.neighbours), reverse=True)
    assert found.noise is not None and 0.03 < found.noise.estimated_share < 0.12


def test_a_text_with_two_labels_is_a_conflict_over_all_files(put: Callable[..., Path]) -> None:
    one = put("a.jsonl", [{"text": "Where is it?", "label": "x"}, {"text": "more", "label": "x"}])
    other = put("b.jsonl", [{"text": "where is it", "label": "y"}])
    (conflict,) = check(Asked((one, other))).conflicts
    assert [(row.file, row.row, row.label) for row in conflict.rows] == [("a.jsonl", 1, "x"), ("b.jsonl", 1, "y")]


def test_grades_of_one_pair_conflict_and_a_query_leaks_once(put: Callable[..., Path]) -> None:
    query = "manga about a chef who travels through old japan"
    docs = [{"query": query, "doc": f"volume {number}", "grade": 1} for number in range(3)]
    train, test = put("train.jsonl", docs), put("test.jsonl", [*docs, {**docs[0], "grade": 0}])
    found = check(Asked((train, test)))
    assert found.task in {"sentence-embedding", "pair-scoring"}
    assert [leak.row for leak in found.leaks] == [1]
    assert len(found.conflicts) == 1 and "label noise, outsiders" in found.left_out


def test_what_is_personal_is_never_quoted(run_mct: Run, put: Callable[..., Path], tmp_path: Path) -> None:
    said = "write to ada@shop.example.com about card 4111 1111 1111 1111"
    file = put("rows.jsonl", [{"text": said, "label": "a", "by": "+49 170 1234567"}, {"text": said, "label": "b"}])
    done = run_mct("data", "check", file, "-o", tmp_path / "out", "--card")
    written = "".join(path.read_text() for path in [*(tmp_path / "out").iterdir(), card_path(file)])
    for secret in ("ada@shop", "4111 1111", "1234567"):
        assert secret not in done.stdout + written
    found = read_check(tmp_path / "out" / "check.json")
    assert sorted((each.row, each.field, each.what) for each in found.personal) == [
        (1, "by", "phone"), (1, "text", "card"), (1, "text", "mail"), (2, "text", "card"), (2, "text", "mail"),
    ]  # fmt: skip


def test_what_a_model_cuts_off_and_labels_it_does_not_know(put: Callable[..., Path], tiny_bert: Path) -> None:
    long = " ".join(["where is my order"] * 40)
    file = put("rows.jsonl", [{"text": long, "label": "none of its own"}, {"text": "where is it", "label": "returns"}])
    (made,) = check(Asked((file,), checkpoint=tiny_bert)).compositions
    assert made.truncation is not None
    assert (made.truncation.rows_cut, made.truncation.first_cut, made.truncation.longest_input) == (1, (1,), 64)
    assert made.truncation.unknown_labels[0] == "none of its own"


def test_months_that_differ_are_told_from_months_that_do_not(put: Callable[..., Path], clean_rows: Rows) -> None:
    draw = random.Random(1)
    same = [{**row, "month": f"2026-0{draw.randint(1, 3)}"} for row in clean_rows]
    assert not any(each.drifted for each in check(Asked((put("same.jsonl", same),), months="month")).drifts)
    names = sorted({row["label"] for row in clean_rows})
    moved = [{**row, "month": "2026-01" if names.index(row["label"]) < 7 else "2026-02"} for row in clean_rows]
    drifts = check(Asked((put("moved.jsonl", moved),), months="month")).drifts
    assert [(each.what, each.drifted) for each in drifts] == [("words", True), ("labels", True)]
    assert drifts[1].most_changed[0][0] in names


def test_scripts_and_lengths(put: Callable[..., Path]) -> None:
    texts = ["where is it", "где мой заказ", "注文はどこですか", "12345", "ab"]
    (made,) = check(Asked((put("rows.jsonl", [{"text": text, "label": "a"} for text in texts]),))).compositions
    assert made.scripts == {"Latin": 0.4, "Cyrillic": 0.2, "Kana": 0.2, "none": 0.2}
    assert made.characters[3] == 13


def test_the_reports_say_the_same_and_nothing_in_them_acts(
    run_mct: Run, put: Callable[..., Path], tmp_path: Path
) -> None:
    evil = "<script>alert(1)</script> [x](http://evil.example) | `a` \x1b[31m"
    file = put("rows.jsonl", [{"text": evil, "label": "<img src=x>"}, {"text": evil, "label": "b|c"}])
    done = run_mct("data", "check", file, "-o", tmp_path / "out")
    page, text = ((tmp_path / "out" / f"check.{kind}").read_text() for kind in ("html", "md"))
    assert done.stdout == text == markdown(read_check(tmp_path / "out" / "check.json"))
    assert "<script" not in page and "<img" not in page and "\x1b" not in page + text
    assert not re.search(r"(?<!\\)\[x(?<!\\)\]", text) and not re.search(r"(?<!\\)<script", text)
    assert "default-src 'none'" in page


def test_the_same_check_twice_gives_the_same_bytes(run_mct: Run, put: Callable[..., Path], clean_rows: Rows) -> None:
    file = put("rows.jsonl", clean_rows[:200])
    assert run_mct("data", "check", file, "--json").stdout == run_mct("data", "check", file, "--json").stdout


def test_a_card_keeps_what_was_known_before(
    run_mct: Run, put: Callable[..., Path], clean_rows: Rows, tmp_path: Path
) -> None:
    file, out = put("rows.jsonl", [*clean_rows[:30], clean_rows[0]]), tmp_path / "clean.jsonl"
    assert run_mct("data", "clean", file, "-o", out, "--drop", "duplicates").returncode == 0
    assert run_mct("data", "check", out, "--card").returncode == 0
    card = read_card(out)
    assert card is not None and card.cleaned_from is not None
    assert (card.cleaned_from.name, card.rows, card.check["same_rows"]) == ("rows.jsonl", 30, 0)


def test_csv_and_other_names_of_columns(run_mct: Run, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["utterance", "intent"], ["where is it", "a"], ["Where is it?", "b"]])
    done = run_mct("data", "check", path, "--field", "text=utterance", "--field", "label=intent", "--json")
    assert len(json.loads(done.stdout)["conflicts"]) == 1


BAD: dict[str, tuple[str, str]] = {
    "no_rows.jsonl": ("", "no rows|no fields"),
    "no_task.jsonl": ('{"a": 1}\n', "no task asks for"),
    "text_is_a_list.jsonl": ('{"text": ["a"], "label": "b"}\n', "not a text"),
    "second_row_has_no_label.jsonl": ('{"text": "a", "label": "b"}\n{"text": "a"}\n', "row 2 has no 'label'"),
    "nan.jsonl": ('{"text": "a", "label": NaN}\n', "JSON"),
    "binary.jsonl": ("\x00\x01\x02", "JSON"),
    "kind.txt": ("a", "unknown kind"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(run_mct: Run, tmp_path: Path, name: str) -> None:
    content, reason = BAD[name]
    (tmp_path / name).write_text(content)
    done = run_mct("data", "check", tmp_path / name, "-o", tmp_path / "out", "--card")
    assert done.returncode == 2 and done.stdout == ""
    assert re.search(reason, done.stderr), done.stderr
    assert not (tmp_path / "out").exists() and not card_path(tmp_path / name).exists()


def test_asking_for_what_is_not_there(run_mct: Run, put: Callable[..., Path], tmp_path: Path) -> None:
    file = put("rows.jsonl", [{"text": "a", "label": "b"}])
    circle = tmp_path / "links" / "circle.jsonl"
    circle.parent.mkdir()
    circle.symlink_to("circle.jsonl")
    (tmp_path / "empty").mkdir()
    for words, reason in (
        ((file, circle), "cannot be a file"),
        ((file, file), "twice"),
        ((file, "--months", "mnoth"), "unknown field"),
        ((file, "--task", "nothing"), "unknown task"),
        ((file, "--near", "nan"), "finite"),
        ((file, "--checkpoint", tmp_path / "empty"), "no checkpoint"),
        ((tmp_path / "none.jsonl",), "does not exist"),
        ((file, "-o", tmp_path), "cannot be replaced"),
    ):
        done = run_mct("data", "check", *words)
        assert done.returncode == 2 and reason in done.stderr, done.stderr

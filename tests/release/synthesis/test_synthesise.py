"""`mct data synthesise` and `prove`: new rows with their provenance, what is not kept, and whether they help."""

import json
import subprocess
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mct.models.data.card import read_card
from mct.models.data.files import read_data_file
from mct.models.data.leaks import normalised
from mct.release.curation.likeness import meetings
from mct.release.synthesis.making import recombination, templates

Run = Callable[..., subprocess.CompletedProcess[str]]
Put = Callable[..., Path]
Rows = list[dict[str, Any]]


def made(path: Path) -> Sequence[Any]:
    return read_data_file(path, {}).rows


def test_fragments_in_the_same_places_are_exchanged() -> None:
    texts = [
        "I want my money back",
        "I want my parcel back",
        "where is my parcel now",
        "where is my money now",
        "is my parcel here",
    ]
    labels = ["r", "r", "t", "t", "x"]
    found = set(islice(templates(texts, labels, Random(0)), 200))
    assert ("is my money here", "x") in {(each.text, each.label) for each in found}
    assert all(len(each.parents) == 2 for each in found)


def test_rows_of_one_label_are_joined_at_a_word_they_share() -> None:
    texts = ["please tell me where my order is", "I wonder where the parcel went", "no thanks"]
    found = {each.text for each in islice(recombination(texts, ["a", "a", "b"], Random(0)), 50)}
    assert "please tell me where the parcel went" in found and "no thanks" not in " ".join(found)
    assert not list(recombination(["a", "b"], ["x", "y"], Random(0))), "no label has two rows"


@pytest.mark.parametrize("method", ["recombination", "templates"])
def test_new_rows_say_where_they_come_from(
    run_mct: Run, put: Put, clean_rows: Rows, tmp_path: Path, method: str
) -> None:
    file, out = put("rows.jsonl", clean_rows[:300]), tmp_path / "new.jsonl"
    done = run_mct("data", "synthesise", file, "-o", out, "--count", 40, "--method", method, "--json")
    assert done.returncode == 0, done.stderr
    rows = made(out)
    assert len(rows) == json.loads(done.stdout)["rows"] == 40
    old = {normalised(row["text"]) for row in clean_rows[:300]}
    assert len({normalised(row["text"]) for row in rows} - old) == 40, "none is said twice, none is there already"
    for row in rows:
        assert row["provenance"]["method"] == method and row["provenance"]["seed"] == 0
        parents = [clean_rows[number - 1] for number in row["provenance"]["parents"]]
        assert parents[0]["label"] == row["label"]
    card = read_card(out)
    assert card is not None and card.parents[0].sha256 == read_data_file(file, {}).sha256
    again = tmp_path / "again" / "new.jsonl"
    run_mct("data", "synthesise", file, "-o", again, "--count", 40, "--method", method)
    assert again.read_bytes() == out.read_bytes()


def test_nothing_near_a_test_row_is_kept(run_mct: Run, put: Put, clean_rows: Rows, tmp_path: Path) -> None:
    file, out = put("rows.jsonl", clean_rows[:60]), tmp_path / "new.jsonl"
    run_mct("data", "synthesise", file, "-o", out, "--count", 30)
    test = put("test.jsonl", [{"text": row["text"] + " !", "label": row["label"]} for row in made(out)[:10]])
    done = run_mct("data", "synthesise", file, "-o", tmp_path / "b.jsonl", "--count", 30, "--against", test, "--json")
    assert json.loads(done.stdout)["dropped"]["near a row to be tested on"] >= 10
    assert not meetings([row["text"] for row in made(tmp_path / "b.jsonl")], [row["text"] for row in made(test)])


def test_the_teacher_must_agree(run_mct: Run, put: Put, tiny_bert: Path, tmp_path: Path) -> None:
    """It was never taught, so the rows have the labels that it gives them; but for two."""
    from mct.release.curation.asking import labeller

    label = labeller(tiny_bert)
    starts, ends = ("where is", "send back", "tell me about", "how much is"), ("my order", "it now", "the volume")
    rows = [{"text": text, "label": label(text)[0]} for text in (f"{start} {end}" for start in starts for end in ends)]
    others = {"order_tracking": "returns", "returns": "other", "other": "order_tracking"}
    rows += [{"text": f"{row['text']} please", "label": others[row["label"]]} for row in rows[:2]]
    file, out = put("rows.jsonl", rows), tmp_path / "new.jsonl"
    words = ("data", "synthesise", file, "-o", out, "--count", 30, "--teacher", tiny_bert, "--json")
    done = run_mct(*words, "--confidence", 0.34)
    assert json.loads(done.stdout)["dropped"]["another label by the teacher"] > 0
    for row in made(out):
        said, sure = label(row["text"])
        assert said == row["label"] and sure >= 0.34 and row["provenance"]["teacher"] == round(sure, 4)
    assert run_mct(*words, "--confidence", 1).returncode == 2, "it is sure of nothing"


def test_a_teacher_of_other_labels_or_of_none_is_refused(
    run_mct: Run, put: Put, tiny_bert: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    file = put("rows.jsonl", [{"text": "a b", "label": "x"}, {"text": "a c", "label": "x"}])
    for teacher, reason in ((tiny_bert, "does not know 1 of the file's labels"), (tiny_llama, "label")):
        done = run_mct("data", "synthesise", file, "-o", tmp_path / "n.jsonl", "--count", 1, "--teacher", teacher)
        assert done.returncode == 2 and reason in done.stderr


def test_back_to_the_generator_of_the_scenario(run_mct: Run, put: Put, clean_rows: Rows, tmp_path: Path) -> None:
    file, out = put("rows.jsonl", clean_rows[:100]), tmp_path / "new.jsonl"
    words = ("data", "synthesise", file, "-o", out, "--count", 50, "--method", "scenario", "--scenario")
    assert run_mct(*words, "intent-router").returncode == 0
    assert {row["label"] for row in made(out)} <= {row["label"] for row in clean_rows[:100]} and len(made(out)) == 50
    done = run_mct(*words, "sentiment")
    assert done.returncode == 2 and "none of the file's labels" in done.stderr
    assert "unknown scenario" in run_mct(*words, "intent").stderr


def test_a_language_model_of_the_users_own(run_mct: Run, put: Put, tiny_llama: Path, tmp_path: Path) -> None:
    """It was never taught: that its lines come back with their provenance is what is asked of it here."""
    file, out = (
        put("rows.jsonl", [{"text": f"order {n}", "label": "ab"[n % 2]} for n in range(6)]),
        tmp_path / "n.jsonl",
    )
    words = ("data", "synthesise", file, "--method", "lm", "--count", 1)
    done = run_mct(*words, "-o", out, "--lm", tiny_llama)
    assert done.returncode in {0, 2}
    if done.returncode == 0:
        assert all(row["provenance"]["method"] == "lm" and row["provenance"]["parents"] for row in made(out))
    else:
        assert "no new row was kept" in done.stderr
    (tmp_path / "no.gguf").write_bytes(b"GGUF but no more")
    for model, reason in ((tmp_path / "no.gguf", "llama.cpp cannot open"), (tmp_path / "gone.gguf", "does not exist")):
        done = run_mct(*words, "-o", tmp_path / "x.jsonl", "--lm", model)
        assert done.returncode == 2 and reason in done.stderr, done.stderr


def test_added_rows_that_carry_what_was_missing_help(run_mct: Run, put: Put, clean_rows: Rows) -> None:
    train, added, test = (
        put(name, rows)
        for name, rows in (("a.jsonl", clean_rows[:40]), ("b.jsonl", clean_rows[40:400]), ("c.jsonl", clean_rows[400:]))
    )
    done = run_mct("data", "prove", train, "--added", added, "--test", test, "--json")
    proof = json.loads(done.stdout)
    assert done.returncode == 0 and proof["outcome"] == "helps"
    assert all(gain["low"] > 0 and gain["low"] <= gain["value"] <= gain["high"] for gain in proof["gains"])
    assert "**helps**" in run_mct("data", "prove", train, "--added", added, "--test", test).stdout


def test_added_rows_with_wrong_labels_hurt_and_test_rows_do_not_count(run_mct: Run, put: Put, clean_rows: Rows) -> None:
    names = sorted({row["label"] for row in clean_rows})
    wrong = [{**row, "label": names[names.index(row["label"]) - 1]} for row in clean_rows[200:400]]
    train, test = put("a.jsonl", clean_rows[:200]), put("c.jsonl", clean_rows[400:])
    done = run_mct(
        "data", "prove", train, "--added", put("b.jsonl", [*wrong, *clean_rows[400:420]]), "--test", test, "--json"
    )
    assert done.returncode == 1 and json.loads(done.stdout)["leaks"] >= 20
    done = run_mct("data", "prove", train, "--added", put("d.jsonl", clean_rows[400:420]), "--test", test)
    assert done.returncode == 2 and "is a test row" in done.stderr


def test_test_rows_with_a_word_more_are_test_rows(run_mct: Run, put: Put, clean_rows: Rows) -> None:
    train, test = put("a.jsonl", clean_rows[:40]), put("c.jsonl", clean_rows[400:])
    again = [{**row, "text": f"{row['text']} ok"} for row in clean_rows[400:] if len(row["text"].split()) > 3]
    done = run_mct("data", "prove", train, "--added", put("b.jsonl", again), "--test", test)
    assert done.returncode == 2 and "is a test row, or nearly" in done.stderr
    done = run_mct(
        "data", "prove", train, "--added", put("b.jsonl", [*again, *clean_rows[40:60]]), "--test", test, "--json"
    )
    assert json.loads(done.stdout)["leaks"] >= len(again)


def test_what_cannot_be_made_is_refused(run_mct: Run, put: Put, tmp_path: Path) -> None:
    file = put("rows.jsonl", [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}])
    texts = put("texts.jsonl", [{"text": "a"}])
    for words, reason in (
        ((file, "-o", tmp_path / "n.csv"), "provenance"),
        ((file, "-o", file), "would change"),
        ((file, "-o", tmp_path / "n.jsonl"), "no new row was kept"),
        ((texts, "-o", tmp_path / "n.jsonl"), "not one label a row"),
        ((file, "-o", tmp_path / "n.jsonl", "--method", "lm"), "belong together"),
        ((file, "-o", tmp_path / "n.jsonl", "--scenario", "sentiment"), "belong together"),
    ):
        done = run_mct("data", "synthesise", *words, "--count", 2)
        assert done.returncode == 2 and reason in done.stderr, done.stderr
    assert not (tmp_path / "n.jsonl").exists()


def test_a_full_disk_loses_nothing_that_was_made_before(
    run_mct: Run, put: Put, clean_rows: Rows, tmp_path: Path, files_of_at_most: Callable[..., Any]
) -> None:
    out = tmp_path / "out" / "new.jsonl"
    words = ("data", "synthesise", put("rows.jsonl", clean_rows[:300]), "-o", out, "--count")
    assert run_mct(*words, 5).returncode == 0
    before = {path.name: path.read_bytes() for path in out.parent.iterdir()}
    with files_of_at_most(4_000):
        assert run_mct(*words, 100).returncode == 2
    assert {path.name: path.read_bytes() for path in out.parent.iterdir()} == before

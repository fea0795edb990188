"""Answers from documents, scored by hand."""

from pathlib import Path

import pytest

from mct import MctError
from mct.models.tasks.datasets import asked_task, read_dataset, read_examples
from mct.models.tasks.examples import Part, find_kind
from mct.models.tasks.table import find_task

KIND = find_kind("grounded-answers")
ROW = {
    "question": "How many volumes has Blue Tide?",
    "context": ["Blue Tide has 12 volumes.", "Red Sun has 40 volumes and a guide book."],
    "gold": [0],
    "answer": "Blue Tide has 12 volumes.",
}


def parts(said: str, **more: object) -> dict[str, Part]:
    (example,) = KIND.read([{**ROW, **more}])
    return dict(KIND.score(example.truth, said))


def test_what_stands_in_the_document_is_right_and_grounded() -> None:
    assert parts("blue tide has 12 volumes") == {
        "answer_f1": Part(1.0, 1.0), "exact_match": Part(1.0, 1.0), "groundedness": Part(1.0, 1.0),
        "free_of_distractors": Part(1.0, 1.0),
    }  # fmt: skip


def test_what_a_distractor_says_is_told_from_what_nobody_says() -> None:
    """Of "40", "volumes", "guide" and "free" one is in the right document, two in the other alone, one in neither."""
    found = parts("40 volumes, a guide; free")
    assert found["groundedness"] == Part(1 / 4, 1.0)
    assert found["free_of_distractors"] == Part(1 - 2 / 4, 1.0)
    assert found["answer_f1"] == Part(2 * 1 / (5 + 4), 1.0)
    assert found["exact_match"] == Part(0.0, 1.0)


def test_an_answer_without_words_is_wrong_and_strays_nowhere() -> None:
    found = parts("")
    assert {name: part.got for name, part in found.items()} == {
        "answer_f1": 0.0, "exact_match": 0.0, "groundedness": 0.0, "free_of_distractors": 1.0
    }  # fmt: skip


def test_without_a_document_that_holds_it_nothing_is_grounded() -> None:
    found = parts("that is not said", gold=[], answer=["It is not said.", "That is not said."])
    assert found["exact_match"] == Part(1.0, 1.0)
    assert "groundedness" not in found


def test_the_rows_ask_a_language_model_for_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "q", "context": "d", "answer": "a", "text": "d q a"}\n')
    assert asked_task(path, "causal-lm") == "grounded-answers"
    assert asked_task(path, "sequence-classification") == "sequence-classification"
    (example,) = read_examples(read_dataset(path, find_task("grounded-answers")), "grounded-answers", ())
    assert example.truth == {"answers": ["a"], "gold": ["d"], "others": []}


@pytest.mark.parametrize("said", ['"gold": [2]', '"gold": "0"', '"context": [1]', '"answer": {}'])
def test_rows_that_name_no_document_are_refused(said: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    kept = [each for each in ('"context": ["d", "e"]', '"answer": "a"') if each.split(":")[0] != said.split(":")[0]]
    path.write_text("{" + ", ".join(['"question": "q"', *kept, said]) + "}\n")
    with pytest.raises(MctError, match=r"rows.jsonl row 1"):
        read_dataset(path, find_task("grounded-answers"))


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_row_that_leaves_its_places_empty_is_one_without_them(nothing: str | None) -> None:
    row = {"question": "how long?", "context": ["30 days", "a week"], "answer": "30 days"}
    assert KIND.read([row | {"gold": nothing}]) == KIND.read([row])

import json
from pathlib import Path

import pytest

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.prompt_format import PromptFormat, read_prompt_format

FORMAT = PromptFormat("Read:\n{documents}Q: {question}\nA:", "[{number}] {text}\n", "\n")


def test_documents_and_question_stand_where_the_template_has_them() -> None:
    assert FORMAT.fill("why?", ["one", "two"]) == "Read:\n[1] one\n[2] two\nQ: why?\nA:"


def test_what_a_document_says_is_never_taken_for_a_place() -> None:
    assert FORMAT.fill("{text}?", ["see {question} and {documents}"]) == (
        "Read:\n[1] see {question} and {documents}\nQ: {text}?\nA:"
    )


def test_an_answer_ends_where_the_format_says() -> None:
    assert FORMAT.until_stop(" 12 volumes\nQ: and then?") == "12 volumes"
    assert PromptFormat("{documents}{question}", "{text}").until_stop(" a\nb ") == "a\nb"


def test_a_folder_with_one_is_told_as_raft_by_it(tiny_llama: Path, tmp_path: Path) -> None:
    for file in tiny_llama.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert read_prompt_format(tmp_path) is None
    (tmp_path / "raft.json").write_text(json.dumps({"template": "{documents}{question}", "document": "{text}"}))
    assert read_prompt_format(tmp_path) == PromptFormat("{documents}{question}", "{text}")
    found = inspect(tmp_path)
    assert (found.technique, found.statements[0].evidence) == ("raft", ("raft.json",))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"template": "{documents}", "document": "{text}"}, "template has no place {question}"),
        ({"template": "{documents}{question}", "document": "-"}, "document has no place {text}"),
        ({"template": "", "document": "{text}"}, "template"),
        ({"template": 5, "document": "{text}"}, "template"),
        ({"template": "{documents}{question}", "document": "{text}", "stpo": "\n"}, "stpo"),
    ],
)  # fmt: skip
def test_one_without_a_place_for_what_is_asked_is_refused(said: dict[str, object], reason: str, tmp_path: Path) -> None:
    (tmp_path / "raft.json").write_text(json.dumps(said))
    with pytest.raises(MctError) as refused:
        read_prompt_format(tmp_path)
    assert reason in refused.value.message and refused.value.hint

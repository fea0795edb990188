"""`mct run`: texts in, answers out as JSON lines, by the same code that bench measures."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mct import MctError
from mct.bench.jobs.run import Model, ask, open_model, read_request
from mct.models.tasks.tokens import Tokens

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def model(tiny_bert: Path) -> Model:
    return open_model(tiny_bert, threads=1)


def test_a_text_is_answered_with_the_likeliest_labels(model: Model) -> None:
    said = ask(model, "Where is my order?")
    assert said["answer"] == next(iter(said["scores"]))
    assert sum(said["scores"].values()) == pytest.approx(1.0, abs=1e-3)
    assert list(said["scores"].values()) == sorted(said["scores"].values(), reverse=True)


def test_a_line_is_a_text_or_a_row_of_data(model: Model) -> None:
    assert read_request(model, "hi there") == "hi there"
    assert read_request(model, '{"text": "hi", "label": "other"}') == "hi"
    assert read_request(model, "{broken") == "{broken"


@pytest.mark.parametrize("line", ['{"text": 5}', '{"text": ' + "[" * 100_000, '{"text": NaN}', "{}"])
def test_what_is_no_row_is_a_text(model: Model, line: str) -> None:
    assert read_request(model, line) == line


def test_what_is_no_utf_8_is_refused(model: Model) -> None:
    with pytest.raises(MctError, match="not UTF-8"):
        read_request(model, b"caf\xe9".decode("utf-8", "surrogateescape"))


def test_a_model_that_answers_by_other_labels_is_refused(model: Model) -> None:
    (head,) = model.subject.heads
    more = replace(head, labels=(*head.labels, "one more"))
    with pytest.raises(MctError, match="no output for the 4 labels of 'logits'"):
        ask(replace(model, subject=replace(model.subject, heads=(more,))), "hi")


def test_a_model_that_gives_no_numbers_is_refused(model: Model) -> None:
    def broken(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        return {"logits": np.array([[1.0, np.nan, 0.0]], np.float32)}

    with pytest.raises(MctError, match="what is no number"):
        ask(replace(model, session=broken), "hi")


def test_the_command_reads_arguments_or_stdin_and_prints_json_lines(run_mct: Run, tiny_bert: Path) -> None:
    by_argument = run_mct("run", tiny_bert, "hi", "何時?")
    by_line = run_mct("run", tiny_bert, input="hi\n\n何時?\n")
    assert by_argument.returncode == by_line.returncode == 0, by_argument.stderr
    assert by_argument.stdout == by_line.stdout
    assert [json.loads(line)["request"] for line in by_argument.stdout.splitlines()] == ["hi", "何時?"]


@pytest.fixture(scope="module")
def scorer(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The tiny BERT with one logit: a cross-encoder."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path_factory.mktemp("scorer")
    one = {"num_labels": 1, "ignore_mismatched_sizes": True}
    AutoModelForSequenceClassification.from_pretrained(tiny_bert, **one).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    return open_model(folder, threads=1)


def test_a_scorer_of_pairs_takes_a_query_and_documents(scorer: Model) -> None:
    both, other = (
        ask(scorer, read_request(scorer, json.dumps({"query": "ninja", "docs": docs})))["answer"]
        for docs in (["Naruto", "a cookbook"], ["a cookbook"])
    )
    assert both == [pytest.approx(both[0]), pytest.approx(other[0], abs=1e-5)] and both[0] != both[1]


@pytest.mark.parametrize(
    "line",
    [
        "just a text", '{"query": "ninja"}', '{"query": "ninja", "docs": []}', '{"query": 5, "docs": ["a"]}',
        '{"query": "ninja", "docs": "Naruto"}', '{"query": "ninja", "docs": ["a", null]}', '["ninja"]',
        '{"query": "ninja", "docs": ["a"], "more": 1}', '{"query": ' + "[" * 100_000,
    ],
)  # fmt: skip
def test_a_request_of_another_shape_is_refused_with_an_example(scorer: Model, line: str) -> None:
    with pytest.raises(MctError) as refusal:
        read_request(scorer, line)
    assert "docs" in refusal.value.hint

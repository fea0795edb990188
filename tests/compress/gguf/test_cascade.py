"""A cascade of two GGUF files: each text has the answer of the stage that its sureness names."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mct import MctError
from mct.bench.samples.subject import identify
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.runtimes.table import open_session, runtime_for

TEXTS = ["Where is my order?", "I want to return volume 3", "hi", "my card was declined", "let me talk to a human now"]
SHALLOW = Step("drop-layers", options={"keep": [0]})


def made(checkpoint: Path, out: Path, *steps: Step) -> Path:
    plan = make_plan(inspect(checkpoint), [], [], recipe=Recipe(steps))
    resources, texts = gather(plan, None, None, {}, seed=0)
    (folder,) = execute(plan, resources, texts, out)
    return folder


def cascade(checkpoint: Path, out: Path, threshold: float, **more: Any) -> Path:
    options = {"second": [{"pass": "export-gguf"}], "threshold": threshold, **more}
    return made(checkpoint, out, SHALLOW, Step("export-gguf"), Step("cascade", "gguf-f32", options))


def answers(folder: Path) -> list[dict[str, Any]]:
    """All that a session gives, a text at a time."""
    subject = identify(folder)
    session = open_session(runtime_for("gguf"), subject.executable, 1)
    tokenize = open_tokenizer(folder, subject.executable.max_tokens)
    return [session([tokenize(text)]) for text in TEXTS]


def surest(each: dict[str, Any]) -> float:
    return float(1 / np.exp(each["logits"][0] - each["logits"][0].max()).sum())


@pytest.fixture(scope="module")
def stages(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What either stage answers by itself."""
    folder = tmp_path_factory.mktemp("stages")
    return {
        "first": answers(made(tiny_bert, folder / "first", SHALLOW, Step("export-gguf"))),
        "second": answers(made(tiny_bert, folder / "second", Step("export-gguf"))),
    }


def test_each_text_gets_the_answer_of_the_stage_that_its_sureness_names(
    tiny_bert: Path, tmp_path: Path, stages: dict[str, list[dict[str, Any]]]
) -> None:
    best = sorted(map(surest, stages["first"]))
    threshold = (best[2] + best[3]) / 2
    folder = cascade(tiny_bert, tmp_path, threshold)
    found = answers(folder)
    deferred = [bool(each["deferred"][0]) for each in found]
    assert deferred == [surest(each) < threshold for each in stages["first"]]
    assert sorted(deferred) == [False, False, True, True, True]
    for place, each in enumerate(found):
        of = stages["second" if deferred[place] else "first"][place]
        np.testing.assert_allclose(each["logits"], of["logits"], atol=1e-6)
    assert {"model.gguf", "second-model.gguf"} <= set(read_artifact(folder).files)


def test_a_label_that_the_first_stage_may_not_give_goes_to_the_second(
    tiny_bert: Path, tmp_path: Path, stages: dict[str, list[dict[str, Any]]]
) -> None:
    labels = inspect(tiny_bert).labels
    given = [labels[int(each["logits"][0].argmax())] for each in stages["first"]]
    found = answers(cascade(tiny_bert, tmp_path, 0.0, always=[given[0]]))
    assert [bool(each["deferred"][0]) for each in found] == [label == given[0] for label in given]


def test_a_second_file_that_is_gone_is_an_error_of_one_line(tiny_bert: Path, tmp_path: Path) -> None:
    folder = cascade(tiny_bert, tmp_path / "made", 0.5)
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "second-model.gguf").unlink()
    with pytest.raises(MctError, match=r"second-model\.gguf"):
        read_artifact(tmp_path / "copy")

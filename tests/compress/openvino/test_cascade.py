"""A cascade as an OpenVINO graph: each text has the answer of the stage that its sureness names, as in ONNX."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mct.bench.samples.subject import identify
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.runtimes.table import open_session, runtime_for

TEXTS = ["Where is my order?", "I want to return volume 3", "hi", "my card was declined", "let me talk to a human now"]
SHALLOW = Step("drop-layers", options={"keep": [0]})
EXPORT = (Step("export-onnx"), Step("export-openvino"))
SECOND = [{"pass": "export-onnx"}, {"pass": "export-openvino"}]


def made(checkpoint: Path, out: Path, *steps: Step) -> Path:
    """The artifact that these steps make, prepared for no other lengths than those of a few texts."""
    data = out.with_suffix(".jsonl")
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_text("".join(f'{{"text": "{text}", "label": "returns"}}\n' for text in TEXTS))
    plan = make_plan(inspect(checkpoint), [], [], recipe=Recipe(steps))
    resources, texts = gather(plan, data, None, {}, seed=0)
    (folder,) = execute(plan, resources, texts, out)
    return folder


def joined(threshold: float, form: str = "openvino-fp32", second: Any = SECOND, **more: Any) -> Step:
    return Step("cascade", form, {"second": second, "threshold": threshold, **more})


def answers(folder: Path) -> list[dict[str, Any]]:
    """All that a session gives, a text at a time."""
    subject = identify(folder)
    session = open_session(runtime_for(subject.format), subject.executable, 1)
    tokenize = open_tokenizer(folder, subject.executable.max_tokens)
    return [session([tokenize(text)]) for text in TEXTS]


def surest(each: dict[str, Any]) -> float:
    return float(1 / np.exp(each["logits"][0] - each["logits"][0].max()).sum())


@pytest.fixture(scope="module")
def stages(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What either stage answers by itself."""
    folder = tmp_path_factory.mktemp("stages")
    return {
        "first": answers(made(tiny_bert, folder / "first", SHALLOW, *EXPORT)),
        "second": answers(made(tiny_bert, folder / "second", *EXPORT)),
    }


@pytest.fixture(scope="module")
def middle(stages: dict[str, list[dict[str, Any]]]) -> float:
    """A threshold that three of the texts are below."""
    best = sorted(map(surest, stages["first"]))
    return (best[2] + best[3]) / 2


def test_each_text_gets_the_answer_of_the_stage_that_its_sureness_names(
    tiny_bert: Path, tmp_path: Path, stages: dict[str, list[dict[str, Any]]], middle: float
) -> None:
    found = answers(made(tiny_bert, tmp_path, SHALLOW, *EXPORT, joined(middle)))
    deferred = [bool(each["deferred"][0]) for each in found]
    assert deferred == [surest(each) < middle for each in stages["first"]]
    assert sorted(deferred) == [False, False, True, True, True]
    for place, each in enumerate(found):
        of = stages["second" if deferred[place] else "first"][place]
        np.testing.assert_allclose(each["logits"], of["logits"], atol=1e-5)


def test_a_label_that_the_first_stage_may_not_give_goes_to_the_second(
    tiny_bert: Path, tmp_path: Path, stages: dict[str, list[dict[str, Any]]]
) -> None:
    labels = inspect(tiny_bert).labels
    given = [labels[int(each["logits"][0].argmax())] for each in stages["first"]]
    found = answers(made(tiny_bert, tmp_path, SHALLOW, *EXPORT, joined(0.0, always=[given[0]])))
    assert [bool(each["deferred"][0]) for each in found] == [label == given[0] for label in given]


def test_it_defers_as_the_same_cascade_in_onnx_does(tiny_bert: Path, tmp_path: Path, middle: float) -> None:
    in_onnx = joined(middle, "onnx-fp32", [{"pass": "export-onnx"}])
    onnx = answers(made(tiny_bert, tmp_path / "onnx", SHALLOW, EXPORT[0], in_onnx))
    openvino = answers(made(tiny_bert, tmp_path / "openvino", SHALLOW, *EXPORT, joined(middle)))
    for one, other in zip(onnx, openvino, strict=True):
        assert bool(one["deferred"][0]) == bool(other["deferred"][0])
        np.testing.assert_allclose(one["logits"], other["logits"], atol=1e-4)


def test_made_twice_it_is_the_same_bytes(tiny_bert: Path, tmp_path: Path, middle: float) -> None:
    steps = (SHALLOW, *EXPORT, joined(middle))
    one, other = (made(tiny_bert, tmp_path / name, *steps) for name in ("one", "other"))
    for name in ("openvino_model.xml", "openvino_model.bin"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_both_stages_may_be_int8(tiny_bert: Path, tmp_path: Path, middle: float) -> None:
    """The second is whole and in INT8 as well; its product in one call is what INT8 alone answers."""
    round_it = Step("quantise-openvino", "openvino-int8")
    second = [*SECOND, {"pass": "quantise-openvino", "gives": "openvino-int8"}]
    alone = answers(made(tiny_bert, tmp_path / "alone", *EXPORT, round_it))
    every = joined(1.0, "openvino-int8", second)
    found = answers(made(tiny_bert, tmp_path / "both", SHALLOW, *EXPORT, round_it, every))
    assert all(bool(each["deferred"][0]) for each in found)
    for one, other in zip(alone, found, strict=True):
        np.testing.assert_allclose(one["logits"], other["logits"], atol=0.02)

"""A cascade in every format that has one: each text gets the answer of the stage that its sureness names."""

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
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import open_session, runtime_for

TEXTS = ["Where is my order?", "I want to return volume 3", "hi", "my card was declined", "let me talk to a human now"]
SHALLOW = Step("drop-layers", options={"keep": [0]})
EXPORTS = {
    "onnx-fp32": ("export-onnx",), "openvino-fp32": ("export-onnx", "export-openvino"), "gguf-f32": ("export-gguf",),
}  # fmt: skip
CLOSE = {"onnx-fp32": 1e-4, "openvino-fp32": 1e-5, "gguf-f32": 1e-6}
"""How far the logits of a stage may differ within a cascade."""
Answers = list[dict[str, Any]]
Stages = dict[str, Answers]


def exported(form: str) -> tuple[Step, ...]:
    return tuple(map(Step, EXPORTS[form]))


def joined(form: str, threshold: float, then: tuple[dict[str, Any], ...] = (), **more: Any) -> Step:
    """The step that joins a whole second stage in the same form, after the steps `then`."""
    second = [*({"pass": name} for name in EXPORTS.get(form, EXPORTS["openvino-fp32"])), *then]
    return Step("cascade", form, {"second": second, "threshold": threshold, **more})


def made(checkpoint: Path, out: Path, *steps: Step) -> Path:
    """The artifact that these steps make, prepared for no other lengths than those of a few texts."""
    data = out.with_suffix(".jsonl")
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_text("".join(f'{{"text": "{text}", "label": "returns"}}\n' for text in TEXTS))
    plan = make_plan(inspect(checkpoint), [], [], recipe=Recipe(steps))
    resources, texts = gather(plan, data, None, {}, seed=0)
    (folder,) = execute(plan, resources, texts, out)
    return folder


def answers(folder: Path) -> Answers:
    """All that a session gives, a text at a time."""
    subject = identify(folder)
    session = open_session(runtime_for(subject.format), subject.executable, 1)
    tokenize = open_tokenizer(folder, subject.executable.max_tokens)
    return [session([tokenize(text)]) for text in TEXTS]


def surest(each: dict[str, Any]) -> float:
    return float(1 / np.exp(each["logits"][0] - each["logits"][0].max()).sum())


def middle(stages: Stages) -> float:
    """A threshold that three of the texts are below."""
    best = sorted(map(surest, stages["first"]))
    return (best[2] + best[3]) / 2


@pytest.fixture(scope="module", params=EXPORTS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stages(form: str, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """What either stage answers by itself."""
    folder = tmp_path_factory.mktemp("stages")
    return {
        "first": answers(made(tiny_bert, folder / "first", SHALLOW, *exported(form))),
        "second": answers(made(tiny_bert, folder / "second", *exported(form))),
    }


def test_each_text_gets_the_answer_of_the_stage_that_its_sureness_names(
    form: str, tiny_bert: Path, tmp_path: Path, stages: Stages
) -> None:
    threshold = middle(stages)
    found = answers(made(tiny_bert, tmp_path / "made", SHALLOW, *exported(form), joined(form, threshold)))
    deferred = [bool(each["deferred"][0]) for each in found]
    assert deferred == [surest(each) < threshold for each in stages["first"]]
    assert sorted(deferred) == [False, False, True, True, True]
    for place, each in enumerate(found):
        of = stages["second" if deferred[place] else "first"][place]
        np.testing.assert_allclose(each["logits"], of["logits"], atol=CLOSE[form])


def test_a_label_that_the_first_stage_may_not_give_goes_to_the_second(
    form: str, tiny_bert: Path, tmp_path: Path, stages: Stages
) -> None:
    labels = inspect(tiny_bert).labels
    given = [labels[int(each["logits"][0].argmax())] for each in stages["first"]]
    reserved = joined(form, 0.0, always=[given[0]])
    found = answers(made(tiny_bert, tmp_path / "made", SHALLOW, *exported(form), reserved))
    assert [bool(each["deferred"][0]) for each in found] == [label == given[0] for label in given]


def test_openvino_defers_as_onnx_does(tiny_bert: Path, tmp_path: Path) -> None:
    first = answers(made(tiny_bert, tmp_path / "first", SHALLOW, *exported("onnx-fp32")))
    threshold = middle({"first": first})
    both = [
        answers(made(tiny_bert, tmp_path / each, SHALLOW, *exported(each), joined(each, threshold)))
        for each in ("onnx-fp32", "openvino-fp32")
    ]
    for one, another in zip(*both, strict=True):
        assert bool(one["deferred"][0]) == bool(another["deferred"][0])
        np.testing.assert_allclose(one["logits"], another["logits"], atol=1e-4)


def test_made_twice_a_graph_of_openvino_is_the_same_bytes(tiny_bert: Path, tmp_path: Path) -> None:
    steps = (SHALLOW, *exported("openvino-fp32"), joined("openvino-fp32", 0.4))
    one, other = (made(tiny_bert, tmp_path / name, *steps) for name in ("one", "other"))
    for name in ("openvino_model.xml", "openvino_model.bin"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_both_stages_may_be_int8(tiny_bert: Path, tmp_path: Path) -> None:
    """The second is whole and in INT8 as well; asked for every text, it answers what INT8 alone answers."""
    whole, round_it = exported("openvino-fp32"), Step("quantise-openvino", "openvino-int8")
    alone = answers(made(tiny_bert, tmp_path / "alone", *whole, round_it))
    then = ({"pass": "quantise-openvino", "gives": "openvino-int8"},)
    every = joined("openvino-int8", 1.0, then)
    if "amx_int8" in probe_machine().instruction_sets:  # there it is computed wrongly
        with pytest.raises(MctError, match="CPUs with AMX"):
            made(tiny_bert, tmp_path / "both", SHALLOW, *whole, round_it, every)
        return
    found = answers(made(tiny_bert, tmp_path / "both", SHALLOW, *whole, round_it, every))
    assert all(bool(each["deferred"][0]) for each in found)
    for one, other in zip(alone, found, strict=True):
        np.testing.assert_allclose(one["logits"], other["logits"], atol=0.02)


def test_a_second_file_of_gguf_that_is_gone_is_an_error_of_one_line(tiny_bert: Path, tmp_path: Path) -> None:
    folder = made(tiny_bert, tmp_path / "made", SHALLOW, *exported("gguf-f32"), joined("gguf-f32", 0.5))
    assert {"model.gguf", "second-model.gguf"} <= set(read_artifact(folder).files)
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "second-model.gguf").unlink()
    with pytest.raises(MctError, match=r"second-model\.gguf"):
        read_artifact(tmp_path / "copy")

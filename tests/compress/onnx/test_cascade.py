"""A cascade in ONNX: a batch, its lineage, what is refused. What it answers: ../test_cascades.py."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from mct import MctError
from mct.bench.samples.subject import identify
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step, read_recipe
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.runtimes.table import open_session, runtime_for

TEXTS = ["Where is my order?", "I want to return volume 3", "hi", "my card was declined", "let me talk to a human now"]
FIRST = (Step("drop-layers", options={"keep": [0]}), Step("export-onnx"))
WHOLE = [{"pass": "export-onnx"}]


def recipe(threshold: float, second: list[dict[str, Any]] = WHOLE, **more: Any) -> Recipe:
    joined = Step("cascade", "onnx-fp32", {"second": second, "threshold": threshold, **more})
    return Recipe((*FIRST, joined))


def made(checkpoint: Path, out: Path, recipe: Recipe) -> Path:
    plan = make_plan(inspect(checkpoint), [], [], recipe=recipe)
    resources, texts = gather(plan, None, None, {}, seed=0)
    (folder,) = execute(plan, resources, texts, out)
    return folder


def logits(folder: Path, texts: list[str] = TEXTS) -> list[dict[str, Any]]:
    """All that the file gives, a text at a time."""
    artifact = read_artifact(folder)
    session = ort.InferenceSession(str(folder / artifact.model), providers=["CPUExecutionProvider"])
    tokenize = open_tokenizer(folder, artifact.max_tokens)
    names, wanted = [each.name for each in session.get_outputs()], [each.name for each in session.get_inputs()]
    found = []
    for text in texts:
        ids = np.array([tokenize(text).ids])
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        found.append(dict(zip(names, session.run(names, {name: given[name] for name in wanted}), strict=True)))
    return found


@pytest.fixture(scope="module")
def stages(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What either stage answers by itself."""
    folder = tmp_path_factory.mktemp("stages")
    return {
        "first": logits(made(tiny_bert, folder / "first", Recipe(FIRST))),
        "second": logits(made(tiny_bert, folder / "second", Recipe((Step("export-onnx"),)))),
    }


def shares(outputs: dict[str, Any]) -> Any:
    rows = np.exp(outputs["logits"][0] - outputs["logits"][0].max())
    return rows / rows.sum()


def test_a_batch_is_answered_row_by_row(
    tiny_bert: Path, tmp_path: Path, stages: dict[str, list[dict[str, Any]]]
) -> None:
    best = sorted(float(shares(each).max()) for each in stages["first"])
    folder = made(tiny_bert, tmp_path, recipe((best[2] + best[3]) / 2))
    artifact = read_artifact(folder)
    session = ort.InferenceSession(str(folder / artifact.model), providers=["CPUExecutionProvider"])
    ids = [open_tokenizer(folder, artifact.max_tokens)(text).ids for text in TEXTS]
    longest = max(map(len, ids))
    padded = np.array([[*each, *[0] * (longest - len(each))] for each in ids])
    mask = np.array([[1] * len(each) + [0] * (longest - len(each)) for each in ids])
    given = {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)}
    (together,) = session.run(["logits"], {each.name: given[each.name] for each in session.get_inputs()})
    alone = np.concatenate([each["logits"] for each in logits(folder)])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_its_lineage_is_its_recipe(tiny_bert: Path, tmp_path: Path) -> None:
    told = recipe(0.5, always=["returns"])
    folder = made(tiny_bert, tmp_path, told)
    done = read_recipe(folder)
    assert [(step.name, step.options) for step in done.steps] == [(step.name, step.options) for step in told.steps]
    (tmp_path / "again.toml").write_text(told.as_toml())
    assert read_recipe(tmp_path / "again.toml") == told


@pytest.mark.parametrize(
    ("second", "more", "said"),
    [
        ([], {}, "comes to nothing"),
        ([{"pass": "export-onnx"}, {"pass": "export-openvino"}], {}, "comes to openvino-fp32"),
        ([{"pass": "export-onyx"}], {}, "unknown pass 'export-onyx'"),
        ([{"steps": 3}], {}, "missing required field `pass`"),
    ],
)
def test_a_second_stage_that_does_not_fit_is_refused_by_the_plan(
    tiny_bert: Path, second: list[dict[str, Any]], more: dict[str, Any], said: str
) -> None:
    with pytest.raises(MctError) as refused:
        make_plan(inspect(tiny_bert), [], [], recipe=recipe(0.5, second, **more))
    assert said in refused.value.message


def test_stages_that_cut_texts_otherwise_are_refused(tiny_bert: Path, tmp_path: Path) -> None:
    data, others = tmp_path / "texts.jsonl", tmp_path / "others.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    others.write_text('{"text": "where is my card"}\n')
    plan = make_plan(inspect(tiny_bert), [], [], recipe=recipe(0.5, [{"pass": "trim-vocabulary"}, *WHOLE]))
    resources, texts = gather(plan, data, others, {}, seed=0)
    with pytest.raises(MctError, match="cut texts into other pieces"):
        execute(plan, resources, texts, tmp_path / "out")
    assert not (tmp_path / "out" / "onnx-fp32").exists()


def test_an_unknown_label_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(MctError, match="unknown label in `always` 'return'"):
        made(tiny_bert, tmp_path, recipe(0.5, always=["return"]))


def test_how_a_file_is_to_be_run_goes_with_it(tiny_bert: Path, tmp_path: Path) -> None:
    told = Recipe((Step("export-onnx"), Step("run-with", "onnx-fp32", {"threads": 1, "spinning": False})))
    folder = made(tiny_bert, tmp_path, told)
    settings = read_artifact(folder).settings
    assert settings["threads"] == 1 and settings["spinning"] is False
    before = {thread.name for thread in Path("/proc/self/task").iterdir()}
    session = open_session(runtime_for("onnx"), identify(folder).executable, threads=4)
    assert session([open_tokenizer(folder, 64)("hi")])["logits"].shape == (1, 3)
    assert {thread.name for thread in Path("/proc/self/task").iterdir()} <= before, "no threads of its own"

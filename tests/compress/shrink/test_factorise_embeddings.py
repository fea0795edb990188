"""Token vectors in two factors: at the full width the same answers, and below it those of the axes that hold most."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from mct import MctError
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect

TEXTS = ("where is my order", "let me talk to a human", "my card was declined", "return it", "hi", "is it for a child")


def run(folder: Path, out: Path, width: int, formats: list[str]) -> list[Path]:
    seen, asked = out.with_suffix(".seen.jsonl"), out.with_suffix(".asked.jsonl")
    for file, texts in ((seen, TEXTS[::2]), (asked, TEXTS[1::2])):
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    step = Step("factorise-embeddings", options={"width": width})
    plan = make_plan(inspect(folder), formats, ["fp32"], recipe=Recipe((step,)))
    resources, requests = gather(plan, seen, asked, {}, seed=0)
    return execute(plan, resources, requests, out)


def lineage(checkpoint: Path) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads((checkpoint / "mct-lineage.json").read_text())[-1]
    return entry


def test_at_the_full_width_every_answer_stays(tiny_bert: Path, tmp_path: Path) -> None:
    width = width_of(tiny_bert)
    checkpoint, *artifacts = run(tiny_bert, tmp_path / "out", width, ["checkpoint", "onnx", "openvino"])
    said = lineage(checkpoint)
    assert said["parity"]["parent"]["agreement"] == 1.0 and said["parity"]["parent"]["max_abs_delta"] < 1e-4
    assert said["notes"]["vectors_kept"] == pytest.approx(1, abs=1e-6)
    assert all(read_artifact(each).parity["root"]["agreement"] == 1.0 for each in artifacts)
    model, found = AutoModelForSequenceClassification.from_pretrained(checkpoint, output_loading_info=True)
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.model_type == "albert"


def test_narrow_vectors_keep_most_and_say_how_much(tiny_bert: Path, tmp_path: Path) -> None:
    width = width_of(tiny_bert)
    kept = []
    for narrow in (2, width // 2, width - 1):
        (checkpoint,) = run(tiny_bert, tmp_path / f"out{narrow}", narrow, ["checkpoint"])
        kept.append(lineage(checkpoint)["notes"]["vectors_kept"])
        table = AutoModelForSequenceClassification.from_pretrained(checkpoint).get_input_embeddings().weight
        assert table.shape[1] == narrow
        assert torch.allclose(table.mean(dim=1), torch.zeros(len(table)), atol=1e-5)
    assert kept == sorted(kept) and 0 < kept[0] < kept[1] < kept[2] < 1
    assert np.diff(kept)[0] > (kept[2] - kept[1]) / 10


@pytest.mark.parametrize(("width", "said"), [(1, "from 2 to"), (4096, "from 2 to")])
def test_a_width_that_cannot_be_is_refused_in_the_plan(tiny_bert: Path, width: int, said: str) -> None:
    step = Step("factorise-embeddings", options={"width": width})
    with pytest.raises(MctError, match=said):
        make_plan(inspect(tiny_bert), ["checkpoint"], ["fp32"], recipe=Recipe((step,)))


def test_another_kind_is_refused_in_the_plan(tiny_llama: Path) -> None:
    step = Step("factorise-embeddings", options={"width": 8})
    with pytest.raises(MctError, match="factorise-embeddings"):
        make_plan(inspect(tiny_llama), ["checkpoint"], ["fp32"], recipe=Recipe((step,)))


def width_of(folder: Path) -> int:
    width = json.loads((folder / "config.json").read_text())["hidden_size"]
    assert isinstance(width, int)
    return width

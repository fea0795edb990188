"""Experts pruned or merged by what the router does on the user's texts, held against weights worked out by hand."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, MixtralConfig, Qwen3MoeConfig

from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect

SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "initializer_range": 0.2, "num_experts_per_tok": 1,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip
FAMILIES: dict[str, Callable[..., Any]] = {
    "mixtral": lambda **sizes: MixtralConfig(**SIZES, **sizes, num_local_experts=4, sliding_window=None),
    "qwen3_moe": lambda **sizes: Qwen3MoeConfig(
        **SIZES, **sizes, num_experts=4, moe_intermediate_size=64, head_dim=16, norm_topk_prob=True
    ),
}
TEXTS = ("where is my order", "this is in another order", "or is the order here", "is it in there")


def write(family: str, tiny_llama: Path, folder: Path) -> Any:
    """A model of four experts a layer: the router takes the first or the second, and likes the third as the first."""
    shutil.copytree(tiny_llama, folder)
    (folder / "model.safetensors").unlink()
    torch.manual_seed(0)
    pieces = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    model = AutoModelForCausalLM.from_config(FAMILIES[family](vocab_size=pieces))
    for layer in model.model.layers:
        gate = layer.mlp.gate.weight.data
        gate[1], gate[2], gate[3] = -gate[0], gate[0] / 2, 0
    model.save_pretrained(folder)
    return model.eval()


def fewer(folder: Path, out: Path, name: str, keep: int, formats: list[str]) -> list[Path]:
    seen, asked = out.with_suffix(".seen.jsonl"), out.with_suffix(".asked.jsonl")
    for file, texts in ((seen, TEXTS[::2]), (asked, TEXTS[1::2])):
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    plan = make_plan(inspect(folder), formats, ["fp32"], recipe=Recipe((Step(name, options={"keep": keep}),)))
    resources, requests = gather(plan, seen, asked, {}, seed=0)
    return execute(plan, resources, requests, out)


@pytest.mark.parametrize("name", ["prune-experts", "merge-experts"])
@pytest.mark.parametrize("family", FAMILIES)
def test_without_experts_that_are_never_taken_the_answers_stay(
    family: str, name: str, tiny_llama: Path, tmp_path: Path
) -> None:
    write(family, tiny_llama, tmp_path / "whole")
    formats = ["checkpoint", "onnx"] if (family, name) == ("mixtral", "merge-experts") else ["checkpoint"]
    checkpoint, *artifacts = fewer(tmp_path / "whole", tmp_path / "out", name, 2, formats)
    said = json.loads((checkpoint / "mct-lineage.json").read_text())[-1]
    for layer in said["notes"]["layers"]:
        assert layer["kept"] == [0, 1] and layer["share_of_use"] == 1.0
        assert (2 in layer["groups"][0]) == (name == "merge-experts") and 2 not in layer["groups"][1]
    assert said["parity"]["parent"]["agreement"] == 1.0 and said["parity"]["parent"]["max_abs_delta"] < 1e-4
    assert all(read_artifact(each).parity["root"]["agreement"] == 1.0 for each in artifacts)
    config = AutoModelForCausalLM.from_pretrained(checkpoint).config
    assert 2 in {getattr(config, key, None) for key in ("num_local_experts", "num_experts")}
    assert inspect(checkpoint).parameters < inspect(tmp_path / "whole").parameters


def test_a_merged_expert_is_the_mean_of_its_group_by_use() -> None:
    from mct.compress.shrink.fewer_experts import _grouped, _mean

    shares = torch.tensor([[0.6, 0.1, 0.3], [0.1, 0.8, 0.1], [0.7, 0.0, 0.3]])
    assert _grouped([0, 1], shares) == [[0, 2], [1]]
    assert _mean(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.tensor([3.0, 1.0])).tolist() == [1.5, 3.0]


@pytest.mark.parametrize(
    ("family", "keep", "reason"),
    [("mixtral", 4, "fewer must stay"), ("mixtral", 0, "fewer must stay"), ("llama", 1, "has no experts")],
)  # fmt: skip
def test_what_cannot_have_fewer_is_refused_by_the_plan(
    family: str, keep: int, reason: str, tiny_llama: Path, tmp_path: Path, run_mct: Callable[..., Any]
) -> None:
    folder = tiny_llama if family == "llama" else tmp_path / "whole"
    if family != "llama":
        write(family, tiny_llama, folder)
    recipe = tmp_path / "fewer.toml"
    recipe.write_text(f'[[steps]]\npass = "merge-experts"\nkeep = {keep}\n')
    asked = ("--recipe", recipe, "--format", "onnx", "--data", tmp_path / "none.jsonl", "--plan")
    done = run_mct("compress", folder, "-o", tmp_path / "out", *asked)
    assert done.returncode == 2 and reason in done.stderr, done.stderr

"""A checkpoint is known by all that decides what it answers, wherever it lies; a lineage names it so."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForCausalLM

from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.execute import execute
from mct.compress.run.lineage import answers_digest, known_of, made_of
from mct.compress.run.resources import gather
from mct.models.checkpoints.adapted import Told
from mct.models.checkpoints.checkpoint import SETFIT_HEAD, inspect


@pytest.fixture
def pair(tiny_llama: Path, tmp_path: Path) -> Path:
    """A base, and a folder with two adapters of it, each in a folder of its own."""
    shutil.copytree(tiny_llama, tmp_path / "llama")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "llama")
    torch.manual_seed(1)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], r=4, init_lora_weights=False)
    peft.get_peft_model(model, lora).save_pretrained(tmp_path / "pair" / "a")
    shutil.copytree(tmp_path / "pair" / "a", tmp_path / "pair" / "b")
    weights = tmp_path / "pair" / "b" / "adapter_model.safetensors"
    save_file({name: 1 - tensor for name, tensor in load_file(weights).items()}, weights)
    return tmp_path / "pair"


def known(pair: Path, adapter: str) -> str:
    return answers_digest(inspect(pair, Told(adapter=adapter, base=pair.parent / "llama")))


def test_adapters_in_folders_of_their_own_and_their_mixes_are_told_apart(pair: Path, tmp_path: Path) -> None:
    asked = ("a", "b", "a=0.5,b=0.5", "a=0.7,b=0.3")
    assert len({known(pair, each) for each in asked}) == len(asked)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(pair.parent / "llama", elsewhere / "llama")
    shutil.copytree(pair, elsewhere / "pair")
    assert known(elsewhere / "pair", "a") == known(pair, "a"), "where the files lie decides no answer"


def _scaled(pair: Path) -> None:
    said = json.loads((pair / "a" / "adapter_config.json").read_text())
    (pair / "a" / "adapter_config.json").write_text(json.dumps(said | {"lora_alpha": 999}))


def _other_base(pair: Path) -> None:
    weights = pair.parent / "llama" / "model.safetensors"
    save_file({name: tensor * 2 for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})


def _other_tokenizer(pair: Path) -> None:
    path = pair.parent / "llama" / "tokenizer.json"
    path.write_text(path.read_text() + "\n")


@pytest.mark.parametrize("change", [_scaled, _other_base, _other_tokenizer])
def test_what_an_adapter_answers_by_is_more_than_its_weights(pair: Path, change: Callable[[Path], None]) -> None:
    before = known(pair, "a")
    change(pair)
    assert known(pair, "a") != before


def test_adapters_that_are_kept_are_each_known_as_if_they_had_been_asked_for(pair: Path) -> None:
    base = pair.parent / "llama"
    said = known_of(inspect(pair, Told(base=base, keep=True)))
    assert said["answers"] == answers_digest(inspect(base))
    assert said["kept"] == {name: known(pair, name) for name in ("a", "b")}


def test_what_only_tells_of_a_checkpoint_is_none_of_it(tiny_bert: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(tiny_bert, tmp_path / "own"))
    before = answers_digest(inspect(own))
    (own / "README.md").write_text("A router.")
    (own / "recipe.json").write_text("{}")
    (own / "checkpoint-500").mkdir()
    (own / "checkpoint-500" / "trainer_state.json").write_text("{}")
    assert answers_digest(inspect(own)) == before
    (own / "tokenizer_config.json").write_text("{}")
    assert answers_digest(inspect(own)) != before


@pytest.mark.parametrize(
    ("step", "kept"), [(Step("drop-layers", options={"keep": [1]}), False), (Step("trim-vocabulary"), True)]
)
def test_what_a_recipe_changed_is_not_what_comes_of_it_in_a_second_command_either(
    step: Step, kept: bool, tiny_bert: Path, tmp_path: Path
) -> None:
    for name, text in (("seen", "where is my order"), ("asked", "my order is where")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": text}) + "\n")
    plan = make_plan(inspect(tiny_bert), ["checkpoint"], [], recipe=Recipe((step,)))
    (made,) = execute(plan, *gather(plan, tmp_path / "seen.jsonl", tmp_path / "asked.jsonl", {}, 0), tmp_path / "out")
    roots = made_of([known_of(inspect(made))], "here")
    assert answers_digest(inspect(tiny_bert)) in roots
    assert (answers_digest(inspect(made)) in roots) is kept


def test_a_head_that_is_a_pickle_decides_answers(tiny_bert: Path, tmp_path: Path) -> None:
    modules = [Transformer(str(tiny_bert)), Pooling(64)]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "setfit"))
    vectors = np.random.default_rng(0).normal(size=(30, 64))
    head = LogisticRegression().fit(vectors, np.array(["order", "return", "hello"] * 10))
    joblib.dump(head, tmp_path / "setfit" / SETFIT_HEAD)
    before = answers_digest(inspect(tmp_path / "setfit"))
    head.coef_ = -head.coef_
    joblib.dump(head, tmp_path / "setfit" / SETFIT_HEAD)
    assert answers_digest(inspect(tmp_path / "setfit")) != before

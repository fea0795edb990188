"""Adapters by weights: what they add to the base is added up, by hand here; what takes its place comes whole."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, Qwen2Config, Qwen2ForCausalLM

from mct import MctError
from mct.compress.merge.merge_adapter import run
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.adapted import Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load_adapter import load_adapted, load_peft, plain_base, require_all_used
from mct.targets.machine import probe_machine

pytestmark = pytest.mark.filterwarnings("ignore")

AUTO = {"CAUSAL_LM": AutoModelForCausalLM, "SEQ_CLS": AutoModelForSequenceClassification}
IDS = torch.randint(5, 105, (4, 24), generator=torch.Generator().manual_seed(0))
ROWS = [int(each) for each in IDS.unique()[:12]]

Said = dict[str, Any]


@pytest.fixture
def bases(tiny_llama: Path, tiny_bert: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A base of each kind, by name, in a folder of its own."""

    def find(kind: str) -> Path:
        if kind == "bert":
            return Path(shutil.copytree(tiny_bert, tmp_path / "base"))
        folder = Path(shutil.copytree(tiny_llama, tmp_path / "base"))
        if kind == "qwen2":
            torch.manual_seed(0)
            Qwen2ForCausalLM(
                Qwen2Config(
                    vocab_size=266, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, max_position_embeddings=128, initializer_range=0.2,
                )
            ).save_pretrained(folder)  # fmt: skip
        if kind == "tied llama":
            base = AutoModelForCausalLM.from_pretrained(folder, tie_word_embeddings=True)
            base.tie_weights()
            base.save_pretrained(folder)
        return folder

    return find


def ask(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(input_ids=IDS).logits
    return logits


def write(base: Path, task: str, adapters: dict[str, Said], out: Path) -> Any:
    """Adapters put on by peft, each changed, saved side by side; the model that has them all."""
    torch.manual_seed(1)
    adapted: Any = None
    for name, said in adapters.items():
        config = peft.LoraConfig(**({"task_type": task, "init_lora_weights": False, "r": 4} | said))
        if adapted is None:
            adapted = peft.get_peft_model(AUTO[task].from_pretrained(base), config, adapter_name=name)
        else:
            adapted.add_adapter(name, config)
        adapted.set_adapter(name)
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.3 * (parameter.abs().mean() + 0.1))
    adapted.save_pretrained(out)
    return adapted


def add_up(base: Any, adapted: Any, weights: dict[str, float]) -> Any:
    """The base, with each weight's own changes times their weights."""
    for place, layer in adapted.get_base_model().named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        target = base.get_submodule(place)
        for name, weight in weights.items():
            if name in layer.scaling:
                with torch.no_grad():
                    target.weight += weight * layer.get_delta_weight(name)
                    if layer.lora_bias[name]:
                        target.bias += weight * layer.scaling[name] * layer.lora_B[name].bias
    return base


def require(folder: Path, base: Path, told: str, wanted: torch.Tensor, task: str, out: Path) -> None:
    """What runs the mix unmerged and what the pass leaves both answer as wanted, which is not as the base does."""
    checkpoint = inspect(folder, Told(adapter=told, base=base))
    assert (ask(load_adapted(checkpoint)) - wanted).abs().max() <= 1e-4
    out.mkdir()
    run(Product(folder, ""), out, {}, Resources(checkpoint, None, probe_machine(), 0))
    assert (ask(AUTO[task].from_pretrained(out)) - wanted).abs().max() <= 2e-4


def test_half_of_an_adapter_has_the_whole_of_its_head(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base = bases("bert")
    adapted = write(base, "SEQ_CLS", {"a": {"target_modules": ["query", "value"]}}, tmp_path / "adapters")
    by_hand = add_up(AutoModelForSequenceClassification.from_pretrained(base), adapted, {"a": 0.5})
    without_head = ask(by_hand)
    by_hand.classifier = adapted.get_base_model().classifier.modules_to_save["a"]
    wanted = ask(by_hand)
    assert (wanted - without_head).abs().max() > 0.1
    require(tmp_path / "adapters", base, "a=0.5", wanted, "SEQ_CLS", tmp_path / "out")


def test_the_head_of_a_mix_is_that_of_the_adapter_which_has_one(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base, plain = bases("llama"), {"target_modules": ["q_proj"]}
    told = {"a": plain, "b": plain | {"modules_to_save": ["lm_head"], "r": 3}}
    adapted = write(base, "CAUSAL_LM", told, tmp_path / "adapters")
    by_hand = add_up(AutoModelForCausalLM.from_pretrained(base), adapted, {"a": 0.7, "b": 0.3})
    by_hand.lm_head = adapted.get_base_model().lm_head.modules_to_save["b"]
    require(tmp_path / "adapters", base, "a=0.7,b=0.3", ask(by_hand), "CAUSAL_LM", tmp_path / "out")


def test_rows_of_the_table_of_words_come_whole_too(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base, plain = bases("llama"), {"target_modules": ["q_proj"]}
    by_hand = AutoModelForCausalLM.from_pretrained(base)
    other = write(base, "CAUSAL_LM", {"b": plain}, tmp_path / "adapters")
    add_up(by_hand, other, {"b": -0.4})
    adapted = write(base, "CAUSAL_LM", {"a": plain | {"trainable_token_indices": ROWS}}, tmp_path / "adapters")
    add_up(by_hand, adapted, {"a": 0.5})
    rows = adapted.get_base_model().model.embed_tokens.token_adapter.trainable_tokens_delta["a"]
    with torch.no_grad():
        by_hand.model.embed_tokens.weight[ROWS] = rows
    require(tmp_path / "adapters", base, "a=0.5,b=-0.4", ask(by_hand), "CAUSAL_LM", tmp_path / "out")


@pytest.mark.parametrize(
    ("kind", "a", "b"),
    [
        ("qwen2", {"lora_bias": True}, {"lora_bias": True}),
        ("llama", {"use_rslora": True, "alpha_pattern": {"v_proj": 40}}, {"rank_pattern": {"q_proj": 2}, "r": 9}),
        ("llama", {"target_modules": [], "target_parameters": ["mlp.down_proj.weight"]}, {}),
    ],
    ids=["biases of low-rank layers", "scales of their own", "parameters"],
)
def test_what_is_added_is_added_up(kind: str, a: Said, b: Said, bases: Callable[[str], Path], tmp_path: Path) -> None:
    base, plain = bases(kind), {"target_modules": ["q_proj", "v_proj"]}
    adapted = write(base, "CAUSAL_LM", {"a": plain | a, "b": plain | b}, tmp_path / "adapters")
    by_hand = add_up(AutoModelForCausalLM.from_pretrained(base), adapted, {"a": 0.7, "b": 0.3})
    require(tmp_path / "adapters", base, "a=0.7,b=0.3", ask(by_hand), "CAUSAL_LM", tmp_path / "out")


def test_words_that_are_the_output_too_are_parted_where_the_second_changes_one(
    bases: Callable[[str], Path], tmp_path: Path
) -> None:
    base = bases("tied llama")
    told = {"a": {"target_modules": ["q_proj"]}, "b": {"target_modules": ["q_proj", "embed_tokens"]}}
    adapted = write(base, "CAUSAL_LM", told, tmp_path / "adapters")
    parted = AutoModelForCausalLM.from_pretrained(base)
    assert parted.lm_head.weight is parted.model.embed_tokens.weight
    parted.lm_head.weight = torch.nn.Parameter(parted.lm_head.weight.detach().clone())
    layer = adapted.get_base_model().model.embed_tokens
    layer.lora_bias = dict.fromkeys("ab", False)
    wanted = ask(add_up(parted, adapted, {"a": 0.7, "b": 0.3}))
    require(tmp_path / "adapters", base, "a=0.7,b=0.3", wanted, "CAUSAL_LM", tmp_path / "out")


TWO = {"target_modules": ["q_proj", "v_proj"]}


@pytest.mark.parametrize(
    ("a", "b", "told", "reason"),
    [
        ({"modules_to_save": ["lm_head"]}, {"modules_to_save": ["lm_head"]}, "a=0.7,b=0.3", "each bring a 'lm_head'"),
        (
            {"trainable_token_indices": [70, 71]}, {"trainable_token_indices": [80]}, "a,b",
            "each bring a 'embed_tokens'",
        ),
        ({"use_dora": True}, {}, "a=0.5", "is a DoRA"), ({}, {"use_dora": True}, "a=0.5,b=0.5", "is a DoRA"),
        ({"init_lora_weights": "pissa"}, {}, "a=0.5,b=1", "begun by pissa"),
        ({}, {}, "a=0", "takes nothing of"), ({}, {}, "a=1,b=0.0", "takes nothing of"),
    ],
)  # fmt: skip
def test_a_mix_without_a_meaning_is_refused_before_anything_runs(
    a: Said, b: Said, told: str, reason: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    base = bases("llama")
    write(base, "CAUSAL_LM", {"a": TWO | a, "b": TWO | b}, tmp_path / "adapters")
    with pytest.raises(MctError, match=reason) as refused:
        inspect(tmp_path / "adapters", Told(adapter=told, base=base))
    assert refused.value.hint


def test_of_two_adapters_with_biases_no_mix_is_made(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base = bases("qwen2")
    for name in "ab":
        adapted = write(base, "CAUSAL_LM", {name: TWO | {"bias": "all"}}, tmp_path / "adapters")
    assert adapted is not None
    with pytest.raises(MctError, match="more than one of them has biases") as refused:
        inspect(tmp_path / "adapters", Told(adapter="a=0.5,b=0.5", base=base))
    assert "--adapter a" in refused.value.hint


def test_two_adapters_on_one_head_are_mixed_with_it(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base = bases("llama")
    one = TWO | {"modules_to_save": ["lm_head"]}
    adapted = write(base, "CAUSAL_LM", {"a": one, "b": one}, tmp_path / "ignored")
    heads = adapted.get_base_model().lm_head.modules_to_save
    heads["b"].load_state_dict(heads["a"].state_dict())
    adapted.save_pretrained(tmp_path / "adapters")
    by_hand = add_up(AutoModelForCausalLM.from_pretrained(base), adapted, {"a": 0.7, "b": 0.3})
    by_hand.lm_head = heads["a"]
    require(tmp_path / "adapters", base, "a=0.7,b=0.3", ask(by_hand), "CAUSAL_LM", tmp_path / "out")


@pytest.mark.parametrize("lost", [{"modules_to_save": ["lm_head"]}, {"trainable_token_indices": ROWS}])
def test_a_head_or_rows_that_got_lost_are_noticed(lost: Said, bases: Callable[[str], Path], tmp_path: Path) -> None:
    """What is merged and what that is held against are put together by the same code, which must not lose any."""
    base = bases("llama")
    write(base, "CAUSAL_LM", {"a": TWO | lost}, tmp_path / "adapters")
    checkpoint = inspect(tmp_path / "adapters", Told(adapter="a=0.5", base=base))
    assert checkpoint.adaptation is not None
    adapted = load_peft(checkpoint, plain_base(checkpoint))
    require_all_used(adapted, checkpoint.adaptation)
    for module in adapted.modules():
        if isinstance(module, peft.utils.AuxiliaryTrainingWrapper):
            module.set_adapter([])
    with pytest.raises(RuntimeError, match="is not used"):
        require_all_used(adapted, checkpoint.adaptation)

"""Adapters as peft writes them, of every type that it merges: afterwards an ordinary model gives the same answers.

Each is put on by peft, changed until it decides at least a tenth of the answers, saved, and read back by mct alone.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertModel,
    MixtralConfig,
    MixtralForCausalLM,
)

from mct import MctError
from mct.compress.merge.merge_adapter import run
from mct.compress.merge.obstacles import MERGED, why_not_merge
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.adapted import Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load_adapter import load_adapted
from mct.targets.machine import probe_machine

PAIR = {"target_modules": ["q_proj", "v_proj"]}
SQUARE = {"target_modules": ["q_proj", "o_proj"]}
NONE = {"init_weights": False}
LORA = {"init_lora_weights": False}

ADAPTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("LORA", PAIR | LORA),
    "rslora with patterns": (
        "LORA",
        LORA | {
            "target_modules": ["q_proj", "v_proj", "down_proj"], "use_rslora": True,
            "rank_pattern": {"layers.0.self_attn.q_proj": 4}, "alpha_pattern": {"v_proj": 32},
        },
    ),
    "words and output": ("LORA", LORA | {"target_modules": ["q_proj", "embed_tokens", "lm_head"]}),
    "token rows": ("LORA", PAIR | LORA | {"trainable_token_indices": [70, 71]}),
    "saved output": ("LORA", PAIR | LORA | {"modules_to_save": ["lm_head"]}),
    "parameters": ("LORA", LORA | {"target_modules": [], "target_parameters": ["mlp.down_proj.weight"]}),
    "dora": ("LORA", PAIR | LORA | {"use_dora": True}),
    "pissa": ("LORA", PAIR | {"init_lora_weights": "pissa"}),
    "olora": ("LORA", PAIR | {"init_lora_weights": "olora"}),
    "adalora": ("ADALORA", PAIR | LORA | {"total_step": 10}),
    "ia3": (
        "IA3",
        {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"], "init_ia3_weights": False},
    ),
    "vera": ("VERA", SQUARE | NONE),
    "pvera": ("PVERA", SQUARE | NONE),
    "oft": ("OFT", PAIR | NONE | {"oft_block_size": 8}),
    "boft": ("BOFT", PAIR | NONE | {"boft_block_size": 4}),
    "hra": ("HRA", PAIR | NONE),
    "loha": ("LOHA", PAIR | NONE),
    "lokr": ("LOKR", PAIR | NONE),
    "ln-tuning": ("LN_TUNING", {"target_modules": ["input_layernorm", "post_attention_layernorm"]}),
    "fourierft": ("FOURIERFT", PAIR | NONE | {"n_frequency": 100}),
    "vblora": ("VBLORA", SQUARE | {"num_vectors": 16, "vector_length": 16, "topk": 2}),
    "miss": ("MISS", PAIR | NONE),
    "randlora": ("RANDLORA", SQUARE | NONE),
    "road": ("ROAD", PAIR | NONE | {"group_size": 32}),
    "trainable tokens": ("TRAINABLE_TOKENS", {"target_modules": ["embed_tokens"], "token_indices": [70, 71, 72, 104]}),
    "shira": ("SHIRA", SQUARE | NONE | {"r": 4}),
    "c3a": ("C3A", PAIR | NONE | {"block_size": 16}),
    "waveft": ("WAVEFT", PAIR | NONE | {"n_frequency": 100}),
    "delora": ("DELORA", PAIR | NONE),
    "gralora": ("GRALORA", PAIR | NONE),
    "adamss": ("ADAMSS", SQUARE | NONE),
    "frod": ("FROD", SQUARE | NONE),
    "glora": ("GLORA", SQUARE | NONE),
    "hira": ("HIRA", SQUARE | NONE),
    "unilora": ("UNILORA", SQUARE | NONE),
    "psoft": ("PSOFT", SQUARE | NONE),
    "peanut": ("PEANUT", SQUARE | NONE),
    "supertuning": ("SUPERTUNING", SQUARE),
    "deft": ("DEFT", SQUARE | NONE),
    "osf": ("OSF", SQUARE),
}  # fmt: skip

IDS = torch.randint(2, 266, (4, 24), generator=torch.Generator().manual_seed(0))


def put_on(base: Any, kind: str, options: dict[str, Any], task: str = "CAUSAL_LM") -> Any:
    """What `get_peft_model` gives."""
    config = peft.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(kind)]
    try:
        made = config(task_type=task, **options)
    except TypeError:  # a type whose weights cannot be told how to begin
        made = config(task_type=task, **{name: value for name, value in options.items() if name != "init_weights"})
    return peft.get_peft_model(base, made)


def train(model: Any, ask: Callable[[Any], torch.Tensor], plain: torch.Tensor) -> torch.Tensor:
    """Change what is trainable, by more and more, until a tenth of the answers are others; gives the logits then."""
    generator = torch.Generator().manual_seed(1)
    for step in range(12):
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad and parameter.dtype.is_floating_point:
                    noise = torch.randn(parameter.shape, generator=generator)
                    parameter.add_(noise * 0.2 * 1.5**step * (parameter.abs().mean() + 0.05))
            found = ask(model.eval())
        if (found.argmax(-1) != plain.argmax(-1)).float().mean() > 0.15:
            return found
    raise AssertionError("this adapter changes too few answers to be a test")


def merged(folder: Path, out: Path, told: Told | None = None) -> Path:
    """The folder that the pass leaves."""
    out.mkdir()
    checkpoint = inspect(folder, told)
    assert why_not_merge(checkpoint, {}) == ""
    return run(Product(folder, ""), out, {}, Resources(checkpoint, None, probe_machine(), 0)).folder


def ask_lm(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=IDS).logits
    return logits


@pytest.fixture
def beside(tiny_llama: Path, tmp_path: Path) -> Path:
    """A folder with the base in it, where adapters find it."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "base")).parent


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_merged_adapter_answers_as_peft_runs_it_unmerged(name: str, beside: Path) -> None:
    require_as_peft_runs_it(name, beside)


@pytest.mark.parametrize("name", ["lora", "words and output", "token rows", "trainable tokens"])
def test_where_the_table_of_words_is_the_output_too(name: str, beside: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(beside / "base", tie_word_embeddings=True)
    base.tie_weights()
    base.save_pretrained(beside / "base")
    assert json.loads((beside / "base" / "config.json").read_text())["tie_word_embeddings"] is True
    require_as_peft_runs_it(name, beside)


def require_as_peft_runs_it(name: str, beside: Path) -> None:
    kind, options = ADAPTERS[name]
    base = AutoModelForCausalLM.from_pretrained(beside / "base")
    plain = ask_lm(base)
    torch.manual_seed(2)
    wanted = train(adapted := put_on(base, kind, options), ask_lm, plain)
    adapted.save_pretrained(beside / "adapter")
    unmerged = ask_lm(load_adapted(inspect(beside / "adapter")))
    found = ask_lm(AutoModelForCausalLM.from_pretrained(merged(beside / "adapter", beside / "merged")))
    assert (unmerged - wanted).abs().max() <= 1e-5
    assert (found - wanted).abs().max() <= 1e-4
    assert (wanted.argmax(-1) != plain.argmax(-1)).float().mean() >= 0.1


def test_every_type_that_the_plan_lets_through_is_held_against_peft_here() -> None:
    with_bias = {"BEFT"}  # adds to biases: below, on BERT, which has them
    assert {kind for kind, _ in ADAPTERS.values()} | with_bias == MERGED


BERT_ADAPTERS = {
    "lora with bias": ("LORA", LORA | {"target_modules": ["query", "value"], "bias": "lora_only", "lora_bias": True}),
    "beft": ("BEFT", {"target_modules": ["query", "value"]}),
}


@pytest.mark.parametrize("name", BERT_ADAPTERS)
def test_a_classifier_whose_head_only_the_adapter_has(name: str, tiny_bert: Path, tmp_path: Path) -> None:
    """The base is a bare backbone: the head, and how many labels there are, come with the adapter."""
    kind, options = BERT_ADAPTERS[name]
    BertModel.from_pretrained(tiny_bert).save_pretrained(tmp_path / "base")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_bert / file, tmp_path / "base" / file)
    torch.manual_seed(3)
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=4)
    ids = IDS[:, :12] % base.config.vocab_size

    def ask(model: Any) -> torch.Tensor:
        with torch.no_grad():
            logits: torch.Tensor = model(input_ids=ids).logits
        return logits

    wanted = train(adapted := put_on(base, kind, options, "SEQ_CLS"), ask, ask(base))
    adapted.save_pretrained(tmp_path / "adapter")
    told = Told(labels=("order", "returns", "other", "human"))
    assert inspect(tmp_path / "adapter").labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")
    folder = merged(tmp_path / "adapter", tmp_path / "merged", told)
    assert (ask(AutoModelForSequenceClassification.from_pretrained(folder)) - wanted).abs().max() <= 1e-4
    assert inspect(folder).labels == told.labels


def test_experts_that_an_adapter_changes_by_their_parameters(tiny_llama: Path, tmp_path: Path) -> None:
    torch.manual_seed(4)
    config = MixtralConfig(
        vocab_size=266, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2, max_position_embeddings=128,
        initializer_range=0.2,
    )  # fmt: skip
    MixtralForCausalLM(config).save_pretrained(tmp_path / "base")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_llama / file, tmp_path / "base" / file)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    plain = ask_lm(base)
    options = LORA | {"target_modules": ["q_proj"], "target_parameters": ["experts.gate_up_proj", "experts.down_proj"]}
    wanted = train(adapted := put_on(base, "LORA", options), ask_lm, plain)
    adapted.save_pretrained(tmp_path / "adapter")
    assert "moe" in inspect(tmp_path / "base").technique
    found = ask_lm(AutoModelForCausalLM.from_pretrained(merged(tmp_path / "adapter", tmp_path / "merged")))
    assert (found - wanted).abs().max() <= 1e-4


@pytest.fixture
def two(beside: Path) -> tuple[Path, Any]:
    """A folder with two adapters of unequal rank, and the model that has both on it."""
    base = AutoModelForCausalLM.from_pretrained(beside / "base")
    torch.manual_seed(5)
    adapted = put_on(base, "LORA", PAIR | LORA)
    adapted.add_adapter("polite", peft.LoraConfig(task_type="CAUSAL_LM", r=4, **PAIR, **LORA))
    adapted.save_pretrained(beside / "adapters")
    return beside / "adapters", adapted


def test_of_several_adapters_one_is_named(two: tuple[Path, Any], tmp_path: Path) -> None:
    folder, adapted = two
    with pytest.raises(MctError, match="2 adapters: default, polite") as refused:
        inspect(folder)
    assert "--adapter" in refused.value.hint
    adapted.set_adapter("polite")
    found = AutoModelForCausalLM.from_pretrained(merged(folder, tmp_path / "merged", Told(adapter="polite")))
    assert (ask_lm(found) - ask_lm(adapted)).abs().max() <= 1e-4


def test_a_weighted_mix_is_what_peft_adds_up(two: tuple[Path, Any], tmp_path: Path) -> None:
    folder, adapted = two
    adapted.add_weighted_adapter(["default", "polite"], [0.7, 0.3], "mix", combination_type="cat")
    adapted.set_adapter("mix")
    told = Told(adapter="default=0.7,polite=0.3")
    found = AutoModelForCausalLM.from_pretrained(merged(folder, tmp_path / "merged", told))
    assert (ask_lm(found) - ask_lm(adapted)).abs().max() <= 1e-4


def test_an_adapter_comes_out_in_every_format(beside: Path, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(beside / "base")
    torch.manual_seed(6)
    train(adapted := put_on(base, "LORA", PAIR | LORA), ask_lm, ask_lm(base))
    adapted.save_pretrained(beside / "adapter")
    plan = make_plan(inspect(beside / "adapter"), ["checkpoint", "onnx", "gguf"], ["fp32"])
    assert [route.passes[0].name for route in plan.routes] == ["merge-adapter"] * 3
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("where is my order", "this is in another")))
    resources, requests = gather(plan, None, texts, {}, seed=0)
    _, *folders = execute(plan, resources, requests, tmp_path / "out")
    for folder in folders:
        artifact = read_artifact(folder)
        assert (artifact.technique, artifact.lineage[1]["step"]) == ("lora", "merge-adapter")
        assert artifact.parity["root"]["agreement"] == 1.0
        assert artifact.parity["root"]["max_abs_delta"] <= 1e-3


def test_an_embedder_that_sentence_transformers_put_an_adapter_on(tiny_bert: Path, tmp_path: Path) -> None:
    """Its own loader leaves such an adapter out; the one that trained it, and saved it, is what is held against."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    BertModel.from_pretrained(tiny_bert).save_pretrained(tmp_path / "bert")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_bert / file, tmp_path / "bert" / file)
    trained = SentenceTransformer(modules=[Transformer(str(tmp_path / "bert")), Pooling(64)], device="cpu")
    torch.manual_seed(7)
    trained.add_adapter(
        peft.LoraConfig(task_type="FEATURE_EXTRACTION", target_modules=["query", "value"], lora_alpha=64, **LORA)
    )
    trained.save(str(tmp_path / "adapter"))
    checkpoint = inspect(tmp_path / "adapter")
    assert (checkpoint.task, checkpoint.technique) == ("sentence-embedding", "lora, contrastive")
    folder = merged(tmp_path / "adapter", tmp_path / "merged")
    texts = ["where is my order?", "i want to return volume 3"]
    found = SentenceTransformer(str(folder), device="cpu").encode(texts)
    assert abs(found - trained.encode(texts)).max() <= 1e-4
    bare = SentenceTransformer(modules=[Transformer(str(tmp_path / "bert")), Pooling(64)], device="cpu").encode(texts)
    assert abs(found - bare).max() > 0.1
    assert inspect(folder).task == "sentence-embedding"


def test_a_cross_encoder_saved_without_its_head_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    BertModel.from_pretrained(tiny_bert).save_pretrained(tmp_path / "bert")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_bert / file, tmp_path / "bert" / file)
    trained = CrossEncoder(str(tmp_path / "bert"), num_labels=1, device="cpu")
    trained.add_adapter(peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query"], **LORA))
    trained.save(str(tmp_path / "adapter"))
    with pytest.raises(MctError, match="neither it nor its base, a BertModel, has a head") as refused:
        inspect(tmp_path / "adapter")
    assert "modules_to_save" in refused.value.hint


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"init_lora_weights": "corda"}, "begun by corda"), ({"init_lora_weights": "lora_ga"}, "begun by lora_ga"),
        ({"init_lora_weights": "pissa_niter_4"}, "by chance"), ({"loftq_config": {"loftq_bits": 4}}, "LoftQ"),
        ({"alora_invocation_tokens": [5]}, "from certain tokens on"), ({"peft_type": "XLORA"}, "of the type XLORA"),
        ({"peft_type": "MULTITASK_PROMPT_TUNING", "num_virtual_tokens": 4}, "other ones for every task"),
        ({"peft_type": "CPT", "num_virtual_tokens": 4}, "weighed by those of each text"),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_is_refused_by_the_plan_with_its_reason(
    said: dict[str, Any], reason: str, beside: Path, run_mct: Callable[..., Any]
) -> None:
    adapted = put_on(AutoModelForCausalLM.from_pretrained(beside / "base"), "LORA", PAIR | LORA)
    adapted.save_pretrained(beside / "adapter")
    path = beside / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
    done = run_mct("compress", beside / "adapter", "-o", beside / "out", "--plan")
    assert done.returncode == 2 and reason in done.stderr and "hint: " in done.stderr

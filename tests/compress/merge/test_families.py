"""Families and tasks beside the plain Llama: tied words, transposed layers, heads of every kind, merged and baked."""

import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from mct.compress.merge import bake_prompt, merge_adapter
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load_adapter import load_adapted
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.machine import probe_machine

pytestmark = pytest.mark.filterwarnings("ignore")

VIRTUAL = 4
PIECES = 266
AUTO = {
    "CAUSAL_LM": transformers.AutoModelForCausalLM, "SEQ_CLS": transformers.AutoModelForSequenceClassification,
    "TOKEN_CLS": transformers.AutoModelForTokenClassification,
}  # fmt: skip
LM = {"vocab_size": PIECES, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
SMALL = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 130, "initializer_range": 0.15,
}  # fmt: skip
TIED = {**LM, **SMALL, "num_key_value_heads": 2, "tie_word_embeddings": True}


def _config(name: str) -> Any:
    if name == "llama":
        return transformers.LlamaConfig(**TIED)
    if name == "qwen2":
        return transformers.Qwen2Config(**TIED)
    if name in {"gemma2", "phi3"}:
        return transformers.AutoConfig.for_model(name, **(TIED | {"head_dim": 16}))
    if name in {"gpt_neox", "bloom"}:
        named = LM | SMALL | ({"n_layer": 2, "n_head": 4} if name == "bloom" else {})
        return transformers.AutoConfig.for_model(name, **named)
    if name == "gpt2":
        return transformers.GPT2Config(**LM, n_embd=64, n_layer=2, n_head=4, n_positions=128, initializer_range=0.15)
    if name == "roberta":
        return transformers.RobertaConfig(vocab_size=PIECES, pad_token_id=1, type_vocab_size=1, num_labels=5, **SMALL)
    return transformers.DistilBertConfig(
        vocab_size=PIECES, dim=64, n_layers=2, n_heads=4, hidden_dim=96, num_labels=3, max_position_embeddings=128,
        initializer_range=0.2,
    )  # fmt: skip


def lora(*modules: str, **options: Any) -> dict[str, Any]:
    return {"kind": peft.LoraConfig, "target_modules": list(modules), "init_lora_weights": False, **options}


PROMPT = {"kind": peft.PromptTuningConfig, "num_virtual_tokens": VIRTUAL}
CASES = {
    "words that are the output too": ("llama", "CAUSAL_LM", lora("embed_tokens", "q_proj")),
    "the output that is words too": ("llama", "CAUSAL_LM", lora("lm_head", "q_proj")),
    "saved words": ("llama", "CAUSAL_LM", lora("q_proj", modules_to_save=["embed_tokens"])),
    "saved words, kept tied": (
        "llama", "CAUSAL_LM", lora("q_proj", modules_to_save=["embed_tokens"], ensure_weight_tying=True),
    ),
    "rows of tied words": ("llama", "CAUSAL_LM", lora("q_proj", trainable_token_indices=[70, 71])),
    "rows of the output alone": (
        "llama", "CAUSAL_LM", lora("q_proj", trainable_token_indices={"lm_head": [70, 71, 96]}),
    ),
    "words, and the output after them": (
        "llama", "CAUSAL_LM", lora("embed_tokens", "q_proj", ensure_weight_tying=True),
    ),
    "the output, and words after it": ("llama", "CAUSAL_LM", lora("lm_head", "q_proj", ensure_weight_tying=True)),
    "layers that are repeated": ("llama", "CAUSAL_LM", lora("q_proj", "up_proj", layer_replication=[[0, 2], [1, 2]])),
    "a prompt on tied words": ("llama", "CAUSAL_LM", PROMPT),
    "gpt2": ("gpt2", "CAUSAL_LM", lora("c_attn", "c_fc", fan_in_fan_out=True)),
    "a prompt on gpt2": ("gpt2", "CAUSAL_LM", PROMPT),
    "a prompt on words that are scaled": ("gemma2", "CAUSAL_LM", PROMPT),
    "a prompt on words that are normed": ("bloom", "CAUSAL_LM", PROMPT),
    "matrices side by side": ("phi3", "CAUSAL_LM", lora("qkv_proj", "gate_up_proj")),
    "queries, keys and values by head": ("gpt_neox", "CAUSAL_LM", lora("query_key_value", "embed_out")),
    "reward": ("qwen2", "SEQ_CLS", lora("q_proj")),
    "a prompt on a reward model": ("qwen2", "SEQ_CLS", PROMPT),
    "tags": ("roberta", "TOKEN_CLS", lora("query")),
    "a prompt for tags": ("roberta", "TOKEN_CLS", PROMPT),
    "distilbert": ("distilbert", "SEQ_CLS", lora("q_lin")),
    "a prompt on distilbert": (
        "distilbert", "SEQ_CLS", PROMPT | {"token_dim": 64, "num_layers": 2, "num_attention_heads": 4},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_adapter_of_every_family_and_task(name: str, tiny_llama: Path, tmp_path: Path) -> None:
    family, task, options = CASES[name]
    torch.manual_seed(0)
    config = _config(family)
    config.num_labels = 1 if family == "qwen2" else config.num_labels
    AUTO[task].from_config(config).save_pretrained(tmp_path / "base")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_llama / file, tmp_path / "base" / file)
    kind = options["kind"](task_type=task, **{key: value for key, value in options.items() if key != "kind"})
    adapted = peft.get_peft_model(
        AUTO[task].from_pretrained(tmp_path / "base", attn_implementation="eager"), kind
    ).eval()
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    adapted.save_pretrained(tmp_path / "adapter")
    is_prompt = kind.is_prompt_learning
    checkpoint, draft = inspect(tmp_path / "adapter"), tmp_path / "made"
    draft.mkdir()
    run = bake_prompt.run if is_prompt else merge_adapter.run
    run(Product(tmp_path / "adapter", ""), draft, {}, Resources(checkpoint, None, probe_machine(), 0))
    ids = open_tokenizer(tmp_path / "base", 64)("where is my order, this or another").ids
    asked = open_tokenizer(draft, 64)("where is my order, this or another").ids
    assert asked[VIRTUAL:] == ids if is_prompt else asked == ids
    with torch.no_grad():
        wanted = adapted(input_ids=torch.tensor([ids])).logits[..., -len(ids) :, :]
        unmerged = load_adapted(checkpoint)(input_ids=torch.tensor([ids])).logits
        found = (
            AUTO[task]
            .from_pretrained(draft, attn_implementation="eager")(input_ids=torch.tensor([asked]))
            .logits[..., -len(ids) :, :]
        )
    assert (unmerged - wanted).abs().max() <= 1e-5 * max(1.0, wanted.abs().max())
    assert (found[..., : wanted.shape[-1]] - wanted).abs().max() <= 1e-4
    assert inspect(draft).task == checkpoint.task
    assert json.loads((draft / "config.json").read_text())["dtype"] == "float32"

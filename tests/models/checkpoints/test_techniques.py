"""What a folder is, told from the folder alone: technique, base, adapters and more, each with what says so."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, BertModel

from mct import MctError
from mct.models.checkpoints.adapted import Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.evidence import read_contents
from mct.models.checkpoints.techniques import TECHNIQUES, describe, detect

LM = {"task_type": "CAUSAL_LM"}
ADAPTERS = {
    "lora": peft.LoraConfig(**LM, target_modules=["q_proj"]),
    "dora": peft.LoraConfig(**LM, target_modules=["q_proj"], use_dora=True),
    "adalora": peft.AdaLoraConfig(**LM, target_modules=["q_proj"], total_step=10),
    "ia3": peft.IA3Config(**LM, target_modules=["k_proj"], feedforward_modules=[]),
    "vera": peft.VeraConfig(**LM, target_modules=["q_proj"]),
    "oft": peft.OFTConfig(**LM, target_modules=["q_proj"], oft_block_size=8),
    "boft": peft.BOFTConfig(**LM, target_modules=["q_proj"], boft_block_size=4),
    "ln-tuning": peft.LNTuningConfig(**LM, target_modules=["input_layernorm"]),
    "prompt-tuning": peft.PromptTuningConfig(**LM, num_virtual_tokens=5),
    "p-tuning": peft.PromptEncoderConfig(**LM, num_virtual_tokens=5, encoder_hidden_size=16),
    "prefix-tuning": peft.PrefixTuningConfig(**LM, num_virtual_tokens=5),
    "miss": peft.MissConfig(**LM, target_modules=["q_proj"]),
}


def told(folder: Path) -> dict[str, tuple[str, ...]]:
    return {each.value: each.evidence for each in detect(read_contents(folder))}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_is_told_by_its_type_and_its_tensors(name: str, tiny_llama: Path, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    peft.get_peft_model(base, ADAPTERS[name]).save_pretrained(tmp_path / "adapter")
    found = told(tmp_path / "adapter")
    assert list(found) == [name]
    assert found[name][0].startswith(f"adapter_config.json: peft_type {ADAPTERS[name].peft_type.value}")
    said = {each.what: each.value for each in describe(read_contents(tmp_path / "adapter"))}
    assert (said["adapter"], said["adapter task"], said["base"]) == ("default", "CAUSAL_LM", str(tiny_llama))
    assert said.get("virtual tokens", "") == ("5" if ADAPTERS[name].is_prompt_learning else "")


def test_the_evidence_counts_what_it_saw(tiny_llama: Path, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    peft.get_peft_model(base, ADAPTERS["lora"]).save_pretrained(tmp_path)
    assert told(tmp_path) == {
        "lora": ("adapter_config.json: peft_type LORA, 2 tensors `.lora_A`, 2 tensors `.lora_B`",)
    }


def write_card(folder: Path, *tags: str) -> None:
    (folder / "README.md").write_text("---\ntags:\n" + "".join(f"- {tag}\n" for tag in tags) + "---\n")


def test_a_plain_classifier_is_full_and_a_plain_language_model_is_unknown(tiny_bert: Path, tiny_llama: Path) -> None:
    assert list(told(tiny_bert)) == ["full"]
    assert told(tiny_llama) == {"unknown": ("nothing in the folder tells",)}


@pytest.mark.parametrize(
    ("tags", "name"),
    [(["dpo", "trl"], "dpo"), (["kto"], "dpo"), (["grpo"], "dpo"), (["reward-trainer"], "reward"), (["sft"], "full")],
)
def test_training_libraries_leave_their_mark_in_the_readme(
    tags: list[str], name: str, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    write_card(folder, *tags)
    assert told(folder) == {name: (f"README.md: tag {tags[0]}",)}
    (folder / "README.md").write_text(f"---\ntags: [{', '.join(tags)}]\n---\nThis is no dpo.\n")
    assert list(told(folder)) == [name]


def test_several_hold_at_once(tiny_llama: Path, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    peft.get_peft_model(base, ADAPTERS["lora"]).save_pretrained(tmp_path)
    write_card(tmp_path, "dpo", "lora")
    assert list(told(tmp_path)) == ["lora", "dpo"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shop/llama-bnb-4bit", "adapter_config.json: base_model_name_or_path shop/llama-bnb-4bit"),
        ("shop/llama", "README.md: load_in_4bit: True"),
    ],
)
def test_a_base_in_four_bits_is_told_by_its_name_or_by_the_readme(
    name: str, said: str, tiny_llama: Path, tmp_path: Path
) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    peft.get_peft_model(base, ADAPTERS["lora"]).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": name}))
    if name == "shop/llama":
        (tmp_path / "README.md").write_text("The following `bitsandbytes` config was used:\n- load_in_4bit: True\n")
    assert told(tmp_path) == {"qlora": (said,)}


def test_what_is_said_on_the_command_line_comes_first(tiny_llama: Path) -> None:
    found = inspect(tiny_llama, Told(technique="raft"))
    assert (found.technique, found.statements[0].evidence) == ("raft", ("--technique",))
    with pytest.raises(MctError, match="unknown technique 'rafft'") as refused:
        inspect(tiny_llama, Told(technique="rafft"))
    assert "raft" in refused.value.hint


def test_a_cross_encoder_of_several_labels_is_no_classifier_of_single_texts(tiny_bert: Path, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(tiny_bert), num_labels=3, device="cpu").save(str(tmp_path / "cross"))
    with pytest.raises(MctError, match="two texts go in") as refused:
        inspect(tmp_path / "cross")
    assert "num_labels=1" in refused.value.hint


def test_one_score_is_a_cross_encoder_or_a_reward_model(tiny_bert: Path, tiny_llama: Path, tmp_path: Path) -> None:
    for name, folder in (("cross-encoder", tiny_bert), ("reward", tiny_llama)):
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, ignore_mismatched_sizes=True)
        model.save_pretrained(tmp_path / name)
        assert list(told(tmp_path / name)) == [name]


def test_sentence_transformers_folders_are_told_by_their_modules(tiny_bert: Path, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.models import Pooling, StaticEmbedding, Transformer
    from tokenizers import Tokenizer

    steps = [Transformer(str(tiny_bert)), Pooling(64)]
    SentenceTransformer(modules=steps, device="cpu").save(str(tmp_path / "embedder"))
    table = StaticEmbedding(Tokenizer.from_file(str(tiny_bert / "tokenizer.json")), embedding_dim=8)
    SentenceTransformer(modules=[table], device="cpu").save(str(tmp_path / "static"))
    BertModel.from_pretrained(tiny_bert).save_pretrained(tmp_path / "bare")
    shutil.copyfile(tiny_bert / "tokenizer.json", tmp_path / "bare" / "tokenizer.json")
    CrossEncoder(str(tmp_path / "bare"), num_labels=1, device="cpu").save(str(tmp_path / "cross"))
    assert told(tmp_path / "embedder")["contrastive"] == ("modules.json: Pooling",)
    assert list(told(tmp_path / "static")) == ["static-embedding"]
    assert list(told(tmp_path / "cross")) == ["cross-encoder"]


def test_task_family_and_head_have_their_evidence_too(tiny_bert: Path, tmp_path: Path) -> None:
    said = {each.what: (each.value, each.evidence[0]) for each in inspect(tiny_bert).statements}
    assert said["task"] == ("sequence-classification", "config.json: architectures BertForSequenceClassification")
    assert said["family"] == ("bert", "config.json: model_type")
    shutil.copytree(tiny_bert, tmp_path / "base")
    lora = peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query"])
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    peft.get_peft_model(model, lora).save_pretrained(tmp_path / "adapter")
    said = {each.what: (each.value, each.evidence[0]) for each in inspect(tmp_path / "adapter").statements}
    assert said["task"] == ("sequence-classification", "adapter_config.json: task_type SEQ_CLS")
    assert said["head"] == ("3 outputs", "tensor base_model.model.classifier.weight, 3 x 64")


def test_nothing_is_loaded_and_nothing_is_run(tiny_llama: Path, tmp_path: Path, run_mct: Callable[..., Any]) -> None:
    """An adapter whose base is not here is still told for what it is."""
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    torch.manual_seed(0)
    peft.get_peft_model(base, ADAPTERS["dora"]).save_pretrained(tmp_path / "adapter")
    (tmp_path / "adapter" / "training_args.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    done = run_mct("models", "inspect", tmp_path / "adapter", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["technique"]) == (0, "dora")
    assert {"what": "base", "value": str(tiny_llama), "evidence": ["adapter_config.json: base_model_name_or_path"]} in (
        found["statements"]
    )
    text = run_mct("models", "inspect", tmp_path / "adapter").stdout
    assert "dora (adapter_config.json: peft_type LORA, use_dora true, 2 tensors `.lora_magnitude_vector`)" in text
    assert "--base" in text


def test_every_technique_has_one_row() -> None:
    names = [row.name for row in TECHNIQUES]
    assert len(set(names)) == len(names)

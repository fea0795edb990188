"""An adapter as peft leaves it, with its base inside: what the builders of adapters share. A leaf.

The folder can be given to any program as it stands: `adapter_config.json` names its base "base", which is a folder in
it; a base of the hub's is named by its name there, and not copied.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import peft
from transformers import PreTrainedModel

from mct.models.checkpoints.hub import origin_of
from mct.models.training.language_model import Writer
from mct.models.training.loop import seeded
from mct.models.writing.folders import write_atomically

BASE = "base"

# Every linear layer of a Llama's.
LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def low_rank(rank: int, alpha: int) -> peft.LoraConfig:
    """LoRA on every linear layer, as QLoRA's authors found best (arXiv:2305.14314)."""
    return peft.LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=alpha, target_modules=list(LAYERS))


def put_on(writer: Writer, config: peft.PeftConfig, seed: int) -> Writer:
    """The writer with a new adapter on it, drawn from `seed`, which alone will be trained."""
    with seeded(seed):
        adapted = peft.get_peft_model(cast(PreTrainedModel, writer.model), config)
    return Writer(adapted, writer.tokenizer)


def save_adapter(writer: Writer, base: Path, draft: Path, tags: Sequence[str] = ()) -> None:
    """Write the adapter and its tokenizer into `draft`, and its base into a folder of it where that is no hub's.

    `tags` are added to those that peft writes into the README.
    """
    origin = origin_of(base)
    name = origin.name if origin else BASE
    adapted: Any = writer.model
    adapted.active_peft_config.base_model_name_or_path = name
    adapted.get_base_model().config._name_or_path = name  # where it was here says nothing to others
    adapted.get_base_model().add_model_tags(list(tags))
    writer.tokenizer.save_pretrained(draft)
    adapted.save_pretrained(draft, save_embedding_layers=False)  # by itself peft would look the base up on the hub
    if origin is None:
        copy_model(base, draft / BASE)


def copy_model(source: Path, target: Path) -> None:
    """A model's own files: weights, tokenizer, configuration; nothing of how it was made."""
    target.mkdir()
    for file in sorted(source.iterdir()):
        is_own = file.suffix in {".json", ".safetensors", ".jinja", ".txt", ".model"}
        if is_own and file.is_file() and file.name not in {"recipe.json", "mct-files.json"}:
            shutil.copyfile(file, target / file.name)


def write_card(folder: Path, tag: str) -> None:
    """A model card whose front matter says how the model was trained, as training libraries leave one."""
    write_atomically(folder / "README.md", f"---\nlibrary_name: transformers\ntags:\n- {tag}\n---\n")

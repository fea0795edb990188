"""Adapters of every type that peft trains, for techniques.py: each on response-lora's small Llama, on its dialogues.

Trained, not drawn: an adapter begins as peft begins it, and learns for one pass over some of the dialogues.
"""

import shutil
from pathlib import Path
from typing import Any

import peft

from mct.models.data.declared import read_object
from mct.models.data.files import read_data_file
from mct.models.scenarios.responses.adapters import put_on, save_adapter
from mct.models.training.language_model import answer_loss, finetune, load_writer
from mct.models.training.loop import Training
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

BASE = "response-lora"
ROWS = 320
SEED = 0
PAIR = {"target_modules": ["q_proj", "v_proj"]}
SQUARE = {"target_modules": ["q_proj", "o_proj"]}
VIRTUAL = {"num_virtual_tokens": 8}

# The type, what it is told, and its learning rate where that is not 1e-2.
ADAPTERS: dict[str, tuple[str, dict[str, Any], float]] = {
    "rsLoRA": ("LORA", PAIR | {"use_rslora": True}, 1e-2),
    "DoRA": ("LORA", PAIR | {"use_dora": True}, 1e-2),
    "PiSSA": ("LORA", PAIR | {"init_lora_weights": "pissa"}, 1e-2),
    "OLoRA": ("LORA", PAIR | {"init_lora_weights": "olora"}, 1e-2),
    "AdaLoRA": ("ADALORA", PAIR | {"total_step": 40}, 2e-2),
    "IA3": ("IA3", {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]}, 5e-2),
    "VeRA": ("VERA", SQUARE | {"r": 16}, 5e-2),
    "OFT": ("OFT", PAIR | {"oft_block_size": 8}, 1e-2),
    "BOFT": ("BOFT", PAIR | {"boft_block_size": 4}, 1e-2),
    "LN tuning": ("LN_TUNING", {"target_modules": ["input_layernorm", "post_attention_layernorm"]}, 5e-2),
    "prompt tuning": ("PROMPT_TUNING", VIRTUAL, 5e-2),
    "P-tuning": ("P_TUNING", VIRTUAL | {"encoder_hidden_size": 32}, 1e-2),
    "prefix tuning": ("PREFIX_TUNING", VIRTUAL, 5e-2),
    "HRA": ("HRA", PAIR, 1e-2),
    "LoHa": ("LOHA", PAIR, 1e-2),
    "LoKr": ("LOKR", PAIR, 1e-2),
    "FourierFT": ("FOURIERFT", PAIR | {"n_frequency": 100}, 5e-2),
    "VB-LoRA": ("VBLORA", SQUARE | {"num_vectors": 16, "vector_length": 16, "topk": 2}, 1e-2),
    "MiSS": ("MISS", PAIR, 1e-2),
    "RandLoRA": ("RANDLORA", SQUARE, 1e-2),
    "RoAd": ("ROAD", PAIR | {"group_size": 32}, 1e-2),
    "trainable tokens": ("TRAINABLE_TOKENS", {"target_modules": ["embed_tokens"], "token_indices": [70, 71, 72]}, 5e-2),
    "SHiRA": ("SHIRA", SQUARE | {"r": 4}, 1e-2),
    "C3A": ("C3A", PAIR | {"block_size": 16}, 1e-2),
    "WaveFT": ("WAVEFT", PAIR | {"n_frequency": 100}, 5e-2),
    "DeLoRA": ("DELORA", PAIR, 1e-2),
    "GraLoRA": ("GRALORA", PAIR, 1e-2),
    "PVeRA": ("PVERA", SQUARE | {"r": 16}, 5e-2),
    "AdaMSS": ("ADAMSS", SQUARE, 1e-2),
    "FRoD": ("FROD", SQUARE, 1e-2),
    "GLoRA": ("GLORA", SQUARE, 1e-2),
    "HiRA": ("HIRA", SQUARE, 1e-2),
    "UniLoRA": ("UNILORA", SQUARE, 1e-2),
    "PSOFT": ("PSOFT", SQUARE, 1e-2),
    "PEANuT": ("PEANUT", SQUARE, 1e-2),
    "SuperTuning": ("SUPERTUNING", SQUARE, 1e-2),
    "DEFT": ("DEFT", SQUARE, 1e-2),
    "OSF": ("OSF", SQUARE, 1e-2),
}


def write_adapter(name: str, scenario: Path, folder: Path) -> None:
    """Train an adapter of that name on the base of the scenario's checkpoint, and write it with base and data."""
    kind, told, rate = ADAPTERS[name]
    config = peft.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(kind)](task_type="CAUSAL_LM", **told)
    rows = {split: read_data_file(scenario / "data" / f"{split}.jsonl", {}).rows for split in ("train", "dev")}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with appearing(folder) as draft:
        plain = load_writer(scenario / "base")
        before = answer_loss(plain, rows["dev"])
        writer = put_on(plain, config, SEED)
        finetune(writer, rows["train"][:ROWS], Training(epochs=1, learning_rate=rate, batch=8, max_tokens=256))
        after = answer_loss(writer, rows["dev"])
        save_adapter(writer, scenario / "base", draft)
        shutil.copytree(scenario / "data", draft / "data")
        nats = {"before": round(before, 4), "after": round(after, 4)}
        write_json(draft / "recipe.json", {"adapter": name, "of": read_object(scenario / "recipe.json"), "dev": nats})

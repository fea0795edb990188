"""What other programs want to find beside a decoder's ONNX file.

onnxruntime-genai wants names, sizes and special tokens in `genai_config.json`. Its `type` only chooses the loop that
calls the graph, and one loop serves every decoder: a mixture of experts goes by the name of its dense relative.
transformers.js looks for weights outside the file only where `config.json` says so.

Source: what onnxruntime-genai's own model builder writes; transformers.js, utils/model-loader.
"""

from pathlib import Path
from typing import Any

import onnx

from mct import MctError
from mct.compress.onnx.graphs.graph import EXTERNAL_SUFFIX
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.data.declared import read_object
from mct.models.families.table import graph_of
from mct.models.writing.folders import write_json

FILE, GENERATION = "genai_config.json", "generation_config.json"

_GREEDY = {
    "do_sample": False, "max_length": 0, "min_length": 0, "num_beams": 1, "num_return_sequences": 1, "top_k": 1,
    "top_p": 1.0, "temperature": 1.0, "repetition_penalty": 1.0, "past_present_share_buffer": True,
}  # fmt: skip


def write_companions(checkpoint: Checkpoint, model: onnx.ModelProto, file: str, draft: Path) -> None:
    """Write what the model in `draft / file` needs: `genai_config.json` if it has a cache, `config.json` if need be."""
    if (draft / f"{file}{EXTERNAL_SUFFIX}").is_file():
        config = read_object(checkpoint.sizes / "config.json")
        write_json(draft / "config.json", config | {"transformers.js_config": {"use_external_data_format": True}})
    if caches := [value for value in model.graph.input if value.name.startswith("past_key_values.")]:
        _write_genai_config(checkpoint, caches, file, draft)


def _write_genai_config(checkpoint: Checkpoint, caches: list[onnx.ValueInfoProto], file: str, draft: Path) -> None:
    config = read_object(checkpoint.sizes / "config.json")
    if (checkpoint.sizes / GENERATION).is_file():  # instruction-tuned models name more ends of a text there
        config |= read_object(checkpoint.sizes / GENERATION)
    if "vocab_size" not in config:
        raise MctError(
            f"{checkpoint.sizes / 'config.json'} does not say its vocab_size",
            "save it again with: model.save_pretrained(folder)",
        )
    shape = caches[0].type.tensor_type.shape.dim
    decoder = {
        "session_options": {"provider_options": []},
        "filename": file,
        "head_size": shape[3].dim_value,
        "hidden_size": config.get("hidden_size") or config.get("n_embd"),
        "num_attention_heads": config.get("num_attention_heads") or config.get("n_head"),
        "num_hidden_layers": len(caches) // 2,
        "num_key_value_heads": shape[1].dim_value,
        "inputs": {"input_ids": "input_ids", "attention_mask": "attention_mask", **_names("past", "past_key_values")},
        "outputs": {"logits": "logits", **_names("present", "present")},
    }
    described = {
        "type": graph_of(config["model_type"], "genai"),
        "vocab_size": config["vocab_size"],
        "context_length": checkpoint.max_tokens,
        "decoder": decoder,
        **_special_tokens(config),
    }
    own_memory = {"past_present_share_buffer": False} if checkpoint.has_prefix else {}  # a prefix is copied before it
    write_json(
        draft / FILE, {"model": described, "search": _GREEDY | {"max_length": checkpoint.max_tokens} | own_memory}
    )


def _names(key: str, stem: str) -> dict[str, str]:
    return {f"{key}_key_names": f"{stem}.%d.key", f"{key}_value_names": f"{stem}.%d.value"}


def _special_tokens(config: dict[str, Any]) -> dict[str, Any]:
    """It will not open a model that names none; padding, which only batches need, may be the end of a text."""
    end = config.get("eos_token_id")
    end = 0 if end is None else end
    first_end = end[0] if isinstance(end, list) else end
    begin, pad = config.get("bos_token_id"), config.get("pad_token_id")
    return {
        "bos_token_id": first_end if begin is None else begin,
        "eos_token_id": end,
        "pad_token_id": first_end if pad is None else pad,
    }

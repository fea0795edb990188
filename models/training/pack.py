"""A checkpoint whose linear layers are packed into NF4, as bitsandbytes saves one: the base of a QLoRA. A leaf."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel
from transformers.quantizers.base import get_keys_to_not_convert

from mct.models.checkpoints.four_bit import packed
from mct.models.data.declared import read_object
from mct.models.writing.folders import write_json

# What transformers writes for 4 bits with double quantisation.
METHOD = {
    "quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": "float32", "bnb_4bit_quant_storage": "uint8",
}  # fmt: skip


def save_packed(model: PreTrainedModel, folder: Path) -> None:
    """Write `model` with those of its linear layers packed that bitsandbytes would pack: all but the output's."""
    model.save_pretrained(folder)
    kept = get_keys_to_not_convert(model)
    tensors = {name: value for name, value in model.state_dict().items() if not _is_tied(name, model)}
    for name, module in model.named_modules():
        if type(module) is torch.nn.Linear and not any(key in name for key in kept):
            weight = tensors.pop(f"{name}.weight")
            for part, value in packed(weight.numpy()).items():
                tensors[f"{name}.weight{part}"] = torch.from_numpy(value.copy())
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", read_object(folder / "config.json") | {"quantization_config": METHOD})


def _is_tied(name: str, model: PreTrainedModel) -> bool:
    """Whether a tensor is another one under a second name, which transformers does not save."""
    return bool(model.config.tie_word_embeddings) and name == "lm_head.weight"

"""Load a checkpoint: a leaf, the only way torch weights come in. It never runs remote code.

`load_model` gives the library's own model of a folder that transformers wrote. `load_module` gives any checkpoint as a
module that names its outputs as the runtimes do: what is traced, and what the original's row is measured with.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from mct import MctError
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.networks import shallow
from mct.models.tables import load
from mct.models.tasks.table import find_task

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft wakes it, and it misses kernels that nothing here uses

shallow.register()

MOST_REASON = 200

_NOTHING: Mapping[str, Any] = MappingProxyType({})


# Tasks whose folder is more than a transformers model: the function that loads it, as a module like `_Logits`.
_BUILT = {
    "sentence-embedding": "mct.models.checkpoints.load_embedder:load_embedder",
    "embedding-head": "mct.models.checkpoints.load_embedder:load_with_head",
    "multi-head": "mct.models.checkpoints.load_heads:load_heads",
}


class _Logits(torch.nn.Module):
    """A transformers model with one output, under the name that runtimes give it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Token ids and masks of shape (batch, tokens) to "logits"."""
        return {"logits": self.model(**inputs).logits}


# What config.json may say of how a model is called: nothing of it changes an answer, and we call it in one way.
_AS_IT_RUNS = {
    "return_dict": True, "output_attentions": False, "output_hidden_states": False, "chunk_size_feed_forward": 0,
}  # fmt: skip


# What transformers raises where config.json is none of its own: it has no exception that all of these are.
REFUSALS = (
    OSError, ValueError, RuntimeError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError,
    ImportError, StrictDataclassError, SafetensorError,
)  # fmt: skip


def cannot_load(path: Path, error: Exception) -> MctError:
    """The error for a folder that transformers did not take, with its reason in one line."""
    reason = " ".join(str(error).split())[:MOST_REASON] or type(error).__name__
    return MctError(f"transformers cannot load {path}: {reason}", "check the folder with: mct models inspect")


def load_model(checkpoint: Checkpoint) -> PreTrainedModel:
    """The checkpoint's model in fp32 on the CPU, in evaluation mode; the bare backbone where mct knows more than it.

    An adapter's is its base with the adapter on it, not merged.
    """
    if checkpoint.adaptation is not None:
        adapted: PreTrainedModel = load("mct.models.checkpoints.load_adapter:load_adapted", "compress")(checkpoint)
        return adapted
    model, missing = load_base(checkpoint.path, checkpoint.network, checkpoint.quantised)
    _check_complete(checkpoint, missing)
    return model


def load_base(
    folder: Path, network: str, quantised: str = "", sizes: Mapping[str, Any] = _NOTHING
) -> tuple[PreTrainedModel, list[str]]:
    """The model of a folder for a task's network, in fp32, and the names of weights that its files lack.

    Weights in 4 bits are decoded; `sizes` are said in the place of config.json's.
    """
    auto = getattr(transformers, find_task(network).auto)
    plain = {
        "dtype": torch.float32,
        "use_safetensors": True,
        "trust_remote_code": False,
        "local_files_only": True,
        "attn_implementation": None,  # config.json could name a kernel on the hub: code, fetched and run
        **_AS_IT_RUNS,
        **sizes,
    }
    try:
        if quantised or (folder / "adapter_config.json").is_file():
            model, found = _from_tensors(auto, folder, sizes)
        else:
            model, found = auto.from_pretrained(folder, output_loading_info=True, **plain)
    except REFUSALS as error:
        raise cannot_load(folder, error) from error
    assert isinstance(model, PreTrainedModel)
    model.train(False)
    if getattr(model.config, "attn_logit_softcapping", None):
        model.set_attn_implementation("eager")  # the library's default leaves the bound of the scores out, unsaid
    return model, sorted(found["missing_keys"])


def _from_tensors(auto: Any, folder: Path, sizes: Mapping[str, Any]) -> Any:
    """The model of the folder's own weights, decoded, and nothing else that lies there.

    The library's way would want another library for packed weights, and would put an adapter that it finds on them.
    """
    config = transformers.AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, **(_AS_IT_RUNS | dict(sizes))
    )
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        kind = type(auto.from_config(config))
    weights = load("mct.models.checkpoints.tensor_files:read_unpacked")(folder)
    return kind.from_pretrained(None, config=config, state_dict=weights, dtype=torch.float32, output_loading_info=True)


def _check_complete(checkpoint: Checkpoint, missing: Iterable[str]) -> None:
    """MctError where weights that answer are not in the files: transformers would draw them at random."""
    if lost := unread(checkpoint.network, missing):
        some = ", ".join(lost[:3]) + (", …" if len(lost) > 3 else "")
        raise MctError(
            f"{checkpoint.path} lacks {len(lost)} of its weights: {some}",
            "save the whole model again: model.save_pretrained(folder)",
        )


def unread(network: str, missing: Iterable[str]) -> list[str]:
    """Those of the missing weights that matter: a bare backbone may lack its pooler, which nothing here reads."""
    bare = network in _BUILT
    return sorted(name for name in missing if not (bare and name.startswith("pooler.")))


def load_module(checkpoint: Checkpoint) -> torch.nn.Module:
    """The checkpoint as a module in evaluation mode: called with the inputs by name, it gives the outputs by name.

    Its attribute `model` is the transformers model at its heart.
    """
    if checkpoint.network in _BUILT:
        build: Callable[[Checkpoint], torch.nn.Module] = load(_BUILT[checkpoint.network], "compress")
        return build(checkpoint).train(False)
    return _Logits(load_model(checkpoint)).train(False)


def outputs_of(module: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What the module answers, by name, without gradients."""
    with torch.inference_mode():
        found: dict[str, torch.Tensor] = module(**inputs)
    return found

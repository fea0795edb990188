"""Which adapters can stay beside their base, to be swapped by name: told from their small files, before anything runs.

A runtime adds what a low-rank adapter gives to the products of a matrix, and nothing else: magnitudes, biases, heads
and rows of tokens that were trained along have no place in its files. For those there is merging.
"""

from mct.models.checkpoints.adapters import ALTERED_BASE, Adapter
from mct.models.checkpoints.checkpoint import Checkpoint

LOW_RANK = (".lora_A.weight", ".lora_B.weight")
OUTPUTS = frozenset({"lm_head", "embed_out"})

# What else an adapter's file may hold, by a part of the tensor's name.
_BESIDES = {
    ".lora_magnitude_vector": "it gives every row of a matrix a magnitude of its own (DoRA)",
    ".lora_embedding_": "it changes the table of words",
    "token_adapter": "it changes rows of the table of words",
    ".bias": "it brings biases",
}
_WHOLE = "it brings whole weights that were trained along (a head, or modules_to_save)"


def why_not_keep(checkpoint: Checkpoint) -> str:
    """Why these adapters cannot stay beside their base; "" where they can."""
    adaptation = checkpoint.adaptation
    if adaptation is None:
        return "it is no adapter"
    if checkpoint.network != "causal-lm":
        return "a head is trained along with it, and only language models keep theirs from adapter to adapter"
    if checkpoint.quantised or adaptation.base_quant:
        return "it was trained on a base in 4 bits, which is decoded and merged"
    if set(adaptation.weights) != {1.0}:
        return "weights are those of a mix, which is merged: name adapters alone (--adapter a,b)"
    return next(filter(None, map(_why_not, adaptation.adapters)), "")


def _why_not(adapter: Adapter) -> str:
    config, name = adapter.config, adapter.name
    if config.peft_type != "LORA":
        return f"{name!r} is of the type {config.peft_type}, and no runtime here swaps any but low-rank ones (LORA)"
    if config.alora_invocation_tokens:
        return f"{name!r} works from certain tokens on (activated LoRA)"
    how = config.init_lora_weights
    if config.loftq_config or (isinstance(how, str) and how.startswith(ALTERED_BASE)):
        return f"{name!r} was begun by {how or 'loftq'}, which changed the base: the others have another one"
    if config.target_parameters:
        return f"{name!r} changes the matrices of experts, or other parameters that are no layer of their own"
    if config.layer_replication:
        return f"{name!r} repeats layers of its base, which the others have once"
    for tensor in adapter.tensors:
        if reason := _besides(tensor):
            return f"{name!r} has more than a file of adapters holds: {reason}"
    return ""


def _besides(tensor: str) -> str:
    if not tensor.endswith(LOW_RANK):
        return next((reason for part, reason in _BESIDES.items() if part in tensor), _WHOLE)
    return "it changes the output matrix" if OUTPUTS & set(tensor.split(".")) else ""

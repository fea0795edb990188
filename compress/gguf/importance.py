"""The importance matrix: how strongly each input channel of each matrix is used, on the user's own texts.

A block-wise type has one scale for 32 to 256 weights, and must choose where to be exact. llama.cpp weighs each weight's
error by the mean square of the activation it will meet, because that is the error of the product. The statistics are
taken from the original torch model at fp32, not from llama.cpp: a hook on every linear layer, and for experts on the
layer that holds them all, each of which counts only the tokens that were routed to it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from mct.compress.gguf import export_decoder
from mct.compress.gguf.graphs.encoders import find_encoder, read_encoder
from mct.compress.gguf.graphs.heads import classifier_inside
from mct.compress.plan.passes import ENCODERS, Resources
from mct.compress.run.calibration import calibration_inputs, calibration_notes
from mct.models.checkpoints.adapters import WEIGHTS
from mct.models.checkpoints.checkpoint import Checkpoint, weight_files
from mct.models.checkpoints.files import CONFIG
from mct.models.checkpoints.load import load_model
from mct.models.tasks.tokens import Tokens
from mct.models.writing.folders import digest, sha256
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.run_torch import input_names

TEXTS, TOKENS = 256, 128

Reading = tuple[str, str]


@dataclass(frozen=True)
class Importance:
    """Mean squares by GGUF's tensor name: (columns,) of a matrix, (experts, columns) of stacked ones.

    `notes` say where they come from.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    notes: Mapping[str, Any]


def measure(resources: Resources) -> Importance:
    """The importance matrix of any model, from at most 256 calibration texts, of each its first 128 tokens.

    Which texts is what every calibrated pass takes (mct.compress.run.calibration), so that one file gives one matrix.
    """
    inputs = calibration_inputs(resources, TEXTS)
    cut = tuple((tuple(tokens.ids[:TOKENS]), tuple(tokens.type_ids[:TOKENS])) for tokens in inputs)
    tensors = _measure(resources.checkpoint, _content(resources.checkpoint), cut)
    return Importance(tensors, {"tensors": len(tensors)} | calibration_notes(resources, inputs))


def _content(checkpoint: Checkpoint) -> str:
    """One SHA-256 over all that decides what the model computes: a folder may be written again under its name."""
    adapters = checkpoint.adaptation.adapters if checkpoint.adaptation else ()
    files = [checkpoint.sizes / CONFIG, *weight_files(checkpoint.sizes), *(each.folder / WEIGHTS for each in adapters)]
    return digest({str(file): sha256(file) for file in files})


@lru_cache(maxsize=1)
def _measure(
    checkpoint: Checkpoint, content: str, inputs: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
) -> dict[str, NDArray[np.float32]]:
    """By GGUF's names. Kept for the next type of the same command, as long as the folder's `content` is the same."""
    model = load_model(checkpoint)
    readings = _of_encoder(checkpoint, model) if checkpoint.network in ENCODERS else _of_decoder(checkpoint)
    tokens = [Tokens(list(ids), list(type_ids)) for ids, type_ids in inputs]
    means = mean_squares(model, set(readings.values()), tokens)
    return {name: means[reading] for name, reading in readings.items()}


def _of_decoder(checkpoint: Checkpoint) -> dict[str, Reading]:
    """What each matrix of a language or reward model reads."""
    weights = export_decoder.plan(checkpoint, export_decoder.read_config(checkpoint.sizes)).weights
    matrices = (weight for weight in weights if len(weight.sources[0].shape) == 2)
    return {matrix.name: (matrix.reads, matrix.part) for matrix in matrices if matrix.reads}


def _of_encoder(checkpoint: Checkpoint, model: PreTrainedModel) -> dict[str, Reading]:
    """What each matrix of an encoder reads, its head's where llama.cpp's graph has it. Embeddings read nothing."""
    family = find_encoder(checkpoint.model_type)
    prefix = "" if model.base_model is model else family.prefix
    encoder = read_encoder(family, model.config.to_dict(), len(checkpoint.labels), prefix)
    tensors = (*encoder.tensors, *classifier_inside(checkpoint, family, encoder.sizes))
    sources = {tensor.source.removesuffix(".weight"): tensor.name for tensor in tensors}
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    return {sources[name]: (name, "") for name in linear if name in sources}


class _Sums:
    """A running sum of squares and count, by channel or by expert and channel."""

    def __init__(self) -> None:
        self.squares: torch.Tensor = torch.zeros(())
        self.counts: torch.Tensor = torch.zeros(())

    def add(self, squares: torch.Tensor, counts: torch.Tensor) -> None:
        self.squares, self.counts = self.squares + squares, self.counts + counts


def mean_squares(
    model: PreTrainedModel, readings: set[Reading], inputs: Sequence[Tokens]
) -> dict[Reading, NDArray[np.float32]]:
    """The mean square of each channel that `readings` (module, part) meet while the model reads `inputs`.

    Part "" is the input of a linear layer. Parts "up" and "down" are those of the two steps of a layer of experts,
    each expert's own; an expert that no token reached is given the mean of the others.
    """
    sums = {reading: _Sums() for reading in sorted(readings)}
    names = input_names(model)
    with _listening(model, sums), torch.inference_mode():
        for tokens in inputs:
            model(**{name: torch.from_numpy(array) for name, array in padded([tokens], names, pad_id=0).items()})
    return {reading: _mean(found) for reading, found in sums.items()}


@contextmanager
def _listening(model: torch.nn.Module, sums: Mapping[Reading, _Sums]) -> Iterator[None]:
    modules = dict(getattr(model, "inner", model).named_modules())  # with virtual tokens it stands within
    with ExitStack() as stack:
        for name in {module for module, _ in sums}:
            hook = (
                _on_linear(sums[name, ""]) if (name, "") in sums else _on_experts(sums[name, "up"], sums[name, "down"])
            )
            handle = modules[name].register_forward_pre_hook(hook)
            stack.callback(handle.remove)
        yield


Hook = Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], None]


def _on_linear(sums: _Sums) -> Hook:
    def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        rows = inputs[0].flatten(0, -2).double()
        sums.add(rows.square().sum(0), torch.tensor(float(len(rows))))

    return hook


def _on_experts(up: _Sums, down: _Sums) -> Hook:
    """What the experts' first matrices read is what comes in; what the last ones read is worked out once more."""

    def hook(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        states, chosen = inputs[0].flatten(0, -2), inputs[1]
        for expert in range(module.num_experts):
            rows = states[(chosen.reshape(len(states), -1) == expert).any(dim=1)]
            gate, value = torch.nn.functional.linear(rows, module.gate_up_proj[expert]).chunk(2, dim=-1)
            for sums, read in ((up, rows), (down, module.act_fn(gate) * value)):
                _add_expert(sums, expert, module.num_experts, read.double())

    return hook


def _add_expert(sums: _Sums, expert: int, experts: int, rows: torch.Tensor) -> None:
    squares, counts = torch.zeros(experts, rows.shape[1], dtype=torch.float64), torch.zeros(experts, 1)
    squares[expert], counts[expert] = rows.square().sum(0), float(len(rows))
    sums.add(squares, counts)


def _mean(sums: _Sums) -> NDArray[np.float32]:
    means = sums.squares / sums.counts.clamp(min=1)
    if means.dim() == 2:
        idle = (sums.counts == 0).flatten()
        means[idle] = (sums.squares.sum(0) / sums.counts.sum().clamp(min=1)).expand(int(idle.sum()), -1)
    found: NDArray[np.float32] = means.to(torch.float32).contiguous().numpy()
    return found

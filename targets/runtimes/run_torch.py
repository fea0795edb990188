"""A Hugging Face folder by torch: how the original gets its row beside its artifacts, on the CPU or a GPU.

Eager and fp32, unless the settings say otherwise:

- "precision" is one of mct.targets.devices.torch_weights: half precision, or fewer bits for the weights.
- "compile" names a backend of torch.compile ("inductor" is torch's own, and needs a C++ compiler): then the first call
  compiles, for inputs of every length at once.
- "graphs": a CUDA graph for each padded length, recorded when it first comes. Inputs are padded to the next of a few
  lengths, and what stands on padding is cut off again.

What a session gives are arrays, so on a GPU copying inputs there and outputs back, and waiting for both, is in what is
timed.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from mct import MctError
from mct.models.checkpoints import checkpoint
from mct.models.checkpoints.adapted import read_told
from mct.models.checkpoints.files import pad_id
from mct.models.checkpoints.load import load_module, outputs_of
from mct.models.tasks.tokens import Tokens
from mct.targets.devices.torch_device import TorchDevice, torch_device
from mct.targets.devices.torch_weights import lowered
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.table import Executable, Session

COMPILE, PRECISION, GRAPHS = "compile", "precision", "graphs"
WAYS = (COMPILE, PRECISION, GRAPHS)
SHORT, STEP, LONG_STEP = 64, 8, 32
TOKEN_AXES = 3


@dataclass(frozen=True)
class _Network:
    """The loaded module on its device, and what it takes."""

    module: torch.nn.Module
    device: TorchDevice
    names: Sequence[str]
    pad_id: int
    longest: int

    def inputs(self, batch: Sequence[Tokens], length: int = 0) -> dict[str, torch.Tensor]:
        """Tensors on the device, padded to `length` or the longest of them."""
        arrays = padded(batch, self.names, self.pad_id, length)
        return {name: self.device.put(torch.from_numpy(array)) for name, array in arrays.items()}


@dataclass(frozen=True)
class _Graph:
    """One shape of input: the tensors it is read from, and what computes on them."""

    inputs: Mapping[str, torch.Tensor]
    replay: Callable[[], Mapping[str, torch.Tensor]]


def open_session(executable: Executable, threads: int) -> Session:
    """Load the checkpoint and answer on `threads` threads (a setting of the whole process, as torch has it).

    MctError where torch has no kernel for the precision that is asked for.
    """
    said = {name: value for name, value in executable.settings.items() if name not in WAYS}
    opened = checkpoint.inspect(executable.folder, read_told(said))
    device = torch_device(executable.device)
    module = load_module(opened)
    torch.set_num_threads(threads)
    heart = getattr(module.model, "inner", module.model)  # with virtual tokens before the texts it stands within
    assert isinstance(heart, PreTrainedModel)
    network = _Network(
        put_on(module, device, executable.settings), device, input_names(heart), pad_id(opened.sizes),
        executable.max_tokens,
    )  # fmt: skip
    if (backend := executable.settings.get(COMPILE)) is not None:
        heart.compile(backend=str(backend), dynamic=True)
    infer = _graphed(network) if executable.settings.get(GRAPHS) else _eager(network)

    def infer_one_by_one(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        answers = [infer([tokens]) for tokens in batch]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    last_token_of_all = executable.network == "reward" and (heart is not module.model or not _says_padding(heart))
    return infer_one_by_one if last_token_of_all else infer


def put_on(module: torch.nn.Module, device: TorchDevice, settings: Mapping[str, Any]) -> torch.nn.Module:
    """The module on a device, in the precision that the settings name. MctError where that cannot be."""
    precision = str(settings.get(PRECISION, "fp32"))
    if device.cuda and not torch.cuda.is_available():
        raise MctError(
            f"torch {torch.__version__} finds no GPU here", "is it built for CUDA, and the driver's version?"
        )
    try:
        return lowered(module.to(device.name), precision)
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:200]
        raise MctError(f"torch cannot run this model in {precision} on {device.name}: {reason}", "try bf16") from error


def _eager(network: _Network) -> Session:
    def infer(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        return _arrays(outputs_of(network.module, network.inputs(batch)))

    return infer


def _graphed(network: _Network) -> Session:
    graphs: dict[tuple[int, int], _Graph] = {}

    def infer(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        length = max(len(tokens.ids) for tokens in batch)
        shape = len(batch), min(_next_length(length), max(network.longest, length))
        if shape not in graphs:
            graphs[shape] = _record(network, network.inputs(batch, shape[1]))
        graph = graphs[shape]
        for name, array in padded(batch, network.names, network.pad_id, shape[1]).items():
            graph.inputs[name].copy_(torch.from_numpy(array))
        found = _arrays(graph.replay())
        return {name: value[:, :length] if value.ndim == TOKEN_AXES else value for name, value in found.items()}

    return infer


def _record(network: _Network, inputs: Mapping[str, torch.Tensor]) -> _Graph:
    try:
        return _Graph(inputs, network.device.captured(lambda: outputs_of(network.module, inputs)))
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200]
        raise MctError(f"this model cannot be recorded as a CUDA graph: {reason}", "run it without graphs") from error


def _next_length(length: int) -> int:
    """Few enough lengths to record, near enough to waste little."""
    step = STEP if length <= SHORT else LONG_STEP
    return -(-length // step) * step


def _arrays(outputs: Mapping[str, torch.Tensor]) -> dict[str, NDArray[np.float32]]:
    """The outputs in this process's memory: on a GPU this waits for them."""
    return {name: value.float().cpu().numpy() for name, value in outputs.items()}


def _says_padding(model: PreTrainedModel) -> bool:
    """False for a model that would score the last token of a row, padding or not. -1 stands for none in old ones."""
    return model.config.pad_token_id is not None and model.config.pad_token_id >= 0


def input_names(model: PreTrainedModel) -> list[str]:
    """The inputs the model tells apart, in the ecosystem's order.

    A model of one segment needs no segment ids, and one that padding adds nothing to no mask.
    """
    takes = inspect.signature(model.forward).parameters
    names = ["input_ids", *(["attention_mask"] if "attention_mask" in takes else [])]
    if "token_type_ids" in takes and getattr(model.config, "type_vocab_size", 0) > 1:
        names.append("token_type_ids")
    return names

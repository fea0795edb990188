"""A Hugging Face folder by torch and fp32: how the original gets its row beside its artifacts.

Eager, unless the setting "compile" names a backend of torch.compile ("inductor" is torch's own, and needs a C++
compiler): then the first call compiles, for inputs of every length at once.
"""

import inspect
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from mct.models.checkpoints import checkpoint
from mct.models.checkpoints.adapted import read_told
from mct.models.checkpoints.files import pad_id
from mct.models.checkpoints.load import load_module, outputs_of
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.table import Executable, Session

COMPILE = "compile"


def open_session(executable: Executable, threads: int) -> Session:
    """Load the checkpoint and answer on `threads` threads (a setting of the whole process, as torch has it)."""
    said = dict(executable.settings)
    backend = said.pop(COMPILE, None)
    opened = checkpoint.inspect(executable.folder, read_told(said))
    module = load_module(opened)
    torch.set_num_threads(threads)
    fill = pad_id(opened.sizes)
    heart = getattr(module.model, "inner", module.model)  # with virtual tokens before the texts it stands within
    assert isinstance(heart, PreTrainedModel)
    names = input_names(heart)
    if backend is not None:
        heart.compile(backend=str(backend), dynamic=True)

    def infer(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        inputs = {name: torch.from_numpy(array) for name, array in padded(batch, names, fill).items()}
        return {name: value.numpy() for name, value in outputs_of(module, inputs).items()}

    def infer_one_by_one(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        answers = [infer([tokens]) for tokens in batch]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    last_token_of_all = executable.network == "reward" and (heart is not module.model or not _says_padding(heart))
    return infer_one_by_one if last_token_of_all else infer


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

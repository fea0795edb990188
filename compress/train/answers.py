"""What the teacher answers to many texts: asked once, and kept where other steps find it.

That is most of what a small student costs, so answers lie in `Resources.shared` under the digest of all that decides
them: the teacher's files, the inputs, the threads, on which the last digits hang. Products are in bfloat16 where the
processor has them: a softened answer is not known to more digits.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

import mct
from mct.compress.run.lineage import starting_key, versions
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import pad_id
from mct.models.checkpoints.load import load_module
from mct.models.tasks.tokens import Tokens
from mct.models.training.loop import chunks, find_device, has_fast_bfloat16
from mct.models.writing.drafts import draft_file, make_folder
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.run_torch import input_names

BATCH = 64
ANSWERS = "answers"


@dataclass(frozen=True)
class Teacher:
    """A checkpoint with one output, opened when something is asked that was not asked before. `shared`: see above."""

    checkpoint: Checkpoint
    threads: int
    shared: Path | None = None

    def answers(self, inputs: Sequence[Tokens]) -> torch.Tensor:
        """(inputs, width of an answer), in fp32."""
        if self.shared is None:
            return answers_of(self.module, inputs, pad_id(self.checkpoint.sizes))
        kept = self.shared / f"{ANSWERS}-{self._digest(inputs)}.safetensors"
        if not kept.is_file():
            make_folder(self.shared)
            found = answers_of(self.module, inputs, pad_id(self.checkpoint.sizes))
            with draft_file(self.shared, kept.name) as draft:
                save_file({ANSWERS: found}, draft)
                os.replace(draft, kept)
        return load_file(kept)[ANSWERS]

    @cached_property
    def module(self) -> torch.nn.Module:
        """The checkpoint, loaded."""
        return load_module(self.checkpoint)

    @property
    def table(self) -> torch.Tensor:
        """Its vectors of the pieces of its vocabulary, (vocabulary, width)."""
        model = self.module.model
        assert isinstance(model, PreTrainedModel)
        weights = model.get_input_embeddings().weight
        assert isinstance(weights, torch.Tensor)
        return weights.detach()

    @cached_property
    def _key(self) -> str:
        return starting_key(self.checkpoint)

    def _digest(self, inputs: Sequence[Tokens]) -> str:
        asked = [[tokens.ids, tokens.type_ids] for tokens in inputs]
        decides = [self._key, asked, self.threads, mct.__version__, dict(versions())]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def answers_of(module: torch.nn.Module, inputs: Sequence[Tokens], padding: int) -> torch.Tensor:
    """What a module with one output answers, (inputs, width), inputs of like length asked together.

    It is left in evaluation mode on the device where it answered.
    """
    heart = getattr(module.model, "inner", module.model)  # with virtual tokens before the texts it stands within
    assert isinstance(heart, PreTrainedModel)
    names, device = input_names(heart), find_device()
    order = sorted(range(len(inputs)), key=lambda place: len(inputs[place].ids))
    rows = []
    module.to(device).train(False)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device)):
        for batch in chunks(order, BATCH):
            arrays = padded([inputs[place] for place in batch], names, padding)
            (answer,) = module(**{name: torch.from_numpy(array).to(device) for name, array in arrays.items()}).values()
            rows.append(answer.float().cpu())
    return torch.cat(rows)[torch.tensor(order).argsort()].clone()

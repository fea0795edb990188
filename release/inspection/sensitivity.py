"""What each layer costs when it alone is put into few bits: which one a compression can least afford. By torch.

Each linear layer of the checkpoint is rounded alone (`mct.release.inspection.rounding`), and the answers to texts of
the data are held against those at full precision, by the same distance that the mixed-precision passes choose by
(`mct.compress.mixed.sensitivity`). Rounding in torch rather than writing an artifact for every layer: seconds, not
minutes, and any task that torch opens. It shows where precision matters, not what is wrong with one artifact: that is
found by the drift and the behaviour tests. A leaf.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mct import MctError
from mct.compress.mixed.sensitivity import distance
from mct.compress.plan.passes import Resources
from mct.compress.run.agreement import Outputs
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.progress import Report
from mct.models.tasks.tokens import Tokens
from mct.release.inspection.explanation import Part, Sensitivity
from mct.release.inspection.rounding import linear_layers, open_module, rounded, session_of
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Session

TEXTS = 64
LAYER = re.compile(r"(?:^|\.)(?:layers?|blocks?|h)\.(\d+)(?=\.|$)")


def find_sensitivity(checkpoint: Checkpoint, bits: int, inputs: Sequence[Tokens], report: Report) -> Sensitivity:
    """Costs of all linear layers, in the order of the network, on at most `TEXTS` of the inputs.

    MctError where the checkpoint has none.
    """
    module = open_module(checkpoint)
    layers = linear_layers(module)
    if not layers:
        raise MctError(f"{checkpoint.path} has no linear layers to round", "")
    session, resources = session_of(module, checkpoint), Resources(checkpoint, None, probe_machine(), 0)
    asked = random.Random(0).sample(list(inputs), min(TEXTS, len(inputs)))
    before, parts = _answers(session, asked), []
    for number, (name, layer) in enumerate(layers.items()):
        report("what each layer costs", number / (len(layers) + 1))
        with rounded([layer], bits):
            parts.append(Part(name, layer_of(name), distance(before, _answers(session, asked), resources)))
    with rounded(list(layers.values()), bits):
        everything = distance(before, _answers(session, asked), resources)
    return Sensitivity(bits, len(asked), tuple(parts), everything)


def layer_of(name: str) -> str:
    """Such as "layer 3", of the name of a weight in it; "" outside of all."""
    found = LAYER.search(name)
    return f"layer {int(found[1])}" if found else ""


def _answers(session: Session, inputs: Sequence[Tokens]) -> list[Outputs]:
    found: list[Any] = [session([tokens]) for tokens in inputs]
    return [{name: np.array(value) for name, value in each.items()} for each in found]

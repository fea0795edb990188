"""What it costs to have each part of a model in few bits, measured; and the fewest parts that must keep more.

A part is a weight matrix by the format's name. Each is put into few bits alone, and the answers to the user's texts are
held against those of the fp32 file: the divergence of labels (nats), else the squared difference in spreads of the
output. The costliest parts then keep more bits, one after the other, until so much of what all of them cost together is
won back as was asked. That takes a run of the texts for every part and as many again for those that are kept; costs do
not simply add up, so the sum is measured too, not assumed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mct import MctError
from mct.compress.plan.passes import EMBEDDERS, Product, Resources
from mct.compress.run.agreement import Outputs, divergence, spread
from mct.compress.run.calibration import calibration_inputs
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.table import Executable, open_session, runtime_for

TEXTS = 64
BLOCKS, TABLES = (16, 32, 64, 128, 256), (4, 8)
MULTI_LABEL = "multi-label-classification"
SINGLE = 1

Make = Callable[[Collection[str], Path], Product]
"""Writes the model with these parts in few bits, into an empty folder."""


@dataclass(frozen=True)
class Choice:
    """The parts that keep more bits, and what was measured: of each part alone, of all, and with those kept."""

    kept: tuple[str, ...]
    alone: dict[str, float]
    all: float
    left: float

    def notes(self) -> dict[str, Any]:
        """For the lineage: the costs, the highest first."""
        ordered = sorted(self.alone.items(), key=lambda pair: -pair[1])
        costs = {name: float(f"{cost:.4g}") for name, cost in ordered}
        found = {"cost_of_all": float(f"{self.all:.4g}"), "cost_left": float(f"{self.left:.4g}")}
        return {"kept": list(self.kept), **found, "cost_alone": costs, "texts_asked": TEXTS}


def require_known(options: Mapping[str, Any]) -> None:
    """MctError for blocks and shares that there are not."""
    for name, known in (("block", BLOCKS), ("table", TABLES)):
        if options.get(name, known[0]) not in known:
            raise MctError(f"`{name}` is {options[name]}", f"it can be {', '.join(map(str, known))}")
    if not 0 <= options.get("recover", 0) <= 1:
        raise MctError(f"`recover` is {options['recover']}", "it is a share: 0 to 1")


def choose(
    source: Product, parts: Sequence[str], make: Make, recover: float, form: str, resources: Resources
) -> Choice:
    """The fewest of the costliest parts to keep so that `recover` (0 to 1) of what few bits cost is won back.

    `source` is the fp32 product, `form` a format's name. MctError where there are no texts to measure on.
    """
    inputs = calibration_inputs(resources, TEXTS)
    before = _answers(source, form, inputs, resources)

    def cost(few: Collection[str]) -> float:
        with TemporaryDirectory() as folder:
            return distance(before, _answers(make(few, Path(folder)), form, inputs, resources), resources)

    alone = {part: cost([part]) for part in parts}
    order = sorted(parts, key=lambda part: -alone[part])
    everything = left = cost(parts)
    for count in range(len(order) + 1):
        left = cost(order[count:]) if count else everything
        if left <= (1 - recover) * everything:
            break
    return Choice(tuple(sorted(order[:count])), alone, everything, left)


def distance(before: Sequence[Outputs], after: Sequence[Outputs], resources: Resources) -> float:
    """How far answers are from those before, the mean over texts; of several outputs the sum."""
    network = resources.checkpoint.network
    return sum(
        _distance([each[name] for each in before], [each[name] for each in after], network) for name in before[0]
    )


def _distance(before: Sequence[Any], after: Sequence[Any], network: str) -> float:
    width = before[0].shape[-1]
    if width > SINGLE and network != MULTI_LABEL and network not in EMBEDDERS[:1]:
        rows = [divergence(a.reshape(-1, width), b.reshape(-1, width)) for a, b in zip(before, after, strict=True)]
        return float(np.concatenate(rows).mean())
    scale = spread(before)
    return float(np.mean([np.square((a - b) / scale).mean() for a, b in zip(before, after, strict=True)]))


def _answers(product: Product, form: str, inputs: Sequence[Tokens], resources: Resources) -> list[Outputs]:
    checkpoint = resources.checkpoint
    opened = Executable(
        product.folder, product.model, checkpoint.task, len(checkpoint.labels), checkpoint.max_tokens, product.settings
    )
    infer = open_session(runtime_for(form), opened, resources.machine.usable_threads)
    return [{name: np.array(value) for name, value in infer([tokens]).items()} for tokens in inputs]

"""What each layer costs when it alone is put into few bits: which one a compression can least afford.

The measuring is that of the mixed-precision passes (`mct.compress.mixed.sensitivity`): each product of the network is
quantised alone, and the answers to the user's texts are held against those at full precision. This runs such a pass,
and reads from the artifact that it leaves what every part cost. It shows where precision matters, not what is wrong
with one artifact: that is found by the drift and the behaviour tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mct import MctError
from mct.compress.plan.passes import ENCODERS
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.progress import Report

LEAST_PRECISION = {8: "onnx-int8-mixed", 4: "onnx-int4-mixed"}
LAYER = re.compile(r"(?:^|[./])(?:layers?|blocks?|h)[./](\d+)(?=[./]|$)")


@dataclass(frozen=True)
class Part:
    """One weight matrix quantised alone; `cost` is the divergence of the answers, nats; `layer` "" outside of any."""

    name: str
    layer: str
    cost: float


@dataclass(frozen=True)
class Sensitivity:
    """Every part in the order of the network, and all of them together, in so many `bits`, on `texts` texts."""

    form: str
    bits: int
    texts: int
    parts: tuple[Part, ...]
    all: float


def find_sensitivity(
    checkpoint: Checkpoint, bits: int, data: Path, renames: Mapping[str, str], report: Report
) -> Sensitivity:
    """Costs of all parts on texts of `data`. MctError, with the reason, where a task has no such measure."""
    if checkpoint.network not in ENCODERS or checkpoint.adaptation is not None:
        what = "an adapter" if checkpoint.adaptation is not None else f"a {checkpoint.network}"
        raise MctError(
            f"{what} is not measured layer by layer: it is done on encoders' ONNX graphs", "merge or export it first"
        )
    few = 8 if bits >= 8 else 4
    form = LEAST_PRECISION[few]
    recipe = Recipe((Step("export-onnx"), Step("quantise-onnx-mixed", form, {"recover": 0.0})))
    plan = make_plan(checkpoint, (), (), recipe=recipe)
    resources, texts = gather(plan, data, None, renames, seed=0)
    with TemporaryDirectory(prefix="mct-sensitivity-") as folder:
        (made,) = execute(plan, resources, texts, Path(folder), report)
        notes = read_artifact(made).lineage[-1]
    costs: Mapping[str, Any] = _noted(notes, "cost_alone")
    parts = tuple(sorted((Part(name, _layer(name), float(cost)) for name, cost in costs.items()), key=_order))
    return Sensitivity(form, few, int(_noted(notes, "texts_asked")), parts, float(_noted(notes, "cost_of_all")))


def _noted(entry: Mapping[str, Any], name: str) -> Any:
    """Notes of a pass stand in its entry of the lineage, or under a name of their own there."""
    return entry[name] if name in entry else entry["notes"][name]


def _layer(name: str) -> str:
    found = LAYER.search(name)
    return f"layer {int(found[1])}" if found else ""


def _order(part: Part) -> tuple[int, int, str]:
    found = LAYER.search(part.name)
    return (0, int(found[1]), part.name) if found else (1, 0, part.name)

"""OpenVINO INT8 that stays with the original: blocks of products go back to fp32 until few enough answers differ.

Quantise as usual; where too many answers to held-out texts have changed, leave out one block at a time, rank the blocks
by how much nearer that brings the outputs, and quantise anew without the first, the first two, ... NNCF's own accuracy
control is not used: it puts back the original weights behind activations that SmoothQuant has already scaled, after
which (NNCF 3.4) answers are worse than before. The price is a quantisation for every block, minutes for six layers,
which is why plain INT8 is a pass of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openvino as ov

from mct import MctError
from mct.compress.agreement import Outputs, agreement
from mct.compress.asked import Asked, ask
from mct.compress.calibration import calibration_inputs, calibration_notes
from mct.compress.export_openvino import MODEL, save
from mct.compress.length_buckets import buckets_for
from mct.compress.openvino_head import PRODUCT, head_products
from mct.compress.passes import Material, Product
from mct.compress.quantise_openvino import arrays_for, quantise
from mct.models.examples import find_kind
from mct.models.tokens import Tokens
from mct.targets.arithmetic import Arithmetic, arithmetic_of
from mct.targets.batches import Arrays
from mct.targets.run_openvino import wanted_outputs

# Of so many calibration texts one is held out, to see which answers change.
HELD_OUT = 4
FEWEST = 2 * HELD_OUT

# The largest share of held-out answers that may differ from the fp32 model's.
MAX_DROP = 0.01

# A trunk is cut into so many runs of products at most: a layer each, where there are six.
MOST_BLOCKS = 6

# Texts to rank blocks with: the order needs fewer than the ranges.
RANKED_WITH = 32


class _Nearness(NamedTuple):
    """Share of answers that are the fp32 model's, and mean squared difference of the outputs."""

    share: float
    distance: float


@dataclass(frozen=True)
class _HeldOut:
    """Held-out texts as the model takes them, and its answers before it was quantised."""

    asked: Asked
    arrays: Sequence[Arrays]
    before: Sequence[Outputs]

    def compare(self, graph: ov.Model) -> _Nearness:
        """How near a quantised graph is."""
        after = _answers(graph, self.arrays, list(self.before[0]))
        pairs = zip(self.before, after, strict=True)
        squares = [float(np.square(a[name] - b[name]).mean()) for a, b in pairs for name in a]
        share = agreement(self.asked, self.before, after, 0.0).share
        if share is None:
            raise MctError(
                "int8-accurate compares answers, and the rows held out have none to compare",
                "give rows with several documents a query, or take int8",
            )
        return _Nearness(share, float(np.mean(squares)))


@dataclass(frozen=True)
class _Source:
    """The fp32 model and the texts to take ranges from; every quantisation starts from the file."""

    path: Path
    ranges: Sequence[Tokens]
    pad_id: int
    arithmetic: Arithmetic

    def quantise(self, kept: Sequence[str], most: int | None = None) -> ov.Model:
        """In INT8, but for the products `kept`; ranges from the first `most` texts."""
        graph = ov.Core().read_model(self.path)
        texts = self.ranges if most is None else self.ranges[:: max(1, len(self.ranges) // most)]
        return quantise(graph, texts, self.pad_id, sorted({*head_products(graph), *kept}), self.arithmetic)


def run(source: Product, draft: Path, settings: Mapping[str, Any], material: Material) -> Product:
    """Write `openvino_model.xml` and `.bin` in INT8 but for what had to stay.

    `settings["max_drop"]` is the largest share of answers that may differ (0.01). MctError for too few texts, and
    where nothing could stay in INT8.
    """
    ranges, answers = _split(material)
    arithmetic = arithmetic_of(material.machine)
    fp32 = _Source(source.folder / source.model, ranges, int(source.settings["pad_id"]), arithmetic)
    graph = ov.Core().read_model(fp32.path)
    held_out = _hold_out(graph, answers, fp32.pad_id)
    drop = float(settings.get("max_drop", MAX_DROP))
    quantised, notes = _accurate(fp32, held_out, _blocks(graph), drop)
    save(quantised, draft / MODEL)
    notes |= calibration_notes(material, ranges) | {"held_out_texts": len(answers.inputs), "max_drop": drop}
    notes |= {"reduce_range": arithmetic.saturates}
    return Product(draft, MODEL, {**source.settings, "buckets": list(buckets_for(material))}, notes)


def _split(material: Material) -> tuple[list[Tokens], Asked]:
    """Texts to take ranges from, and texts to compare answers on."""
    data = material.calibration
    rows = data.rows if data else ()
    if data and len(rows) < FEWEST:
        raise MctError(
            f"int8-accurate needs at least {FEWEST} rows, {len(rows)} were given", "give more rows, or take int8"
        )
    kept = tuple(row for place, row in enumerate(rows) if place % HELD_OUT)
    ranges = calibration_inputs(replace(material, calibration=replace(data, rows=kept) if data else None))
    return ranges, ask(material.checkpoint, find_kind(material.checkpoint.task).texts(rows[::HELD_OUT]))


def _hold_out(graph: ov.Model, asked: Asked, pad_id: int) -> _HeldOut:
    arrays = arrays_for(graph, asked.inputs, pad_id)
    return _HeldOut(asked, arrays, _answers(graph, arrays, wanted_outputs(graph, asked.task)))


def _answers(graph: ov.Model, arrays: Sequence[Arrays], names: Sequence[str]) -> list[Outputs]:
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answered = (compiled(each) for each in arrays)
    return [{name: outputs[name] for name in names} for outputs in answered]


def _blocks(graph: ov.Model) -> list[list[str]]:
    """The trunk's products in the order of the graph, cut into at most `MOST_BLOCKS` runs of one length."""
    head = set(head_products(graph))
    names = [node.get_friendly_name() for node in graph.get_ordered_ops() if node.get_type_name() == PRODUCT]
    names = [name for name in names if name not in head]
    size = -(-len(names) // MOST_BLOCKS)
    return [names[start : start + size] for start in range(0, len(names), size)]


def _accurate(
    fp32: _Source, held_out: _HeldOut, blocks: list[list[str]], drop: float
) -> tuple[ov.Model, dict[str, Any]]:
    """The quantised graph with the fewest blocks in fp32, by the ranking, that keeps its answers."""
    order: list[list[str]] = []
    for count in range(len(blocks)):
        if count == 1:
            order = _ranked(fp32, held_out, blocks)
        kept = [name for block in order[:count] for name in block]
        quantised = fp32.quantise(kept)
        share = held_out.compare(quantised).share
        if share >= 1 - drop:
            return quantised, {"held_out_agreement": share, "products_in_fp32": len(kept)}
    raise MctError(
        f"int8-accurate: with all but one of {len(blocks)} blocks in fp32 still {1 - share:.1%} of answers differ",
        f"allow more than {drop:.1%}, or take fp16",
    )


def _ranked(fp32: _Source, held_out: _HeldOut, blocks: list[list[str]]) -> list[list[str]]:
    """Blocks by how near the model is without them in INT8, the nearest first."""
    distances = [held_out.compare(fp32.quantise(block, RANKED_WITH)).distance for block in blocks]
    return [blocks[place] for place in np.argsort(distances, kind="stable")]

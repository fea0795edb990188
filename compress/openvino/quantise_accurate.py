"""OpenVINO INT8 that stays with the original: blocks of products go back to fp32 until few enough answers differ.

Quantise as usual; where too many answers to held-out texts have changed, leave out one block at a time, rank the blocks
by how much nearer that brings the outputs, and quantise anew without the first, the first two, ... NNCF's own accuracy
control is not used: it puts back the original weights behind activations that SmoothQuant has already scaled, after
which (NNCF 3.4) answers are worse than before. The price is a quantisation for every block, minutes for six layers,
which is why plain INT8 is a pass of its own.

**When an attempt is kept.** A request's answer has changed or it has not, and of the held-out requests, a random sample
that neither ranges nor ranking have seen, some number has. An attempt is kept when the upper 95 % bound of the share
that this number stands for is no more than the largest that may change: Clopper and Pearson's exact bound (Biometrika
26, 1934), at 1 - 0.05 / attempts, so that the first of several attempts that passes is not a lucky one (Bonferroni).
With no change at all 1 % is shown by 477 answers of six attempts; fewer rows than can show it are refused.

The bound speaks of texts like those that are given. Answers to texts that the model was trained on are surer than to
others: give others where there are some.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from mct import MctError
from mct.compress.openvino.export import MODEL, save
from mct.compress.openvino.head import PRODUCT, head_products
from mct.compress.openvino.length_buckets import buckets_for
from mct.compress.openvino.quantise import arrays_for, quantise
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.agreement import Outputs, kept_answers
from mct.compress.run.calibration import MOST_TEXTS, calibration_inputs, calibration_notes, hold_out
from mct.compress.run.parity_inputs import ParityInputs, ask
from mct.models.tasks.examples import Request
from mct.models.tasks.tokens import Tokens
from mct.targets.arithmetic import Arithmetic, arithmetic_of
from mct.targets.runtimes.batches import Arrays
from mct.targets.runtimes.private_openvino import ov
from mct.targets.runtimes.run_openvino import wanted_outputs

# Of so many requests one is for the ranges, up to the number that every calibrated pass takes; the rest is held out.
FOR_RANGES = 4
MOST_HELD_OUT = 2000

# The largest share of answers that may differ from the fp32 model's, and how surely it must be known.
MAX_DROP = 0.01
ALPHA = 0.05

# A backbone is cut into so many runs of products at most: a layer each, where there are six.
MOST_BLOCKS = 6

# Texts to rank blocks with: the order needs fewer than the ranges.
RANKED_WITH = 32


@dataclass(frozen=True)
class _Compared:
    """Texts as the model takes them, and its answers before it was quantised."""

    asked: ParityInputs
    arrays: Sequence[Arrays]
    before: Sequence[Outputs]

    def kept(self, graph: ov.Model) -> NDArray[np.bool_]:
        """Of each request, whether a quantised graph answers it as before."""
        return kept_answers(self.asked, self.before, self.answers(graph))

    def distance(self, graph: ov.Model) -> float:
        """Mean squared difference of a quantised graph's outputs."""
        pairs = zip(self.before, self.answers(graph), strict=True)
        return float(np.mean([float(np.square(a[name] - b[name]).mean()) for a, b in pairs for name in a]))

    def answers(self, graph: ov.Model) -> list[Outputs]:
        """What a graph with the same outputs gives."""
        return _answers(graph, self.arrays, list(self.before[0]))


@dataclass(frozen=True)
class _Source:
    """The fp32 model and the texts to take ranges from; every quantisation starts from the file."""

    path: Path
    ranges: Sequence[Tokens]
    pad_id: int
    arithmetic: Arithmetic

    def quantise(self, kept: Sequence[str], most: int | None = None) -> ov.Model:
        """In INT8, but for the products `kept`; ranges from at most `most` texts."""
        graph = ov.Core().read_model(self.path)
        texts = self.ranges if most is None else _some(self.ranges, most)
        return quantise(graph, texts, self.pad_id, sorted({*head_products(graph), *kept}), self.arithmetic)


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `openvino_model.xml` and `.bin` in INT8 but for what had to stay.

    `options["max_drop"]` is the largest share of answers that may differ (0.01). MctError for too few texts to show
    it, and where nothing could stay in INT8.
    """
    drop = float(options.get("max_drop", MAX_DROP))
    learning, requests = hold_out(resources, _for_ranges(resources))
    arithmetic, pad_id = arithmetic_of(resources.machine), int(source.settings["pad_id"])
    ranges = calibration_inputs(learning)
    fp32 = _Source(source.folder / source.model, ranges, pad_id, arithmetic)
    graph = ov.Core().read_model(fp32.path)
    blocks = _blocks(graph)
    held_out = _compared(graph, _ask(resources, requests), pad_id)
    _require_enough(held_out, drop, len(blocks))
    quantised, notes = _accurate(fp32, held_out, blocks, drop)
    save(quantised, draft / MODEL)
    notes |= calibration_notes(learning, ranges) | {"max_drop": drop, "reduce_range": arithmetic.saturates}
    return Product(draft, MODEL, {**source.settings, "buckets": list(buckets_for(resources))}, notes)


def changed_at_most(changed: int, answers: int, attempts: int) -> float:
    """The upper bound of the share of answers that change, of which `changed` were seen, for one of `attempts`."""
    return 1.0 if changed == answers else float(beta.ppf(1 - ALPHA / attempts, changed + 1, answers - changed))


def fewest_answers(drop: float, attempts: int) -> int:
    """How many answers show, if none changes, that at most `drop` do."""
    return math.ceil(math.log(ALPHA / attempts) / math.log1p(-drop)) if drop < 1 else 1


def _for_ranges(resources: Resources) -> int:
    requests = len({str(request) for request in resources.calibration_requests()})
    return max(1, min(MOST_TEXTS, requests // FOR_RANGES))


def _ask(resources: Resources, requests: Sequence[Request]) -> ParityInputs:
    if not requests:
        raise MctError("int8-accurate holds rows out, and there is one only", "give more rows, or take int8")
    return ask(resources.checkpoint, requests, MOST_HELD_OUT)


def _require_enough(held_out: _Compared, drop: float, attempts: int) -> None:
    """MctError where the answers could not show what they are to show, even if none of them changed."""
    answers = len(kept_answers(held_out.asked, held_out.before, held_out.before))
    needed = fewest_answers(drop, attempts)
    if answers < needed:
        raise MctError(
            f"int8-accurate shows that at most {drop:.1%} of answers change: that takes {needed} answers to held-out "
            f"texts, and these rows give {answers}",
            f"give {math.ceil(needed * FOR_RANGES / (FOR_RANGES - 1))} texts or more, or take int8 and bench it",
        )


def _compared(graph: ov.Model, asked: ParityInputs, pad_id: int) -> _Compared:
    arrays = arrays_for(graph, asked.inputs, pad_id)
    return _Compared(asked, arrays, _answers(graph, arrays, wanted_outputs(graph, asked.task)))


def _answers(graph: ov.Model, arrays: Sequence[Arrays], names: Sequence[str]) -> list[Outputs]:
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answered = (compiled(each) for each in arrays)
    return [{name: outputs[name] for name in names} for outputs in answered]


def _blocks(graph: ov.Model) -> list[list[str]]:
    """The backbone's products in the order of the graph, cut into at most `MOST_BLOCKS` runs of one length."""
    head = set(head_products(graph))
    names = [node.get_friendly_name() for node in graph.get_ordered_ops() if node.get_type_name() == PRODUCT]
    names = [name for name in names if name not in head]
    size = -(-len(names) // MOST_BLOCKS)
    return [names[start : start + size] for start in range(0, len(names), size)]


def _accurate(
    fp32: _Source, held_out: _Compared, blocks: list[list[str]], drop: float
) -> tuple[ov.Model, dict[str, Any]]:
    """The quantised graph with the fewest blocks in fp32, by the ranking, that is shown to keep its answers."""
    order: list[list[str]] = []
    for count in range(len(blocks)):
        if count == 1:
            order = _ranked(fp32, held_out.asked, blocks)
        fp32_products = [name for block in order[:count] for name in block]
        quantised = fp32.quantise(fp32_products)
        kept = held_out.kept(quantised)
        changed = int((~kept).sum())
        bound = changed_at_most(changed, len(kept), len(blocks))
        if bound <= drop:
            notes = {"held_out_answers": len(kept), "changed": changed, "changed_at_most": round(bound, 6)}
            return quantised, notes | {"attempts": len(blocks), "products_in_fp32": len(fp32_products)}
    raise MctError(
        f"int8-accurate: with all but one of {len(blocks)} blocks in fp32 still {changed} of {len(kept)} answers "
        f"change, which may stand for {bound:.1%}",
        f"give more rows, allow more than {drop:.1%}, or take fp16",
    )


def _ranked(fp32: _Source, asked: ParityInputs, blocks: list[list[str]]) -> list[list[str]]:
    """Blocks by how near the outputs are without them in INT8, the nearest first; on texts that ranges come from."""
    some = replace(asked, inputs=tuple(_some(fp32.ranges, RANKED_WITH)), groups=())
    compared = _compared(ov.Core().read_model(fp32.path), some, fp32.pad_id)
    distances = [compared.distance(fp32.quantise(block, RANKED_WITH)) for block in blocks]
    return [blocks[place] for place in np.argsort(distances, kind="stable")]


def _some(texts: Sequence[Tokens], most: int) -> Sequence[Tokens]:
    """At most `most` of them at even distances: of every label, short and long."""
    return texts[:: max(1, -(-len(texts) // most))]

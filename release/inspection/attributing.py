"""What sampled answers rest on, in the original and in the artifact, until the examples or the time are over.

Occlusion asks any runtime: what the evidence for the original's answer loses where one word is left out. Gradients ask
torch, where the original is a checkpoint. The examples are drawn by the seed alone, and looked at in the order drawn,
so that a shorter time sees fewer of the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from time import monotonic
from typing import TYPE_CHECKING, Any

from mct import MctError
from mct.models.progress import Report
from mct.models.tasks.examples import Example
from mct.release.inspection.asking.opened import Asked, Told, decide, evidence_without
from mct.release.inspection.asking.questions import Target
from mct.release.inspection.drift import drift_of, excess_of, mean_of
from mct.release.inspection.explanation import Attributed, Attribution, Worth

if TYPE_CHECKING:
    from mct.release.inspection.gradients import Gradients

GradientsOf = Callable[[Told, Target], "Gradients"]


@dataclass(frozen=True)
class Attributing:
    """Who is asked: both models, the original rounded to `bits` for the floor, its gradients; None for those not had.

    `baseline` is what the gradients' path starts from.
    """

    original: Asked
    artifact: Asked
    floor: Asked | None = None
    bits: int | None = None
    gradients: GradientsOf | None = None
    baseline: str = ""


def attribute(
    who: Attributing, examples: Sequence[Example], rows: Sequence[int], seconds: float, report: Report
) -> Attribution:
    """The drift over the examples of `rows`, in that order. MctError where none has words enough to have an order."""
    began, found = monotonic(), list[Attributed]()
    for number, row in enumerate(rows):
        if found and monotonic() - began > seconds:
            break
        report("what answers rest on", number / len(rows))
        found.append(_attributed(who, row, examples[row]))
    drifts = [(each.drift, each.floor) for each in found if each.drift is not None]
    if not drifts:
        raise MctError("no example has three words or more to rest on", "give longer texts")
    both = [(drift, floor) for drift, floor in drifts if drift is not None and floor is not None]
    gaps = [each for each in found if each.gap is not None]
    moved = fmean(abs(sum(word.gradient or 0.0 for word in each.words)) for each in gaps) if gaps else 0.0
    return Attribution(
        measure=decide(who.original, examples[rows[0]]).decision.target.measure,
        drift=mean_of([drift for drift, _ in drifts if drift is not None]),
        examples=tuple(found),
        floor=mean_of([floor for _, floor in both]) if both else None,
        excess=excess_of(*map(list, zip(*both, strict=True))) if both else None,
        floor_bits=who.bits if both else None,
        gap=fmean(each.gap or 0.0 for each in gaps) / moved if moved else None,
        baseline=who.baseline,
        cut_short=len(found) < len(rows),
    )


def draw_rows(count: int, of: int, seed: int) -> list[int]:
    """So many rows, by chance."""
    return random.Random(seed).sample(range(of), min(count, of))


def _attributed(who: Attributing, row: int, example: Example) -> Attributed:
    told = decide(who.original, example, keep=True)
    target = told.decision.target
    before, own = _worth(who.original, told, target)
    theirs = decide(who.artifact, example, keep=True)
    after, others = _worth(who.artifact, theirs, target)
    found = Attributed(
        row, example.text, who.original.manner.named(who.original.tokenize, told.decision.answer),
        who.artifact.manner.named(who.artifact.tokenize, theirs.decision.answer), target.name, (before, after),
        tuple(map(Worth, told.cuts[target.input].words, own, others)), drift_of(own, others),
    )  # fmt: skip
    if who.floor is not None:
        found = replace(found, floor=drift_of(own, _worth(who.floor, decide(who.floor, example, keep=True), target)[1]))
    return found if who.gradients is None else _with_gradients(found, who.gradients(told, target))


def _worth(asked: Asked, told: Told, target: Target) -> tuple[float, list[float]]:
    """The evidence, and what of it is lost without each word."""
    whole, without = evidence_without(asked, told, target)
    return whole, [whole - each for each in without]


def _with_gradients(found: Attributed, gradients: Any) -> Attributed:
    words = tuple(replace(word, gradient=value) for word, value in zip(found.words, gradients.words, strict=True))
    return replace(found, words=words, gap=gradients.gap)

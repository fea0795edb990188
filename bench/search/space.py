"""What a search tries of a checkpoint: shapes, each made by a few steps, and the forms that each is exported to.

A shape is tried where every pass that makes it takes this checkpoint. One that a pass leaves untaught gets lessons:
steps of distillation, each going on from what the last left, so that a shape that was taught for longer has all that it
learned before, and recipes that begin alike share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mct import MctError
from mct.compress.plan.passes import ENCODERS
from mct.compress.plan.plan import make_plan, resolve, supported
from mct.compress.plan.recipe import Recipe, Step
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.data.declared import read_object
from mct.models.families.table import find_family
from mct.targets.machine import Machine
from mct.targets.runtimes.table import is_on, runtime_for
from mct.targets.target import Target

# By format the precisions worth trying: below full precision the fastest, and where it may be faster the full one.
PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "onnx": ("int8", "int4", "fp32"),
    "openvino": ("int8", "int4"),
    "gguf": ("q8_0", "q4_k_m"),
}
OF_WRITERS = frozenset({"q4_k_m"})
"""Precisions for those whose weights a token's time goes into; an encoder has them only to be smaller, and slower."""
LAYERS = (2, 1)
TRIM = Step("trim-vocabulary")
JOINED = frozenset({"onnx", "openvino", "gguf"})
"""Formats of which one artifact can hold two stages."""
STUDENTS: Mapping[str, Step] = {
    "convolution 256 with bigrams": Step("convolution-student", options={"width": 256, "bigrams": 32768}),
    "convolution 256": Step("convolution-student", options={"width": 256}),
    "static 256": Step("static-student", options={"width": 256}),
}
LESSON, RUN_WITH = "distil", "run-with"


@dataclass(frozen=True)
class Shape:
    """A network to try: the steps that make it of the checkpoint, and whether it then has everything to learn."""

    name: str
    steps: tuple[Step, ...]
    taught: bool


@dataclass(frozen=True)
class Candidate:
    """A shape after some lessons, in a form ("onnx-int8"): all that is tried. `begun` is whom it goes on from."""

    shape: Shape
    form: str
    recipe: Recipe
    lessons: int = 0
    begun: str = ""

    @property
    def name(self) -> str:
        """How reports call it: the same whatever it was taught."""
        return f"{self.shape.name}, {self.form}"

    @property
    def key(self) -> str:
        """What its files are kept under."""
        return self.recipe.digest[:16]


def shapes_of(checkpoint: Checkpoint, trims: bool) -> tuple[Shape, ...]:
    """Every shape whose passes take this checkpoint, the checkpoint itself first; some without what no text needs."""
    trim = (TRIM,) if trims and _is_open((TRIM,), checkpoint) else ()
    found = [("whole", (), False), *([("whole, trimmed", trim, False)] if trim else [])]
    if _is_open((Step(LESSON),), checkpoint):
        found += [(name, (*trim, *steps), True) for name, steps in _smaller(checkpoint)]
    opened = [each for each in found if _is_open(each[1], checkpoint)]
    return tuple(Shape(*each) for each in opened)


def _smaller(checkpoint: Checkpoint) -> Iterator[tuple[str, tuple[Step, ...]]]:
    family = find_family(checkpoint.model_type)
    if family is not None and family.layers:
        count = read_object(checkpoint.sizes / "config.json").get(family.keys.layers)
        for fewer in LAYERS:
            if isinstance(count, int) and fewer < count:
                keep = [place * count // fewer for place in range(fewer)]
                yield f"{fewer} layer{'s' if fewer > 1 else ''}", (Step("drop-layers", options={"keep": keep}),)
    for name, step in STUDENTS.items():
        yield name, (step,)


def _is_open(steps: Sequence[Step], checkpoint: Checkpoint) -> bool:
    """Whether the table has these passes for the task, and the first that looks at the checkpoint itself takes it."""
    try:
        resolved = resolve(Recipe(tuple(steps)), checkpoint.network)
    except MctError:
        return False
    return not any(step.why_not(checkpoint) for step in resolved)


def forms_of(checkpoint: Checkpoint, target: Target) -> tuple[str, ...]:
    """The forms to try that the task can take and the target can run."""
    possible, left_out = supported(checkpoint.network), OF_WRITERS if checkpoint.network in ENCODERS else frozenset()
    return tuple(
        f"{format_name}-{precision}"
        for format_name, precisions in PRECISIONS.items()
        if format_name in possible and is_on(runtime_for(format_name), target)
        for precision in precisions
        if precision in possible[format_name] and precision not in left_out
    )


def candidate(
    shape: Shape,
    form: str,
    checkpoint: Checkpoint,
    machine: Machine,
    seed: int,
    lessons: Sequence[Mapping[str, Any]] = (),
) -> Candidate:
    """The shape after these lessons in that form. MctError where the plan refuses it, with the reason."""
    taught = tuple(Step(LESSON, options=dict(options)) for options in lessons)
    begun = Recipe((*shape.steps, *taught), seed) if shape.steps or taught else None
    format_name, _, precision = form.partition("-")
    (route,) = make_plan(checkpoint, [format_name], [precision], machine, begun).routes
    return Candidate(shape, form, route.recipe(seed), len(taught))


def can_be_joined(first: Candidate, second: Candidate) -> bool:
    """Whether both are files of one format that can hold both, and cut texts into the same pieces."""
    trimmed = {each.recipe.steps[0].name == TRIM.name for each in (first, second)}
    formats = {each.form.partition("-")[0] for each in (first, second)}
    return len(trimmed) == len(formats) == 1 and formats <= JOINED


def cascade(first: Candidate, second: Candidate, threshold: float, always: Sequence[str]) -> Candidate:
    """One artifact of two: the first answers where it is sure enough."""
    steps = second.recipe.as_json()["steps"]
    options: dict[str, Any] = {"second": steps, "threshold": threshold}
    joined = Step("cascade", first.form, options | ({"always": list(always)} if always else {}))
    then = second.shape.name if second.form == first.form else second.name
    return _further(first, f"{first.shape.name}, then {then}", joined)


def on_one_thread(of: Candidate) -> Candidate | None:
    """The same run on one thread, which a small graph may be faster on; None where its format cannot say so."""
    if not of.form.startswith("onnx-"):
        return None
    return _further(of, f"{of.shape.name}, one thread", Step(RUN_WITH, of.form, {"threads": 1}))


def _further(of: Candidate, name: str, step: Step) -> Candidate:
    recipe = replace(of.recipe, steps=(*of.recipe.steps, step))
    return Candidate(replace(of.shape, name=name), of.form, recipe, of.lessons, begun=of.name)

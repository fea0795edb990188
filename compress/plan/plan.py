"""From what is wanted to the passes that make it.

Functions over the table of passes, so that a plan can be read before anything runs: what a format, a checkpoint or a
machine cannot do is refused here, with the nearest that works, and what gains nothing is warned of. Formats and
precisions are a short way to say recipes; a recipe that ends in a checkpoint stands before each of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mct import MctError
from mct.compress.plan.keeping import why_not_keep
from mct.compress.plan.options import read_options
from mct.compress.plan.passes import ENCODERS, START, Pass
from mct.compress.plan.passes_merge import opening
from mct.compress.plan.passes_train import TRAIN_FOR_INT4
from mct.compress.plan.recipe import Recipe, Step, steps_of
from mct.compress.plan.table import PRECISION_ALIASES, TRAINED_ALIASES, passes
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.tables import load, unknown
from mct.models.tasks.table import network_of
from mct.targets.arithmetic import Numbers, no_gain, why_not
from mct.targets.machine import Machine, probe_machine

# What is made where nothing is said.
FORMATS, PRECISIONS = ("onnx", "openvino", "gguf"), ("int8",)
KEEPING = ("onnx", "gguf")
"""Formats whose runtimes swap adapters."""

# Source: optimum-intel#1957, the mean cosine of an embedder's vectors with the original's.
FEW_BITS = 4
FEW_BITS_COST = (
    "4-bit weights can cost an encoder far more than 8-bit ones (an embedder kept 0.85 of similarity, against 0.97): "
    "bench it, or let a recipe begin with train-for-int4"
)


AFTER_JOINING = ("run-with",)
"""What may follow a pass that joins two models: it changes neither."""


@dataclass(frozen=True)
class Resolved:
    """A step of a recipe: its row of the table, what the recipe tells it, the steps of its branch if it has one."""

    row: Pass
    options: Mapping[str, Any] = field(default_factory=dict)
    branch: tuple[Resolved, ...] = ()

    @property
    def all(self) -> tuple[Resolved, ...]:
        """Itself, after all that its branch takes."""
        return (*(each for step in self.branch for each in step.all), self)

    @property
    def effective_options(self) -> dict[str, Any]:
        """All that the pass is handed: what its row has fixed, and every option, told or not."""
        return {**self.row.fixed, **read_options(self.row, self.options)}

    def why_not(self, checkpoint: Checkpoint) -> str:
        """Why the pass cannot take this checkpoint; "" where it can."""
        if not self.row.why_not:
            return ""
        reason: str = load(self.row.why_not, self.row.extra)(checkpoint, self.effective_options)
        return reason


@dataclass(frozen=True)
class Route:
    """One artifact to make: its form, and the steps that lead there from the checkpoint.

    `warnings` say why it gains nothing on the machine it is meant for, or may lose much.
    """

    format: str
    precision: str
    steps: tuple[Resolved, ...]
    warnings: tuple[str, ...] = ()

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The rows of its steps."""
        return tuple(step.row for step in self.steps)

    @property
    def work(self) -> tuple[Pass, ...]:
        """The rows of all that is to be done, branches among it."""
        return tuple(each.row for step in self.steps for each in step.all)

    def recipe(self, seed: int) -> Recipe:
        """The recipe that makes this artifact."""
        return Recipe(tuple(Step(step.row.name, step.row.gives, step.options) for step in self.steps), seed)

    @property
    def name(self) -> str:
        """The folder name of the artifact, "onnx-int8"; "checkpoint" of what a recipe leaves as one."""
        return f"{self.format}-{self.precision}" if self.precision else self.format


@dataclass(frozen=True)
class Plan:
    """What `mct compress` will do: one route per artifact. Routes that begin alike share those passes."""

    checkpoint: Checkpoint
    routes: tuple[Route, ...]

    def describe(self, seed: int = 0) -> str:
        """The recipe of each artifact, above it the passes in order as a comment: one artifact's is a recipe file."""
        one = len(self.routes) == 1
        said = []
        for number, route in enumerate(self.routes, start=1):
            part = "" if one else f"# Recipe {number} of {len(self.routes)}: a file of its own, --recipe takes one.\n"
            arrows = " -> ".join(step.name for step in route.passes)
            said.append(f"{part}# {route.name}: {arrows}\n{route.recipe(seed).as_toml()}")
        return "\n".join(said)

    def as_json(self, seed: int = 0) -> list[dict[str, Any]]:
        """Plain values, for --json: one entry per artifact."""
        return [
            {
                "name": route.name,
                "passes": [step.name for step in route.passes],
                "warnings": list(route.warnings),
                "recipe": route.recipe(seed).as_json(),
                "digest": route.recipe(seed).digest,
            }
            for route in self.routes
        ]


def make_plan(
    checkpoint: Checkpoint, formats: Sequence[str], precisions: Sequence[str], machine: Machine | None = None,
    recipe: Recipe | None = None,
) -> Plan:  # fmt: skip
    """One route per format and precision, duplicates dropped, for `machine`, this one if None.

    A recipe that ends in a checkpoint goes before each of them; another says itself what to make. What a checkpoint
    needs to be an ordinary one (an adapter merged, weights unpacked) comes first of all. MctError names the nearest
    combination that works.
    """
    meant = machine or probe_machine()
    first = resolve(recipe, checkpoint.network) if recipe else ()
    begins = opening(checkpoint)
    if not (first and first[0].row in begins):
        first = (*map(Resolved, begins), *first)
    first = tuple(_opened(step, begins) for step in first)
    if first and first[-1].row.gives != START:
        if formats or precisions:
            raise MctError(
                f"the recipe itself makes {first[-1].row.gives}, and formats or precisions are asked for beside it",
                "leave them out, or end the recipe in a checkpoint",
            )
        format_name, _, precision = first[-1].row.gives.partition("-")
        routes: tuple[Route, ...] = (_route(format_name, precision, first, meant, checkpoint.network),)
    else:
        wanted = dict.fromkeys(
            _in_words_of(format_name, precision, first)
            for format_name in formats or (KEEPING if checkpoint.keeps_adapters else FORMATS)
            for precision in precisions or PRECISIONS
        )
        routes = tuple(
            _route(
                format_name, precision, (*first, *_way(format_name, precision, checkpoint.network, first)), meant,
                checkpoint.network,
            )
            for format_name, precision in wanted
        )  # fmt: skip
    if checkpoint.keeps_adapters and (reason := why_not_keep(checkpoint)):
        raise MctError(f"--keep-adapter: {reason}", "leave --keep-adapter out: the adapter is merged then")
    left = checkpoint
    for step in first:
        if step.row.gives == START and (reason := step.why_not(left)):
            raise MctError(f"{step.row.name}: {reason}", _other_way(step.row, begins))
        left = _as_left(step, left)
    for route in routes:
        if reason := _obstacle(route, left, meant):
            raise MctError(f"{route.name}: {reason}", _nearest(route, left, meant))
    return Plan(checkpoint, routes)


def _opened(step: Resolved, begins: Sequence[Pass]) -> Resolved:
    """A step whose branch, which starts from the checkpoint itself, begins as everything does."""
    if not step.branch or step.branch[0].row in begins:
        return step
    return replace(step, branch=(*map(Resolved, begins), *step.branch))


def _as_left(step: Resolved, checkpoint: Checkpoint) -> Checkpoint:
    """What is known of a step's product before it is there: what it took, of another family perhaps."""
    return replace(checkpoint, model_type=step.row.leaves) if step.row.leaves else checkpoint


def _other_way(refused: Pass, begins: Sequence[Pass]) -> str:
    """A hint where a step to a checkpoint cannot be taken: to leave out what it was for, or to tell it otherwise."""
    if refused in begins:
        return "to compress the base without what was added to it, give the base's own folder"
    return "see what it may be told: mct compress --passes"


def resolve(recipe: Recipe, task: str) -> tuple[Resolved, ...]:
    """The steps with their rows. MctError where a pass is unknown, an option is wrong, or one does not follow."""
    found: list[Resolved] = []
    for number, step in enumerate(recipe.steps, start=1):
        row = _row_of(step, found[-1].row.gives if found else START, task, f"step {number}")
        if joined := next((each.row.name for each in found if each.branch and row.name not in AFTER_JOINING), ""):
            raise MctError(
                f"step {number}: {row.name} cannot follow {joined}, which leaves two models in one artifact",
                f"take it before {joined}, in both stages",
            )
        options = read_options(row, step.options)
        found.append(Resolved(row, step.options, _branch_of(row, options, task, f"step {number}")))
    return tuple(found)


def _branch_of(row: Pass, options: Mapping[str, Any], task: str, place: str) -> tuple[Resolved, ...]:
    """The steps that a pass joins to those before it, which must come to the format that it takes."""
    if not row.branch:
        return ()
    steps = resolve(Recipe(steps_of(f"{place}: {row.name}: {row.branch}", options[row.branch])), task)
    if joined := next((each.row.name for each in steps if each.branch), ""):
        raise MctError(f"{place}: {row.name}: {row.branch} holds a {joined}, and there are two stages", "leave it out")
    ends = steps[-1].row.gives if steps else "nothing"
    if ends.partition("-")[0] != row.takes.partition("-")[0]:
        raise MctError(
            f"{place}: {row.name}: {row.branch} comes to {ends}, and what it is joined to is {row.takes}",
            "end both in the same format",
        )
    return steps


def _row_of(step: Step, form: str, task: str, place: str) -> Pass:
    """The row of that name that takes `form`, for models of the task."""
    named = [row for row in passes() if row.name == step.name]
    if not named:
        raise unknown("pass", step.name, {row.name for row in passes()})
    for_task = [row for row in named if task in row.tasks]
    if not for_task:
        raise MctError(f"{place}: {step.name} takes no {task} model", "see the passes: mct compress --passes")
    following = [row for row in for_task if row.takes == form]
    if not following:
        raise MctError(
            f"{place}: {step.name} takes {' or '.join(sorted({row.takes for row in for_task}))}, here it gets {form}",
            "see what each pass takes and gives: mct compress --passes",
        )
    chosen = [row for row in following if step.gives in {"", row.gives}]
    if len(chosen) != 1:
        forms, wanted = ", ".join(row.gives for row in following), f" and not {step.gives}" if step.gives else ""
        raise MctError(
            f"{place}: {step.name} gives {forms}{wanted}: say which one", f'write: gives = "{following[0].gives}"'
        )
    return chosen[0]


def supported(task: str) -> dict[str, list[str]]:
    """Precisions by format that some chain of passes reaches for a task, in table order."""
    found: dict[str, list[str]] = {}
    network = network_of(task)
    for step in passes():
        if network in step.tasks and step.gives != START and _chain(step.gives, network):
            format_name, _, precision = step.gives.partition("-")
            if precision not in found.setdefault(format_name, []):
                found[format_name].append(precision)
    return found


def _in_words_of(format_name: str, precision: str, first: Sequence[Resolved]) -> tuple[str, str]:
    """Format and precision as the table has them; a checkpoint stays in the precision that it has.

    Weights that were trained in 4 bits have those of a format's types that is the same grid.
    """
    if format_name == START:
        return format_name, ""
    trained = TRAINED_ALIASES if any(step.row.name == TRAIN_FOR_INT4 for step in first) else {}
    aliases = PRECISION_ALIASES.get(format_name, {}) | trained.get(format_name, {})
    return format_name, aliases.get(precision, precision)


def numbers_of(format_name: str, precision: str, task: str) -> Numbers:
    """What an artifact computes in, where that depends on the machine."""
    chain = _chain(f"{format_name}-{precision}", network_of(task))
    return chain[-1].numbers if chain else ""


def _way(format_name: str, precision: str, task: str, first: Sequence[Resolved] = ()) -> tuple[Resolved, ...]:
    """The steps that lead from a checkpoint, which `first` left, to a format and precision."""
    if format_name == START and first:
        return ()
    possible = supported(task)
    if format_name == START:
        raise MctError(
            "--format checkpoint keeps what a recipe leaves, and there is no recipe that ends in a checkpoint",
            "give one with --recipe: see what it may hold with mct compress --passes",
        )
    if format_name not in possible:
        raise unknown("format", format_name, possible)
    if precision not in possible[format_name]:
        raise _no_way(format_name, precision, task, possible[format_name])
    return tuple(Resolved(row) for row in _chain(f"{format_name}-{precision}", task))


def _route(format_name: str, precision: str, steps: tuple[Resolved, ...], machine: Machine, task: str) -> Route:
    found = (no_gain(format_name, steps[-1].row.numbers, machine), _cost(precision, steps, task)) if precision else ()
    return Route(format_name, precision, steps, tuple(f"{format_name}-{precision}: {each}" for each in found if each))


def _cost(precision: str, steps: Sequence[Resolved], task: str) -> str:
    """What is known of so few bits for models of a task that were not trained for them; "" for nothing."""
    trained = any(step.row.name == TRAIN_FOR_INT4 for step in steps)
    return FEW_BITS_COST if task in ENCODERS and _bits(precision) <= FEW_BITS and not trained else ""


def _obstacle(route: Route, checkpoint: Checkpoint, machine: Machine) -> str:
    """Why this route cannot be gone with this checkpoint for this machine; "" where it can."""
    reasons = (step.why_not(checkpoint) for step in route.steps if step.row.gives != START)
    return next(filter(None, reasons), "") or why_not(route.passes[-1].numbers, machine)


def _nearest(refused: Route, checkpoint: Checkpoint, machine: Machine) -> str:
    """A hint: the precision of the same format, else the formats, that are nearest to what was refused and work."""
    open_ways: dict[str, list[str]] = {}
    for format_name, precisions in supported(checkpoint.network).items():
        for precision in sorted(precisions, key=lambda name: abs(_bits(name) - _bits(refused.precision))):
            route = _route(
                format_name, precision, _way(format_name, precision, checkpoint.network), machine, checkpoint.network
            )
            if not _obstacle(route, checkpoint, machine):
                open_ways.setdefault(format_name, []).append(precision)
    if refused.format in open_ways:
        return f"the nearest that works is {open_ways[refused.format][0]}"
    if open_ways:
        return f"these formats can hold it: --format {','.join(open_ways)}"
    return "no format can hold it yet"


def _no_way(format_name: str, precision: str, task: str, possible: Sequence[str]) -> MctError:
    """The error for a precision that no pass gives: the nearest in bits that works."""
    nearest = min(possible, key=lambda name: abs(_bits(name) - _bits(precision)))
    return MctError(
        f"{format_name} cannot hold {precision} for {task}",
        f"the nearest that works is {nearest}; {format_name} takes: {', '.join(possible)}",
    )


def _bits(precision: str) -> int:
    """Bits a weight, as the precision's name says it ("int8-static", "q4_k_m")."""
    found = re.search(r"\d+", precision)
    return int(found.group()) if found else 32


def _chain(form: str, task: str, after: frozenset[str] = frozenset()) -> tuple[Pass, ...]:
    """The passes from the checkpoint to `form`, walking the table backwards; empty where there is no way.

    `after` are the forms on the way from there, which a way does not come to twice.
    """
    for step in passes():
        if step.gives != form or step.takes == form or task not in step.tasks or step.takes in after:
            continue
        if step.takes == START:
            return (step,)
        if before := _chain(step.takes, task, after | {form}):
            return (*before, step)
    return ()

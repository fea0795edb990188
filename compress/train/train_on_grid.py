"""Go on training a checkpoint with its weights rounded to few bits, so that rounding them afterwards costs less.

It starts from the scales that rounding alone has, which follow the weights as these move; gradients pass the rounding
as if it were not there (mct.models.training.fake_quantise). The teacher is the checkpoint that the user brought, in
fp32: its whole answer says more than a label, and texts need none. What comes out is an ordinary checkpoint whose
layers lie on the grid in fp32; the passes that quantise find that and leave the integers as they are. The word
embeddings stay as they came: every format has them at 8 bits, which costs them nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mct import MctError
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import copy_rest, rewrite_weights
from mct.compress.train.lessons import Asked, Lesson, asked_of, lessons_from
from mct.compress.train.losses import to_teacher, to_truth
from mct.models.checkpoints.load import unread
from mct.models.data.declared import read_object
from mct.models.families.table import find_family
from mct.models.training.fake_quantise import fake_quantised, quantised_layers
from mct.models.training.grids import REDUCED_BITS, Grid
from mct.models.training.loop import Training, by_length, find_device, learn, move
from mct.targets.arithmetic import arithmetic_of

BITS = 8
TEMPERATURE = 2.0


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint with its layers' weights on the grid. MctError where it has no layers that can lie there."""
    teacher = (resources.teacher or resources.checkpoint) if options["teach"] else None
    lessons = lessons_from(resources, teacher)
    learner, taught_by = asked_of(resources.checkpoint), asked_of(teacher, resources.checkpoint) if teacher else None
    grid = _grid(options, resources)
    training = Training(
        epochs=options["epochs"], learning_rate=options["learning_rate"], batch=options["batch"], seed=resources.seed
    )
    with _threads(options["threads"]):
        trained = _train(learner, taught_by, lessons, grid, training, resources)
    _write(source.folder, draft, trained, resources.checkpoint.network)
    copy_rest(source.folder, draft)
    notes = {"grid": asdict(grid), "inputs": len(lessons), "taught": teacher is not None, "trained": len(trained)}
    return Product(draft, "", notes=notes)


def _grid(options: Mapping[str, Any], resources: Resources) -> Grid:
    """At 8 bits as the machine's dynamic INT8 has it: a row's scale, 7 bits where sums would saturate."""
    if options["bits"] == BITS:
        saturates = arithmetic_of(resources.machine).saturates
        return Grid(REDUCED_BITS if saturates else BITS, activations=True)
    return Grid(options["bits"], options["block"])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads inside, where a number is told: what comes out hangs on it in the last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(
    learner: Asked,
    teacher: Asked | None,
    lessons: Sequence[Lesson],
    grid: Grid,
    training: Training,
    resources: Resources,
) -> dict[str, torch.Tensor]:
    """The weights that were trained, by the names that the model has for them."""
    checkpoint, model = resources.checkpoint, learner.module.model
    assert isinstance(model, PreTrainedModel)
    if not quantised_layers(model):
        raise MctError(f"a {model.config.model_type} has no linear layers of the usual kind", "take a static precision")
    learner.module.requires_grad_(False)
    model.requires_grad_(True)
    model.get_input_embeddings().requires_grad_(False)
    names = [name for name, weights in model.named_parameters() if weights.requires_grad]

    def loss_of(batch: Sequence[Lesson]) -> torch.Tensor:
        inputs = [lesson.tokens for lesson in batch]
        ours = learner.answers(inputs)
        if teacher is None:
            loss: torch.Tensor = to_truth(
                checkpoint.network, ours, [lesson.truth for lesson in batch], inputs, checkpoint.labels
            )
            return loss
        with torch.no_grad():
            theirs = teacher.answers([lesson.asked or lesson.tokens for lesson in batch])
        return to_teacher(checkpoint.network, ours, theirs, inputs, TEMPERATURE)

    if teacher is not None:
        move(teacher.module, find_device())
        _calm(learner.module)
    batches = list(by_length(lessons, lambda lesson: len(lesson.tokens.ids), training))
    with fake_quantised(model, grid):
        if batches:
            learn(learner.module, batches, loss_of, training)
    weights = model.state_dict()
    return {name: weights[name].detach().contiguous() for name in names}


def _calm(module: torch.nn.Module) -> None:
    """Take its dropout away, in place: a teacher's answer is that of all its weights."""
    for each in module.modules():
        if isinstance(each, torch.nn.Dropout):
            each.p = 0.0


def _write(source: Path, draft: Path, trained: Mapping[str, torch.Tensor], network: str) -> None:
    """The source's weights, with what was trained in the place of what it was."""
    prefix = _prefix(source)
    left = dict(trained)

    def change(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor]:
        plain = name.replace(".gamma", ".weight").replace(".beta", ".bias")
        for known in (plain, f"{prefix}{plain}", plain.removeprefix(prefix)):
            if known in trained and trained[known].shape == tensor.shape:
                left.pop(known, None)
                return name, trained[known]
        return name, tensor

    rewrite_weights(source, draft, change)
    if lost := unread(network, left):
        raise MctError(
            f"the weights of {source} have names of their own: {lost[0]} is not among them",
            "save the whole model again: model.save_pretrained(folder)",
        )


def _prefix(source: Path) -> str:
    family = find_family(read_object(source / "config.json")["model_type"])
    return family.prefix if family else ""

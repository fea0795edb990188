"""Scenario 05, the distilled router: some of the router's layers, taught by its answers to messages without labels.

The teacher is the intent router of the same size, or the one given as `base`. What a shop has most of is messages that
nobody labelled; the student learns from the labelled ones and from as many of these again, drawn with another seed and
written without their labels. Beside it, in the record, is the same student taught by labels alone for as many steps:
what distillation gains is the difference, and where it is nothing, it says so. A leaf.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mct.models.data.files import Row
from mct.models.data.leaks import leaks, normalised
from mct.models.progress import Report, silent
from mct.models.scenarios.classifiers.encoders import find_size
from mct.models.scenarios.classifiers.model_card import write_model_card
from mct.models.scenarios.classifiers.router import SIZES as ROUTERS
from mct.models.scenarios.classifiers.router import given_or_fine_tuned
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.intents import about, generate
from mct.models.training.classification import Classifier, Training, accuracy, finetune, save
from mct.models.training.distil import Softness, distil, with_layers
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

UNLABELLED = "unlabelled"
OTHER_MESSAGES = 1_000
"""Added to the seed for the messages without labels: other ones than those with."""

TAGS = ("distillation", "text-classification")


@dataclass(frozen=True)
class Size:
    """One size: which of the router's layers the student keeps, how many unlabelled messages, how it is trained."""

    kept: tuple[int, ...]
    unlabelled: int
    training: Training


SIZES = {
    "tiny": Size((0,), 400, Training(epochs=2, learning_rate=2e-3)),
    "small": Size((0, 2, 4), 8_000, Training(epochs=2, learning_rate=3e-4, frozen_embeddings=True)),
    "full": Size((0, 2, 4), 150_000, Training(epochs=3, learning_rate=1e-4)),
}


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make or take the teacher, distil, and write the student to `folder`, which appears complete or not at all.

    The same arguments give the same bytes on the same machine with the same number of threads. MctError for an unknown
    size, or a `base` that is no intent router.
    """
    recipe = find_size(size, SIZES)
    with appearing(folder, [Path(base)] if base else []) as draft:
        router = given_or_fine_tuned(size, seed, report, base)
        labelled = router.data.train[: ROUTERS[size].learn_from]
        unlabelled = _unlabelled(recipe.unlabelled, seed, router.data.train)
        training = replace(recipe.training, seed=seed)
        student = with_layers(router.classifier, recipe.kept)
        untaught = accuracy(student, router.data.dev)
        distil(student, router.classifier, [*labelled, *unlabelled], training, report=report)
        alone = _by_labels(router.classifier, recipe, labelled, len(unlabelled), training, report)
        found = {
            "teacher": accuracy(router.classifier, router.data.dev),
            "student": accuracy(student, router.data.dev),
            "student_by_labels_alone": accuracy(alone, router.data.dev),
            "student_untaught": untaught,
        }
        save(student, draft)
        write_model_card(draft, "Distilled router", f"The router's layers {list(recipe.kept)}, taught by it.", TAGS)
        write_data(draft / "data", router.data.splits | {UNLABELLED: unlabelled}, about(seed))
        record = _record(size, base, recipe, training, {"labelled": len(labelled), "unlabelled": len(unlabelled)})
        write_json(draft / "recipe.json", record | {"dev_accuracy": {name: round(v, 4) for name, v in found.items()}})
    return folder


def _unlabelled(count: int, seed: int, train: Sequence[Row]) -> Sequence[Row]:
    """Messages that are none of those in `train`, nor nearly: their texts alone."""
    made = [row["text"] for row in generate(seed + OTHER_MESSAGES, 2 * count, 0).train]
    known = {normalised(leak.texts[1]) for leak in leaks({"train": [row["text"] for row in train], UNLABELLED: made})}
    return [{"text": text} for text in made if normalised(text) not in known][:count]


def _by_labels(
    teacher: Classifier, recipe: Size, rows: Sequence[Row], unlabelled: int, training: Training, report: Report
) -> Classifier:
    """The same student from the same start, taught by labels for as many steps as the one that is distilled."""
    student = with_layers(teacher, recipe.kept)
    epochs = round(training.epochs * (len(rows) + unlabelled) / len(rows))
    finetune(student, rows, replace(training, epochs=epochs), report, stage="the same student by labels alone")
    return student


def _record(size: str, base: str | None, recipe: Size, training: Training, rows: dict[str, int]) -> dict[str, Any]:
    return {
        "scenario": "distilled-router",
        "size": size,
        "teacher": base or "intent-router",
        "layers": list(recipe.kept),
        "training": asdict(training),
        "softness": asdict(Softness()),
        "rows": rows,
    }

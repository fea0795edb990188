"""Scenario 06, the continual router: one classifier, updated month after month on that month's messages.

Each update starts from last month's model, grows its head by the labels that came up, and learns the month's rows
together with a rehearsal of earlier ones. The folder holds this month's model, `previous/` last month's, so that what
an update forgot can be told; the record has the accuracy on every month's dev rows after every update, and beside it
what the last update does without rehearsal. A leaf.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.classifiers.encoders import Start, begin, find_size, from_hub, from_package, from_scratch
from mct.models.scenarios.classifiers.model_card import write_model_card
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.months import about, generate, labels_by
from mct.models.scenarios.shop.texts.seasons import MONTHS
from mct.models.training.classification import Classifier, Training, accuracy, finetune, save
from mct.models.training.continual import rehearsed, widened
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

PREVIOUS = "previous"
TAGS = ("continual-learning", "text-classification")


@dataclass(frozen=True)
class Size:
    """One size: messages a month over all splits, months, the encoder, how the first month and how updates are learned.

    `rehearsed` is how many rows of earlier months an update learns again.
    """

    rows_a_month: int
    months: int
    start: Start
    first: Training
    update: Training
    rehearsed: int


SIZES = {
    "tiny": Size(
        1_600, 2, from_scratch, Training(epochs=4, learning_rate=3e-3), Training(epochs=1, learning_rate=1e-3), 300
    ),
    "small": Size(
        3_200, 4, from_package, Training(epochs=1, learning_rate=2e-4, frozen_embeddings=True),
        Training(epochs=1, learning_rate=1e-4, frozen_embeddings=True), 600,
    ),
    "full": Size(
        10_000, 6, from_hub, Training(epochs=2, learning_rate=5e-5), Training(epochs=1, learning_rate=3e-5), 3_000
    ),
}  # fmt: skip


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make the data, learn month by month, and write the folder, which appears complete or not at all.

    `base`, a folder or hub name, replaces the encoder that the size starts from. The same arguments give the same bytes
    on the same machine with the same number of threads. MctError for an unknown size or a base that cannot be had.
    """
    recipe = find_size(size, SIZES)
    with appearing(folder, [Path(base)] if base else []) as draft:
        report("making messages", 0.0)
        data = generate(seed, recipe.rows_a_month, recipe.months)
        months = MONTHS[: recipe.months]
        classifier = begin(base, recipe.start, _of(months[0], data["train"]), labels_by(months[0]), seed)
        first = replace(recipe.first, seed=seed)
        finetune(classifier, _of(months[0], data["train"]), first, report, stage=f"learning {months[0]}")
        after = {months[0]: _by_month(classifier, data["dev"], months)}
        for number, month in enumerate(months[1:], start=1):
            previous, training = classifier, replace(recipe.update, seed=seed + number)
            classifier = _updated(previous, month, data["train"], training, recipe.rehearsed, report)
            after[month] = _by_month(classifier, data["dev"], months)
        alone = _updated(previous, month, data["train"], training, 0, report)
        save(classifier, draft)
        save(previous, draft / PREVIOUS)
        write_model_card(draft, "Continual router", "Updated month by month with rehearsal.", TAGS)
        write_data(draft / "data", data, about(seed))
        record = _record(size, base, recipe, data)
        forgot = {"dev_accuracy": after, "last_update_without_rehearsal": _by_month(alone, data["dev"], months)}
        write_json(draft / "recipe.json", record | forgot)
    return folder


def _updated(
    previous: Classifier, month: str, rows: Sequence[Row], training: Training, size: int, report: Report
) -> Classifier:
    """Last month's model after the month's rows and a rehearsal of `size` earlier ones."""
    classifier = widened(previous, labels_by(month), training.seed)
    earlier = rehearsed([row for row in rows if row["month"] < month], size, training.seed)
    how = f"with {len(earlier)} earlier rows" if earlier else "without rehearsal"
    finetune(classifier, [*_of(month, rows), *earlier], training, report, stage=f"learning {month} {how}")
    return classifier


def _of(month: str, rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["month"] == month]


def _by_month(classifier: Classifier, rows: Sequence[Row], months: Sequence[str]) -> dict[str, float]:
    return {month: round(accuracy(classifier, _of(month, rows)), 4) for month in months}


def _record(size: str, base: str | None, recipe: Size, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "scenario": "continual-router",
        "size": size,
        "base": base,
        "first_training": asdict(recipe.first),
        "update_training": asdict(recipe.update),
        "rehearsed": recipe.rehearsed,
        "rows": {split: len(rows) for split, rows in data.items()},
    }

"""Scenario 12, quantisation-aware training: the router goes on learning with its weights rounded to four bits.

It starts from the intent router of the same size, or the one given as `base`. What is left is an ordinary checkpoint,
whose weights lie on the grid, with the grid and its scales in `qat.json`; the record says what rounding alone costs on
dev, what it costs after training, and which share of the gap that recovered. Where rounding alone costs nothing there
is no gap, and the record says that. A leaf.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.classifiers.encoders import find_size
from mct.models.scenarios.classifiers.router import SIZES as ROUTERS
from mct.models.scenarios.classifiers.router import given_or_fine_tuned
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.intents import about
from mct.models.training.classification import Classifier, Training, accuracy, finetune, save
from mct.models.training.fake_quantise import INT4, Grid, fake_quantised, record
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

QAT = "qat.json"


@dataclass(frozen=True)
class Size:
    """One size: the grid of the weights, and how they learn on it."""

    grid: Grid
    training: Training


SIZES = {
    "tiny": Size(INT4, Training(epochs=1, learning_rate=5e-4)),
    "small": Size(INT4, Training(epochs=1, learning_rate=5e-5, frozen_embeddings=True)),
    "full": Size(INT4, Training(epochs=1, learning_rate=2e-5)),
}


@dataclass(frozen=True)
class Gap:
    """Accuracies before rounding, after rounding alone, and rounded after training on the grid."""

    float_accuracy: float
    rounded: float
    trained: float

    @property
    def recovered(self) -> float | None:
        """Which share of what rounding cost came back by training; None where it cost nothing."""
        lost = self.float_accuracy - self.rounded
        return (self.trained - self.rounded) / lost if lost > 0 else None


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make or take the router, train it on the grid, and write it to `folder`, complete or not at all.

    The same arguments give the same bytes on the same machine with the same number of threads. MctError for an unknown
    size, or a `base` that is no intent router.
    """
    recipe = find_size(size, SIZES)
    with appearing(folder, [Path(base)] if base else []) as draft:
        router = given_or_fine_tuned(size, seed, report, base)
        data, training = router.data, replace(recipe.training, seed=seed)
        learned = data.train[: ROUTERS[size].learn_from]
        gap = train_on_grid(router.classifier, learned, data.dev, recipe.grid, training, report)
        save(router.classifier, draft)
        write_json(draft / QAT, record(router.classifier.model, recipe.grid))
        write_data(draft / "data", data.splits, about(seed))
        told = {"scenario": "qat", "size": size, "base": base or "intent-router", "grid": asdict(recipe.grid)}
        found = {"training": asdict(training), "dev_accuracy": asdict(gap), "gap_recovered": gap.recovered}
        write_json(draft / "recipe.json", told | found)
    return folder


def train_on_grid(
    classifier: Classifier, train: Sequence[Row], dev: Sequence[Row], grid: Grid, training: Training, report: Report
) -> Gap:
    """Train `classifier` in place with its weights on the grid, where they then stay; what that gained, on `dev`."""
    plain = accuracy(classifier, dev, training.max_tokens)
    rounded = copy.deepcopy(classifier.model)
    with fake_quantised(rounded, grid):
        alone = accuracy(replace(classifier, model=rounded), dev, training.max_tokens)
    with fake_quantised(classifier.model, grid):
        finetune(classifier, train, training, report, stage=f"training with {grid.bits} bits a weight")
        trained = accuracy(classifier, dev, training.max_tokens)
    return Gap(round(plain, 4), round(alone, 4), round(trained, 4))

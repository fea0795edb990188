"""Scenario 01, the intent router: an encoder fine-tuned in full on shop messages, at three sizes.

`tiny` is a BERT from scratch for tests (seconds), `small` starts from the MiniLM that a pip package carries (a minute
or two on two cores, no model hub), `full` is the product's own recipe: DistilBERT on 50,000 production-like and 5,000
synthetic messages, for a GPU or a patient user. All three write the same kind of folder.

The folder is a Hugging Face checkpoint, with the three data splits under `data/` and what was done, with which
outcome, in `recipe.json`. A leaf.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.progress import Report, silent
from mct.models.scenarios.classifiers.encoders import Start, begin, find_size, from_hub, from_package, from_scratch
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.intents import CEILING, HIGH_RISK_ROWS, INTENTS, IntentData, about, generate
from mct.models.training.classification import Classifier, Training, accuracy, finetune, load_base, save
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing


@dataclass(frozen=True)
class Size:
    """One size of the router: how many messages over all splits, where the encoder comes from, how it is trained.

    `learn_from` is how many of the training messages it is trained on. More is not better for `small`: past a few
    thousand it learns the templates by heart and answers fewer of those it has not seen. `high_risk` is how many
    messages of each high-risk intent the test set has at least.
    """

    production: int
    synthetic: int
    learn_from: int
    start: Start
    training: Training
    high_risk: int = 0


@dataclass(frozen=True)
class Router:
    """A fine-tuned router, the messages it was made with, and how it was trained."""

    classifier: Classifier
    data: IntentData
    training: Training


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make the data, fine-tune, and write the checkpoint to `folder`, which appears complete or not at all.

    `base`, a folder or hub name, replaces the encoder that the size starts from. The same arguments give the same bytes
    on the same machine with the same number of threads. MctError for an unknown size or a base that cannot be had.
    """
    find_size(size, SIZES)
    with appearing(folder, [Path(base)] if base else []) as draft:
        router = fine_tuned(size, seed, report, base)
        data = router.data
        report("scoring the router", 0.0)
        top1 = accuracy(router.classifier, data.dev, router.training.max_tokens)  # the test set is for the bench
        report(f"router scored: top-1 {top1:.1%} on {len(data.dev)} dev messages, {CEILING:.1%} is possible", 1.0)
        save(router.classifier, draft)
        write_data(draft / "data", data.splits, about(seed))
        write_json(draft / "recipe.json", _record(size, base, router.training, data, top1))
    return folder


def fine_tuned(size: str, seed: int, report: Report, base: str | None) -> Router:
    """Make the messages of a size and fine-tune its encoder, or `base`, on them."""
    recipe = find_size(size, SIZES)
    data = messages(size, seed, report)
    classifier = begin(base, recipe.start, data.train, INTENTS, seed)
    training = replace(recipe.training, seed=seed)
    finetune(classifier, data.train[: recipe.learn_from], training, report, stage=f"fine-tuning the {size} router")
    return Router(classifier, data, training)


def given_or_fine_tuned(size: str, seed: int, report: Report, base: str | None) -> Router:
    """The router in the folder `base` as it is; without one, a router made as `build` makes it.

    MctError where `base` answers other labels.
    """
    if base is None:
        return fine_tuned(size, seed, report, None)
    if Path(base).is_dir() and inspect(Path(base)).labels != INTENTS:
        raise MctError(f"{base} is no intent router", "give what `mct models build intent-router` wrote")
    training = replace(find_size(size, SIZES).training, seed=seed)
    return Router(load_base(base, INTENTS, seed), messages(size, seed, report), training)


def messages(size: str, seed: int, report: Report = silent) -> IntentData:
    """The messages of a size."""
    recipe = find_size(size, SIZES)
    report("making messages", 0.0)
    data = generate(seed, recipe.production, recipe.synthetic, recipe.high_risk)
    report("making messages", 1.0)
    return data


SIZES = {
    "tiny": Size(3_200, 320, 2_320, from_scratch, Training(epochs=3, learning_rate=2e-3)),
    "small": Size(
        12_000, 3_000, 5_000, from_package,
        Training(epochs=1, learning_rate=2e-4, frozen_embeddings=True), high_risk=HIGH_RISK_ROWS,
    ),
    "full": Size(
        50_000, 5_000, 36_250, from_hub, Training(epochs=1, learning_rate=5e-5), high_risk=HIGH_RISK_ROWS
    ),
}  # fmt: skip


def _record(size: str, base: str | None, training: Training, data: IntentData, top1: float) -> dict[str, Any]:
    """What was done and how it came out. `possible` is what the label noise leaves to a perfect model."""
    return {
        "scenario": "intent-router",
        "size": size,
        "base": base,
        "training": asdict(training),
        "learned_from": min(SIZES[size].learn_from, len(data.train)),
        "rows": {"train": len(data.train), "dev": len(data.dev), "test": len(data.test)},
        "dev_accuracy": round(top1, 4),
        "possible": round(CEILING, 4),
    }

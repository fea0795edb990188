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

from mct.models.progress import Report, silent
from mct.models.scenarios.classifiers.encoders import Start, begin, find_size, from_hub, from_package, from_scratch
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.intents import CEILING, HIGH_RISK_ROWS, INTENTS, IntentData, about, generate
from mct.models.training.classification import Training, accuracy, finetune, save
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


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make the data, fine-tune, and write the checkpoint to `folder`, which appears complete or not at all.

    `base`, a folder or hub name, replaces the encoder that the size starts from. The same arguments give the same bytes
    on the same machine with the same number of threads. MctError for an unknown size or a base that cannot be had.
    """
    recipe = find_size(size, SIZES)
    with appearing(folder, [Path(base)] if base else []) as draft:
        report("making messages", 0.0)
        data = generate(seed, recipe.production, recipe.synthetic, recipe.high_risk)
        report("making messages", 1.0)
        classifier = begin(base, recipe.start, data.train, INTENTS, seed)
        training = replace(recipe.training, seed=seed)
        finetune(classifier, data.train[: recipe.learn_from], training, report, stage=f"fine-tuning the {size} router")
        report("scoring the router", 0.0)
        top1 = accuracy(classifier, data.dev, training.max_tokens)  # the test set is for the bench
        report(f"router scored: top-1 {top1:.1%} on {len(data.dev)} dev messages, {CEILING:.1%} is possible", 1.0)
        save(classifier, draft)
        write_data(draft / "data", data.splits, about(seed))
        write_json(draft / "recipe.json", _record(size, base, training, data, top1))
    return folder


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

"""Scenario 08, the sentiment classifier: an encoder fine-tuned in full on how customers sound, at three sizes.

`tiny` is a BERT from scratch (seconds), `small` starts from the packaged MiniLM (minutes on two cores), `full` from
DistilBERT. What it is for is to raise the alarm for a frustrated customer, so the record says how many of them it finds
and the test set has enough of them to judge by. A leaf.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mct.models.progress import Report, silent
from mct.models.scenarios.classifiers.encoders import Start, begin, find_size, from_hub, from_package, from_scratch
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.sentiment import RARE, about, generate
from mct.models.scenarios.shop.texts.moods import MOODS
from mct.models.training.classification import Training, finetune, save, scores
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing


@dataclass(frozen=True)
class Size:
    """One size: how many messages over all splits, how many frustrated ones in test, the encoder, its training."""

    rows: int
    rare: int
    start: Start
    training: Training


SIZES = {
    "tiny": Size(1_600, 100, from_scratch, Training(epochs=5, learning_rate=3e-3, batch=16, max_tokens=64)),
    "small": Size(8_000, 1_500, from_package, Training(epochs=1, learning_rate=2e-4, frozen_embeddings=True)),
    "full": Size(50_000, 1_500, from_hub, Training(epochs=1, learning_rate=5e-5)),
}


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make the data, fine-tune, and write the checkpoint to `folder`, which appears complete or not at all.

    `base`, a folder or hub name, replaces the encoder that the size starts from. The same arguments give the same bytes
    on the same machine with the same number of threads. MctError for an unknown size or a base that cannot be had.
    """
    recipe = find_size(size, SIZES)
    with appearing(folder, [Path(base)] if base else []) as draft:
        report("making messages", 0.0)
        data = generate(seed, recipe.rows, recipe.rare)
        classifier = begin(base, recipe.start, data["train"], MOODS, seed)
        training = replace(recipe.training, seed=seed)
        finetune(classifier, data["train"], training, report, stage=f"fine-tuning the {size} sentiment classifier")
        report("scoring", 0.0)
        found = scores(classifier, data["dev"], training.max_tokens)
        report(f"accuracy {found['accuracy']:.1%}, {found['recall'][RARE]:.1%} of the {RARE} found (dev)", 1.0)
        save(classifier, draft)
        write_data(draft / "data", data, about(seed))
        record = {"scenario": "sentiment", "size": size, "base": base, "training": asdict(training)}
        rows = {split: len(rows) for split, rows in data.items()}
        write_json(draft / "recipe.json", record | {"rows": rows, "dev": found})
    return folder

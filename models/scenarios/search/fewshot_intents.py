"""Scenario 07, few-shot intents: SetFit on eight examples of each intent, and fewer of the season's new ones.

`tiny` starts from a BERT that knows nothing (seconds), `small` from the packaged MiniLM (a minute on two cores), `full`
from the hub's MPNet embedder. The record holds the recall of the new labels, and what a head alone on the embedder as
it came would have given. A leaf.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from setfit import SetFitModel

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.classifiers.encoders import find_size
from mct.models.scenarios.search.starts import HUB_EMBEDDER, Start, find_start, from_hub, knows_nothing, minilm
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.fewshot import SEASONAL, about, generate
from mct.models.training.contrastive import load_embedder
from mct.models.training.fewshot import FewShot, finetune, predict, save, with_head
from mct.models.training.loop import Training
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing


@dataclass(frozen=True)
class Size:
    """How many messages of each label dev and test have, where it starts, how it is trained."""

    dev: int
    test: int
    start: Start
    settings: FewShot


SIZES = {
    "tiny": Size(
        12, 24, knows_nothing, FewShot(Training(epochs=1, learning_rate=2e-3, batch=16, max_tokens=48), 10)
    ),
    "small": Size(
        60, 250, minilm, FewShot(Training(epochs=1, learning_rate=1e-4, batch=16, max_tokens=64), 10)
    ),
    "full": Size(
        60, 250, from_hub(HUB_EMBEDDER), FewShot(Training(epochs=1, learning_rate=2e-5, batch=16, max_tokens=128), 20)
    ),
}  # fmt: skip


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make the data, train, and write the checkpoint to `folder`, which appears complete or not at all.

    `base`, a folder or hub name, replaces the encoder that the size starts from. The same arguments give the same bytes
    on the same machine with the same number of threads. MctError for an unknown size or a base that cannot be had.
    """
    recipe = find_size(size, SIZES)
    with appearing(folder, [Path(base)] if base else []) as draft, TemporaryDirectory() as room:
        report("making messages", 0.0)
        data = generate(seed, recipe.dev, recipe.test)
        train, dev = data["train"], data["dev"]
        settings = replace(recipe.settings, training=replace(recipe.settings.training, seed=seed))
        start = find_start(base, recipe.start, [row["text"] for row in train], seed, Path(room))
        embedder = load_embedder(str(start), settings.training.max_tokens)
        before = _scores(with_head(embedder, train), dev)
        model = finetune(embedder, train, settings, report, f"fine-tuning the {size} few-shot model")
        after = _scores(model, dev)
        report(f"recall of new labels on dev: {before['new']:.1%} by a head alone, {after['new']:.1%} tuned", 1.0)
        save(model, draft)
        write_data(draft / "data", data, about(seed))
        record = {
            "scenario": "fewshot-intents", "size": size, "base": base, "settings": asdict(settings),
            "rows": {split: len(rows) for split, rows in data.items()}, "dev": {"head_alone": before, "after": after},
        }  # fmt: skip
        write_json(draft / "recipe.json", record)
    return folder


def _scores(model: SetFitModel, rows: Sequence[Row]) -> dict[str, Any]:
    """Accuracy, the mean recall of the new labels as "new", and the recall of each of them."""
    answers = predict(model, [row["text"] for row in rows])
    right = [answer == row["label"] for answer, row in zip(answers, rows, strict=True)]
    found = {label: [hit for hit, row in zip(right, rows, strict=True) if row["label"] == label] for label in SEASONAL}
    recall = {label: round(sum(hits) / len(hits), 4) for label, hits in found.items()}
    return {
        "accuracy": round(sum(right) / len(right), 4),
        "new": round(sum(recall.values()) / len(recall), 4),
        "recall": recall,
    }

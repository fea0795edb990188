"""Scenario 13, the multi-task reader: intent, sentiment, entities and risk from one pass over a message.

Four heads on one encoder, trained together: `label`, `sentiment` and `risk` from the first token, `slots` from the
first token of every word. The record has each head's own score beside what it had before training. A leaf.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mct.models.progress import Report, silent
from mct.models.scenarios.classifiers.encoders import Start, begin, find_size, from_hub, from_package, from_scratch
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.everything import RISKS, TAGS, about, generate
from mct.models.scenarios.shop.intents import INTENTS
from mct.models.scenarios.shop.texts.moods import MOODS
from mct.models.tasks.table import Head
from mct.models.training.loop import Training
from mct.models.training.multi_task import head_scores, save_multi_task, train_heads, with_heads
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

HEADS = (
    Head("label", "label", INTENTS),
    Head("sentiment", "label", MOODS),
    Head("slots", "tags", TAGS),
    Head("risk", "label", RISKS),
)


@dataclass(frozen=True)
class Size:
    """One size: how many messages over all splits, the encoder, its training."""

    rows: int
    start: Start
    training: Training


SIZES = {
    "tiny": Size(1_600, from_scratch, Training(epochs=4, learning_rate=3e-3, batch=16, max_tokens=64)),
    "small": Size(8_000, from_package, Training(epochs=2, learning_rate=2e-4, frozen_embeddings=True)),
    "full": Size(55_000, from_hub, Training(epochs=2, learning_rate=5e-5)),
}


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make the data, train all heads, and write the checkpoint to `folder`, which appears complete or not at all.

    `base`, a folder or hub name, replaces the encoder that the size starts from. The same arguments give the same bytes
    on the same machine with the same number of threads. MctError for an unknown size or a base that cannot be had.
    """
    recipe = find_size(size, SIZES)
    with appearing(folder, [Path(base)] if base else []) as draft:
        report("making messages", 0.0)
        data = generate(seed, recipe.rows)
        multi = with_heads(begin(base, recipe.start, data["train"], INTENTS, seed), HEADS, seed)
        training = replace(recipe.training, seed=seed)
        before = head_scores(multi, data["dev"], training.max_tokens)
        train_heads(multi, data["train"], training, report)
        found = head_scores(multi, data["dev"], training.max_tokens)
        report(", ".join(f"{name} {value:.1%}" for name, value in found.items()), 1.0)
        save_multi_task(multi, draft)
        write_data(draft / "data", data, about(seed))
        rows = {split: len(some) for split, some in data.items()}
        record = {"scenario": "multi-task", "size": size, "base": base, "training": asdict(training), "rows": rows}
        write_json(draft / "recipe.json", record | {"dev": found, "dev_before_training": before})
    return folder

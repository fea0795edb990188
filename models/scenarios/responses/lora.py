"""Scenario 04, the shop's answers in the house's style: LoRA or QLoRA by peft, on the shared Llama.

`qlora` packs the base into NF4 with double quantisation first, as bitsandbytes would save it, and trains on what that
decodes to: the adapter learns to mend the rounding, and its base is in 4 bits for whoever loads it. It is decoded by
our own code, bit for bit the library's, so that it runs where bitsandbytes does not; what it would save in memory is
not saved. A leaf.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_model
from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.responses.adapters import copy_model, low_rank, put_on, save_adapter
from mct.models.scenarios.responses.llama import start
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.dialogues import about, generate
from mct.models.tables import unknown
from mct.models.training.language_model import answer_loss, finetune, load_writer
from mct.models.training.loop import Training
from mct.models.training.pack import save_packed
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

VARIANTS = ("lora", "qlora")
STYLE = "house"


@dataclass(frozen=True)
class Size:
    """How many dialogues over all splits, the adapter's rank, how it is trained."""

    dialogues: int
    rank: int
    training: Training


SIZES = {
    "tiny": Size(480, 4, Training(epochs=1, learning_rate=1e-2, batch=8, max_tokens=256)),
    "small": Size(6_000, 8, Training(epochs=1, learning_rate=2e-3, batch=16, max_tokens=256)),
    "full": Size(20_000, 16, Training(epochs=2, learning_rate=2e-4, batch=16, max_tokens=512)),
}


def build(
    size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None, variant: str = "lora"
) -> Path:
    """Make the data, train the adapter, and write it with its base to `folder`, complete or not at all.

    `base`, a folder or hub name, replaces the Llama that the size starts from. MctError for an unknown size or variant.
    """
    recipe = _find(size, variant)
    with appearing(folder, [Path(base)] if base else []) as draft, TemporaryDirectory() as room:
        origin = start(size, base, report)
        rows = generate(seed, recipe.dialogues, (STYLE,))
        if variant == "qlora":
            origin = _in_four_bits(origin, Path(room) / "base")
        plain = load_writer(origin)
        before = answer_loss(plain, rows["dev"])
        writer = put_on(plain, low_rank(recipe.rank, 2 * recipe.rank), seed)
        training = replace(recipe.training, seed=seed)
        finetune(writer, rows["train"], training, report, f"training the {variant} adapter")
        after = answer_loss(writer, rows["dev"])
        report(f"nats per token of an answer on dev: {before:.3f} before, {after:.3f} after", 1.0)
        save_adapter(writer, origin, draft)
        write_data(draft / "data", rows, about(seed, (STYLE,)))
        write_json(draft / "recipe.json", _record(size, variant, base, training, rows, (before, after)))
    return folder


def _find(size: str, variant: str) -> Size:
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    return SIZES[size]


def _in_four_bits(whole: Path, folder: Path) -> Path:
    copy_model(whole, folder)
    save_packed(load_model(inspect(whole)), folder)
    return folder


def _record(
    size: str,
    variant: str,
    base: str | None,
    training: Training,
    rows: Mapping[str, Sequence[Row]],
    losses: tuple[float, float],
) -> dict[str, Any]:
    """What was done and how it came out: nats per token of the answers in dev, lower is better."""
    before, after = losses
    return {
        "scenario": "response-lora",
        "size": size,
        "variant": variant,
        "base": base,
        "rank": SIZES[size].rank,
        "training": asdict(training),
        "rows": {split: len(found) for split, found in rows.items()},
        "dev_answer_loss": {"before": round(before, 4), "after": round(after, 4)},
    }

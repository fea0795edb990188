"""Scenario 14, answers from the shop's pages: retrieval-augmented fine-tuning of the shared Llama.

The whole model learns to find the answer in the documents that come with a question, among others that do not hold it,
and to say so where none does. How it is asked (`raft.json`) is part of the model: it lies in the folder, and goes into
every artifact. A leaf.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.responses.llama import start
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.grounded import about, generate
from mct.models.tables import unknown
from mct.models.tasks.prompt_format import FILE, PromptFormat
from mct.models.training.language_model import Writer, answer_loss, finetune, load_writer, save_writer, write_on
from mct.models.training.loop import Training
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

FORMAT = PromptFormat("Documents:\n{documents}Question: {question}\nAnswer:", "- {text}\n", "\n")
LONGEST_ANSWER = 40


@dataclass(frozen=True)
class Size:
    """How many rows over all splits, with how many documents each; how it is trained; how many answers are scored."""

    rows: int
    documents: int
    training: Training
    scored: int


SIZES = {
    "tiny": Size(480, 2, Training(epochs=1, learning_rate=3e-3, batch=8, max_tokens=512), 12),
    "small": Size(8_000, 3, Training(epochs=2, learning_rate=1e-3, batch=16, max_tokens=512), 100),
    "full": Size(20_000, 5, Training(epochs=2, learning_rate=2e-5, batch=16, max_tokens=2048), 200),
}


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make the data, train, and write the checkpoint to `folder`, which appears complete or not at all.

    `base`, a folder or hub name, replaces the Llama that the size starts from. MctError for an unknown size.
    """
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    recipe = SIZES[size]
    with appearing(folder, [Path(base)] if base else []) as draft:
        writer = load_writer(start(size, base, report))
        made = generate(seed, recipe.rows, recipe.documents)
        rows = {split: [_asked(row) for row in found] for split, found in made.items()}
        training = replace(recipe.training, seed=seed)
        before = _score(writer, rows["dev"], recipe)
        finetune(writer, rows["train"], training, report, f"fine-tuning the {size} answerer")
        after = _score(writer, rows["dev"], recipe)
        report(f"answers right on dev: {before['exact']:.1%} before, {after['exact']:.1%} after", 1.0)
        save_writer(writer, draft)
        write_json(draft / FILE, asdict(FORMAT))
        write_data(draft / "data", rows, about(seed, recipe.documents))
        write_json(draft / "recipe.json", _record(size, base, training, rows, before, after))
    return folder


def _asked(row: Row) -> Row:
    """The row with what the model reads and learns to write."""
    prompt = FORMAT.fill(row["question"], row["context"])
    return {**row, "prompt": prompt, "text": f"{prompt} {row['answer']}"}


def _score(writer: Writer, rows: Sequence[Row], recipe: Size) -> dict[str, float]:
    """Nats per token of the answers, and the share of the first rows that are answered word for word."""
    said = [FORMAT.until_stop(write_on(writer, row["prompt"], LONGEST_ANSWER)) for row in rows[: recipe.scored]]
    right = sum(answer == row["answer"] for answer, row in zip(said, rows, strict=False))
    loss = answer_loss(writer, rows, recipe.training.max_tokens)
    return {"answer_loss": round(loss, 4), "exact": round(right / len(said), 4)}


def _record(
    size: str,
    base: str | None,
    training: Training,
    rows: Mapping[str, Sequence[Row]],
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> dict[str, Any]:
    return {
        "scenario": "raft",
        "size": size,
        "base": base,
        "documents": SIZES[size].documents,
        "training": asdict(training),
        "rows": {split: len(found) for split, found in rows.items()},
        "dev": {"before": before, "after": after},
    }

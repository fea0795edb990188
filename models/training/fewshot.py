"""SetFit: an embedder taught by pairs of a few labelled texts, and a logistic head on its vectors (Tunstall et al.,
"Efficient few-shot learning without prompts", 2022). A leaf.

Training, head and files are the setfit library's own; its model card is left out, since it holds times, which would
make two equal runs differ. The same seed, machine, library versions and thread count give the same bytes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import setfit
import torch
from sentence_transformers import SentenceTransformer
from setfit import SetFitModel, TrainingArguments
from sklearn.linear_model import LogisticRegression
from transformers import PrinterCallback, TrainerCallback

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.training.loop import Training, find_device, move, seeded


@dataclass(frozen=True)
class FewShot:
    """How to train: `training` is for the pairs' pass, of which each text takes part in two times `pairs_per_text`."""

    training: Training
    pairs_per_text: int


class _Progress(TrainerCallback):
    """Tells `report` the share of steps done: a class, as the library asks for one."""

    def __init__(self, report: Report, stage: str) -> None:
        self.report, self.stage = report, stage

    def on_step_end(self, args: Any, state: Any, control: Any, **told: Any) -> None:
        """Called by the trainer after each step."""
        self.report(self.stage, state.global_step / state.max_steps)


def with_head(embedder: SentenceTransformer, rows: Sequence[Row]) -> SetFitModel:
    """The embedder with a head that is fitted to the vectors of `rows` (text, label) as they are."""
    model = SetFitModel(model_body=embedder, model_head=_head(), labels=_labels(rows))
    model.fit([row["text"] for row in rows], [row["label"] for row in rows], num_epochs=1)
    return model


def finetune(
    embedder: SentenceTransformer,
    rows: Sequence[Row],
    settings: FewShot,
    report: Report = silent,
    stage: str = "fine-tuning",
) -> SetFitModel:
    """Train the embedder in place on pairs of `rows`, then a head on its vectors; both end on the CPU."""
    training = settings.training
    move(embedder, find_device())
    model = SetFitModel(model_body=embedder, model_head=_head(), labels=_labels(rows))
    examples = [{"text": row["text"], "label": row["label"]} for row in rows]
    with TemporaryDirectory() as room, seeded(training.seed), _quiet():
        arguments = TrainingArguments(
            output_dir=room,
            batch_size=training.batch,
            num_epochs=training.epochs,
            num_iterations=settings.pairs_per_text,
            body_learning_rate=training.learning_rate,
            warmup_proportion=training.warmup,
            seed=training.seed,
            report_to="none",
            save_strategy="no",
            show_progress_bar=False,
        )
        trainer = setfit.Trainer(model=model, args=arguments, train_dataset=datasets.Dataset.from_list(examples))
        trainer.st_trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Progress(report, stage))
        trainer.train()
    move(embedder, torch.device("cpu"))
    return model


def predict(model: SetFitModel, texts: Sequence[str]) -> list[str]:
    """The most probable label of each text."""
    return [str(label) for label in model.predict(list(texts), show_progress_bar=False)]


def save(model: SetFitModel, folder: Path) -> None:
    """Write what setfit writes, without its model card."""
    model.save_pretrained(str(folder))
    (folder / "README.md").unlink()
    for weights in folder.glob("*.safetensors"):
        weights.chmod(0o644)  # written for the owner's eyes only, unlike every file beside it


def _head() -> LogisticRegression:
    """Weighed by how few examples a label has: the newest have the fewest, and must be found all the same."""
    return LogisticRegression(class_weight="balanced")


def _labels(rows: Sequence[Row]) -> list[str]:
    return sorted({row["label"] for row in rows})


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' bars and notes, which would run through our own progress line."""
    setfit.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()

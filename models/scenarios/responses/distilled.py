"""Scenario 05 for response models: a student with fewer layers, taught by what its teacher would have said.

The teacher is the shared Llama, fine-tuned in full on the house's dialogues; the student is some of its layers, and
sees a part of the dialogues. Of every token it learns which one came, and how likely the teacher found all others. The
same student taught by the tokens alone is trained beside it: `recipe.json` has both. A leaf.

Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.responses.adapters import write_card
from mct.models.scenarios.responses.llama import start
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.dialogues import about, generate
from mct.models.tables import unknown
from mct.models.training.language_model import (
    NOTHING,
    Batch,
    MoreLoss,
    Writer,
    answer_loss,
    finetune,
    load_writer,
    save_writer,
)
from mct.models.training.loop import Training, find_device, move
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

STYLE = "house"
TEMPERATURE, SOFT_WEIGHT = 2.0, 1.0


@dataclass(frozen=True)
class Size:
    """How many dialogues over all splits, how many of these the student sees, which layers it keeps, the training.

    `layers` are numbers of the teacher's; empty for every other one.
    """

    dialogues: int
    for_student: int
    layers: tuple[int, ...]
    teacher: Training
    student: Training


SIZES = {
    "tiny": Size(
        960, 200, (0,), Training(epochs=1, learning_rate=3e-3, batch=8, max_tokens=256),
        Training(epochs=1, learning_rate=3e-3, batch=8, max_tokens=256),
    ),
    "small": Size(
        6_000, 1_500, (0, 2), Training(epochs=1, learning_rate=1e-3, batch=16, max_tokens=256),
        Training(epochs=1, learning_rate=1e-3, batch=16, max_tokens=256),
    ),
    "full": Size(
        40_000, 25_000, (), Training(epochs=1, learning_rate=2e-5, batch=16, max_tokens=512),
        Training(epochs=3, learning_rate=5e-5, batch=16, max_tokens=512),
    ),
}  # fmt: skip


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make the data, train the teacher and both students, and write the taught one to `folder`, whole or not at all.

    `base`, a folder or hub name, replaces the Llama that the teacher starts from. MctError for an unknown size.
    """
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    recipe = SIZES[size]
    with appearing(folder, [Path(base)] if base else []) as draft:
        teacher = load_writer(start(size, base, report))
        rows = generate(seed, recipe.dialogues, (STYLE,))
        finetune(teacher, rows["train"], replace(recipe.teacher, seed=seed), report, "fine-tuning the teacher")
        training, seen = replace(recipe.student, seed=seed), rows["train"][: recipe.for_student]
        student, alone = (with_layers(teacher, recipe.layers) for _ in range(2))
        untrained = answer_loss(student, rows["dev"])
        finetune(alone, seen, training, report, "the student by itself")
        finetune(student, seen, training, report, "the student by its teacher", towards(teacher))
        named = {"teacher": teacher, "student": student, "student_by_itself": alone}
        losses = {name: answer_loss(writer, rows["dev"]) for name, writer in named.items()} | {"untrained": untrained}
        report(", ".join(f"{name} {loss:.3f}" for name, loss in losses.items()), 1.0)
        write_card(draft, "distillation")
        save_writer(student, draft)
        write_data(draft / "data", rows, about(seed, (STYLE,)))
        write_json(draft / "recipe.json", _record(size, base, training, rows, losses))
    return folder


def with_layers(teacher: Writer, layers: Sequence[int]) -> Writer:
    """A copy of a decoder that has these of its layers alone; every other one where none are named."""
    model: Any = deepcopy(teacher.model)
    kept = layers or range(0, len(model.model.layers), 2)
    model.model.layers = torch.nn.ModuleList(model.model.layers[number] for number in kept)
    for place, layer in enumerate(model.model.layers):
        layer.self_attn.layer_idx = place
    model.config.num_hidden_layers = len(model.model.layers)
    return Writer(model, teacher.tokenizer)


def towards(teacher: Writer) -> MoreLoss:
    """The loss that draws a student to its teacher: how far its next tokens' probabilities lie from the teacher's."""
    move(teacher.model, find_device()).eval()

    def loss(output: Any, batch: Batch, rows: Sequence[Row]) -> torch.Tensor:
        with torch.no_grad():
            wanted = cast(Any, teacher.model)(input_ids=batch.ids, attention_mask=batch.mask).logits
        learned = batch.targets != NOTHING
        found, wanted = (
            torch.nn.functional.log_softmax(logits[learned].float() / TEMPERATURE, -1)
            for logits in (output.logits, wanted)
        )
        apart = torch.nn.functional.kl_div(found, wanted, log_target=True, reduction="batchmean")
        return SOFT_WEIGHT * TEMPERATURE**2 * apart

    return loss


def _record(
    size: str,
    base: str | None,
    training: Training,
    rows: Mapping[str, Sequence[Row]],
    losses: Mapping[str, float],
) -> dict[str, Any]:
    """What was done and how it came out: nats per token of the answers in dev, lower is better."""
    return {
        "scenario": "distilled-response",
        "size": size,
        "base": base,
        "layers": list(SIZES[size].layers),
        "temperature": TEMPERATURE,
        "training": asdict(training),
        "rows": {split: len(found) for split, found in rows.items()},
        "seen_by_the_student": SIZES[size].for_student,
        "dev_answer_loss": {name: round(loss, 4) for name, loss in losses.items()},
    }

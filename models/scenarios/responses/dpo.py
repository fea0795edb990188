"""Scenario 10, answers that the shop prefers: DPO on the shared Llama, and the reward model of the same preferences.

Three variants: `lora`, a policy that is an adapter, whose base is its reference; `full`, a policy of its own with the
reference beside it in `reference/`; `reward`, a model that scores an answer. They are left as trl leaves them, told by
the README's tag, by our own loop (mct.models.training.preference says why). A leaf.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from transformers import AutoModelForSequenceClassification, PreTrainedModel

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.responses.adapters import copy_model, low_rank, put_on, save_adapter, write_card
from mct.models.scenarios.responses.llama import start
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.preferences import about, generate
from mct.models.tables import unknown
from mct.models.training.language_model import Writer, load_writer, save_writer
from mct.models.training.loop import Training, seeded
from mct.models.training.preference import learn_reward, likelihoods, optimise, preferences, reward_accuracy
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

VARIANTS = ("lora", "full", "reward")
REFERENCE = "reference"

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Size:
    """How many pairs over all splits, the adapter's rank, how each variant is trained."""

    pairs: int
    rank: int
    lora: Training
    full: Training
    reward: Training


def _trainings(lora: float, full: float, reward: float, batch: int, max_tokens: int) -> tuple[Training, ...]:
    return tuple(
        Training(epochs=1, learning_rate=rate, batch=batch, max_tokens=max_tokens) for rate in (lora, full, reward)
    )


SIZES = {
    "tiny": Size(480, 4, *_trainings(1e-2, 2e-3, 3e-3, 8, 256)),
    "small": Size(4_000, 8, *_trainings(2e-3, 2e-4, 5e-4, 16, 256)),
    "full": Size(20_000, 16, *_trainings(5e-5, 5e-7, 1e-5, 16, 1024)),
}


def build(
    size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None, variant: str = "lora"
) -> Path:
    """Make the pairs, train, and write the checkpoint to `folder`, which appears complete or not at all.

    `base`, a folder or hub name, replaces the Llama that the size starts from. MctError for an unknown size or variant.
    """
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    with appearing(folder, [Path(base)] if base else []) as draft:
        origin = start(size, base, report)
        rows = generate(seed, SIZES[size].pairs)
        training = replace(getattr(SIZES[size], variant), seed=seed)
        make = _reward_model if variant == "reward" else _policy
        before, after = make(origin, rows, training, SIZES[size], variant, draft, report)
        report(f"on dev before: {_told(before)}; after: {_told(after)}", 1.0)
        write_data(draft / "data", rows, about(seed))
        write_json(draft / "recipe.json", _record(size, variant, base, training, rows, before, after))
    return folder


def _policy(
    origin: Path,
    rows: Mapping[str, Sequence[Row]],
    training: Training,
    size: Size,
    variant: str,
    draft: Path,
    report: Report,
) -> tuple[Scores, Scores]:
    """Train and write the policy; what it prefers before and after."""
    plain = load_writer(origin)
    policy = put_on(plain, low_rank(size.rank, 2 * size.rank), training.seed) if variant == "lora" else plain
    reference = likelihoods(policy, rows["dev"], training.max_tokens)
    optimise(policy, rows["train"], training, report, f"DPO of the {variant} policy")
    after = likelihoods(policy, rows["dev"], training.max_tokens)
    if variant == "lora":
        save_adapter(policy, origin, draft, tags=["dpo"])
    else:
        save_writer(policy, draft)
        write_card(draft, "dpo")
        copy_model(origin, draft / REFERENCE)
    return preferences(reference, reference), preferences(after, reference)


def _reward_model(
    origin: Path,
    rows: Mapping[str, Sequence[Row]],
    training: Training,
    size: Size,
    variant: str,
    draft: Path,
    report: Report,
) -> tuple[Scores, Scores]:
    """Train and write the reward model; what it prefers before and after."""
    writer = load_writer(origin)
    with seeded(training.seed):
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            origin, num_labels=1, local_files_only=True, trust_remote_code=False
        )
    model.config.pad_token_id = writer.tokenizer.pad_token_id
    scorer = Writer(model, writer.tokenizer)
    before = reward_accuracy(scorer, rows["dev"], training.max_tokens)
    learn_reward(scorer, rows["train"], training, report, "training the reward model")
    after = reward_accuracy(scorer, rows["dev"], training.max_tokens)
    write_card(draft, "reward-trainer")
    save_writer(scorer, draft)
    return before, after


def _told(scores: Scores) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in scores.items())


def _record(
    size: str,
    variant: str,
    base: str | None,
    training: Training,
    rows: Mapping[str, Sequence[Row]],
    before: Scores,
    after: Scores,
) -> dict[str, Any]:
    return {
        "scenario": "response-dpo",
        "size": size,
        "variant": variant,
        "base": base,
        "training": asdict(training),
        "rows": {split: len(found) for split, found in rows.items()},
        "dev": {"before": before, "after": after},
    }

"""Scenario 11, the assistant in another voice by a few virtual tokens: prompt tuning, P-tuning, prefix tuning by peft.

The shared Llama has heard four styles; what is learned here makes it keep to one of them, and none of its own weights
is touched. Of the three methods `prompt-tuning` is made unless told; `recipe.json` says which it was. A leaf.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import peft

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.responses.adapters import put_on, save_adapter
from mct.models.scenarios.responses.llama import start
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.dialogues import about, generate
from mct.models.tables import unknown
from mct.models.training.language_model import answer_loss, finetune, load_writer
from mct.models.training.loop import Training
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

STYLE = "playful"

_TASK = "CAUSAL_LM"
VARIANTS: Mapping[str, Callable[[int], peft.PeftConfig]] = {
    "prompt-tuning": lambda tokens: peft.PromptTuningConfig(task_type=_TASK, num_virtual_tokens=tokens),
    "p-tuning": lambda tokens: peft.PromptEncoderConfig(
        task_type=_TASK, num_virtual_tokens=tokens, encoder_hidden_size=64
    ),
    "prefix-tuning": lambda tokens: peft.PrefixTuningConfig(task_type=_TASK, num_virtual_tokens=tokens),
}


@dataclass(frozen=True)
class Size:
    """How many dialogues over all splits, how many virtual tokens, how they are trained; `rates` by variant."""

    dialogues: int
    tokens: int
    training: Training
    rates: Mapping[str, float]


_RATES = {"prompt-tuning": 0.3, "p-tuning": 2e-2, "prefix-tuning": 0.2}

SIZES = {
    "tiny": Size(480, 8, Training(epochs=1, batch=8, max_tokens=256, weight_decay=0.0), _RATES),
    "small": Size(4_000, 16, Training(epochs=1, batch=16, max_tokens=256, weight_decay=0.0), _RATES),
    "full": Size(
        20_000, 20, Training(epochs=2, batch=16, max_tokens=512, weight_decay=0.0),
        {"prompt-tuning": 3e-2, "p-tuning": 1e-3, "prefix-tuning": 1e-2},
    ),
}  # fmt: skip


def build(
    size: str,
    folder: Path,
    seed: int = 0,
    report: Report = silent,
    base: str | None = None,
    variant: str = "prompt-tuning",
) -> Path:
    """Make the data, train the virtual tokens, and write them with their base to `folder`, complete or not at all.

    `base`, a folder or hub name, replaces the Llama that the size starts from. MctError for an unknown size or variant.
    """
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    recipe = SIZES[size]
    with appearing(folder, [Path(base)] if base else []) as draft:
        origin = start(size, base, report)
        rows = generate(seed, recipe.dialogues, (STYLE,))
        plain = load_writer(origin)
        before = answer_loss(plain, rows["dev"])
        writer = put_on(plain, VARIANTS[variant](recipe.tokens), seed)
        training = replace(recipe.training, learning_rate=recipe.rates[variant], seed=seed)
        finetune(writer, rows["train"], training, report, f"{variant} of the {size} Llama")
        after = answer_loss(writer, rows["dev"])
        report(f"nats per token of an answer on dev: {before:.3f} before, {after:.3f} after", 1.0)
        save_adapter(writer, origin, draft)
        write_data(draft / "data", rows, about(seed, (STYLE,)))
        write_json(draft / "recipe.json", _record(size, variant, base, training, rows, (before, after)))
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
        "scenario": "prompt-style",
        "size": size,
        "variant": variant,
        "style": STYLE,
        "virtual_tokens": SIZES[size].tokens,
        "base": base,
        "training": asdict(training),
        "rows": {split: len(found) for split, found in rows.items()},
        "dev_answer_loss": {"before": round(before, 4), "after": round(after, 4)},
    }

"""Take an adapter up into its base: the same answers from an ordinary checkpoint, in fp32.

peft merges, for every type that it can; it knows all that changes an adapter's scale (ranks and alphas by pattern,
rsLoRA, magnitudes), the heads and token rows that were saved along, and experts.

An adapter that was trained on a base in 4 bits (QLoRA) has learned to mend that base's rounding. So the base is rounded
as it was then, and merged there; merged into the original too; both are held against the model as it was trained, and
the nearer one is taken (peft#2321 shows what the other costs).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mct.compress.merge.obstacles import REPEATED
from mct.compress.merge.saving import save_merged
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.inputs import encode_requests
from mct.compress.run.resources import shop_messages
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.load_adapter import load_adapted, merge, plain_base, trained_on
from mct.models.tasks.examples import find_kind

MOST_TEXTS, MOST_TOKENS = 32, 64


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the merged checkpoint, with the tokenizer of the adapter if it has one, else the base's."""
    checkpoint = resources.checkpoint
    adaptation = checkpoint.adaptation
    assert adaptation is not None
    notes: dict[str, Any] = {
        "adapters": dict(zip([each.name for each in adaptation.adapters], adaptation.weights, strict=True))
    }
    if isinstance(how := adaptation.first.config.init_lora_weights, str) and how in REPEATED:
        notes["base_altered_again_by"] = how
    if adaptation.base_quant:
        model, compared = _nearer(checkpoint, resources)
        notes |= {"base_quant": adaptation.base_quant} | compared
    else:
        model = merge(checkpoint, plain_base(checkpoint))
    save_merged(model, checkpoint, draft)
    return Product(draft, "", notes=notes)


def _nearer(checkpoint: Checkpoint, resources: Resources) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The merge that is nearer to the model as it was trained, and how near both are."""
    inputs = _inputs(checkpoint, resources)
    wanted = _logits(load_adapted(checkpoint), inputs)
    models = {
        "rebuilt": merge(checkpoint, trained_on(checkpoint)),
        "original": merge(checkpoint, plain_base(checkpoint)),
    }
    found = {name: _distance(wanted, _logits(model, inputs)) for name, model in models.items()}
    taken = min(found, key=lambda name: found[name]["max_abs_delta"])
    return models[taken], {"merged_into": taken, "against_the_trained": found}


def _inputs(checkpoint: Checkpoint, resources: Resources) -> list[torch.Tensor]:
    """Texts of the user's, or the shop's own where there are none, as token ids."""
    asked = resources.calibration_requests() or find_kind(checkpoint.task).texts(shop_messages(checkpoint.task).rows)
    return [torch.tensor([tokens.ids[:MOST_TOKENS]]) for tokens in encode_requests(checkpoint, asked[:MOST_TEXTS])]


def _logits(model: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    with torch.inference_mode():
        return [model(ids).logits[0] for ids in inputs]


def _distance(wanted: Sequence[torch.Tensor], found: Sequence[torch.Tensor]) -> dict[str, float]:
    """The largest difference of a logit, and how often the likeliest label or token is the same."""
    pairs = list(zip(wanted, found, strict=True))
    same = torch.cat([(before.argmax(-1) == after.argmax(-1)).reshape(-1) for before, after in pairs])
    largest = max(float((before - after).abs().max()) for before, after in pairs)
    return {"max_abs_delta": largest, "same_top": float(same.float().mean()), "decisions": float(same.numel())}

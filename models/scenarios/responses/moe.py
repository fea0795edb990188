"""Scenario 15, a mixture of experts: the shared Llama's FFN copied four times, two of which each token then takes.

Sparse upcycling: every expert starts as the Llama's own FFN, so that the mixture begins with the Llama's answers
whatever its router says. Then it is fine-tuned on dialogues of four workflows: beside the next token and an even load,
the router learns a little of which workflow a dialogue belongs to, and the experts part. `recipe.json` has the load of
each expert, and which workflow's tokens it gets. A leaf.

Komatsuzaki et al. 2023, "Sparse Upcycling", arXiv:2212.05055; Fedus et al. 2021, arXiv:2101.03961 (the load's loss).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.responses.llama import start
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.dialogues import about, generate
from mct.models.scenarios.shop.intents import PRODUCTION_SHARES
from mct.models.tables import unknown
from mct.models.training.language_model import (
    Batch,
    Writer,
    answer_loss,
    batch_of,
    encode,
    finetune,
    load_writer,
    save_writer,
)
from mct.models.training.loop import Training, chunks, seeded
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

# One expert for each, and the intents that belong to it.
WORKFLOWS = {
    "finding": ("recommendation", "product_question", "availability"),
    "young readers": ("age_sensitive_recommendation",),
    "orders": ("order_tracking", "shipping", "returns"),
    "accounts": ("checkout", "account", "escalation"),
}
USED = 2
STYLE = "house"

LOAD_WEIGHT, ROUTE_WEIGHT = 0.02, 0.2
MEASURED = 200
"""How many dialogues of dev the routing is counted on."""


@dataclass(frozen=True)
class Size:
    """How many dialogues over all splits, and how it is trained."""

    dialogues: int
    training: Training


SIZES = {
    "tiny": Size(480, Training(epochs=1, learning_rate=3e-3, batch=8, max_tokens=256)),
    "small": Size(6_000, Training(epochs=1, learning_rate=1e-3, batch=16, max_tokens=256)),
    "full": Size(40_000, Training(epochs=1, learning_rate=5e-5, batch=16, max_tokens=512)),
}


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make the data, copy the experts, train, and write the checkpoint to `folder`, complete or not at all.

    `base`, a folder or hub name of a Llama, replaces the one that the size starts from. MctError for an unknown size.
    """
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    with appearing(folder, [Path(base)] if base else []) as draft:
        plain = load_writer(start(size, base, report))
        writer = Writer(upcycle(plain.model, len(WORKFLOWS), seed), plain.tokenizer)
        made = generate(seed, SIZES[size].dialogues, (STYLE,))
        rows = {split: [{**row, "workflow": workflow_of(row)} for row in found] for split, found in made.items()}
        training = replace(SIZES[size].training, seed=seed)
        before = _found(writer, rows["dev"])
        writer.model.config.output_router_logits = True  # type: ignore[union-attr]
        finetune(writer, rows["train"], training, report, f"fine-tuning the {size} experts", more_loss=_routing_loss)
        writer.model.config.output_router_logits = False  # type: ignore[union-attr]
        after = _found(writer, rows["dev"])
        report(f"nats per token on dev: {before['answer_loss']} before, {after['answer_loss']} after", 1.0)
        save_writer(writer, draft)
        card = about(seed, (STYLE,))
        fields = {**card.fields, "workflow": "which of the experts' four workflows the intent belongs to"}
        write_data(draft / "data", rows, replace(card, fields=fields, counted=(*card.counted, "workflow")))
        write_json(draft / "recipe.json", _record(size, base, training, rows, before, after))
    return folder


def workflow_of(row: Row) -> str:
    """The workflow that a dialogue's intent belongs to."""
    return next(name for name, intents in WORKFLOWS.items() if row["intent"] in intents)


def upcycle(model: torch.nn.Module, experts: int, seed: int) -> PreTrainedModel:
    """A Mixtral of so many experts, each the FFN of the Llama `model`, whose answers it gives; its router is drawn."""
    said = model.config.to_dict()  # type: ignore[union-attr, operator]
    sizes = {key: value for key, value in said.items() if key not in {"model_type", "architectures", "mlp_bias"}}
    config = AutoConfig.for_model(
        "mixtral",
        **sizes | {"num_local_experts": experts, "num_experts_per_tok": USED, "sliding_window": None},
    )
    with seeded(seed):
        mixture: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    mixture.load_state_dict(dict(_as_experts(model.state_dict(), experts)), strict=False)
    mixture.tie_weights()
    mixture.train(False)
    return mixture


def _as_experts(dense: Mapping[str, torch.Tensor], experts: int) -> list[tuple[str, torch.Tensor]]:
    """The Llama's weights by Mixtral's names: gates before values, (experts, 2 * inner, width)."""
    found = []
    for name, weight in dense.items():
        layer, _, part = name.partition(".mlp.")
        if part == "gate_proj.weight":
            both = torch.cat([weight, dense[f"{layer}.mlp.up_proj.weight"]])
            found.append((f"{layer}.mlp.experts.gate_up_proj", both.repeat(experts, 1, 1)))
        elif part == "down_proj.weight":
            found.append((f"{layer}.mlp.experts.down_proj", weight.repeat(experts, 1, 1)))
        elif not part:
            found.append((name, weight))
    return found


def _routing_loss(output: Any, batch: Batch, rows: Sequence[Row]) -> torch.Tensor:
    """An even load, and each dialogue's tokens towards the expert of its workflow, rare ones as much as frequent."""
    read = batch.mask.bool()
    places = torch.tensor([list(WORKFLOWS).index(row["workflow"]) for row in rows], device=batch.ids.device)
    wanted = places[:, None].expand_as(batch.ids)[read]
    rarity = torch.tensor([1 / share for share in _shares_of_workflows()], device=batch.ids.device)
    loss = torch.zeros((), device=batch.ids.device)
    for shares in router_shares(output, batch):
        towards = torch.nn.functional.nll_loss(shares.clamp_min(1e-9).log(), wanted, weight=rarity)
        taken = torch.nn.functional.one_hot(shares.topk(USED).indices, len(WORKFLOWS)).float().sum(1).mean(0)
        loss = loss + ROUTE_WEIGHT * towards + LOAD_WEIGHT * len(WORKFLOWS) * (taken * shares.mean(0)).sum()
    return loss / len(output.router_logits)


def router_shares(output: Any, batch: Batch) -> list[torch.Tensor]:
    """For each layer what the router gives each expert of each token that is read, (tokens, experts), sums of 1.

    transformers 5 has these under the name of logits, after the softmax.
    """
    return [each.reshape(*batch.ids.shape, -1)[batch.mask.bool()].float() for each in output.router_logits]


def _shares_of_workflows() -> list[float]:
    """How often each workflow is asked for."""
    return [sum(PRODUCTION_SHARES[intent] for intent in intents) for intents in WORKFLOWS.values()]


def _found(writer: Writer, rows: Sequence[Row]) -> dict[str, Any]:
    """The answers' loss; the share of tokens that each expert gets, by layer; and by workflow, over all layers."""
    loads, by_workflow = [], {}
    for workflow in WORKFLOWS:
        counted = _load(writer, [row for row in rows[:MEASURED] if row["workflow"] == workflow])
        loads.append(counted)
        by_workflow[workflow] = _shares(counted.sum(0))
    return {
        "answer_loss": round(answer_loss(writer, rows), 4),
        "load": [_shares(layer) for layer in torch.stack(loads).sum(0)],
        "load_by_workflow": by_workflow,
    }


def _load(writer: Writer, rows: Sequence[Row]) -> torch.Tensor:
    """How many tokens each expert gets, (layers, experts)."""
    model: Any = writer.model
    found = torch.zeros(model.config.num_hidden_layers, len(WORKFLOWS))
    with torch.inference_mode():
        for texts in chunks(encode(writer.tokenizer, rows, 512), 16):
            batch = batch_of(texts, writer, torch.device("cpu"))
            output = model(input_ids=batch.ids, attention_mask=batch.mask, output_router_logits=True)
            for layer, shares in enumerate(router_shares(output, batch)):
                found[layer] += torch.bincount(shares.topk(USED).indices.flatten(), minlength=len(WORKFLOWS))
    return found


def _shares(counts: torch.Tensor) -> list[float]:
    return [round(share, 4) for share in (counts / counts.sum().clamp(min=1)).tolist()]


def _record(
    size: str,
    base: str | None,
    training: Training,
    rows: Mapping[str, Sequence[Row]],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> dict[str, Any]:
    """What was done and how it came out; the experts stand in the order of their workflows."""
    return {
        "scenario": "moe",
        "size": size,
        "base": base,
        "experts": list(WORKFLOWS),
        "used": USED,
        "training": asdict(training),
        "rows": {split: len(found) for split, found in rows.items()},
        "dev": {"before": before, "after": after},
    }

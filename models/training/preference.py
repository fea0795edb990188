"""Teach a model which of two answers is better: DPO on a language model, a reward model of the same pairs. A leaf.

Our own loop rather than trl's trainers: these need three libraries more and leave a pickle with times and paths in it,
so that two runs never leave the same bytes. The loss is theirs: what trl finds for a policy trained here is what is
found here. A row has `prompt`, `chosen` and `rejected`.

Rafailov et al. 2023, "Direct Preference Optimization", arXiv:2305.18290; Ouyang et al. 2022, arXiv:2203.02155.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.training.language_model import Batch, Text, Writer, batch_of, encode, text_losses, token_losses
from mct.models.training.loop import Training, by_length, chunks, find_device, learn, move

BETA = 0.1
"""How far a policy may go from its reference: the usual value."""

EVALUATION_PAIRS = 16


@dataclass(frozen=True)
class _Pair:
    """Both answers' texts, and how likely the reference found them (log-probabilities, nats)."""

    chosen: Text
    rejected: Text
    reference: tuple[float, float]


def optimise(
    policy: Writer, rows: Sequence[Row], training: Training, report: Report = silent, stage: str = "DPO"
) -> None:
    """Train what requires gradients in `policy` to prefer the chosen answers; it is its own reference as it comes."""
    pairs = _pairs(policy, rows, training.max_tokens)
    batches = list(by_length(pairs, lambda pair: len(pair.chosen.ids) + len(pair.rejected.ids), training))

    def loss_of(batch: Sequence[_Pair]) -> torch.Tensor:
        ratios = _log_likelihoods(policy, batch) - torch.tensor(
            [pair.reference for pair in batch], device=find_device()
        )
        return -torch.nn.functional.logsigmoid(BETA * (ratios[:, 0] - ratios[:, 1])).mean()

    learn(policy.model, batches, loss_of, training, report, stage)


def likelihoods(writer: Writer, rows: Sequence[Row], max_tokens: int) -> list[tuple[float, float]]:
    """The log-probability (nats) that a model gives each row's chosen and rejected answer, with its end."""
    sides = [
        [-loss for loss, _ in text_losses(writer, [_with(row, side) for row in rows], max_tokens)]
        for side in ("chosen", "rejected")
    ]
    return list(zip(*sides, strict=True))


def preferences(policy: Sequence[tuple[float, float]], reference: Sequence[tuple[float, float]]) -> Mapping[str, float]:
    """How often the chosen answer is likelier; and how often, and by how much, its implicit reward is greater.

    The implicit reward is BETA times how much likelier the policy finds an answer than its reference does. A tie is
    half.
    """
    margins = [
        BETA * ((chosen - ref_chosen) - (rejected - ref_rejected))
        for (chosen, rejected), (ref_chosen, ref_rejected) in zip(policy, reference, strict=True)
    ]
    return {
        "likelier": _share_above_zero([chosen - rejected for chosen, rejected in policy]),
        "reward_accuracy": _share_above_zero(margins),
        "reward_margin": round(sum(margins) / len(margins), 4),
    }


def learn_reward(
    scorer: Writer, rows: Sequence[Row], training: Training, report: Report = silent, stage: str = "reward model"
) -> None:
    """Train a sequence classifier of one output so that the chosen answer gets more than the rejected one.

    An answer is read as it will be asked: without the token that ends a text.
    """
    pairs = _pairs_to_score(scorer, rows, training.max_tokens)
    batches = list(by_length(pairs, lambda pair: len(pair.chosen.ids) + len(pair.rejected.ids), training))

    def loss_of(batch: Sequence[_Pair]) -> torch.Tensor:
        rewards = _rewards(scorer, batch)
        return -torch.nn.functional.logsigmoid(rewards[:, 0] - rewards[:, 1]).mean()

    learn(scorer.model, batches, loss_of, training, report, stage)


def reward_accuracy(scorer: Writer, rows: Sequence[Row], max_tokens: int) -> Mapping[str, float]:
    """How often, and by how much, the chosen answer gets the higher reward; a tie is half."""
    device = find_device()
    move(scorer.model, device).eval()
    with torch.inference_mode():
        found = [_rewards(scorer, part) for part in chunks(_pairs_to_score(scorer, rows, max_tokens), EVALUATION_PAIRS)]
    move(scorer.model, torch.device("cpu"))
    margins = torch.cat([rewards[:, 0] - rewards[:, 1] for rewards in found]).tolist()
    margin = round(sum(margins) / len(margins), 4)
    return {"preference_accuracy": _share_above_zero(margins), "reward_margin": margin}


def _share_above_zero(differences: Sequence[float]) -> float:
    return round(sum((each > 0) + 0.5 * (each == 0) for each in differences) / len(differences), 4)


def _with(row: Row, side: str) -> Row:
    return {"prompt": row["prompt"], "text": row["prompt"] + row[side]}


def _pairs(policy: Writer, rows: Sequence[Row], max_tokens: int) -> list[_Pair]:
    chosen, rejected = (
        encode(policy.tokenizer, [_with(row, side) for row in rows], max_tokens) for side in ("chosen", "rejected")
    )
    return [_Pair(*pair) for pair in zip(chosen, rejected, likelihoods(policy, rows, max_tokens), strict=True)]


def _pairs_to_score(scorer: Writer, rows: Sequence[Row], max_tokens: int) -> list[_Pair]:
    chosen, rejected = (
        [
            Text(text.ids[:-1], text.start)
            for text in encode(scorer.tokenizer, [_with(row, side) for row in rows], max_tokens)
        ]
        for side in ("chosen", "rejected")
    )
    return [_Pair(*pair, (0.0, 0.0)) for pair in zip(chosen, rejected, strict=True)]


def _both(writer: Writer, pairs: Sequence[_Pair]) -> Batch:
    """The chosen answers and behind them the rejected ones, as one batch."""
    return batch_of([*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)], writer, find_device())


def _log_likelihoods(policy: Writer, pairs: Sequence[_Pair]) -> torch.Tensor:
    """(pairs, 2): of the chosen answers and of the rejected ones."""
    batch = _both(policy, pairs)
    logits = policy.model(input_ids=batch.ids, attention_mask=batch.mask).logits
    return -token_losses(logits, batch).sum(1).reshape(2, -1).T


def _rewards(scorer: Writer, pairs: Sequence[_Pair]) -> torch.Tensor:
    """(pairs, 2): the rewards of the chosen answers and of the rejected ones."""
    batch = _both(scorer, pairs)
    logits: torch.Tensor = scorer.model(input_ids=batch.ids, attention_mask=batch.mask).logits
    return logits.float().reshape(2, -1).T

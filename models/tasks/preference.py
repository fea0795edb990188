"""Which of two answers to a prompt a language model finds likelier: what preference tuning (DPO and its kin) gave it.

What is timed is a greedy answer to the prompt, what is scored the log-likelihood of a chosen and a rejected answer,
each a token at a time after the prompt. Rows may tell what the reference model, from which it was tuned, gives the two
(`ref_chosen_logps`, `ref_rejected_logps`, as trl keeps them): then the implicit reward of DPO, what is beyond the
reference's, is scored too (Rafailov et al. 2023). Its factor beta is the same on both sides of every comparison, so
it is left out: margins are in nats.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from mct.models.tasks import language_model as task_text
from mct.models.tasks import reward as task_reward
from mct.models.tasks.examples import (
    IMPLICIT_MARGIN,
    KL,
    MARGIN,
    NLL,
    Answer,
    Example,
    Kind,
    Outputs,
    Part,
    Request,
    Row,
    Truth,
)
from mct.models.tasks.table import Head, find_task
from mct.models.tasks.tokens import Tokenize, Tokens

NAME = "preference"


class Preferred(TypedDict):
    """Log-likelihoods, in nats, of the chosen answer and the rejected one, and the tokens of each.

    The last two are of both answers together, beside the original, where that was at hand.
    """

    chosen: float
    rejected: float
    tokens: tuple[int, int]
    kl: NotRequired[float]
    same_top: NotRequired[int]


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """The prompt is timed, both answers are scored; right is how much more the reference gives the chosen one."""
    return tuple(Example(row["prompt"], _reference_margin(row), _asked(row), row["prompt"]) for row in rows)


def _asked(row: Row) -> dict[str, Any]:
    return {"prompt": row["prompt"], "answers": [row["chosen"], row["rejected"]]}


def _reference_margin(row: Row) -> float | None:
    """None where the row does not tell."""
    chosen, rejected = (row.get(name) for name in find_task(NAME).optional)
    return None if chosen is None or rejected is None else float(chosen) - float(rejected)


def encode(tokenize: Tokenize, request: Request) -> list[Tokens]:
    """Prompt and answer as one text, of which the prompt is given."""
    return [tokenize.answer(request["prompt"], answer) for answer in request["answers"]]


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """What each answer costs, from what `language_model.condense` gave for each."""
    chosen, rejected = (-round(float(nll), 4) for nll in outputs["nll"])
    tokens = [int(count) for count in outputs["tokens"]]
    return {"chosen": chosen, "rejected": rejected, "tokens": tokens} | task_text.beside_original(outputs)


def score(truth: Truth, answer: Mapping[str, Any]) -> Mapping[str, Part]:
    """The share of pairs in which the chosen answer is likelier, and likelier beyond the reference; a tie is half."""
    return {
        "preference_accuracy": Part(_share(_margin(answer)), 1.0),
        "implicit_preference_accuracy": Part(0.0, 0.0) if truth is None else Part(_share(_margin(answer) - truth), 1.0),
    }


def _margin(answer: Mapping[str, Any]) -> float:
    return float(answer["chosen"] - answer["rejected"])


def _share(margin: float) -> float:
    return 1.0 if margin > 0 else 0.5 if margin == 0 else 0.0


def amounts(truth: Truth, answer: Mapping[str, Any]) -> Mapping[str, Part]:
    """Margins in nats a pair; nats a token that the chosen answers cost; the divergence from the original."""
    margin = _margin(answer)
    found = {MARGIN: Part(margin, 1.0), NLL: Part(-answer["chosen"], float(answer["tokens"][0]))}
    if truth is not None:
        found[IMPLICIT_MARGIN] = Part(margin - truth, 1.0)
    return found | ({KL: Part(answer["kl"], float(sum(answer["tokens"])))} if "kl" in answer else {})


def beside(before: Answer, after: Mapping[str, Any]) -> Mapping[str, Part]:
    """The share of the answers' tokens at which both put the same one first."""
    return task_text.beside(before, {**after, "tokens": sum(after["tokens"])})


KIND = Kind(
    read, encode, decode, score, task_text.labels, task_reward.texts, float | None, Preferred,
    beside=beside, amounts=amounts, condense=task_text.condense, sketch=task_text.sketch,
)  # fmt: skip

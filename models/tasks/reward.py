"""How good an answer to a prompt is, as one number: the reward model. Scored by which of two answers it prefers."""

from collections.abc import Mapping, Sequence

from mct.models.tasks import pair_scoring as task_pairs
from mct.models.tasks.examples import MARGIN, Answer, Example, Kind, Outputs, Part, Request, Row, Truth
from mct.models.tasks.ranking import significant
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokenize, Tokens


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """`chosen` should get the higher reward of two answers to `prompt`. The chosen one is what is timed."""
    return tuple(
        Example(
            {"prompt": row["prompt"], "answers": [row["chosen"]]},
            "chosen",
            {"prompt": row["prompt"], "answers": [row["chosen"], row["rejected"]]},
            row["prompt"],
        )
        for row in rows
    )


def encode(tokenize: Tokenize, request: Request) -> list[Tokens]:
    """Prompt and answer as one text."""
    return [tokenize(request["prompt"] + answer) for answer in request["answers"]]


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """The rewards of the answers; `logits` is (answers, 1)."""
    return [significant(float(reward)) for reward in outputs["logits"][:, 0]]


def score(truth: Truth, answer: Answer) -> Mapping[str, Part]:
    """The share of pairs in which the chosen answer gets more; a tie is half."""
    chosen, rejected = answer
    return {"preference_accuracy": Part(1.0 if chosen > rejected else 0.5 if chosen == rejected else 0.0, 1.0)}


def amounts(truth: Truth, answer: Answer) -> Mapping[str, Part]:
    """How much more the chosen answer gets."""
    return {MARGIN: Part(answer[0] - answer[1], 1.0)}


def texts(rows: Sequence[Row]) -> list[Request]:
    """The prompt of every row with both answers."""
    return [{"prompt": row["prompt"], "answers": [row["chosen"], row["rejected"]]} for row in rows]


KIND = Kind(read, encode, decode, score, task_pairs.labels, texts, str, tuple[float, float], amounts=amounts)

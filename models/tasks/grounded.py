"""An answer from documents, some of which hold it and some of which only look like it: what RAFT gave a language model.

The model is asked as it was taught (`mct.models.tasks.prompt_format`) and writes greedily; what it wrote is compared
with the right answer and with the documents. Answers are compared as SQuAD does (Rajpurkar et al. 2016): in small
letters, without punctuation and articles. What is timed is the same prompt.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from mct.models.tasks import language_model as task_text
from mct.models.tasks.examples import Answer, Example, Kind, Outputs, Part, Request, Row, Truth
from mct.models.tasks.prompt_format import PromptFormat, read_prompt_format
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokenize, Tokens

MOST_TOKENS = 48
"""What is written of an answer that does not end before."""
PLAIN = PromptFormat("{documents}\nQuestion: {question}\nAnswer:", "{text}\n", "\n")
"""How a model is asked that says nothing of it."""

_ARTICLES = frozenset({"a", "an", "the"})
_LITTLE = """
and are as at be been but by can do does for from had has have he her his i if in is it its may me my no not of on or
our she so than that their them then there they this to up us was we were what when where which who will with you your
"""
_FUNCTION_WORDS = _ARTICLES.union(_LITTLE.split())
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]")


class Right(TypedDict):
    """The answers that count as right, and the texts of the documents that hold them and of the others."""

    answers: list[str]
    gold: list[str]
    others: list[str]


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """`question` and the documents of `context` ask, `answer` (one or several) is right.

    `gold` has the places of the documents that hold the answer; without it all of them do.
    """
    return tuple(_example(row) for row in rows)


def _example(row: Row) -> Example:
    documents = documents_of(row["context"])
    said = row.get("gold")
    gold = [int(place) for place in (range(len(documents)) if said in (None, "") else said)]
    others = [text for place, text in enumerate(documents) if place not in gold]
    answers = [str(each) for each in (row["answer"] if isinstance(row["answer"], list) else [row["answer"]])]
    request = {"question": row["question"], "documents": documents}
    right = Right(answers=answers, gold=[documents[place] for place in gold], others=others)
    return Example(request, right, request, row["question"])


def documents_of(context: str | Sequence[str]) -> list[str]:
    """The documents, whether the file has a list or one text."""
    return [context] if isinstance(context, str) else list(context)


def encode(tokenize: Tokenize, request: Request) -> list[Tokens]:
    """The prompt, as the model was taught to be asked."""
    return [tokenize(prompt_format(tokenize.folder).fill(request["question"], request["documents"]))]


def prompt_format(folder: Path | None) -> PromptFormat:
    """What the model's folder says of it; a plain one where it says nothing."""
    return (read_prompt_format(folder) if folder else None) or PLAIN


def wrote(folder: Path, text: str) -> Answer:
    """What counts of a text that was written: up to what ends an answer."""
    return prompt_format(folder).until_stop(text)


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """Not asked for: an answer is written."""
    raise NotImplementedError("an answer is written, not decoded")


def score(truth: Truth, answer: Answer) -> Mapping[str, Part]:
    """F1 over words and exact match with the nearest right answer; where the words come from.

    "groundedness": the answer's content words that the documents hold which have the right one, a mean over answers;
    "free_of_distractors": those that no other document holds alone. An answer without content words is not grounded,
    and strays nowhere.
    """
    said = words(answer)
    content = [word for word in said if word not in _FUNCTION_WORDS]
    gold, others = ({word for text in truth[side] for word in words(text)} for side in ("gold", "others"))
    found = {
        "answer_f1": Part(max(_f1(words(right), said) for right in truth["answers"]), 1.0),
        "exact_match": Part(float(any(words(right) == said for right in truth["answers"])), 1.0),
    }
    most = max(1, len(content))
    held, strayed = (sum(word in side for word in content) / most for side in (gold, others - gold))
    return found | ({"groundedness": Part(held, 1.0)} if gold else {}) | {"free_of_distractors": Part(1 - strayed, 1.0)}


def words(text: str) -> list[str]:
    """A text as what is compared of it."""
    return [word for word in _PUNCTUATION.sub(" ", text.lower()).split() if word not in _ARTICLES]


def _f1(right: Sequence[str], said: Sequence[str]) -> float:
    """2 x shared / all words, each as often as it occurs; two empty answers are the same."""
    shared = (Counter(right) & Counter(said)).total()
    return 2 * shared / (len(right) + len(said)) if right or said else 1.0


def texts(rows: Sequence[Row]) -> list[Request]:
    """Question and documents of every row."""
    return [example.request for example in read(rows)]


def labels(truth: Truth) -> Iterable[str]:
    """None."""
    return task_text.labels(truth)


KIND = Kind(read, encode, decode, score, labels, texts, Right, str, wrote=wrote, most_written=MOST_TOKENS)

"""What a peer is to whoever times it, and how a checkpoint's tokenizer is opened in whatever environment this is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SEED = 0


class Peer(NamedTuple):
    """An opened model: `answer` is timed (text to label, prompt to text), `score` gives what is held against the truth.

    A classifier's score is its answer; a language model's says of how many next `tokens` it had how many `right`.
    """

    answer: Callable[[str], Any]
    score: Callable[[str], Any]


def open_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer; by its file alone where a transformers of old does not know the class it names."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (AttributeError, ValueError):
        return PreTrainedTokenizerFast.from_pretrained(folder)


def foreseen(logits: Any, ids: Any) -> dict[str, Any]:
    """The score of one text: `logits` (tokens, vocabulary) of its `ids`, of which the first is given."""
    favourites = logits[:-1].argmax(-1)
    return {"tokens": len(ids) - 1, "right": int((favourites == ids[1:]).sum()), "nll": 0.0}

"""A tag for every word: token classification with BIO tags, scored by whole entities as CoNLL does."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mct.models.tasks.examples import Answer, Example, Kind, Outputs, Part, Request, Row, Truth, column
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokenize, Tokens

OUTSIDE = "O"

# Other ways to mark where an entity begins and ends (BIOES, BILOU), as what they say about it.
_PREFIXES = {"B": "B", "I": "I", "S": "B", "U": "B", "E": "I", "L": "I", "M": "I"}


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """`text` asks; `slots`, one BIO tag for each of its whitespace words, is right."""
    return tuple(Example(row["text"], tags_of(row["slots"]), row["text"], row["text"]) for row in rows)


def tags_of(slots: str | Sequence[str]) -> list[str]:
    """Tags as a list, whether the file has them as a list or as one text with spaces."""
    return slots.split() if isinstance(slots, str) else [str(tag) for tag in slots]


def encode(tokenize: Tokenize, request: Request) -> list[Tokens]:
    """One text, one input, which knows where its words begin."""
    return [tokenize.with_words(request)]


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """Each word's tag by its first token; `logits` is (1, tokens, labels). A word cut off by truncation is outside."""
    return tags_from(outputs["logits"][0].argmax(axis=-1).tolist(), inputs[0], heads[0])


def tags_from(best: Sequence[int], tokens: Tokens, head: Head) -> list[str]:
    """The tags of an input's words from the best label of each of its tokens."""
    return [head.labels[best[place]] if place >= 0 else OUTSIDE for place in tokens.words]


def score(truth: Truth, answer: Answer) -> Mapping[str, Part]:
    """F1 of entities: kind, first and last word must all be right."""
    return {"f1_entities": entity_part(truth, answer)}


def is_tag(text: str) -> bool:
    """True for what marks a word: O, or how it stands in which entity."""
    mark, _, name = text.partition("-")
    return text == OUTSIDE or (mark in _PREFIXES and bool(name))


def entity_part(truth: Sequence[str], answer: Sequence[str]) -> Part:
    """One example's part of the F1 over all entities of all examples."""
    right, found = set(entities(truth)), set(entities(answer))
    return Part(2.0 * len(right & found), float(len(right) + len(found)))


def entities(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """(kind, first word, last word) of each entity. As in CoNLL's script an I- that follows nothing begins one.

    BIOES and BILOU are read too: an S- or U- begins an entity, an E- or L- goes on with it.
    """
    entity, first = "", 0
    for place, tag in enumerate([*tags, OUTSIDE]):
        mark, _, name = tag.partition("-")
        prefix = _PREFIXES.get(mark) if name else None
        if entity and (prefix != "I" or name != entity):
            yield entity, first, place - 1
            entity = ""
        if prefix and not entity:
            entity, first = name, place


def labels(truth: Truth) -> Iterable[str]:
    """Every tag that occurs."""
    return tuple(dict.fromkeys(truth))


def recall(truth: Truth, answer: Answer, label: str) -> Part:
    """Of the words that should be tagged so, those that are."""
    pairs = list(zip(truth, answer, strict=True))
    return Part(float(pairs.count((label, label))), float(truth.count(label)))


KIND = Kind(read, encode, decode, score, labels, column, list[str], list[str], recall)

"""How much of an ancestor's answers a checkpoint, or what was made of it, has kept.

A pass from checkpoint to checkpoint may change the vocabulary, and with it the ids of a text's tokens, or how the text
is cut. Answers are held against each other request by request; where there is an answer for every token (tags, next
tokens), for those texts alone that are still cut as before. A piece that is the same text is the same piece, whatever
its id is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import dropwhile
from pathlib import Path

import numpy as np

from mct import MctError
from mct.compress.plan.passes import Resources
from mct.compress.run.agreement import Outputs
from mct.compress.run.inputs import encode_requests
from mct.compress.run.parity import (
    TOLERANCE,
    Continuation,
    Parity,
    Reference,
    answers_alike,
    at,
    compare,
    require_parity,
)
from mct.compress.run.parity_inputs import ParityInputs
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.tasks.tokens import ANY_LENGTH, Tokens, open_tokenizer


def kept_of(ancestor: Reference, child: Reference) -> Parity | None:
    """The child's answers against the ancestor's; None where no text can be asked of both, or labels are others.

    `more["same_tokens"]` is the share of the ancestor's inputs that are still cut into the same pieces.
    """
    number = _ancestor_ids(ancestor.folder, child.folder)
    same = _cut_as_before(ancestor.asked, child.asked, number)
    groups = list(zip(ancestor.asked.groups, child.asked.groups, strict=False))
    both = [place for place, (before, after) in enumerate(groups) if before == after]
    places = same if _has_token_answers(child.asked) else both
    if not places:
        return None
    before, after = _in_terms_of(ancestor, child, number, places)
    if not answers_alike(before, after):
        return None
    found = compare(before, after, TOLERANCE["checkpoint"])
    return replace(found, more={**found.more, "same_tokens": len(same) / len(groups)})


def require_same_answers(parent: Reference, child: Reference, step: str) -> None:
    """MctError where a pass that should change no answer did, to a text that is still cut into the same pieces."""
    number = _ancestor_ids(parent.folder, child.folder)
    places = _cut_as_before(parent.asked, child.asked, number)
    if not places:
        raise MctError(
            f"after {step} none of the texts that answers are compared on is cut into the same pieces as before",
            "give more texts to keep the pieces of (--data), or others to compare on (--eval)",
        )
    require_parity(compare(*_in_terms_of(parent, child, number, places), TOLERANCE["checkpoint"]), step, parent.folder)


def require_same_cuts(parent: Checkpoint, child: Checkpoint, resources: Resources, step: str) -> None:
    """MctError where a text of the user's that the child has all pieces for is cut otherwise than by the parent."""
    number = _ancestor_ids(parent.vocabulary, child.vocabulary)
    known = set(number.values())
    requests = resources.calibration_requests()
    before, after = (encode_requests(checkpoint, requests) for checkpoint in (parent, child))
    for old, new in zip(before, after, strict=True):
        if set(old.ids) <= known and list(old.ids) != _as_ancestor(new, number):
            raise MctError(
                f"after {step} a text is cut into {len(new.ids)} pieces and not its {len(old.ids)}, which are all kept",
                "this result is refused; please report the tokenizer",
            )


def _ancestor_ids(ancestor: Path, child: Path) -> Mapping[int, int]:
    """The child's piece ids to the ancestor's: a piece is known by its text."""
    pieces, before = (open_tokenizer(folder, ANY_LENGTH).tokenizer.get_vocab() for folder in (child, ancestor))
    return {number: before[piece] for piece, number in pieces.items() if piece in before}


def _cut_as_before(ancestor: ParityInputs, child: ParityInputs, number: Mapping[int, int]) -> list[int]:
    """Places of the inputs whose tokens are the same in both."""
    both = zip(ancestor.inputs, child.inputs, strict=False)
    return [place for place, (before, after) in enumerate(both) if list(before.ids) == _as_ancestor(after, number)]


def _as_ancestor(tokens: Tokens, number: Mapping[int, int]) -> list[int]:
    """A child's input in the ancestor's ids (-1 for pieces it lacks), without what a pass put before every text."""
    return [number.get(token, -1) for token in dropwhile(lambda token: token not in number, tokens.ids)]


def _has_token_answers(asked: ParityInputs) -> bool:
    return asked.task == "causal-lm" or any(head.kind == "tags" for head in asked.heads)


def _in_terms_of(
    ancestor: Reference, child: Reference, number: Mapping[int, int], places: Sequence[int]
) -> tuple[Reference, Reference]:
    """Both at these places, the ancestor's next tokens among the child's pieces alone, the child's under old ids."""
    before = [ancestor.outputs[place] for place in places]
    after = [_of_own_tokens(child.outputs[place], ancestor.outputs[place]) for place in places]
    if child.asked.task == "causal-lm":
        before, after = _columns(before, after, number)
    asked = at(ancestor if _has_token_answers(child.asked) else child, places).asked
    continued = [
        (old, Continuation(old.prompt, tuple(number.get(token, token) for token in new.tokens), ()))
        for old, new in zip(ancestor.continued, child.continued, strict=False)
        if list(old.prompt.ids) == _as_ancestor(new.prompt, number) and set(old.tokens) <= set(number.values())
    ]
    return (
        Reference(ancestor.folder, asked, tuple(before), tuple(old for old, _ in continued)),
        Reference(child.folder, asked, tuple(after), tuple(new for _, new in continued)),
    )


def _of_own_tokens(child: Outputs, ancestor: Outputs) -> Outputs:
    """A child's answers for each token, without those for what a pass put before every text."""
    return {name: value[:, -ancestor[name].shape[1] :] if value.ndim == 3 else value for name, value in child.items()}


def _columns(
    before: Sequence[Outputs], after: Sequence[Outputs], number: Mapping[int, int]
) -> tuple[list[Outputs], list[Outputs]]:
    """Both models' logits of the pieces that both have, in the child's order."""
    width = after[0]["logits"].shape[-1]
    if before[0]["logits"].shape[-1] == width:
        return list(before), list(after)
    shared = [piece for piece in range(width) if piece in number]
    old = np.array([number[piece] for piece in shared])
    return (
        [{"logits": each["logits"][..., old]} for each in before],
        [{"logits": each["logits"][..., shared]} for each in after],
    )

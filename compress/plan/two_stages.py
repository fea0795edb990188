"""What the two stages of a cascade must have in common, whatever their format."""

from collections.abc import Sequence

from mct import MctError
from mct.compress.plan.passes import Branch, Resources
from mct.models.tables import unknown
from mct.models.tasks.tokens import ANY_LENGTH, open_tokenizer


def require_alike(resources: Resources) -> Branch:
    """The second stage. MctError where it has other labels than the first, or cuts texts into other pieces."""
    branch = resources.branch
    assert branch is not None
    if branch.checkpoint.labels != resources.checkpoint.labels:
        raise MctError("the two stages of a cascade have other labels", "make both of the same checkpoint")
    longest = [each.max_tokens for each in (resources.checkpoint, branch.checkpoint)]
    if longest[0] != longest[1]:
        raise MctError(
            f"the two stages of a cascade take texts of up to {longest[0]} and {longest[1]} tokens",
            "make both of the same checkpoint",
        )
    stages = (resources.checkpoint, branch.checkpoint)
    if len({open_tokenizer(stage.path, ANY_LENGTH).tokenizer.to_str() for stage in stages}) > 1:
        raise MctError(
            "the two stages of a cascade cut texts into other pieces", "trim the vocabulary of both, or of none"
        )
    return branch


def places_of(wanted: Sequence[str], labels: Sequence[str]) -> list[int]:
    """The places of the labels that the first stage never gives by itself. MctError for one that is none."""
    for label in wanted:
        if label not in labels:
            raise unknown("label in `always`", label, labels)
    return [labels.index(label) for label in wanted]

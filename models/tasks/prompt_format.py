"""How a model that answers from documents is asked: the prompt that it was taught with, in `raft.json` by its weights.

Without it the model is asked in a form that it never saw: so it travels into every artifact, and is what bench and run
fill in. `template` has the places {documents} and {question}, `document` the place {text} and, where the documents are
numbered, {number}; `stop` ends an answer.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mct import MctError
from mct.models.data.declared import Name, declared, read_object

FILE = "raft.json"

_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class PromptFormat:
    """The prompt's parts, as `raft.json` has them."""

    template: Name
    document: Name
    stop: str = ""

    def fill(self, question: str, documents: Sequence[str]) -> str:
        """The prompt for a question and its documents, in their order. What these say is taken as it is."""
        numbered = ({"number": str(number), "text": text} for number, text in enumerate(documents, start=1))
        listed = "".join(_filled(self.document, places) for places in numbered)
        return _filled(self.template, {"documents": listed, "question": question})

    def until_stop(self, answer: str) -> str:
        """What a model wrote, up to what ends an answer."""
        return (answer.partition(self.stop)[0] if self.stop else answer).strip()


def read_prompt_format(folder: Path) -> PromptFormat | None:
    """The format that lies in a checkpoint's folder; None where none does."""
    if not (folder / FILE).is_file():
        return None
    found = declared(read_object(folder / FILE), PromptFormat, str(folder / FILE))
    require_places(found, str(folder / FILE))
    return found


def require_places(found: PromptFormat, place: str) -> None:
    """MctError where a format has no place for what is asked; `place` says where it stands."""
    for field, places in (("template", {"documents", "question"}), ("document", {"text"})):
        if missing := sorted(places - set(_PLACE.findall(getattr(found, field)))):
            raise MctError(
                f"{place}: the prompt's {field} has no place {{{missing[0]}}}",
                "write it as in training, with {documents} and {question}, and {text} in each document",
            )


def _filled(template: str, places: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: places.get(match[1], match[0]), template)

"""What the original gave to each input, kept in a folder while it answers, at hand while another model does.

A language model's outputs of one text are many megabytes. So how far two models foresee the same text otherwise is
found while the second one answers: beside a sketch of what the first gave (the task kind's `sketch`), a file for each
chunk of examples. The folder lives as long as the answers are collected; results hold what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mct.models.tasks.examples import Kind, Outputs, Sketch
    from mct.models.tasks.tokens import Tokens


@dataclass
class Originals:
    """A chunk's sketches: those to write (`writes`) or to stand beside, input by input in the order they are asked."""

    folder: Path | None = None
    writes: bool = False
    sketches: list[Sketch] = field(default_factory=list)
    asked: int = 0

    def begin(self, first: int, last: int) -> None:
        """Get ready for the inputs of examples `first` up to `last`."""
        self.sketches, self.asked = [], 0
        if self.folder is None or self.writes or not (path := self._path(first, last)).is_file():
            return
        import numpy as np

        with np.load(path, allow_pickle=False) as found:
            names = sorted({name.partition(":")[2] for name in found.files})
            count = len(found.files) // max(1, len(names))
            self.sketches = [{name: found[f"{number}:{name}"] for name in names} for number in range(count)]

    def end(self, first: int, last: int) -> None:
        """Keep what was gathered."""
        if self.folder is None or not self.writes:
            return
        import numpy as np

        arrays = {
            f"{number}:{name}": value for number, each in enumerate(self.sketches) for name, value in each.items()
        }
        np.savez(self._path(first, last), **cast(Any, arrays))

    def _path(self, first: int, last: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{first}-{last}.npz"

    def condensing(self, kind: Kind, session: Callable[[list[Tokens]], Any]) -> Callable[[list[Tokens]], Outputs]:
        """The session, one input at a time, with each input's outputs condensed as soon as they are there."""
        condense = kind.condense
        assert condense is not None

        def infer(inputs: Sequence[Tokens]) -> Outputs:
            (tokens,) = inputs
            outputs = session([tokens])
            if self.writes and kind.sketch is not None:  # and so the original stands beside itself
                self.sketches.append(kind.sketch(outputs, tokens))
            original = self.sketches[self.asked] if self.asked < len(self.sketches) else None
            self.asked += 1
            return condense(outputs, tokens, original)

        return infer

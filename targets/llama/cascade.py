"""Two GGUF encoders as one session: the second is asked what the first is not sure of.

The setting "second_stage" says which file that is, with what settings of its own, below what share of its best label
the first is not believed, and which labels (by their places) it never gives by itself. The logits of an input are those
of the stage that answers it; "deferred" says of each whether that was the second.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.table import DEFERRED, Executable, Session

LOGITS = "logits"
AGAIN = "compress the checkpoint again"


def open_cascade(executable: Executable, threads: int, open_one: Callable[[Executable, int], Session]) -> Session:
    """Both models, open. MctError where either cannot be read, or is no classifier of so many labels."""
    own = dict(executable.settings)
    told = own.pop("second_stage")
    first = open_one(replace(executable, settings=own), threads)
    second = open_one(replace(executable, model=told["model"], settings=told["settings"]), threads)
    if max(told["always"], default=0) >= executable.outputs:
        raise MctError("its manifest names labels for its second stage that it does not have", AGAIN)
    reserved, threshold = frozenset(told["always"]), float(told["threshold"])

    def is_deferred(logits: NDArray[np.float32]) -> bool:
        best = int(logits.argmax())
        share = 1.0 / float(np.exp(logits - logits[best]).sum())
        return share < threshold or best in reserved

    def infer(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        logits = _logits(first(batch))
        deferred = np.array([is_deferred(each) for each in logits])
        if deferred.any():
            asked = np.flatnonzero(deferred).tolist()
            logits[asked] = _logits(second([batch[place] for place in asked]))
        return {LOGITS: logits, DEFERRED: deferred}

    return infer


def _logits(outputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    if LOGITS not in outputs:
        raise MctError("a stage of its cascade gives no logits", AGAIN)
    return outputs[LOGITS]

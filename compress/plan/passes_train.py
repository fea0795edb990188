"""The passes that train: what comes out is a checkpoint of the same kind, which answers better for what it became."""

from collections.abc import Mapping
from typing import Any

from mct.compress.plan.passes import ENCODERS, LANGUAGE_MODELS, START, Option, Pass

TRAIN_FOR_INT4 = "train-for-int4"

_RUN, _WHY_NOT = "mct.compress.train.train_on_grid:run", "mct.compress.train.obstacles:why_not_on_grid"
_ON_GRID = (
    Option("epochs", int, "how often it sees each text; 0 rounds alone", 2),
    Option("learning_rate", float, "the highest rate, after a warm-up", 1e-4),
    Option("batch", int, "texts a step", 32),
    Option("teach", bool, "learn from the answers of the checkpoint that was brought; false: from labels alone", True),
    Option("threads", int, "0 for all there are; a number makes it repeatable whatever runs beside", 0),
)


def _train(name: str, tasks: tuple[str, ...], about: str, fixed: Mapping[str, Any], *more: Option) -> Pass:
    return Pass(
        name, START, START, _RUN, tasks, texts="needed", why_not=_WHY_NOT, fixed=fixed, options=(*_ON_GRID, *more),
        about=about,
    )  # fmt: skip


TRAIN_PASSES = (
    _train(
        "train-for-int8", ENCODERS, "Go on training with weights and activations rounded as INT8 does.",
        {"bits": 8, "block": 0},
    ),
    _train(
        TRAIN_FOR_INT4, (*ENCODERS, *LANGUAGE_MODELS),
        "Go on training with weights rounded to 4 bits: ONNX, OpenVINO and GGUF (Q4_0) then hold the same integers.",
        {},
        Option("bits", int, "4, or 3 or 2, which lie on the same grid", 4),
        Option("block", int, "how many weights share a scale: 32 is what all formats hold, GGUF no other; 0 a row", 32),
    ),
)  # fmt: skip

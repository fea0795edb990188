"""The passes that train: what comes out is a checkpoint of the same task, which answers better for what it became.

Students stand here too: they answer nothing until they are taught.
"""

from collections.abc import Mapping
from typing import Any

from mct.compress.plan.passes import (
    CLASSIFIERS,
    EMBEDDERS,
    ENCODERS,
    LANGUAGE_MODELS,
    SCORERS,
    START,
    TAGGERS,
    Option,
    Pass,
)
from mct.models.families.table import SHALLOW

MATCHES = ("hidden", "relations")
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


_STUDENT = "mct.compress.students.shallow:run"
_WHY_NO_STUDENT = "mct.compress.students.obstacles:why_not_student"
_SIZES = (
    Option("width", int, "the width of a token's vector; at most that of the teacher's", 256),
    Option("hidden", int, "the width of the layer between", 512),
    Option("bigrams", int, "rows of a table for pairs of neighbours, 0 for none", 0),
)

_EPOCHS = "how many times every text is learned"
_RATE = Option("learning_rate", float, "the highest rate, 0 for what suits the student", 0.0)
_TEMPERATURE = Option("temperature", float, "by what the answers of the teacher are softened", 2.0)
_THREADS = Option("threads", int, "0 for all; a number makes it repeatable whatever else the machine does", 0)
_MATCH = Option("match", str, f"what is learned of the last layer beside: {' or '.join(map(repr, MATCHES))}", "")
_WHY_NOT_DISTIL = "mct.compress.train.obstacles:why_not_distil"

_SHARE = Option("hard", float, "the share of what rows say (next tokens); 1.0: no teacher", 0.0)
_OUTPUTS = (Option("epochs", float, _EPOCHS, 3.0), _RATE, _TEMPERATURE, _SHARE, _MATCH, _THREADS)
_WRITTEN = Option("written", int, "tokens that the teacher goes on by after each beginning, learned too; 0: none", 0)


def _distil_outputs(tasks: tuple[str, ...], about: str, *more: Option) -> Pass:
    return Pass(
        "distil", START, START, "mct.compress.train.distil_outputs:run", tasks, texts="needed",
        why_not=_WHY_NOT_DISTIL, options=(*_OUTPUTS, *more), about=about,
    )  # fmt: skip


TRAIN_PASSES = (
    Pass(
        "static-student", START, START, _STUDENT, CLASSIFIERS, why_not=_WHY_NO_STUDENT, fixed={"window": 0},
        options=_SIZES, leaves=SHALLOW,
        about="A student without layers, its table of token vectors from the checkpoint: distil teaches it the rest.",
    ),
    Pass(
        "convolution-student", START, START, _STUDENT, CLASSIFIERS, why_not=_WHY_NO_STUDENT,
        options=(*_SIZES, Option("window", int, "how many neighbouring tokens a filter reads", 3)), leaves=SHALLOW,
        about="As static-student, with filters that read neighbouring tokens together: order counts.",
    ),
    Pass(
        "transformer-student", START, START, "mct.compress.students.transformer:run", CLASSIFIERS,
        why_not="mct.compress.students.obstacles:why_not_transformer",
        options=(
            Option("layers", int, "how many layers", 2),
            Option("width", int, "the width of a token's vector", 128),
            Option("heads", int, "attention heads of a layer, which divide the width", 2),
            Option("ffn", int, "neurons of a layer's feed-forward network", 512),
        ),
        about="A student of the checkpoint's kind and tokenizer in sizes of your own: distil teaches it all.",
    ),
    Pass(
        "pretrained-student", START, START, "mct.compress.students.pretrained:run", CLASSIFIERS,
        why_not="mct.compress.students.obstacles:why_not_pretrained",
        options=(
            Option("model", str, "a pretrained encoder: a folder, or ORG/NAME@COMMIT of the hub's", checkpoint=True),
        ),
        about="An encoder of your choice with a head for the checkpoint's labels: distil teaches it.",
    ),
    Pass(
        "distil", START, START, "mct.compress.train.distil:run", CLASSIFIERS, texts="needed",
        why_not=_WHY_NOT_DISTIL,
        options=(
            Option("epochs", float, f"{_EPOCHS}, made-up ones among them", 5.0), _RATE, _TEMPERATURE,
            Option("hard", float, "the share that labels have in what is learned; 1.0: labels alone, no teacher", 0.1),
            Option("augment", int, "made-up variants of each text, which the teacher answers too", 4), _MATCH, _THREADS,
        ),
        about="Learn the answers that the checkpoint you brought gives to the texts of --data, with labels or without.",
    ),
    _distil_outputs(
        (*SCORERS, *TAGGERS, *EMBEDDERS),
        "Learn the vectors, scores or tags that the checkpoint you brought gives for --data.",
    ),
    _distil_outputs(
        LANGUAGE_MODELS,
        "Learn the next tokens that the checkpoint you brought gives for --data, and the texts that it writes itself.",
        _WRITTEN,
    ),
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

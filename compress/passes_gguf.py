"""The passes that lead to GGUF: one export for each kind of model, and llama.cpp's own types."""

from mct.compress.passes import CLASSIFIERS, Pass

TYPES = ("F16", "Q8_0")


def _quantise(kind: str) -> Pass:
    return Pass(
        "quantise-gguf", "gguf-f32", f"gguf-{kind.lower()}", "mct.compress.quantise_gguf:run", CLASSIFIERS,
        settings={"type": kind},
    )  # fmt: skip


GGUF_PASSES = (
    Pass("export-gguf", "checkpoint", "gguf-f32", "mct.compress.export_gguf:run", CLASSIFIERS),
    *(_quantise(kind) for kind in TYPES),
)

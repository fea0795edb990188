"""The passes that lead to GGUF: one export for each kind of model, and llama.cpp's own types.

Every type can hold every kind of model: where a matrix has rows that the type's blocks do not divide, llama.cpp writes
that one in the nearest type that fits, and the artifact's notes say so. Types below Q8_0 are weighed by the user's own
texts where there are any.
"""

from mct.compress.plan.passes import ENCODERS, LANGUAGE_MODELS, RECOVER, REWARDS, Pass, cascade

EXACT_TYPES = ("F16", "BF16", "Q8_0")
WEIGHED_TYPES = ("Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_XS", "Q3_K_M", "Q2_K")


def _quantise(type_name: str) -> Pass:
    return Pass(
        "quantise-gguf", "gguf-f32", f"gguf-{type_name.lower()}", "mct.compress.gguf.quantise:run",
        (*ENCODERS, *REWARDS, *LANGUAGE_MODELS), texts="used" if type_name in WEIGHED_TYPES else "none",
        fixed={"type": type_name},
    )  # fmt: skip


GGUF_PASSES = (
    Pass(
        "export-gguf", "checkpoint", "gguf-f32", "mct.compress.gguf.export_encoder:run", ENCODERS,
        why_not="mct.compress.gguf.obstacles:why_not_encoder",
    ),
    Pass(
        "export-gguf", "checkpoint", "gguf-f32", "mct.compress.gguf.export_decoder:run", (*REWARDS, *LANGUAGE_MODELS),
        why_not="mct.compress.gguf.obstacles:why_not_decoder",
    ),
    *(_quantise(type_name) for type_name in (*EXACT_TYPES, *WEIGHED_TYPES)),
    *(cascade("gguf", precision) for precision in ("f32", "q8_0", "q4_k_m")),
    Pass(
        "quantise-gguf-mixed", "gguf-f32", "gguf-q4_0-mixed", "mct.compress.gguf.quantise:run", ENCODERS,
        texts="needed", fixed={"type": "Q4_0"}, options=(RECOVER,),
        about="Q4_0, and Q8_0 for those matrices whose loss the texts of --data show to be the greatest.",
    ),
)  # fmt: skip

"""The passes that make a checkpoint smaller: what comes out is a checkpoint again."""

from mct.compress.plan.passes import ENCODERS, LANGUAGE_MODELS, REWARDS, START, Option, Pass

_FEWER_EXPERTS = "mct.compress.shrink.fewer_experts:run"
_WHY_NOT_FEWER = "mct.compress.shrink.obstacles:why_not_fewer_experts"
_KEPT_EXPERTS = Option("keep", int, "how many experts of each layer to keep")

EVERY = (*ENCODERS, *REWARDS, *LANGUAGE_MODELS)

SHRINK_PASSES = (
    Pass(
        "drop-layers", START, START, "mct.compress.shrink.drop_layers:run", EVERY,
        why_not="mct.compress.shrink.obstacles:why_not_drop_layers",
        options=(Option("keep", list[int], "the layers to keep, counted from 0, in rising order"),),
        about="Keep some of the layers: what distillation starts from. Untrained, it may answer at random.",
    ),
    Pass(
        "trim-vocabulary", START, START, "mct.compress.shrink.trim_vocabulary:run", EVERY, texts="needed", exact=True,
        why_not="mct.compress.shrink.obstacles:why_not_trim_vocabulary",
        about="Keep the pieces that the texts of --data need, and every single character.",
    ),
    Pass(
        "factorise-embeddings", START, START, "mct.compress.shrink.factorise_embeddings:run", ENCODERS, texts="needed",
        why_not="mct.compress.shrink.obstacles:why_not_factorise_embeddings",
        options=(Option("width", int, "the width of a token's vector before one matrix widens it"),),
        about="Keep narrow token vectors and a matrix that widens them, along the axes that the texts of --data need.",
    ),
    Pass(
        "narrow-ffn", START, START, "mct.compress.shrink.narrow_ffn:run", EVERY, texts="needed",
        why_not="mct.compress.shrink.obstacles:why_not_narrow_ffn",
        options=(Option("keep", int | float, "how many neurons of each layer to keep, or which share of them"),),
        about="Keep the neurons of each feed-forward network that the answers to the texts of --data depend on most.",
    ),
    Pass(
        "prune-heads", START, START, "mct.compress.shrink.prune_heads:run", EVERY, texts="needed",
        why_not="mct.compress.shrink.obstacles:why_not_prune_heads",
        options=(Option("keep", int, "how many attention heads of each layer to keep"),),
        about="Keep the attention heads of each layer that the answers to the texts of --data depend on most.",
    ),
    Pass(
        "prune-experts", START, START, _FEWER_EXPERTS, LANGUAGE_MODELS, texts="needed", why_not=_WHY_NOT_FEWER,
        fixed={"others": "dropped"}, options=(_KEPT_EXPERTS,),
        about="Keep the experts of each layer that the texts of --data use most, and leave the others out.",
    ),
    Pass(
        "merge-experts", START, START, _FEWER_EXPERTS, LANGUAGE_MODELS, texts="needed", why_not=_WHY_NOT_FEWER,
        fixed={"others": "merged"}, options=(_KEPT_EXPERTS,),
        about="As prune-experts, but each of the others is merged into the kept one that it shares most tokens with.",
    ),
)  # fmt: skip

"""The passes that make a checkpoint smaller: what comes out is a checkpoint again."""

from mct.compress.plan.passes import ENCODERS, LANGUAGE_MODELS, REWARDS, START, Option, Pass

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
)  # fmt: skip

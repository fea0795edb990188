"""Two classifiers in one folder of GGUF files: the first answers where it is sure, the second the texts that are left.

llama.cpp's graphs have no branch, so which of the two answers is decided by the session
(`mct.targets.llama.cascade`), by the rule of the other formats: a text is deferred where the first stage's
best label is less probable than a threshold, or is one that it may not give by itself.
"""

from collections.abc import Mapping
from pathlib import Path
from shutil import copy2
from typing import Any

from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.two_stages import places_of, require_alike

MODEL = "model.gguf"
SECOND = "second-"


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `model.gguf` and `second-model.gguf`, with their heads. MctError where they do not read or answer alike."""
    branch = require_alike(resources)
    always = places_of(options["always"], resources.checkpoint.labels)
    first = _copied(source, draft, "")
    second = _copied(branch.product, draft, SECOND)
    stage = {"model": SECOND + MODEL, "settings": second, "threshold": options["threshold"], "always": always}
    notes = {"threshold": options["threshold"], "always": list(options["always"])}
    return Product(draft, MODEL, {**first, "second_stage": stage}, notes)


def _copied(product: Product, draft: Path, prefix: str) -> dict[str, Any]:
    """The settings of a stage whose files stand in `draft` under other names."""
    settings = dict(product.settings)
    copy2(product.folder / product.model, draft / f"{prefix}{MODEL}")
    if "head" in settings:
        named = f"{prefix}{settings['head']}"
        copy2(product.folder / settings["head"], draft / named)
        settings["head"] = named
    return settings

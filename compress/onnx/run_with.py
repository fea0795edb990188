"""How ONNX Runtime is to run a file: nothing of the graph changes, its settings say it to whoever opens it.

What is fastest depends on the model and the machine: a thread more costs a tiny graph more than it gains, and threads
that spin between requests answer sooner and take a processor from others. A search finds it out by measuring.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mct.compress.plan.passes import Product, Resources


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """The same files; `options["threads"]` of at most those that may be used, 0 for all of them."""
    shutil.copytree(source.folder, draft, dirs_exist_ok=True)
    settings = {**source.settings, "threads": options["threads"], "spinning": options["spinning"]}
    return Product(draft, source.model, settings)

"""A checkpoint whose weights bitsandbytes packed into 4 bits, unpacked: the numbers that it computes with, in fp32."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import copy_rest
from mct.models.checkpoints.load import load_model


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint with every weight whole."""
    model = load_model(resources.checkpoint)
    model.config.dtype = model.dtype
    model.save_pretrained(draft)
    copy_rest(source.folder, draft)
    return Product(draft, "", notes={"unpacked": resources.checkpoint.quantised})

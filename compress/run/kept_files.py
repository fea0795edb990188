"""The files of adapters, or of a prefix, beside a model: their names, and how they follow it through passes."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from mct.compress.plan.passes import Product

FOLDER = "adapters"


def file_names(adapters: Iterable[str], suffix: str) -> dict[str, str]:
    """A file for each adapter, in a folder beside the model: a name may be a path, a file's name is none."""
    return {name: f"{FOLDER}/{name.replace('/', '_').replace('.', '_')}{suffix}" for name in adapters}


def carry(source: Product, draft: Path) -> None:
    """Copy the adapters, or the prefix, beside a model that is written anew: they go with whatever stands there."""
    prefix = [source.settings["prefix"]] if "prefix" in source.settings else []
    for name in (*source.settings.get("adapters", {}).values(), *prefix):
        (draft / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source.folder / name, draft / name)

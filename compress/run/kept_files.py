"""The files of adapters that stay beside a model: what they are called, and how they follow it from pass to pass."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from mct.compress.plan.passes import Product

FOLDER = "adapters"


def file_names(adapters: Iterable[str], suffix: str) -> dict[str, str]:
    """A file for each adapter, in a folder beside the model: a name may be a path, a file's name is none."""
    return {name: f"{FOLDER}/{name.replace('/', '_').replace('.', '_')}{suffix}" for name in adapters}


def carry(source: Product, draft: Path) -> None:
    """Copy the adapters beside a model that is written anew: they add to whatever stands there."""
    for name in source.settings.get("adapters", {}).values():
        (draft / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source.folder / name, draft / name)

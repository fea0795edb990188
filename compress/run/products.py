"""What a pass hands back, checked before it is believed: passes of other packages run beside ours."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mct import MctError
from mct.compress.plan.passes import START, Pass, Product
from mct.compress.plan.recipe import LINEAGE
from mct.models.data.declared import declared
from mct.models.data.inside import list_files
from mct.models.tables import is_ours, load
from mct.models.writing.ownership import LISTS
from mct.targets.runtimes.table import runtime_for

REPORT = "report it to the package that the pass is from"

Stamps = Mapping[str, tuple[int, int]]


def checked_product(product: Any, draft: Path, row: Pass) -> Product:
    """The product as it is, without what mct alone writes into a folder; MctError where it is none of that pass."""
    if reason := _wrong(product, draft, row):
        raise MctError(f"the pass {row.name} {reason}", REPORT)
    for name in (*LISTS, LINEAGE):
        (draft / name).unlink(missing_ok=True)  # copied from what it started from, and no longer true
    found: Product = product
    if row.gives != START:
        settings: Any = load(runtime_for(row.gives.partition("-")[0]).settings)
        declared(dict(found.settings), settings, f"the pass {row.name}: settings", REPORT)
    return found


def stamps(folder: Path, row: Pass) -> Stamps:
    """Size and time of the files that a pass starts from; nothing for a pass of ours."""
    if is_ours(row.run):
        return {}
    found = {name: (folder / name).stat() for name in list_files(folder) if not name.startswith(("data/", "."))}
    return {name: (file.st_size, file.st_mtime_ns) for name, file in found.items()}


def require_untouched(folder: Path, before: Stamps, row: Pass) -> None:
    """MctError where a pass wrote into what it starts from, which others start from too."""
    after = stamps(folder, row)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            raise MctError(f"the pass {row.name} changed {folder / name}, which it was to read alone", REPORT)


def _wrong(product: Any, draft: Path, row: Pass) -> str:
    """What is wrong with what a pass handed back; "" where nothing is."""
    if not isinstance(product, Product):
        return f"gave {type(product).__name__} and no Product"
    if not draft.is_dir() or Path(product.folder).resolve() != draft.resolve():
        return f"left its product in {product.folder}, and not in the folder that it was handed"
    if row.gives != START and product.model not in list_files(draft):
        return f"left no file {product.model!r} in its folder"
    for name, value in (("settings", product.settings), ("notes", product.notes)):
        if not isinstance(value, Mapping):
            return f"gave {name} that are no mapping"
        try:
            json.dumps(dict(value), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            return f"gave {name} that cannot be written as JSON: {error}"
    return ""

"""What a recipe tells a pass, read as the types that the pass's row declares."""

from collections.abc import Mapping
from typing import Any

from mct import MctError
from mct.compress.plan.passes import REQUIRED, Pass
from mct.models.data.declared import declared
from mct.models.tables import unknown


def read_options(row: Pass, told: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of the pass: as told, else its default. MctError for one that is unknown, wrong or missing."""
    known = {option.name: option for option in row.options}
    for name in told:
        if name not in known:
            if not known:
                raise MctError(f"{row.name} has no options, and is told {name!r}", "see: mct compress --passes")
            raise unknown(f"option of {row.name}", name, known)
    found = {}
    for name, option in known.items():
        value = told.get(name, option.default)
        if value is REQUIRED:
            raise MctError(f"{row.name} needs the option {name!r}: {option.about}", "see: mct compress --passes")
        found[name] = declared(value, option.type, f"{row.name}: {name}", option.about)
    return found

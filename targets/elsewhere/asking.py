"""What another machine can do: the same probe, run there and shown here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from mct.models.data.declared import declared
from mct.targets.ssh.address import parse_address
from mct.targets.ssh.connection import Remote
from mct.targets.ssh.folder import opened
from mct.targets.target import SSH, find_target

MODULE = "mct.targets.elsewhere.probed"


class Told(Struct, frozen=True, forbid_unknown_fields=True):
    """A probe as its machine tells it: for a person, and for a program."""

    text: str
    values: dict[str, Any]


def probe_elsewhere(name: str, targets: Path | None) -> Told | None:
    """What the machine of that target says of itself; None where that is this one. MctError where it is not reached."""
    target = find_target(name, targets)
    if target.transport != SSH:
        return None
    remote = Remote(parse_address(target.host), target.python)
    with opened(remote, {}) as folder:
        return declared(folder.run(MODULE), Told, f"the probe of {remote.name}", "is its Python sound?")

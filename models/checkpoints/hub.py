"""Checkpoints by their name on the hub: "ORG/NAME" becomes a folder of the cache, and a folder of it says its origin.

A folder always wins over a name, and a path into a folder that exists is never taken for one: a mistyped path must not
become a request to the network. What is fetched, and why nothing else, stands in `mct.models.checkpoints.load_hub`.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mct import MctError
from mct.models.tables import load

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
SNAPSHOT = re.compile(r"models--(?P<name>[^/]+)/snapshots/(?P<commit>[0-9a-f]{40})$")
COMMIT = re.compile(r"[0-9a-f]{40}")
BRANCH = "main"


@dataclass(frozen=True)
class Origin:
    """Where a folder of the hub's cache comes from: the model's name, and the commit that its files are of."""

    name: str
    commit: str


def find_folder(given: Path, revision: str | None = None) -> Path:
    """The folder that `given` is, or that it names on the hub, fetched if the cache lacks it.

    `revision` is a branch, tag or commit of the hub's; MctError where it is given for a folder. A path that is neither
    folder nor name is given back as it is, for whoever reads it to refuse.
    """
    if given.exists() or given.parent.exists() or not NAME.fullmatch(str(given)):
        if revision is not None:
            raise MctError(f"--revision {revision} goes with a name on the hub, and {given} is a path", "leave it out")
        return given
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when huggingface_hub is imported
    folder: Path = load("mct.models.checkpoints.load_hub:fetch", "compress")(str(given), revision or BRANCH)
    return folder


def find_pinned(given: str) -> Path:
    """The folder that `given` is, or the one of the cache that "ORG/NAME@COMMIT" of the hub is.

    MctError where it is neither, or where a name comes without its whole commit.
    """
    if given and Path(given).is_dir():
        return Path(given)
    name, _, commit = given.partition("@")
    if not NAME.fullmatch(name) or Path(name).parent.exists():
        raise MctError(f"there is no folder {given}", "give a folder, or ORG/NAME@COMMIT of the hub's")
    if not COMMIT.fullmatch(commit):
        raise MctError(f"{given} does not say which commit of {name} is meant", "write ORG/NAME@COMMIT, all 40 digits")
    return find_folder(Path(name), commit)


def origin_of(folder: Path) -> Origin | None:
    """Which model of the hub a folder of its cache is; None for any other folder."""
    found = SNAPSHOT.search(folder.absolute().as_posix())
    return Origin(found["name"].replace("--", "/"), found["commit"]) if found else None

"""How many steps have taught a checkpoint: a small file in its folder, so that each can do otherwise than the last."""

from pathlib import Path

from msgspec import Struct

from mct.models.checkpoints.files import read_if_there
from mct.models.data.declared import Index
from mct.models.writing.folders import write_json

FILE = "distilled.json"


class _Rounds(Struct, frozen=True):
    rounds: Index = 0


def read_rounds(folder: Path) -> int:
    """How many there were, 0 where the folder says nothing of it."""
    return read_if_there(folder / FILE, _Rounds).rounds


def write_rounds(folder: Path, rounds: int) -> None:
    """Say how many there were."""
    write_json(folder / FILE, {"rounds": rounds})

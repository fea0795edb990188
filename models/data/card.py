"""The card beside a data file: how its rows came about and what a check found, tied to the file by its SHA-256.

`mct data check --card`, `clean` and `synthesise` write it as `FILE.card.json`; `mct compress` reads it and keeps it
with the data in the lineage of every artifact. A card that is not of the file's bytes is refused: it speaks of other
rows.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.data.declared import Count, Digest, Name, declared, parse_json, read_bytes
from mct.models.data.files import unpacked
from mct.models.data.inside import check_beside

SUFFIX = ".card.json"
MOST_BYTES = 2**20
"""Of a card: it ends in every artifact that is made of the data."""

HINT = "write it anew (mct data check FILE --card), or remove it"


@dataclass(frozen=True)
class Ancestor:
    """A data file that rows were taken from."""

    name: Name
    sha256: Digest


@dataclass(frozen=True)
class DataCard:
    """What is known of a data file.

    `sha256` is that of its bytes when not compressed. `made` says by what the rows were written (command, method, seed,
    options), empty where nobody said; `cleaned_from` and `parents` are the files that rows were taken from. `check` are
    the figures of the check that it was last put to, empty where there was none.
    """

    name: Name
    sha256: Digest
    rows: Count
    schema: int = 1
    made: dict[str, Any] = field(default_factory=dict)
    cleaned_from: Ancestor | None = None
    parents: tuple[Ancestor, ...] = ()
    check: dict[str, Any] = field(default_factory=dict)


def data_digest(data: Path) -> str:
    """The SHA-256 of a data file's bytes when not compressed, which its card names."""
    return hashlib.sha256(unpacked(data, read_bytes(data))).hexdigest()


def card_path(data: Path) -> Path:
    """Where the card of a data file lies."""
    return data.with_name(data.name + SUFFIX)


def read_card(data: Path) -> DataCard | None:
    """The card beside a data file; None where there is none.

    MctError where it is damaged, a link that leads away, or the card of other bytes than the file has.
    """
    path = card_path(data)
    if not path.exists() and not path.is_symlink():
        return None
    check_beside(path)
    content = read_bytes(path, HINT)
    if len(content) > MOST_BYTES:
        raise MctError(f"{path} has more than {MOST_BYTES >> 20} MiB: it is no data card", HINT)
    card = declared(parse_json(content, dict[str, Any], str(path), HINT), DataCard, str(path), HINT)
    if card.sha256 != data_digest(data):
        raise MctError(f"{path} is the card of other bytes than {data.name} has", HINT)
    return card

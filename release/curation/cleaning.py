"""The corrected copy of a data file, and a record of every change: which row, what, before, after, and why.

The file that is read is never written. A row that is kept as it was keeps its fields and their order; the record quotes
what was personal only masked, since it would otherwise hold what the copy no longer does.
"""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import mct
from mct import MctError
from mct.models.data.card import Ancestor, DataCard, card_path, read_card
from mct.models.data.declared import declared, read_json
from mct.models.data.files import Row, read_data_file
from mct.models.tasks.datasets import digests_of
from mct.models.writing.folders import as_json, write_together
from mct.release.curation.findings import SCHEMA, Findings
from mct.release.curation.personal import find_personal, masked, replaced

DROPPED = ("duplicates", "near-duplicates", "leaks", "conflicts", "suspects", "outsiders")
"""What rows may be left out for."""

SURE = 0.5
"""The least probability of a suggested label that is put in place of the given one."""

CHANGES = ".changes.jsonl"


@dataclass(frozen=True)
class Wanted:
    """What is to be done. `sure` is the least probability of a label that replaces the given one."""

    drop: tuple[str, ...] = ()
    fix_labels: bool = False
    mask_personal: bool = False
    sure: float = SURE
    renames: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One change. `before` and `after` are the field's values; of a row that was left out the row, and null."""

    row: int
    what: str
    field: str
    before: Any
    after: Any
    why: str


@dataclass(frozen=True)
class Cleaned:
    """The rows that are left, under the file's own names, and what was changed."""

    rows: tuple[Row, ...]
    changes: tuple[Change, ...]


def read_check(path: Path) -> Findings:
    """What `mct data check -o DIR` wrote as check.json. MctError where it is no such file, or of another version."""
    hint = "give the check.json of: mct data check FILE -o DIR"
    found = read_json(path, dict[str, Any], hint)
    if found.get("schema") != SCHEMA:
        raise MctError(f"{path} is no data check of this version (schema {found.get('schema')!r})", hint)
    return declared(found, Findings, str(path), hint)


def clean(file: Path, findings: Findings, wanted: Wanted) -> Cleaned:
    """The file's rows with what was found in them put right. MctError where the check was of other bytes."""
    data = read_data_file(file, {})
    name = _name_of(file, digests_of(file, data), findings)
    gone = _to_drop(name, findings, wanted.drop)
    labels = _to_fix(name, findings, wanted.sure) if wanted.fix_labels else {}
    label_field = wanted.renames.get("label", "label")
    rows, changes = [], []
    for number, row in enumerate(data.rows, start=1):
        if number in gone:
            changes.append(Change(number, "dropped", "", _masked(row), None, gone[number]))
            continue
        kept = dict(row)
        if number in labels and str(kept.get(label_field)) == labels[number][0]:
            before, after, why = labels[number]
            # A label that was a whole number stays one.
            kept[label_field] = int(after) if isinstance(kept[label_field], int) and after.isdecimal() else after
            changes.append(Change(number, "label", label_field, before, after, why))
        if wanted.mask_personal:
            kept, masks = _mask(number, kept)
            changes += masks
        rows.append(kept)
    if not rows:
        raise MctError(f"nothing of {file} would be left", "drop for fewer reasons")
    return Cleaned(tuple(rows), tuple(changes))


def write_cleaned(out: Path, file: Path, cleaned: Cleaned, wanted: Wanted) -> DataCard:
    """Write the rows to `out`, the record to `out.changes.jsonl`, and the card last: it means that all is there.

    All three are made before any of them replaces what is there.
    """
    source = read_data_file(file, {}).sha256
    before = read_card(file)
    lines = (json.dumps(asdict(change), ensure_ascii=False) + "\n" for change in cleaned.changes)
    content = content_of(out, cleaned.rows)
    options = {"drop": list(wanted.drop), "fix": ["labels"] if wanted.fix_labels else [], "sure": wanted.sure}
    card = DataCard(
        name=out.name,
        sha256=hashlib.sha256(content).hexdigest(),
        rows=len(cleaned.rows),
        made={
            "command": "mct data clean", "mct": mct.__version__, **options,
            "mask": ["personal"] if wanted.mask_personal else [], "changes": count_changes(cleaned),
            **({"from": before.made} if before and before.made else {}),
        },
        cleaned_from=Ancestor(file.name, source),
        parents=before.parents if before else (),
    )  # fmt: skip
    write_with_card(out, content, card, {out.with_name(out.name + CHANGES): "".join(lines).encode()})
    return card


def content_of(path: Path, rows: Sequence[Row]) -> bytes:
    """Rows as a data file of that name holds them, not compressed: the same bytes for the same rows."""
    if path.name.lower().removesuffix(".gz").endswith(".csv"):
        return _csv(path, rows).encode()
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def write_with_card(path: Path, content: bytes, card: DataCard, record: Mapping[Path, bytes] | None = None) -> None:
    """Write a data file, what is recorded of it, and its card last: nothing is replaced until all is made.

    A kill in between leaves the card of other bytes, which `read_card` refuses.
    """
    packed = gzip.compress(content, mtime=0) if path.name.lower().endswith(".gz") else content
    write_together({path: packed, **(record or {}), card_path(path): as_json(asdict(card))})


def count_changes(cleaned: Cleaned) -> dict[str, int]:
    """How many changes of each kind."""
    found: dict[str, int] = {}
    for change in cleaned.changes:
        found[change.what] = found.get(change.what, 0) + 1
    return dict(sorted(found.items()))


def _name_of(file: Path, digests: Container[str], findings: Findings) -> str:
    """The name by which the check knows the file: the one with its bytes."""
    for each in findings.files:
        if each.sha256 in digests and not each.against:
            return each.name
    raise MctError(f"the check was not made of {file} as it is now", "check it again, or leave --check out")


def _to_drop(name: str, found: Findings, drop: Sequence[str]) -> dict[int, str]:
    """The rows that are left out, and why; the first reason counts."""
    reasons: list[tuple[int, str]] = []
    if "leaks" in drop:
        _require_own_leaks(name, found)
        reasons += [(each.row, f"leak: {each.how} as {each.other_file} row {each.other_row}") for each in found.leaks
                    if each.file == name]  # fmt: skip
    if "conflicts" in drop:
        reasons += [(row.row, f"conflict: the text has {len({r.label for r in each.rows})} labels")
                    for each in found.conflicts for row in each.rows if row.file == name]  # fmt: skip
    for what, hows in (("duplicates", {"same"}), ("near-duplicates", {"near", "reordered"})):
        if what in drop:
            reasons += [
                (each.row, f"duplicate: {each.how} as row {each.other_row}, with the same label")
                for each in found.duplicates
                if each.file == name and each.how in hows and each.agree
            ]
    if "suspects" in drop:
        reasons += [(each.row, f"suspected label: {each.suggested} is likelier") for each in found.suspicions
                    if each.file == name]  # fmt: skip
    if "outsiders" in drop:
        reasons += [(each.row, "like no other row") for each in found.outsiders if each.file == name]
    return dict(reversed(reasons))


def _require_own_leaks(name: str, found: Findings) -> None:
    """MctError where leaks are listed by the rows of another file: each names but the nearest of ours."""
    others = {each.file for each in found.leaks if each.other_file == name}
    if others and not any(each.file == name for each in found.leaks):
        other = min(others)
        raise MctError(
            f"the check lists the leaks between {name} and {other} by the rows of {other}",
            f"clean {other}, or leave --check out and add --against {other}",
        )


def _to_fix(name: str, found: Findings, sure: float) -> dict[int, tuple[str, str, str]]:
    """Label before, after and why, of the suspicions that are sure enough."""
    return {
        each.row: (
            each.given, each.suggested,
            f"the other rows give {each.suggested} {each.confidence:.2f} and {each.given} {each.self_confidence:.2f}",
        )
        for each in found.suspicions
        if each.file == name and each.confidence >= sure
    }  # fmt: skip


def _mask(number: int, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[Change]]:
    kept, changes = dict(row), []
    for name, value in row.items():
        if isinstance(value, str) and (found := find_personal(value)):
            kept[name] = replaced(value)
            what = ", ".join(sorted({each.what for each in found}))
            changes.append(Change(number, "masked", name, masked(value), kept[name], f"personal: {what}"))
    return kept, changes


def _masked(row: Row) -> dict[str, Any]:
    return {name: masked(value) if isinstance(value, str) else value for name, value in row.items()}


def _csv(path: Path, rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not all(isinstance(value, str | int | float | None) for row in rows for value in row.values()):
        raise MctError(f"{path}: CSV holds no lists or objects, and the rows have some", "name it .jsonl")
    written = io.StringIO()
    writer = csv.DictWriter(written, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()

"""Data sets: the rows of a data file, every one with the fields of the task.

A row may name its document by `doc_id` instead of holding its text in `doc`: then `docs.jsonl` (or .jsonl.gz, .csv)
beside the data file has the texts. What a row asks and what is right then is the task kind's business: `read_examples`
hands the rows to it.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.data.card import DataCard
from mct.models.data.declared import Name, is_declared
from mct.models.data.files import SUFFIXES, DataFile, Row, read_data_file
from mct.models.data.inside import check_beside
from mct.models.tasks.examples import Example, Truth, find_kind
from mct.models.tasks.ranking import MOST_GRADE, is_grade
from mct.models.tasks.table import Head, Task, find_task, tasks

FieldType = tuple[str, Callable[[Any, Row], bool]]

MOST_VALUES, MOST_CHARACTERS = 64, 64
"""Of a field that makes slices."""

# A label may be written as a number.
_LABEL_TYPE = Name | int
_LABELS_TYPE = list[Name | int]


@dataclass(frozen=True)
class Dataset:
    """Rows of one data file, in file order. `sha256` of its bytes says exactly what a result was scored on.

    Where the rows' documents come from a file of their own, the hash is of both. `groups` numbers what belongs
    together, one for each row; empty where every row stands for itself. `card` is what lies beside the file about its
    rows, where that was asked for. `renamed` says which columns were told to be read as others: the same bytes read
    otherwise are another test.
    """

    name: str
    rows: tuple[Row, ...]
    sha256: str
    groups: tuple[int, ...] = ()
    card: DataCard | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    def column(self, field: str) -> list[Any]:
        """One field of every row, in order."""
        return [row[field] for row in self.rows]


def read_dataset(path: Path, task: Task, renames: Mapping[str, str] | None = None) -> Dataset:
    """Read a data file; every row has the task's fields.

    `renames` maps our field name to the file's ({"text": "utterance"}). MctError names file, line and field.
    """
    found = read_data_file(path, renames or {})
    if not found.rows:
        raise MctError(f"{path} has no rows", f"one row per line, each with {' and '.join(task.fields)}")
    if "doc" in task.fields and any("doc_id" in row and "doc" not in row for row in found.rows):
        found = _with_documents(path, found, renames or {})
    for number, row in enumerate(found.rows, start=1):
        _check_fields(path, number, row, task)
    return Dataset(path.name, found.rows, found.sha256, renamed=told_renames(renames or {}))


def told_renames(renames: Mapping[str, str]) -> dict[str, str]:
    """Those that say more than that a column is what it is called."""
    return {ours: theirs for ours, theirs in renames.items() if ours != theirs}


def asked_task(path: Path, task: str, renames: Mapping[str, str] | None = None) -> str:
    """The task that a data file's rows ask of a network: the one whose fields they all have, and most of these.

    `task` itself where no other has its network, or the rows have no other's fields.
    """
    others = [each for each in tasks() if each.network == task and each.said_by_rows]
    rows = read_data_file(path, renames or {}).rows[:1] if others else ()
    asked = [each for each in others if rows and all(rows[0].get(name) not in (None, "") for name in each.fields)]
    return max(asked, key=lambda each: len(each.fields)).name if asked else task


def with_groups(dataset: Dataset, field: str, examples: Sequence[Example]) -> Dataset:
    """The same with rows that have one value of `field` (a conversation, a template) in one group.

    MctError where a row lacks it, or where an example takes several rows, which then belong together already.
    """
    if len(examples) != len(dataset.rows):
        raise MctError(f"{dataset.name} has {len(examples)} examples in {len(dataset.rows)} rows", "leave out --group")
    for number, row in enumerate(dataset.rows, start=1):
        if not _id(row, field):
            kept = "no text or whole number" if field in row else "nothing"
            raise MctError(f"{dataset.name} row {number} has {kept} in {field!r} to group by", _fields_of(dataset.rows))
    numbers: dict[str, int] = {}
    return replace(dataset, groups=tuple(numbers.setdefault(_id(row, field), len(numbers)) for row in dataset.rows))


def fields_beside(dataset: Dataset, task: str, examples: Sequence[Example]) -> dict[str, tuple[str, ...]]:
    """What else the rows say that examples may be sliced by ({"month": ("2026-03", ...)}): a value each, "" for none.

    A field of a few names or whole numbers; what every row has another of (a text, an id) makes no slices. An example
    that takes several rows (a query's documents) goes by the first.
    """
    fields, rows = find_task(task).fields, dataset.rows
    if len(examples) < len(rows):
        first = {row[fields[0]]: row for row in reversed(rows)}
        rows = tuple(first[example.text] for example in examples)
    names = dict.fromkeys(name for row in rows for name in row if name not in fields)
    found = {name: [row.get(name) for row in rows] for name in names}
    return {name: tuple(map(_as_text, values)) for name, values in found.items() if _make_slices(values)}


def _as_text(value: Any) -> str:
    """As JSON writes it."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _make_slices(values: Sequence[Any]) -> bool:
    """Few values, and each a short name, a whole number, yes or no, or nothing."""
    short = all(
        value is None or (isinstance(value, str | int) and len(str(value)) <= MOST_CHARACTERS) for value in values
    )
    return short and len(set(values)) <= MOST_VALUES


def _with_documents(path: Path, found: DataFile, renames: Mapping[str, str]) -> DataFile:
    """The rows with the texts of the documents that they name."""
    source = _documents_beside(path)
    if source is None:
        names = ", ".join(f"docs{suffix}" for suffix in SUFFIXES)
        raise MctError(
            f"{path} names documents by 'doc_id', and there are none beside it",
            f"put their texts there, with doc_id and doc, as one of: {names}",
        )
    check_beside(source)
    documents = read_data_file(source, renames)
    texts = _texts(source, documents)
    rows = tuple(row if "doc" in row else {**row, "doc": texts.get(_id(row, "doc_id"))} for row in found.rows)
    for number, row in enumerate(rows, start=1):
        if row["doc"] in (None, ""):
            raise MctError(
                f"{path} row {number}: {source.name} has no text for document {row.get('doc_id')!r}",
                f"its rows need doc_id (or id) and doc; name a column, like --field doc=NAME: {_fields(documents)}",
            )
    return DataFile(rows, _together(found, documents))


def digests_of(path: Path, found: DataFile) -> frozenset[str]:
    """What a data file may be called by: its own SHA-256, and that with the documents beside it, if rows name any."""
    beside = _documents_beside(path)
    if beside is None or not any("doc_id" in row for row in found.rows):
        return frozenset({found.sha256})
    return frozenset({found.sha256, _together(found, read_data_file(beside, {}))})


def _documents_beside(path: Path) -> Path | None:
    return next((each for suffix in SUFFIXES if (each := path.with_name(f"docs{suffix}")).is_file()), None)


def _together(found: DataFile, documents: DataFile) -> str:
    return hashlib.sha256(f"{found.sha256} {documents.sha256}".encode()).hexdigest()


def _texts(source: Path, documents: DataFile) -> dict[str, Any]:
    """Each document's text by its id. MctError where two texts go by one."""
    texts: dict[str, Any] = {}
    for number, row in enumerate(documents.rows, start=1):
        name = _id(row, "doc_id" if "doc_id" in row else "id")
        if name and texts.setdefault(name, row.get("doc")) != row.get("doc"):
            raise MctError(f"{source} row {number}: document {name!r} has another text before", "give each its own id")
    return texts


def _id(row: Row, field: str) -> str:
    """The row's id, as CSV and JSON write the same one; "" where it has none."""
    return str(row[field]) if is_declared(row.get(field), _LABEL_TYPE) else ""


def _fields(found: DataFile) -> str:
    return _fields_of(found.rows)


def _fields_of(rows: Sequence[Row]) -> str:
    return f"it has {', '.join(rows[0])}" if rows else "it has no rows"


def read_examples(dataset: Dataset, task: str, heads: Sequence[Head]) -> tuple[Example, ...]:
    """What the rows ask and what is right, in file order; one example may take several rows (a query's documents).

    Of a model with several heads only the fields that they answer count. MctError where a row lacks one of these.
    """
    rows = dataset.rows if find_task(task).head else _of_heads(dataset, heads)
    return find_kind(task).read(rows)


def check_labels(dataset: Dataset, task: str, heads: Sequence[Head]) -> None:
    """MctError when the data has a label that the head it belongs to does not know."""
    truths = [example.truth for example in read_examples(dataset, task, heads)] if heads else []
    for head in heads:
        said = truths if find_task(task).head else [truth[head.name] for truth in truths]
        strange = sorted({label for truth in said for label in _NAMED[head.kind](truth)} - set(head.labels))
        if strange:
            some = ", ".join(repr(label) for label in strange[:3]) + (", …" if len(strange) > 3 else "")
            few = ", ".join(sorted(head.labels)[:5]) + (", …" if len(head.labels) > 5 else "")
            raise MctError(
                f"{dataset.name} has {len(strange)} label(s) the model does not know: {some}",
                f"the model's labels: {few}",
            )


def _split(tags: Any) -> Any:
    """Tags as a list, where they are one text with spaces."""
    return tags.split() if isinstance(tags, str) else tags


# What a truth names, by the kind of the head that answers it.
_NAMED: dict[str, Callable[[Truth], Iterable[str]]] = {
    "label": lambda truth: (truth,),
    "labels": lambda truth: truth,
    "tags": _split,
}


def _of_heads(dataset: Dataset, heads: Sequence[Head]) -> tuple[Row, ...]:
    """The rows of several heads, with the fields they ask and answer alone; all fields where there are no heads."""
    if not heads:
        return dataset.rows
    names = ("text", *(head.name for head in heads))
    for number, row in enumerate(dataset.rows, start=1):
        for head in heads:
            _check_head(f"{dataset.name} row {number}", row, head)
    return tuple({name: row[name] for name in names} for row in dataset.rows)


def _check_head(place: str, row: Row, head: Head) -> None:
    if row.get(head.name) in (None, ""):
        raise MctError(
            f"{place} has no {head.name!r}, which a head of the model answers",
            f"name the column, like --field {head.name}=NAME",
        )
    _check_field(place, row, head.name, _HEAD_FIELDS[head.kind])


def _check_fields(path: Path, number: int, row: Row, task: Task) -> None:
    for name in task.fields:
        if row.get(name) in (None, ""):
            has = ", ".join(sorted(row)) or "nothing"
            raise MctError(
                f"{path} row {number} has no {name!r} (it has {has})", f"name the column, like --field {name}=NAME"
            )
        _check_field(f"{path} row {number}", row, name, _FIELDS.get(name, _TEXT))
    for name in task.optional:
        if row.get(name) not in (None, ""):
            _check_field(f"{path} row {number}", row, name, _FIELDS.get(name, _TEXT))


def _check_field(place: str, row: Row, field: str, expected: FieldType) -> None:
    wanted, is_so = expected
    if not is_so(row[field], row):
        raise MctError(f"{place}: {field!r} is not {wanted}", f"it is {str(row[field])[:60]!r}")


def _are_labels(value: Any, row: Row) -> bool:
    return is_declared(value, _LABELS_TYPE) and len({str(label) for label in value}) == len(value)


def _has_a_tag_for_each_word(value: Any, row: Row) -> bool:
    tags = _split(value)
    return is_declared(tags, list[Name]) and len(tags) == len(str(row.get("text", "")).split())


def _are_places(value: Any, row: Row) -> bool:
    context = row.get("context")
    most = 1 if isinstance(context, str) else len(context or ())
    return is_declared(value, list[int]) and all(0 <= place < most for place in value)


def _is_number(value: Any) -> bool:
    """Also as a text, as CSV has it."""
    try:
        return not isinstance(value, bool) and isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


# What a field has to look like: in words, and as a check of its value in its row.
_TEXT: FieldType = ("a text", lambda value, row: isinstance(value, str))
_LABEL: FieldType = ("one label", lambda value, row: is_declared(value, _LABEL_TYPE))
_LABELS: FieldType = ("a list of labels, each once (CSV cannot hold one)", _are_labels)
_GRADE: FieldType = (f"a number from 0, irrelevant, to {MOST_GRADE}", lambda value, row: is_grade(value))
_TAGS: FieldType = ("one tag for each word of the text", _has_a_tag_for_each_word)
_TEXTS: FieldType = ("a text or a list of texts", lambda value, row: is_declared(value, Name | list[Name]))
_PLACES: FieldType = ("a list of places of documents in the context, from 0", _are_places)
_NUMBER: FieldType = ("a number", lambda value, row: _is_number(value))
_FIELDS = {
    "label": _LABEL, "labels": _LABELS, "slots": _TAGS, "grade": _GRADE,
    "ref_chosen_logps": _NUMBER, "ref_rejected_logps": _NUMBER,
    "context": _TEXTS, "answer": _TEXTS, "gold": _PLACES,
}  # fmt: skip
_HEAD_FIELDS = {"label": _LABEL, "labels": _LABELS, "tags": _TAGS}

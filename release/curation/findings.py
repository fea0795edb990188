"""What a check of data files found, as values: they are written as check.json and read back by `mct data clean`.

Rows are counted from 1, as every message of mct counts them. Texts are quoted with what is personal in them masked, so
that a report can be handed on where its data cannot.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from mct.models.data.declared import Amount, Digest, Index, Name, Share

SCHEMA = 1

NEAR = 0.9
"""The share of words from which two texts are near, where nobody says otherwise."""

How = Literal["same", "reordered", "near"]
"""Of two texts: letters and digits read alike; the same words; all but the same words."""


@dataclass(frozen=True)
class CheckedFile:
    """One file. `against` says that it was only compared with, and not checked itself."""

    name: Name
    rows: Index
    sha256: Digest
    against: bool = False


@dataclass(frozen=True)
class Twin:
    """A row that says what an earlier one says, of the same file or (a leak) of another.

    `likeness` is the share of their words that they have in common, slips of the pen allowed.
    """

    file: Name
    row: Index
    text: str
    other_file: Name
    other_row: Index
    other_text: str
    how: How
    likeness: Share
    agree: bool = True
    """Whether both rows have the same truth."""


@dataclass(frozen=True)
class Labelled:
    """A row with its label."""

    file: Name
    row: Index
    label: str


@dataclass(frozen=True)
class Conflict:
    """One text with several truths."""

    text: str
    rows: tuple[Labelled, ...]


@dataclass(frozen=True)
class Neighbour:
    """A row that is like another one, by the cosine of their words."""

    text: str
    label: str
    likeness: float


@dataclass(frozen=True)
class Suspicion:
    """A label that a model which did not see the row contradicts.

    `self_confidence` is the probability it gives to the label given, `confidence` that of the label it suggests.
    """

    file: Name
    row: Index
    text: str
    given: str
    suggested: str
    self_confidence: Share
    confidence: Share
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True)
class Noise:
    """Label noise over all rows that were judged: the share that confident learning estimates, and by what."""

    judged: Index
    estimated_share: Share
    by: str
    unjudged_labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outsider:
    """A row like no other, which no label is sure of: the nearest row, and the probability of the likeliest label."""

    file: Name
    row: Index
    text: str
    label: str
    nearest: str
    likeness: float
    sureness: Share


@dataclass(frozen=True)
class PersonalFind:
    """Something personal in a field of a row, masked."""

    file: Name
    row: Index
    field: Name
    what: Literal["mail", "phone", "card", "iban"]
    masked: str


@dataclass(frozen=True)
class Truncation:
    """Requests that the model reads in part: its longest input, and how many tokens they have."""

    longest_input: Index
    rows_cut: Index
    p50_tokens: Amount
    p95_tokens: Amount
    most_tokens: Index
    first_cut: tuple[int, ...] = ()
    unknown_labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Composition:
    """What a file is made of: characters a text (P5, P50, P95, most), scripts by share of texts, rows a label.

    `imbalance` is the most frequent label's rows over the rarest's; `missing` are labels that the first file has and
    this one has not, `strange` those that it has and the first has not.
    """

    file: Name
    empty_rows: Index
    characters: tuple[Amount, Amount, Amount, Amount]
    scripts: dict[str, float]
    labels: dict[str, int] = field(default_factory=dict)
    imbalance: float | None = None
    missing: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()
    truncation: Truncation | None = None


@dataclass(frozen=True)
class Drift:
    """Whether words or labels changed from one month to the next: `p` by permutation, `drifted` after Holm."""

    before: str
    after: str
    what: Literal["words", "labels"]
    rows: tuple[Index, Index]
    divergence: Amount
    p: Share
    drifted: bool
    most_changed: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class Findings:
    """Everything that a check found. `left_out` says of each part that could not be checked why.

    `fields` says which column was read as which ({"text": "utterance"}), where some were told.
    """

    task: Name
    near: Share
    files: tuple[CheckedFile, ...]
    leaks: tuple[Twin, ...] = ()
    duplicates: tuple[Twin, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()
    noise: Noise | None = None
    outsiders: tuple[Outsider, ...] = ()
    personal: tuple[PersonalFind, ...] = ()
    compositions: tuple[Composition, ...] = ()
    drifts: tuple[Drift, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA
    mct: str = ""

    def counts(self, file: str) -> dict[str, Any]:
        """The figures of one file, for its card and a table."""
        return {
            "leaks": len({twin.row for twin in self.leaks if twin.file == file}),
            "same_rows": sum(twin.file == file and twin.how == "same" for twin in self.duplicates),
            "near_rows": sum(twin.file == file and twin.how != "same" for twin in self.duplicates),
            "conflicting_rows": sum(row.file == file for each in self.conflicts for row in each.rows),
            "suspected_labels": sum(each.file == file for each in self.suspicions),
            "outsiders": sum(each.file == file for each in self.outsiders),
            "personal_rows": len({each.row for each in self.personal if each.file == file}),
        }

"""A scenario's data as a folder: its splits, and the card that says what the rows are and what is known of them.

Nothing is written where two splits share a text, or nearly: that is a bug of the generator, which deals templates and
what fills them to the splits before it makes any text.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mct.models.data.files import Row
from mct.models.data.leaks import NEAR, WORDS, leaks
from mct.models.writing.folders import sha256, write_atomically, write_json

DOCUMENTS = "docs"


class LeakError(AssertionError):
    """A text of one split stands in another one: the generator is wrong."""


@dataclass(frozen=True)
class About:
    """What a card says in words.

    `rows` is what one row is; `fields` says what each field holds; `made` how the rows come about; `wrong` what is
    known to be wrong with them on purpose (noise and its rate, what generated text is not). `counted` are the fields
    whose values are counted by split (a list in a field counts each of its values), `compared` those that together are
    the text in which splits may not meet.
    """

    title: str
    rows: str
    fields: Mapping[str, str]
    made: str
    seed: int
    wrong: Sequence[str] = ()
    counted: Sequence[str] = ("label",)
    compared: Sequence[str] = ("text",)


def write_data(folder: Path, splits: Mapping[str, Sequence[Row]], about: About, docs: Sequence[Row] = ()) -> None:
    """Write `<split>.jsonl` for each of `splits`, `docs.jsonl` where rows name documents, `card.json` and `card.md`.

    LeakError where two splits share a text, KeyError where a row has a field that the card does not explain.
    """
    _check_fields(splits, about)
    _check_leaks(splits, about)
    files = dict(splits) | ({DOCUMENTS: docs} if docs else {})
    for name, rows in files.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomically(folder / f"{name}.jsonl", "".join(lines))
    card = _card(splits, about) | {"files": {f"{name}.jsonl": sha256(folder / f"{name}.jsonl") for name in files}}
    write_json(folder / "card.json", card)
    write_atomically(folder / "card.md", _markdown(card))


def _check_fields(splits: Mapping[str, Sequence[Row]], about: About) -> None:
    strange = {name for rows in splits.values() for row in rows for name in row} - set(about.fields)
    if strange:
        raise KeyError(f"fields that the data card does not explain: {', '.join(sorted(strange))}")


def _check_leaks(splits: Mapping[str, Sequence[Row]], about: About) -> None:
    texts = {
        split: [" ".join(str(row[name]) for name in about.compared) for row in rows] for split, rows in splits.items()
    }
    for leak in leaks(texts):
        raise LeakError(f"{leak.splits[0]} and {leak.splits[1]} share {leak.overlap:.0%} of a text: {leak.texts}")


def _card(splits: Mapping[str, Sequence[Row]], about: About) -> dict[str, Any]:
    return asdict(about) | {
        "splits": {split: len(rows) for split, rows in splits.items()},
        "counts": {name: {split: _count(rows, name) for split, rows in splits.items()} for name in about.counted},
        "leak_check": {
            "compared": list(about.compared),
            "same_text": 0,
            "near": {"overlap": NEAR, "of_word_runs": WORDS, "found": 0},
        },
    }


def _count(rows: Sequence[Row], field: str) -> dict[str, int]:
    """How many rows have each value of `field`; those without the field are not counted."""
    values = [row[field] for row in rows if field in row]
    counts = Counter(str(one) for value in values for one in (value if isinstance(value, list) else [value]))
    return dict(sorted(counts.items()))


def _markdown(card: Mapping[str, Any]) -> str:
    parts = [
        f"# {card['title']}",
        card["rows"],
        "## Fields",
        "\n".join(f"- `{name}`: {meaning}" for name, meaning in card["fields"].items()),
        "## How the rows were made",
        f"{card['made']} Seed {card['seed']}.",
        "## What is wrong with them, on purpose or by nature",
        "\n".join(f"- {line}" for line in card["wrong"]) or "Nothing is known.",
        "## How many",
        *(_count_table(name, counts, card["splits"]) for name, counts in card["counts"].items()),
        "## Leaks between the splits",
        f"None: no two splits share a text (letters and digits compared, case aside; fields: "
        f"{', '.join(card['compared'])}), nor two texts whose sets of {WORDS} words in a row overlap by {NEAR:.0%}.",
        "## Files",
        "\n".join(f"- `{name}`: SHA-256 `{value}`" for name, value in card["files"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def _count_table(name: str, counts: Mapping[str, Mapping[str, int]], rows: Mapping[str, int]) -> str:
    """A row for each value of the field `name`, a column for each split."""
    values = sorted({value for by_value in counts.values() for value in by_value})
    lines = [f"| {name} | {' | '.join(counts)} |", "|--" * (len(counts) + 1) + "|"]
    lines += [f"| {value} | {' | '.join(str(counts[split].get(value, 0)) for split in counts)} |" for value in values]
    return "\n".join([*lines, f"| all rows | {' | '.join(str(count) for count in rows.values())} |"])

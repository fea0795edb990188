"""A check as people read it: Markdown for a terminal or a pull request, and one HTML page of its own.

Whatever comes from the data was written by strangers: Markdown is quoted by `safe`, HTML by the template.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from mct.models.command_line import one_line
from mct.models.tables import load
from mct.release.curation.findings import Composition, Findings, Twin

SHOWN = 15
LONGEST = 90


def markdown(found: Findings) -> str:
    """The whole report."""
    return "\n".join(_lines(found)) + "\n"


def verdict(found: Findings) -> str:
    """One line: whether anything that is tested on stands in what is learned from."""
    if not found.leaks:
        return "No leak found."
    same = sum(twin.how == "same" for twin in found.leaks)
    return f"{len(found.leaks):,} leaks: {same:,} word for word, {len(found.leaks) - same:,} nearly."


def tables(found: Findings) -> Iterator[tuple[str, str, list[str], list[list[str]], int]]:
    """Each part that found something: title, what it means, columns, its first rows as texts, how many there are."""
    if found.leaks:
        about = "A row that stands in another file as well: what is learned there is not tested here."
        yield "Leaks", about, TWIN, [_twin(twin) for twin in found.leaks[:SHOWN]], len(found.leaks)
    if found.conflicts:
        about = "One text with several labels: at least one of them is wrong, or the text does not tell."
        rows = [
            [_short(each.text), "; ".join(f"{row.label} ({row.file} {row.row})" for row in each.rows[:6])]
            for each in found.conflicts[:SHOWN]
        ]
        yield "Conflicting labels", about, ["text", "labels"], rows, len(found.conflicts)
    if found.suspicions:
        about = (
            "Labels that the other rows contradict, the surest first (confident learning, cross-validated). No proof: "
            "judge by the nearest rows."
        )
        yield "Suspected labels", about, SUSPICION, _suspicions(found), len(found.suspicions)
    if found.outsiders:
        about = "Rows that no label is sure of and that hardly share a word of weight with any other: out of scope?"
        rows = [
            [f"{each.file} {each.row}", _short(each.text), each.label, f"{each.sureness:.2f}", f"{each.likeness:.2f}"]
            for each in found.outsiders[:SHOWN]
        ]
        yield "Out of scope?", about, ["row", "text", "label", "surest", "nearest"], rows, len(found.outsiders)
    if found.personal:
        about = "Masked here; `mct data clean --mask personal` masks them in the data."
        rows = [[f"{each.file} {each.row}", each.field, each.what, each.masked] for each in found.personal[:SHOWN]]
        yield "Personal data", about, ["row", "field", "what", "masked"], rows, len(found.personal)
    if found.duplicates:
        about = "A row that says what an earlier one of its file says; within one file it only counts twice."
        yield "Repeated rows", about, TWIN, [_twin(twin) for twin in found.duplicates[:SHOWN]], len(found.duplicates)
    if found.drifts:
        about = "Month against month by a permutation test; the chance of any false alarm in this check is 5 %."
        yield "Drift", about, DRIFT, _drifts(found), len(found.drifts)


TWIN = ["row", "text", "is like", "text there", "how", "labels"]
SUSPICION = ["row", "text", "given", "suggested", "nearest rows"]
DRIFT = ["from", "to", "of", "divergence", "p", "drifted", "changed most"]
SUMMARY = ["file", "rows", "leaks", "same", "near", "conflicts", "suspected", "outsiders", "personal"]
MADE_OF = ["file", "characters P5/P50/P95/most", "scripts", "labels", "most to rarest", "cut by the model"]


def summary(found: Findings) -> list[list[str]]:
    """The first table: a row a file."""
    return [
        [each.name, f"{each.rows:,}", *(f"{count:,}" for count in found.counts(each.name).values())]
        for each in found.files
        if not each.against
    ]


def made_of(found: Findings) -> list[list[str]]:
    """The second table: what each file is made of."""
    return [_composition(each) for each in found.compositions]


def remarks(found: Findings) -> list[str]:
    """What the tables do not say: the estimate of noise, labels that are missing, what was not checked."""
    said = []
    if found.noise is not None:
        said.append(
            f"Label noise is estimated at {found.noise.estimated_share:.1%} of {found.noise.judged:,} rows, by "
            f"{found.noise.by}."
        )
        if found.noise.unjudged_labels:
            said.append(f"Too rare to be judged: {_some(found.noise.unjudged_labels)}.")
    for each in found.compositions:
        if each.missing:
            said.append(f"{each.file} has no row of {_some(each.missing)}.")
        if each.strange:
            said.append(f"{each.file} has labels that the first file has not: {_some(each.strange)}.")
        if each.empty_rows:
            said.append(f"{each.file} has {each.empty_rows:,} rows without text.")
        if each.truncation and each.truncation.unknown_labels:
            said.append(
                f"{each.file} has labels that the model does not know: {_some(each.truncation.unknown_labels)}."
            )
    if found.fields:
        read_as = ", ".join(f"{theirs} as {ours}" for ours, theirs in found.fields.items())
        said.append(
            f"Columns were renamed ({read_as}): a release's gate that names no such fields takes no such check."
        )
    said += [f"Not checked: {what} ({why})." for what, why in found.left_out.items()]
    return said


def html(found: Findings) -> str:
    """One page without script or network; needs jinja2."""
    render: Any = load("mct.release.curation.html:render", "release")
    text: str = render(found)
    return text


def _lines(found: Findings) -> Iterator[str]:
    against = [each.name for each in found.files if each.against]
    yield "# Data check"
    yield ""
    yield f"**{verdict(found)}**" + (f" Compared with {', '.join(map(safe, against))} as well." if against else "")
    yield ""
    yield from _table(SUMMARY, summary(found))
    yield from _table(MADE_OF, made_of(found))
    for remark in remarks(found):
        yield f"- {safe(remark)}"
    for title, about, columns, rows, many in tables(found):
        yield from ("", f"## {title} ({many:,})", "", about, "")
        yield from _table(columns, rows)
        if many > len(rows):
            yield f"… and {many - len(rows):,} more in check.json."


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|--" * len(columns) + "|"
    yield from (f"| {' | '.join(map(safe, row))} |" for row in rows)
    yield ""


def safe(text: str) -> str:
    """A stranger's text in a cell of Markdown: one line, and nothing in it is a link, an image, a table or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>|#!~@])", r"\\\1", one_line(text))


def _short(text: str) -> str:
    said = one_line(text)
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"


def _twin(twin: Twin) -> list[str]:
    how = twin.how if twin.how != "near" else f"near ({twin.likeness:.2f})"
    where = f"{twin.file} {twin.row}", f"{twin.other_file} {twin.other_row}"
    return [where[0], _short(twin.text), where[1], _short(twin.other_text), how, "agree" if twin.agree else "differ"]


def _suspicions(found: Findings) -> list[list[str]]:
    return [
        [
            f"{each.file} {each.row}", _short(each.text), f"{each.given} ({each.self_confidence:.2f})",
            f"{each.suggested} ({each.confidence:.2f})",
            "; ".join(f"{near.label}: {_short(near.text)} ({near.likeness:.2f})" for near in each.neighbours),
        ]
        for each in found.suspicions[:SHOWN]
    ]  # fmt: skip


def _drifts(found: Findings) -> list[list[str]]:
    return [
        [
            each.before, each.after, each.what, f"{each.divergence:.4f}", f"{each.p:.4f}",
            "yes" if each.drifted else "no",
            "; ".join(f"{name} {before:.1%} → {after:.1%}" for name, before, after in each.most_changed[:4])
            if each.drifted else "",
        ]
        for each in found.drifts
    ]  # fmt: skip


def _composition(each: Composition) -> list[str]:
    cut = "–"
    if each.truncation is not None:
        of = each.truncation
        cut = f"{of.rows_cut:,} of {of.longest_input} tokens (longest {of.most_tokens})"
    return [
        each.file, " / ".join(f"{length:.0f}" for length in each.characters),
        ", ".join(f"{script} {share:.1%}" for script, share in list(each.scripts.items())[:4]),
        f"{len(each.labels)}" if each.labels else "–",
        f"{each.imbalance:.1f}" if each.imbalance else "–", cut,
    ]  # fmt: skip


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def written(found: Findings) -> dict[str, Any]:
    """The findings as check.json has them."""
    return asdict(found)


def reports(found: Findings) -> dict[str, str]:
    """The files of `-o DIR` by name."""
    return {
        "check.md": markdown(found),
        "check.html": html(found),
        "check.json": json.dumps(written(found), ensure_ascii=False, indent=1) + "\n",
    }

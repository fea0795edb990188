"""The commands of this room: `mct data check` and `clean`; the options that others of the group share."""

from __future__ import annotations

from pathlib import Path

import click

from mct import MctError
from mct.models.command_line import FILE, FOLDER, SEED, Commands, Number, given, print_json, renames_of
from mct.models.tables import load

SHARE = Number(min=0, max=1)
FIELD = click.option("--field", "fields", multiple=True, help="Rename a column: text=utterance. May be repeated.")
AGAINST = click.option(
    "--against", type=FILE, multiple=True, help="Rows that must not stand in these, nor in each other. May be repeated."
)
DROPS = "duplicates, near-duplicates, leaks, conflicts, suspects, outsiders"


@click.group(cls=Commands)
def data() -> None:
    """Data before anything is taught or judged by it: checked, cleaned, added to."""


@data.command("check")
@click.argument("files", type=FILE, nargs=-1, required=True)
@AGAINST
@click.option("--task", default="", help="What the rows are for.  [default: what they have the fields of]")
@FIELD
@click.option(
    "--checkpoint", type=FOLDER, help="Model or artifact: what it cuts off, labels it knows, an embedder's vectors."
)
@click.option("--months", default="", help="Column that says when: months are compared with the one before.")
@click.option(
    "--near", type=SHARE, default=0.9, show_default=True, help="Share of words from which two texts are near."
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of folds and permutations.")
@click.option("--card", is_flag=True, help="Write FILE.card.json beside each file, which mct compress keeps.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("-o", "--out", type=FOLDER, help="Also write check.md, check.html and check.json into this folder.")
def data_check(
    files: tuple[Path, ...], against: tuple[Path, ...], task: str, fields: tuple[str, ...], checkpoint: Path | None,
    months: str, near: float, seed: int, card: bool, as_json: bool, out: Path | None,
) -> int:  # fmt: skip
    """Find leaks between FILES, repeated rows, wrong labels, personal data, drift.

    Train comes first, then what is tested on. Exits with 1 where a row stands in two files, word for word or nearly.
    """
    from mct.models.progress import shown
    from mct.models.writing.ownership import require_replaceable
    from mct.release.curation import page
    from mct.release.curation.cards import write_cards
    from mct.release.curation.check import Asked, check

    if out is not None:
        require_replaceable(out, [*files, *against, *given(checkpoint)])
        load("mct.release.curation.html:render", "release")  # before any work is done
    asked = Asked(files, against, task, renames_of(fields), checkpoint, months, near, seed)
    with shown() as report:
        found = check(asked, report)
    if out is not None:
        load("mct.release.curation.cards:write_reports")(out, found)
    if card:
        write_cards(files, found)
    print_json(page.written(found)) if as_json else click.echo(page.markdown(found), nl=False)
    return 1 if found.leaks else 0


@data.command("clean")
@click.argument("file", type=FILE)
@click.option("-o", "--out", type=FILE, required=True, help="File for the rows that are left.")
@click.option("--check", "check_file", type=FILE, help="check.json of this file.  [default: it is checked now]")
@AGAINST
@click.option("--drop", default="", help=f"Comma-separated reasons to leave rows out: {DROPS}.")
@click.option("--fix", default="", help="labels: put suggested labels in the place of suspected ones.")
@click.option("--sure", type=SHARE, default=0.5, show_default=True, help="Least probability of a label that is put in.")
@click.option("--mask", default="", help="personal: put a word like [mail] in the place of what is personal.")
@FIELD
@click.option("--json", "as_json", is_flag=True, help="Print the number of changes as JSON.")
def data_clean(
    file: Path, out: Path, check_file: Path | None, against: tuple[Path, ...], drop: str, fix: str, sure: float,
    mask: str, fields: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Write a corrected copy of FILE, and OUT.changes.jsonl: every change with its reason.

    FILE itself is never written.
    """
    from mct.models.progress import shown
    from mct.release.curation.cards import require_data_output
    from mct.release.curation.check import Asked, check
    from mct.release.curation.cleaning import DROPPED, Wanted, clean, count_changes, read_check, write_cleaned
    from mct.release.curation.reading import require_columns

    wanted = Wanted(
        named(drop, "--drop", DROPPED), bool(named(fix, "--fix", ("labels",))),
        bool(named(mask, "--mask", ("personal",))), sure, renames_of(fields),
    )  # fmt: skip
    if not (wanted.drop or wanted.fix_labels or wanted.mask_personal):
        raise MctError("nothing is asked for", "add --drop duplicates, --fix labels or --mask personal")
    if check_file is not None and against:
        raise MctError("--check says already what the file was compared with", "leave --against or --check out")
    require_data_output(out, [file, *against, *given(check_file)])
    if check_file is not None:
        require_columns((file,), wanted.renames)
        found = read_check(check_file)
    else:
        with shown() as report:
            found = check(Asked((file,), against, renames=wanted.renames), report)
    cleaned = clean(file, found, wanted)
    write_cleaned(out, file, cleaned, wanted)
    changes = count_changes(cleaned)
    if as_json:
        print_json({"rows": len(cleaned.rows), "changes": changes})
        return
    said = ", ".join(f"{count:,} {what}" for what, count in changes.items()) or "nothing changed"
    click.echo(f"{out}  {len(cleaned.rows):,} rows; {said}")


def named(said: str, option: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The comma-separated names of an option. MctError for one that it does not know."""
    from mct.models.tables import unknown

    names = tuple(dict.fromkeys(name.strip() for name in said.split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise unknown(f"name for {option}", name, known)
    return names

"""The commands of this room: `mct data check`, `clean`, `synthesise` and `prove`."""

from __future__ import annotations

from pathlib import Path

import click

from mct import MctError
from mct.models.command_line import FILE, FOLDER, SEED, Commands, Number, given, print_json, renames_of
from mct.models.tables import load

SHARE = Number(min=0, max=1)
FIELD = click.option("--field", "fields", multiple=True, help="Rename a column: text=utterance. May be repeated.")
AGAINST = click.option(
    "--against", type=FILE, multiple=True, help="Rows that must not stand in these: a test set. May be repeated."
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

    wanted = Wanted(
        _named(drop, "--drop", DROPPED), bool(_named(fix, "--fix", ("labels",))),
        bool(_named(mask, "--mask", ("personal",))), sure, renames_of(fields),
    )  # fmt: skip
    if not (wanted.drop or wanted.fix_labels or wanted.mask_personal):
        raise MctError("nothing is asked for", "add --drop duplicates, --fix labels or --mask personal")
    if check_file is not None and against:
        raise MctError("--check says already what the file was compared with", "leave --against or --check out")
    require_data_output(out, [file, *against, *given(check_file)])
    if check_file is not None:
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


@data.command("synthesise")
@click.argument("file", type=FILE)
@click.option("-o", "--out", type=FILE, required=True, help="File for the new rows (.jsonl or .jsonl.gz).")
@click.option("--count", type=click.IntRange(1, 1_000_000), required=True, help="How many rows.")
@click.option(
    "--method", type=click.Choice(["templates", "recombination", "scenario", "lm"]), default="recombination",
    show_default=True, help="How they are made.",
)  # fmt: skip
@click.option("--scenario", default="", help="Of --method scenario: whose generator.")
@click.option("--lm", type=FOLDER, help="Of --method lm: a GGUF file, an artifact or a checkpoint that writes.")
@click.option("--teacher", type=FOLDER, help="Classifier that must give each row the label it is meant to have.")
@click.option("--confidence", type=SHARE, default=0.8, show_default=True, help="Least probability by the teacher.")
@AGAINST
@FIELD
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print what was kept and dropped as JSON.")
def data_synthesise(
    file: Path, out: Path, count: int, method: str, scenario: str, lm: Path | None, teacher: Path | None,
    confidence: float, against: tuple[Path, ...], fields: tuple[str, ...], seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Make new rows of FILE's labels, each with its provenance.

    Whether training with them helps says: mct data prove.
    """
    from mct.models.progress import shown
    from mct.release.curation.cards import require_data_output
    from mct.release.curation.synthesis import Order, synthesise, write_synthesised

    needs = {"scenario": scenario, "lm": str(lm) if lm else ""}
    for name, value in needs.items():
        if (method == name) != bool(value):
            raise MctError(f"--method {name} and --{name} belong together", f"give both: --method {name} --{name} …")
    if out.name.lower().removesuffix(".gz").endswith(".csv"):
        raise MctError("CSV cannot hold a row's provenance", "name the file .jsonl")
    require_data_output(out, [file, *against, *given(lm, teacher)])
    order = Order(file, count, method, seed, needs.get(method, ""), against, teacher, confidence, renames_of(fields))
    with shown() as report:
        made = synthesise(order, report)
    write_synthesised(out, order, made)
    if as_json:
        print_json({"rows": len(made.rows), "tried": made.tried, "dropped": dict(made.dropped)})
        return
    if len(made.rows) < count:
        click.echo(f"warning: {count - len(made.rows):,} rows fewer than asked for: the method knows no more", err=True)
    said = ", ".join(f"{many:,} {why}" for why, many in made.dropped.items()) or "none"
    click.echo(f"{out}  {len(made.rows):,} rows of {made.tried:,} candidates; dropped: {said}")


@data.command("prove")
@click.argument("train", type=FILE)
@click.option("--added", type=FILE, required=True, help="Rows that are added to TRAIN.")
@click.option("--test", type=FILE, required=True, help="Held-out rows.")
@FIELD
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the experiment as JSON.")
def data_prove(train: Path, added: Path, test: Path, fields: tuple[str, ...], seed: int, as_json: bool) -> int:
    """Say whether a small classifier trained on TRAIN gets better with the rows of --added.

    Exits with 0 where it does, with 1 where it gets worse, with 3 where nothing was shown.
    """
    from dataclasses import asdict

    from mct.models.progress import shown
    from mct.release.curation.reading import read_splits

    splits = read_splits((train, added, test), "", renames_of(fields))
    prove = load("mct.release.curation.proving:prove", "release")
    with shown() as report:
        proof = prove(*splits, seed=seed, report=report)
    if as_json:
        print_json(asdict(proof))
    else:
        click.echo(load("mct.release.curation.proving:described")(proof), nl=False)
    return {"helps": 0, "hurts": 1}.get(proof.outcome, 3)


def _named(said: str, option: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The comma-separated names of an option. MctError for one that it does not know."""
    from mct.models.tables import unknown

    names = tuple(dict.fromkeys(name.strip() for name in said.split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise unknown(f"name for {option}", name, known)
    return names

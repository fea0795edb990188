"""The commands of this room: `mct data synthesise` and `prove`."""

from __future__ import annotations

from pathlib import Path

import click

from mct import MctError
from mct.models.command_line import FILE, FOLDER, SEED, given, print_json, renames_of
from mct.models.tables import load
from mct.release.curation.commands import AGAINST, FIELD, SHARE
from mct.release.curation.commands import data as data


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
    from mct.release.synthesis.synthesise import Order, synthesise, write_synthesised

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
    prove = load("mct.release.synthesis.proving:prove", "release")
    with shown() as report:
        proof = prove(*splits, seed=seed, report=report)
    if as_json:
        print_json(asdict(proof))
    else:
        click.echo(load("mct.release.synthesis.proving:described")(proof), nl=False)
    return {"helps": 0, "hurts": 1}.get(proof.outcome, 3)

"""The command of this room: `mct decide`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mct import MctError
from mct.models.command_line import FILE, FOLDER, Number, given, one_line, print_json

if TYPE_CHECKING:
    from mct.release.decision.decision import Asked
    from mct.release.decision.evidence import Evidence

EVIDENCE = Path(".mct/evidence")
FORM = """\b
evidence.toml, of which everything but the first two lines may be left out:
\b
  schema = 1
  scenario = "reranker"
  artifact = "onnx-int8"            # which entry of the results is to be promoted
\b
  [pain]                            # 1  what hurts, measured where it hurts
  figure = "pain.json"
  tolerated = 0.10                  #    what may be borne
  better = "lower"
\b
  [data]                            # 2  labelled or preference data that matches it
  check = "check.json"              #    what `mct data check -o FOLDER` wrote
\b
  [metric]                          # 3  an offline metric, tied to production behaviour
  result = "bench.json"             #    what `mct bench --json FILE` wrote, the samples that it names beside it
  untuned = "untuned.json"          #    the same metric of not fine-tuning at all
  tie = "tie.json"                  #    what the change gains in production's own log, or a part of it
  front = "front.json"              #    what else a search found (mct compress --auto)
  explain = "explain.json"          #    what mct explain found of it, by the built-in limits or tighter ones,
  limits = "limits.toml"            #    or by your own
\b
  [budget]                          # 4  latency (by the built-in budget of the result's name) and cost
  load_qps = 20.0
  cost_per_month = 150.0            #    US dollars
  budgets = "budgets.toml"          #    other limits than the built-in ones, as mct bench --budgets takes them
  [budget.max_load]                 #    what `mct bench --find-max-load --json FILE` wrote, by target
  cpu = "max_load.json"
\b
  [rollback]                        # 5  a path back
  store = "store"                   #    a release store
  release = "reranker"              #    the name there
\b
  [production]                      # how what is in production behaves
  result = "production.json"        #    a bench of it
  watch = "watch.json"              #    what `mct watch --json` printed
\b
  [commands]                        # what re-makes each file
  "bench.json" = "mct bench …"
\b
A figure is a JSON file:
  {"schema": 1, "kind": "mct-figure", "what": "searches without a click", "value": 0.31, "low": 0.29, "high": 0.33,
   "n": 2140, "source": "search log of October", "date": "2026-10-31", "origin": "production", "metric": "",
   "command": "python count_clicks.py"}
origin is production, generated (built-in data) or assumed, which is as good as missing.
"""


@click.command(epilog=FORM)
@click.argument("scenario")
@click.option("--evidence", "folder", type=FOLDER, help="Folder with its evidence.  [default: .mct/evidence/SCENARIO]")
@click.option("--begin", "artifact", help="Write an evidence.toml for this artifact where there is none.")
# 1e9 is MOST_QPS of evidence.py, which is loaded only to decide.
@click.option("--load", "load_qps", type=Number(min=0, max=1e9, min_open=True), help="Requests a second, for the cost.")
@click.option("--targets", "targets_file", type=FILE, help="More targets, or other prices (TOML).")
@click.option("--store", help="The releases, a folder or a URL.  [default: those that the evidence names]")
@click.option("--signed-by", help="Who signs it; nobody does without.")
@click.option("-o", "--out", "stem", type=FILE, help="Write STEM.md and STEM.json.")
@click.option("--recheck", type=FILE, help="A stored decision (JSON): say whether what it rests on is as it was.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def decide(
    scenario: str, folder: Path | None, artifact: str | None, load_qps: float | None, targets_file: Path | None,
    store: str | None, signed_by: str | None, stem: Path | None, recheck: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Decide about a SCENARIO, or a release of it (NAME@VERSION): promote, hold or roll back, with the reasons.

    By five criteria: measured pain, data that matches it, an offline metric tied to production, a latency and cost
    budget, a rollback path. The evidence is a folder with an evidence.toml; what is missing is named, and then it can
    only hold.

    Exits with 0 for promote, 1 for roll back, 3 for hold; with --recheck, 1 where the evidence has changed since.
    """
    from mct.models.scenarios.table import find_scenario
    from mct.models.writing.ownership import require_output
    from mct.release.decision.decision import EXIT_CODES, Asked
    from mct.release.decision.decision import decide as decide_by
    from mct.release.decision.decision_text import as_text
    from mct.release.decision.evidence import FILE as INDEX
    from mct.release.decision.evidence import read_evidence
    from mct.release.decision.recheck import write_decision
    from mct.release.promotion.places import DiskPlace
    from mct.release.promotion.releases import split_ref

    name, version = split_ref(scenario)
    row = find_scenario(name)
    where = folder or EVIDENCE / row.name
    if artifact is not None and recheck is not None:
        raise MctError("--begin writes evidence, and --recheck only looks at it", "give one of them")
    begun = _begun(where, row.name, artifact) if artifact is not None else ""
    found = read_evidence(where, row.name, begun)
    if recheck is not None:
        return _recheck(recheck, row.name, found, Asked(load_qps, version, targets_file, signed_by, store), as_json)
    if stem is not None:
        if not stem.name:
            raise MctError(f"-o {stem} is a folder", f"name what is to be written there: {stem / row.name}-decision")
        for suffix in (".md", ".json"):
            require_output(stem.with_name(stem.name + suffix), given(*map(found.path, found.digests), targets_file))
    decision = decide_by(found, Asked(load_qps, version, targets_file, signed_by, store))
    if begun:  # whatever is refused leaves nothing behind
        if not DiskPlace(where).create(INDEX, begun.encode()):
            raise MctError(f"{where / INDEX} was written by another just now", "look at it, and decide again")
        click.echo(f"wrote {where / INDEX}: add what is still missing", err=True)
    if stem is not None:
        write_decision(stem, decision)
    if as_json:
        print_json(decision.as_json())
    else:
        click.echo(as_text(decision), nl=False)
    return EXIT_CODES[decision.outcome]


def _begun(folder: Path, scenario: str, artifact: str) -> str:
    from mct.models.writing.ownership import require_container
    from mct.release.decision.beginning import begin

    require_container(folder)
    if not re.fullmatch(r"[\w.-]+", artifact):
        raise MctError(f"{artifact!a} is no name of an artifact", "name it as its bench does, like onnx-int8")
    return begin(folder, scenario, artifact)


def _recheck(path: Path, scenario: str, evidence: Evidence, asked: Asked, as_json: bool) -> int:
    from mct.release.decision.recheck import changes, read_decision

    decided, outcome, rests_on = read_decision(path)
    if decided != scenario:
        raise MctError(f"{path} is about {decided}, not about {scenario}", "name that scenario")
    found = changes(rests_on, evidence, asked)
    if as_json:
        print_json({"outcome": outcome, "changed": [{"file": each.file, "what": each.what} for each in found]})
    elif found:
        click.echo(f"{outcome}: no longer rests on its evidence; decide again")
        for each in found:
            click.echo(f"  {one_line(each.file)}: {each.what}")
    else:
        click.echo(f"{outcome}: all {len(rests_on)} files of its evidence are as they were")
    return 1 if found else 0

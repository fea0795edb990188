"""The decision about every row of the scenario table, on the built-in data at the smallest size.

Run from the repository root: `python results/decisions.py [--only SCENARIO]`. For a row with a model, each step a
command of mct: build the tiny checkpoint, compress it, bench it beside the original on `data/test.jsonl`, bench it on
`data/dev.jsonl`, which stands for production's log, check the data, put what passed into a release store of its own,
add what is to follow it, practise the way back. The figures come from decisions_figures.py, what hurts and what may be
borne from decisions_rows.py. Then `mct decide` reads that folder and nothing else. A row without a model is decided by
the evidence there is, which for most of them is none.

What is made stays in `.cache/decisions` and is not made again. Writes decisions/SCENARIO.md and .json beside this file.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from decisions_figures import LOG, NAIVE, TEST, gain_figure, measured, metric_figure, share
from decisions_rows import ROWS, Row
from forms import MCT, ROOT

from mct.models.data.declared import read_object
from mct.models.scenarios.table import find_scenario
from mct.models.writing.folders import write_atomically, write_json

WORK = Path(".cache/decisions")
DECISIONS = Path("results/decisions")
CHECKPOINT = "checkpoint"
MADE = ("gguf-f32", "onnx-fp32", "onnx-int8")
"""The least changed first."""
BENCH_S, LOG_S = 600, 3
LOAD_QPS, COST_PER_MONTH = 20.0, 100.0
DAMAGE = 'seed = 0\n\n[[steps]]\npass = "drop-layers"\nkeep = [0]\n\n[[steps]]\npass = "export-onnx"\n'
ONLY_TIME = '[only-time]\ntask = "sequence-classification"\np95_ms = 15.0\n'
JUDGED = (0, 1, 3)


def main() -> int:
    """Gather the evidence of every row that is asked for, and decide."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only this scenario")
    told = parser.parse_args()
    rows = [
        row
        for row in ROWS
        if told.only in ("", row.scenario) or (told.only == "sentiment" and row.scenario == "multi-task")
    ][::-1]
    started = time.monotonic()
    for done, row in enumerate(rows):
        elapsed = time.monotonic() - started
        left = f", about {elapsed * (len(rows) - done) / done / 60:.0f} min left" if done else ""
        print(f"[{elapsed:5.0f} s] {row.scenario}{left}", file=sys.stderr, flush=True)
        if find_scenario(row.scenario).build:
            gather(row)
        elif row.scenario in OF_WORK:
            gather_of_work(row)
        decide(row)
    return 0


class Place:
    """Where the things of a row lie, relative to the repository's root."""

    def __init__(self, scenario: str) -> None:
        self.home = WORK / scenario
        self.checkpoint = self.home / CHECKPOINT
        self.out = self.home / "out"
        self.evidence = self.home / "evidence"
        self.store = self.evidence / "store"
        self.train, self.log, self.test = (self.checkpoint / "data" / f"{part}.jsonl" for part in ("train", LOG, TEST))

    @property
    def bench(self) -> Path:
        """The result by which is judged."""
        return self.evidence / "bench.json"


def gather(row: Row) -> None:
    """Everything that speaks in a row's decision, as files in its folder of evidence; what is there stays."""
    at = Place(row.scenario)
    (ROOT / at.evidence).mkdir(parents=True, exist_ok=True)
    said = Commands(at.evidence)
    said.make(at.checkpoint, "models", "build", row.scenario, "--size", "tiny", "-o", at.checkpoint)
    given = ("--format", "onnx,gguf", "--precision", "fp32,int8", "--data", at.train, "--eval", at.test)
    if not all((ROOT / at.out / name).is_dir() for name in MADE):  # one that was killed left some of them
        said.run("compress", at.checkpoint, "-o", at.out, *given)
    before = [at.checkpoint / row.base] if row.base else []
    made = [at.out / name for name in MADE]
    asked = ("--budget", row.scenario, "--results", at.evidence / "results", "--max-seconds", BENCH_S)
    subjects = (at.checkpoint, *before, *made)
    said.make(at.bench, "bench", *subjects, "--baseline", at.checkpoint, "--data", at.test, *asked, "--json", at.bench)
    artifact = pick(read_object(ROOT / at.bench), row)
    log, chosen = at.evidence / "log.json", at.out / artifact
    asked = ("--data", at.log, "--results", at.home / "log", "--max-seconds", LOG_S, "--json", log)
    said.make(log, "bench", chosen, *before, *asked)
    check = at.evidence / "check"
    said.make(check / "check.json", "data", "check", at.train, at.log, at.test, "-o", check)
    measure(row, at, artifact)
    release(row, at, artifact, said)
    write_evidence(row, at, artifact, said)


class Commands:
    """Runs commands of mct, those whose product is missing, and remembers what makes which file of the evidence."""

    def __init__(self, evidence: Path) -> None:
        self.evidence = evidence
        self.of: dict[str, str] = {}

    def make(self, product: Path, *words: object) -> bool:
        """Run a command whose product is not there; whether it is there then."""
        if not (ROOT / product).exists():
            self.run(*words)
        there = (ROOT / product).exists()
        if there and product.is_relative_to(self.evidence):
            self.of[str(product.relative_to(self.evidence))] = shlex.join(["mct", *map(str, words)])
        return there

    def run(self, *words: object) -> int:
        """Run a command; its exit code. What it refuses is said, and is evidence that is missing."""
        done = subprocess.run([*MCT, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
        if done.returncode not in JUDGED:
            print(f"  {shlex.join(map(str, words))}\n  {done.stderr.strip()[-300:]}", file=sys.stderr, flush=True)
        return done.returncode


def pick(result: dict[str, Any], row: Row) -> str:
    """What is to be promoted: the fastest that passes, else the fastest that did not fail, else the fastest."""
    entries = [entry for entry in result["artifacts"] if entry["artifact"] in MADE and entry["latency"]]
    order = ("pass", "inconclusive", "fail")
    best = min(entries, key=lambda each: (order.index(each["verdict"]["outcome"]), each["latency"]["mean_ms"]))
    return str(best["artifact"])


def first_in_production(result: dict[str, Any], artifact: str) -> str | None:
    """What is in production before: another one that passes, the least changed first; None where none does."""
    passing = {entry["artifact"] for entry in result["artifacts"] if entry["verdict"]["outcome"] == "pass"}
    return next((name for name in MADE if name in passing and name != artifact), None)


def measure(row: Row, at: Place, artifact: str) -> None:
    """Write the figures of a row: what hurts, what not fine-tuning gives, what the change gains in the log."""
    checkpoint, scenario = ROOT / at.checkpoint, row.scenario
    result, log = read_object(ROOT / at.bench), ROOT / at.evidence / "log.json"
    metric = result["artifacts"][0]["quality"]["metric"]
    figures: dict[str, Any] = {}
    if row.pain is not None:
        figures["pain"] = row.pain(scenario, checkpoint)
    if row.untuned is not None and row.tie is not None:
        figures |= {"untuned": row.untuned(scenario, checkpoint), "tie": row.tie(scenario, checkpoint)}
    elif row.base:
        before, tuned = measured(log, row.base), measured(log, artifact)
        untuned = measured(ROOT / at.bench, row.base)
        if before is not None and tuned is not None and untuned is not None:
            figures["untuned"] = metric_figure("the model before fine-tuning", untuned, scenario, metric=metric)
            figures["tie"] = gain_figure(f"{metric} gained over it, in the log", before, tuned, scenario)
    elif find_scenario(scenario).task in NAIVE:
        what, score = NAIVE[find_scenario(scenario).task]
        tuned = measured(log, artifact)
        figures["untuned"] = metric_figure(what, score(checkpoint, TEST), scenario, metric=metric)
        if tuned is not None:
            figures["tie"] = gain_figure(
                f"{metric} gained over it, in the log", score(checkpoint, LOG), tuned, scenario
            )
    for name, found in figures.items():
        path = ROOT / at.evidence / f"{name}.json"
        if not path.is_file():
            write_json(path, found)


def release(row: Row, at: Place, artifact: str, said: Commands) -> None:
    """A release store of the row's own: what passed its gate in production, the candidate added, the way back tried."""
    other = next(name for name in reversed(MADE) if name != artifact)
    first = at.out / (first_in_production(read_object(ROOT / at.bench), artifact) or other)
    bad = damaged(at, first, said) if row.damaged else []
    if (ROOT / at.store).exists():
        return
    asked = f'[production]\nbudgets = ["{"only-time" if row.damaged else row.scenario}"]\nresults = ["results"]\n'
    if row.damaged:
        asked += 'budgets_file = "only_time.toml"\n'
    write_atomically(ROOT / at.evidence / "release.toml", asked)
    for each in [first, *bad]:
        into_production(row, at, each, said)
    if first != at.out / artifact:
        said.run("release", "add", at.out / artifact, "--name", row.scenario, "--store", at.store)
    said.run("release", "drill", row.scenario, "--store", at.store)


def into_production(row: Row, at: Place, artifact: Path, said: Commands) -> None:
    """Add an artifact, and let it into production if its gate passes."""
    said.run("release", "add", artifact, "--name", row.scenario, "--store", at.store)
    gate = ("--to", "production", "--gate", at.evidence / "release.toml", "--store", at.store)
    said.run("release", "promote", row.scenario, *gate)


def damaged(at: Place, first: Path, said: Commands) -> list[Path]:
    """An artifact with layers left out, untaught, and what is known of it: its time before, its answers afterwards.

    Its gate asks for nothing but time, which it is measured for beside what is in production before it.
    """
    recipe, folder, budgets = at.home / "damage.toml", at.home / "damaged", at.evidence / "only_time.toml"
    write_atomically(ROOT / budgets, ONLY_TIME)
    write_atomically(ROOT / recipe, DAMAGE)
    given = ("--recipe", recipe, "--data", at.train, "--eval", at.test)
    said.make(folder, "compress", at.checkpoint, "-o", folder, *given)
    bad = folder / "onnx-fp32"
    result = at.evidence / "production.json"
    asked = ("--results", at.evidence / "results", "--budget", "only-time", "--budgets", budgets)
    if not (ROOT / result).exists():
        said.run("bench", first, bad, "--data", at.test, *asked, "--max-seconds", BENCH_S)
    asked = ("--baseline", first, "--results", at.home / "log", "--budget", at.home.name)
    said.make(result, "bench", bad, first, *asked, "--json", result, "--data", at.log, "--max-seconds", LOG_S)
    return [bad]


def write_evidence(row: Row, at: Place, artifact: str, said: Commands) -> None:
    """Write evidence.toml: which file speaks for which criterion."""
    tables: dict[str, dict[str, Any]] = {
        "": {"schema": 1, "scenario": row.scenario, "artifact": artifact},
        "pain": {"figure": "pain.json", "tolerated": row.tolerated},
        "data": {"check": "check/check.json"},
        "metric": {"result": "bench.json", "untuned": "untuned.json", "tie": "tie.json"},
        "budget": {"load_qps": LOAD_QPS, "cost_per_month": COST_PER_MONTH, "assumed": True},
        "rollback": {"store": "store", "release": row.scenario},
    }
    if row.damaged:
        tables["production"] = {"result": "production.json"}
    of = {**said.of, "evidence.toml": f"python results/decisions.py --only {row.scenario}"}
    tables["commands"] = {**of, "journal": of["evidence.toml"]}
    write_atomically(ROOT / at.evidence / "evidence.toml", as_toml(tables))


# -- rows without a model: what the others' evidence says of them ------------------------------------------------------


def gather_of_work(row: Row) -> None:
    """What there is of a row that is work around the others: it is taken from theirs, and made anew every time."""
    at = Place(row.scenario)
    shutil.rmtree(ROOT / at.evidence, ignore_errors=True)
    (ROOT / at.evidence).mkdir(parents=True)
    tables = OF_WORK[row.scenario](at)
    command = f"python results/decisions.py --only {row.scenario}"
    head = {"": {"schema": 1, "scenario": row.scenario}}
    of = {"commands": {"evidence.toml": command, "journal": command}}
    write_atomically(ROOT / at.evidence / "evidence.toml", as_toml(head | tables | of))


def of_curation(at: Place) -> dict[str, dict[str, Any]]:
    """Labels of the router's messages that a model which did not see them contradicts."""
    check = ROOT / Place("intent-router").evidence / "check" / "check.json"
    if not check.is_file():
        return {}
    found = read_object(check)
    judged = found["noise"]["judged"]
    what = "labels of messages that a model which did not see them contradicts"
    write_json(ROOT / at.evidence / "pain.json", share(what, len(found["suspicions"]), judged, "data-curation"))
    return {"pain": {"figure": "pain.json", "tolerated": 0.01}}


def of_releases(at: Place) -> dict[str, dict[str, Any]]:
    """The router's release store, in which a bad release got into production and the way back was practised."""
    store = ROOT / Place("intent-router").store
    if not store.is_dir():
        return {}
    shutil.copytree(store, ROOT / at.store)
    return {"rollback": {"store": "store", "release": "intent-router"}}


def of_decisions(at: Place) -> dict[str, dict[str, Any]]:
    """Models that meet their budget and lack something else: a budget alone would have promoted them."""
    decided = [read_object(path) for path in sorted((ROOT / DECISIONS).glob("*.json"))]
    within = [each for each in decided if any(c["name"] == "budget" and c["state"] == "met" for c in each["criteria"])]
    if not within:
        return {}
    not_promoted = sum(each["outcome"] != "promote" for each in within)
    what = "models within their budget for which another criterion is open"
    write_json(ROOT / at.evidence / "pain.json", share(what, not_promoted, len(within), "capstone"))
    return {"pain": {"figure": "pain.json", "tolerated": 0.1}}


OF_WORK = {"data-curation": of_curation, "mlops": of_releases, "capstone": of_decisions}


def as_toml(tables: dict[str, dict[str, Any]]) -> str:
    """Tables of plain values as TOML; the nameless one stands first."""
    parts = []
    for name, values in tables.items():
        lines = [f"[{name}]"] if name else []
        lines += [f"{quoted(key)} = {quoted(value)}" for key, value in values.items()]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def quoted(value: Any) -> str:
    """A plain value in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def decide(row: Row) -> None:
    """Let `mct decide` write the decision."""
    at = Place(row.scenario)
    words: Sequence[object] = ("decide", row.scenario, "--evidence", at.evidence, "-o", DECISIONS / row.scenario)
    (ROOT / DECISIONS).mkdir(exist_ok=True)
    done = subprocess.run([*MCT, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode not in JUDGED:
        raise SystemExit(done.stderr)


if __name__ == "__main__":
    sys.exit(main())

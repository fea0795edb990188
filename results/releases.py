"""Do releases keep their promises? Kills, races, tries and remakes, written down beside this file.

`python results/releases.py` [--only kills race luck remake] writes releases.json and releases.md; some ten minutes of
one core. Kills and races use a real store on this disk and real artifacts; luck draws latencies and answers from
results/latencies.py, which shares neither code nor model with the estimators; the remake is of a real checkpoint.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from latencies import UNEVEN, World

from mct import MctError
from mct.bench.judge.verdict import judge
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Answers, Block, Measurement
from mct.bench.samples.subject import Subject, identify
from mct.bench.store.store import append, make_question
from mct.compress.run.artifact import Artifact, seal
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.table import Head
from mct.models.writing.folders import write_atomically, write_json
from mct.release.promotion.moves import add, promote, rollback
from mct.release.promotion.releases import Source
from mct.release.promotion.remake import remake
from mct.release.promotion.store import Store, open_store
from mct.release.promotion.tries import ERROR, error_of_try
from mct.targets.budget import Budget
from mct.targets.target import Target

HERE = Path(__file__).resolve().parent
LABELS = ("order", "returns", "human")
TRUTH = LABELS * 100
KILLS, RACES, TRIES, ARTIFACTS = 200, 50, 20, 120
PACED = 20
"""Kills after which it is seen anew how long a change takes: the journal grows with every one."""
PROCESSES, REQUESTS, ROWS = 6, 200, 600
TRUE_ACCURACY = 0.90
ON = Target("cpu", "cpu", "made up")
GATE = '[production]\nbudgets = ["quick"]\nresults = ["results"]\nbudgets_file = "budgets.toml"\n'
BUDGETS = '[quick]\ntask = "sequence-classification"\np95_ms = 30.0\nquality_at_least = 0.5\n'


def main() -> None:
    """Try each promise, and put what came of it with what was known of the others."""
    parts: dict[str, Callable[[], Any]] = {"kills": kills, "race": race, "luck": luck, "remake": remade}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(parts), default=list(parts))
    path = HERE / "releases.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name in parser.parse_args().only:
        began = time.monotonic()
        found[name] = parts[name]()
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        write_json(path, found)
    write_atomically(HERE / "releases.md", markdown(found))


# A store with two releases that change places


def prepared(folder: Path) -> Store:
    """A store with four releases of a name, each with a result that passes, and the first in production."""
    (folder / "release.toml").write_text(GATE)
    (folder / "budgets.toml").write_text(BUDGETS)
    store = open_store(folder / "releases")
    for number in range(4):
        artifact = tiny_artifact(folder / f"v{number}" / "onnx-fp32", number)
        add(store, [artifact], "router")
        store_result(folder / "results", identify(artifact), number)
    promote(store, "router@1", "production", folder / "release.toml")
    return store


def tiny_artifact(folder: Path, number: int) -> Path:
    """A sealed folder of an artifact, a megabyte of bytes of its own; nobody runs it here."""
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "model.onnx").write_bytes(random.Random(number).randbytes(1_000_000))
    (folder / "tokenizer.json").write_text("{}")
    artifact = Artifact(
        "onnx", "fp32", "onnxruntime", "sequence-classification", LABELS, "none", 32, "onnx/model.onnx", {}, (), {}, {},
        (Head("logits", "label", LABELS),),
    )  # fmt: skip
    seal(artifact, folder)
    return folder


def store_result(folder: Path, subject: Subject, seed: int) -> None:
    """A bench of an artifact, as mct bench would store it."""
    measured = measurement(subject, World(), 1.0, np.random.default_rng(seed), TRUTH)
    dataset = Dataset("test.jsonl", tuple({"text": "t", "label": label} for label in TRUTH), "a" * 64)
    append(folder, make_question([subject], dataset, BenchPlan(threads=1), target=ON), [measured], dataset)


def measurement(subject: Subject, world: World, scale: float, rng: Any, answers: Any) -> Measurement:
    """So many processes of a world, and these answers."""
    blocks = []
    for number in range(PROCESSES):
        times = [round(value * 1e6) for value in scale * world.process(rng, REQUESTS)]
        wall_s = sum(times) / 1e9
        blocks.append(
            Block(
                number,
                0,
                array("q", times),
                array("q", [each * 9 // 10 for each in times]),
                wall_s,
                wall_s,
                0,
                0.0,
                0.0,
                0,
                0,
            )
        )
    truth = TRUTH if len(answers) == len(TRUTH) else ("order",) * len(answers)
    return Measurement(subject, truth, (), tuple(blocks), Answers(tuple(answers), (5,) * len(answers)))


# Kills


def kills() -> dict[str, Any]:
    """Kill promotions and rollbacks at random moments; after each, one whole production version is there."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = prepared(folder)
        gate = folder / "release.toml"
        rng, seen, lost, behind, late = random.Random(0), Counter[str](), 0, 0, 0
        promote(store, "router@2", "production", gate)
        times = dict[str, float]()
        for number in range(KILLS):
            if number % PACED == 0:
                times = paces(store, gate)
            before = store.settle("router")
            assert before.production is not None
            name = ("promote", "rollback")[number % 2]
            if name == "rollback" and before.before is None:
                promote(store, other(before.production.version), "production", gate)
                before = store.settle("router")
                assert before.production is not None
            wanted = other(before.production.version)
            expected = {"promote": wanted, "rollback": before.before.ref if before.before else ""}[name]
            was_over = killed(partial(act, store.address, name, wanted, gate), rng.uniform(0, 1.2 * times[name]))
            late += was_over
            try:
                state, was_behind = look(store, before.production.ref, expected)
                seen[f"{name}: {state}"] += 1
                behind += was_behind
            except Exception as error:  # whatever is wrong with what lies there is what this looks for
                print(f"kill {number}, {name}: {error}", file=sys.stderr)
                lost += 1
        left = [path.name for path in folder.rglob("*.mct-draft")]
        store.settle("router")
        production = store.track("router").production
        assert production is not None
        promote(store, other(production.version), "production", gate)
        remaining = [path.name for path in folder.rglob("*.mct-draft")]
        entries = len(store.track("router").entries)
    return {
        "kills": KILLS, "ended_before_the_kill": late, "found": dict(sorted(seen.items())),
        "not_one_whole_production": lost,
        "pointer_one_change_behind_and_put_right": behind, "drafts_before_the_next_command": len(left),
        "drafts_after_it": len(remaining), "journal_entries": entries,
        "milliseconds": {name: round(1e3 * value, 1) for name, value in times.items()},
    }  # fmt: skip


def other(version: int) -> str:
    """The next release round."""
    return f"router@{version % 4 + 1}"


def act(address: str, name: str, wanted: str, gate: Path) -> None:
    """The change, by a process of its own."""
    store = open_store(address)
    if name == "promote":
        promote(store, wanted, "production", gate)
    else:
        rollback(store, "router")


def look(store: Store, before: str, after: str) -> tuple[str, bool]:
    """Whether the old or the new release is in production, whole; and whether the pointer was left behind."""
    track = store.track("router")
    states = Counter(each.state for each in track.releases)
    if states["production"] != 1 or track.production is None:
        raise ValueError(f"{states['production']} releases are in production")
    pointer = json.loads((Path(store.address) / "names/router/production.json").read_text())
    if pointer["release"] not in (before, after):
        raise ValueError(f"the pointer names {pointer['release']}")
    for digest in (track.production.digest, pointer["digest"]):
        if identify(Path(store.address) / "artifacts" / digest).digest != digest:
            raise ValueError("the artifact in production is not whole")
    if track.production.ref not in (before, after):
        raise ValueError(f"{track.production.ref} is in production, neither {before} nor {after}")
    behind = pointer["release"] != track.production.ref
    store.settle("router")
    if (
        json.loads((Path(store.address) / "names/router/production.json").read_text())["release"]
        != track.production.ref
    ):
        raise ValueError("the pointer was not put right")
    return ("new" if track.production.ref == after else "old"), behind


def paces(store: Store, gate: Path) -> dict[str, float]:
    """Seconds of each change by a process of its own, where the journal is as long as it is now."""
    production = store.settle("router").production
    assert production is not None
    works = {
        name: partial(act, store.address, name, other(production.version), gate) for name in ("promote", "rollback")
    }
    return {name: took(partial(ended, work)) for name, work in works.items()}


def took(step: Callable[[], object]) -> float:
    """Seconds of a step."""
    began = time.monotonic()
    step()
    return time.monotonic() - began


def forked(work: Callable[[], None]) -> int:
    """Work in a process of its own; its number. It ends with 0 where it worked, 3 where it was refused."""
    if child := os.fork():
        return child
    code = 1
    try:
        work()
        code = 0
    except MctError:
        code = 3
    finally:
        os._exit(code)


def ended(work: Callable[[], None]) -> None:
    """Wait for the work to come to its end."""
    os.waitpid(forked(work), 0)


def killed(work: Callable[[], None], after_s: float) -> bool:
    """Kill the work after so long; whether it had ended before."""
    child = forked(work)
    time.sleep(after_s)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)


# Two at once


def race() -> dict[str, Any]:
    """Two promotions of different releases at the same moment, again and again."""
    outcomes = Counter[str]()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = prepared(folder)
        gate = folder / "release.toml"
        for _ in range(RACES):
            production = store.track("router").production
            assert production is not None
            first, second = other(production.version), other(production.version + 1)
            entries = len(store.track("router").entries)
            children = [forked(partial(act, store.address, "promote", ref, gate)) for ref in (first, second)]
            codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
            track = store.track("router")
            moved = [entry for entry in track.entries[entries:] if type(entry.event).__name__ == "Moved"]
            whole = track.production is not None and track.production.ref in (first, second)
            said = {(0, 3): "one won, the other was told", (0, 0): "both, one after the other"}.get(
                tuple(codes), f"codes {codes}"
            )
            outcomes[said if whole and len(moved) == codes.count(0) else f"wrong: {said}"] += 1
    return {"races": RACES, "outcomes": dict(sorted(outcomes.items()))}


# Luck


def luck() -> list[dict[str, Any]]:
    """Artifacts that miss their limit by nothing, measured again and again until they pass: how many ever do."""
    return [
        *(latency_luck(world) for world in (World("gamma", 0.1), World("two modes", 0.2), *UNEVEN[:2])),
        quality_luck(),
    ]


def latency_luck(world: World) -> dict[str, Any]:
    """P95 on the limit, exactly: passing is wrong."""
    limit = world.percentile(0.95)
    budget = Budget("quick", "sequence-classification", p95_ms=limit)

    def run(rng: Any) -> Measurement:
        return measurement(SUBJECT, world, 1.0, rng, TRUTH)

    return {"of": "P95", "world": world.name} | tried(run, budget)


def quality_luck() -> dict[str, Any]:
    """Accuracy on the limit, and other test messages at each try: passing is wrong."""
    budget = Budget("quick", "sequence-classification", quality_at_least=TRUE_ACCURACY)

    def run(rng: Any) -> Measurement:
        answers = np.where(rng.random(ROWS) < TRUE_ACCURACY, "order", "human").tolist()
        return Measurement(SUBJECT, ("order",) * ROWS, (), (), Answers(tuple(answers), (5,) * ROWS))

    return {"of": "quality", "world": f"other {ROWS} messages at each try"} | tried(run, budget)


def tried(run: Callable[[Any], Measurement], budget: Budget) -> dict[str, Any]:
    """The shares of artifacts that pass the first time, and that ever pass, by each way to count tries."""
    levels: dict[str, Callable[[int], float]] = {
        "ever_pass_a_gate_that_forgets": lambda _: ERROR, "ever_pass_alpha_by_k": lambda attempt: ERROR / attempt,
        "ever_pass": error_of_try,
    }  # fmt: skip
    passed, first = Counter[str](), 0
    for number in range(ARTIFACTS):
        rng, open_yet = np.random.default_rng([number, 17]), dict(levels)
        for attempt in range(1, TRIES + 1):
            measured = run(rng)
            for name, level in list(open_yet.items()):  # the most lenient first: who fails that fails the others
                if not passes(measured, budget, level(attempt)):
                    break
                del open_yet[name]
                passed[name] += 1
                first += attempt == 1 and name == "ever_pass"
    return {"artifacts": ARTIFACTS, "tries": TRIES, "pass_at_once": first / ARTIFACTS} | {
        name: passed[name] / ARTIFACTS for name in levels
    }


def passes(measured: Measurement, budget: Budget, error: float) -> bool:
    """Whether a run passes at this error."""
    return judge(measured, budget, None, error).outcome == "pass"


# Made again


def remade() -> dict[str, Any]:
    """A real checkpoint's artifacts made again, and one whose data is another."""
    from mct.compress.plan.plan import make_plan
    from mct.compress.run.execute import execute
    from mct.compress.run.resources import gather
    from mct.models.checkpoints.checkpoint import inspect
    from mct.models.progress import silent
    from mct.models.scenarios.table import find_scenario
    from mct.models.tables import load

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        load(find_scenario("intent-router").build)("tiny", folder / "router", 0, silent, base=None)
        plan = make_plan(inspect(folder / "router"), ["onnx", "openvino", "gguf"], ["int8"])
        resources, texts = gather(plan, None, None, {}, 0)
        made = execute(plan, resources, texts, folder / "out")
        store = open_store(folder / "releases")
        releases = add(store, made, "router", Source(str(folder / "router")))
        same = [remake(store, each.ref, Source()) for each in releases]
        shutil.copytree(folder / "router", folder / "other")
        data = folder / "router" / "data" / "train.jsonl"
        lines = data.read_text().splitlines(keepends=True)
        (folder / "less.jsonl").write_text("".join(lines[: len(lines) // 2]))
        other = remake(store, "router@2", Source(data=str(folder / "less.jsonl")))
        names = [each.artifact for each in releases]
    return {
        "same": {
            name: {"outcome": each.outcome, "files": len(each.same), "differ": list(each.other)}
            for name, each in zip(names, same, strict=True)
        },
        "other_data": {"outcome": other.outcome, "differ": list(other.other), "named": list(other.differences)},
    }


def markdown(found: Mapping[str, Any]) -> str:
    """What the figures say."""
    parts = {"kills": of_kills, "race": of_race, "luck": of_luck, "remake": of_remake}
    lines = ["# Releases", "", "Made by `python results/releases.py`."]
    lines += [line for name, told in parts.items() if name in found for line in ("", *told(found[name]))]
    return "\n".join(lines) + "\n"


def of_kills(part: Mapping[str, Any]) -> list[str]:
    """What was found after each kill."""
    times = part["milliseconds"]
    return [
        "## Kills", "",
        f"{part['kills']} SIGKILLs at random moments of a promotion ({times['promote']:.0f} ms with its gate) or",
        f"a rollback ({times['rollback']:.0f} ms), {part['ended_before_the_kill']} of which had ended before.",
        f"Found afterwards without one whole production version: **{part['not_one_whole_production']}**.", "",
        *(f"- {what}: {count}" for what, count in part["found"].items()),
        "- production.json one change behind the journal, and put right by the next command: "
        f"{part['pointer_one_change_behind_and_put_right']}",
        f"- drafts left over once the next promotion had run: {part['drafts_after_it']}",
    ]  # fmt: skip


def of_race(part: Mapping[str, Any]) -> list[str]:
    """How the races ended."""
    counts = [f"- {what}: {count}" for what, count in part["outcomes"].items()]
    return ["## Two promotions at once", "", f"{part['races']} races of two processes.", "", *counts]


def of_luck(part: Sequence[Mapping[str, Any]]) -> list[str]:
    """How often artifacts that lie on their limit pass."""
    rows = [
        f"| {row['of']} | {row['world']} | {row['artifacts']} | {row['pass_at_once']:.1%} | **{row['ever_pass']:.1%}** "
        f"| {row['ever_pass_alpha_by_k']:.1%} | {row['ever_pass_a_gate_that_forgets']:.1%} |"
        for row in part
    ]
    return [
        "## Trying until it passes", "",
        f"Artifacts that lie on their limit, so that every pass is wrong, measured {part[0]['tries']} times. One run",
        f"may err in {ERROR:.0%}; so may all tries of an artifact together. Beside it a gate that divides the error by",
        "the number of tries, and one that forgets them.", "",
        "| of | world | artifacts | pass at once | ever pass | alpha / k | a gate that forgets |",
        "|---|---|---:|---:|---:|---:|---:|", *rows,
    ]  # fmt: skip


def of_remake(part: Mapping[str, Any]) -> list[str]:
    """What was made again."""
    same = [
        f"- {name}: {each['outcome']}, {each['files']} files the same, {len(each['differ'])} differ"
        for name, each in part["same"].items()
    ]
    other, named = part["other_data"], "; ".join(part["other_data"]["named"])
    last = f"- with half of the training texts: {other['outcome']}, {len(other['differ'])} differ; named: {named}"
    return [
        "## Made again",
        "",
        "The tiny intent router's artifacts, from what they say of themselves:",
        "",
        *same,
        last,
    ]


SUBJECT = Subject(
    "onnx-int8", Path("onnx-int8"), "onnx", "int8", "onnxruntime", "sequence-classification", LABELS, None,  # type: ignore[arg-type]
    (), 1.0, "0" * 64, (Head("logits", "label", LABELS),),
)  # fmt: skip


if __name__ == "__main__":
    main()

"""Are the ONNX graphs that mct writes by hand worth their code? Each beside what others make of the same checkpoint.

Run from the repository root: `python results/onnx_graphs.py [--threads N] [--seconds S]`; writes onnx_graphs.json and
onnx_graphs.md beside this file (`--render` writes the table again and measures nothing). A hand-written graph has to be
kept up with every new family, so it stays only where it answers faster, or more exactly, than what comes for nothing:

- encoders: the graph that torch traces, as it is, and the same after `onnxruntime.transformers.optimizer`, which looks
  for subgraphs that it can replace by the operators that we write. All three go through our own INT8;
- decoders: onnxruntime-genai's model builder, which writes graphs by hand as we do. `pip install onnxruntime-genai`
  brings it; where it is missing the table says so, and so it does of a model that the builder refuses.

The checkpoints are real architectures, mostly untrained (results/onnx_graphs_models.py). Encoders are compared as
`mct compare` does it: end to end, on shop messages, in pairs of fresh processes that take turns. How decoders are
compared stands in results/onnx_graphs_decoders.py. A run takes about six minutes on a quiet machine; where it was too
short or the machine too busy for a pair, its row says "not decided", and more `--seconds` decide it.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnx_graphs_decoders import decoder_rows
from onnx_graphs_models import WORK, checkpoint_folder, figures, messages, times_faster
from onnxruntime.transformers.optimizer import optimize_model

from mct import MctError
from mct.bench.jobs.compare import CompareJob, run_compare
from mct.bench.judge.compare import Limits
from mct.bench.statistics.ratio import FEWEST_ROUNDS
from mct.compress.onnx.export_encoder import MODEL
from mct.compress.onnx.graphs.graph import save
from mct.compress.plan.passes import ENCODERS, START, Pass, Product, Resources
from mct.compress.plan.plan import Plan, Resolved, Route, make_plan
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import Checkpoint, inspect
from mct.models.checkpoints.load import load_model
from mct.models.data.declared import read_object
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.machine import probe_machine
from mct.targets.target import find_target

FOUND, TABLE = (Path(__file__).with_suffix(suffix) for suffix in (".json", ".md"))
ENCODER_NAMES, DECODER_NAMES = ("minilm", "distilbert", "roberta"), ("tinystories", "llama", "mixtral", "gpt2")
OURS, TRACED, OPTIMISED = "ours", "the traced graph", "onnxruntime's optimizer"
ASKED, CHECKED_ON = 100, 50

# Largest differences below this share of how much the logits differ among themselves are rounding: no side is the more
# exact. Beyond it the side is whose mean difference is clearly less.
ROUNDING, CLEARLY_LESS = 1e-3, 0.9

# In the same measure: what padding may change of a decoder's logits, which is nothing but for quantised activations.
CHANGED_BY_PADDING = 0.1

# A run decides nothing while ours may still be so many times faster, or was told from too few rounds.
WORTH_HAVING = 1.10


def main() -> None:
    """Measure and write, or write the table again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=probe_machine().usable_threads)
    parser.add_argument("--seconds", type=float, default=14.0, help="for each pair of encoders, half for decoders")
    parser.add_argument("--only", nargs="+", choices=[*ENCODER_NAMES, *DECODER_NAMES], help="these checkpoints")
    parser.add_argument("--render", action="store_true", help="write the table again from onnx_graphs.json")
    asked = parser.parse_args()
    if not asked.render:
        names = asked.only or [*ENCODER_NAMES, *DECODER_NAMES]
        write_json(FOUND, measure(names, asked.threads, asked.seconds))
    write_atomically(TABLE, markdown(read_object(FOUND)))


def measure(names: Sequence[str], threads: int, seconds: float) -> dict[str, Any]:
    """Every pair of every checkpoint, and the reasons why some could not be had."""
    rows: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    load, texts = os.getloadavg()[0], messages(ASKED)
    for name in names:
        try:
            found = (
                encoder_rows(name, texts, threads, seconds)
                if name in ENCODER_NAMES
                else decoder_rows(name, threads, seconds / 2)
            )
            rows += [{"checkpoint": name, **row} for row in found]
        except MctError as error:
            skipped[name] = f"{error.message} ({error.hint})"
    machine = probe_machine().cpu
    return {"machine": machine, "threads": threads, "load_before": round(load, 2), "skipped": skipped, "rows": rows}


def encoder_rows(name: str, texts: Path, threads: int, seconds: float) -> list[dict[str, Any]]:
    """Our graph against both others, at fp32 and INT8."""
    checkpoint = inspect(checkpoint_folder(name))
    ours, traced = (artifacts(checkpoint, graph, {}, texts) for graph in (OURS, TRACED))
    optimised = artifacts(checkpoint, OPTIMISED, {"traced": str(traced["fp32"] / MODEL)}, texts)
    return [
        {"precision": precision, "against": against, "ours": figures_of(ours[precision])}
        | {"theirs": figures_of(theirs[precision])}
        | {"speed_up": speed_up(theirs[precision], ours[precision], texts, threads, seconds)}
        for against, theirs in ((TRACED, traced), (OPTIMISED, optimised))
        for precision in ours
    ]


def artifacts(checkpoint: Checkpoint, graph: str, fixed: Mapping[str, str], texts: Path) -> dict[str, Path]:
    """By precision: mct's own recipe from that graph on, so that parity is checked and INT8 is made alike."""
    plan = make_plan(checkpoint, ["onnx"], ["fp32", "int8"])
    plan = Plan(checkpoint, tuple(beginning_with(graph, fixed, route) for route in plan.routes))
    resources, requests = gather(plan, None, texts, {}, seed=0)
    few = replace(requests, requests=requests.requests[:CHECKED_ON])
    folders = execute(plan, resources, few, WORK / checkpoint.path.name / graph.replace(" ", "-"))
    return {route.precision: folder for route, folder in zip(plan.routes, folders, strict=True)}


def beginning_with(graph: str, fixed: Mapping[str, str], route: Route) -> Route:
    """The route with another first step."""
    ours, *others = route.steps
    optimised = Pass("optimise-onnx", START, "onnx-fp32", "onnx_graphs:optimise", ENCODERS, fixed=fixed)
    first = {OURS: ours.row, TRACED: replace(ours.row, fixed={"graph": "exported"}), OPTIMISED: optimised}
    return replace(route, steps=(Resolved(first[graph]), *others))


def optimise(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """A pass: the traced file through onnxruntime's optimizer, told the sizes that it would have to guess."""
    config: Any = load_model(resources.checkpoint).config
    sizes = {"num_heads": config.num_attention_heads, "hidden_size": config.hidden_size}
    save(optimize_model(options["traced"], "bert", **sizes).model, draft / MODEL)
    return Product(draft, MODEL, {"pad_id": config.pad_token_id})


def figures_of(folder: Path) -> dict[str, Any]:
    """An artifact's file, with the evidence that compress left beside it."""
    artifact = read_artifact(folder)
    return figures(folder / artifact.model, artifact.parity)


def speed_up(theirs: Path, ours: Path, texts: Path, threads: int, seconds: float) -> dict[str, dict[str, float]]:
    """How many times faster ours is."""
    target = replace(find_target("cpu"), threads=threads)
    job = CompareJob(theirs, ours, texts, (target, target), Limits(), results=WORK / "runs", max_seconds=seconds)
    comparison, _ = run_compare(job)
    return {"P50": times_faster(comparison.p50), "P95": times_faster(comparison.p95)}


def kept_because(row: Mapping[str, Any]) -> str:
    """What our graph wins in this pair; where that is nothing, or cannot be told from this run, so it is said."""
    decided = {what: times for what, times in row["speed_up"].items() if times["rounds"] >= FEWEST_ROUNDS}
    faster = [what for what, times in decided.items() if times["low"] > 1]
    slower = [what for what, times in decided.items() if times["high"] < 1]
    wins = [f"faster ({', '.join(faster)})"] if faster else []
    wins += ["more exact"] if is_more_exact(row["ours"], row["theirs"]) else []
    if row["theirs"].get("padding_delta", 0.0) > CHANGED_BY_PADDING >= row["ours"]["padding_delta"]:
        wins.append("right behind padding, where theirs is not")
    losses = [f"slower ({', '.join(slower)})"] if slower else []
    losses += ["less exact"] if is_more_exact(row["theirs"], row["ours"]) else []
    said = " and ".join(wins)
    if not wins:
        open_still = len(decided) < len(row["speed_up"]) or any(
            times["low"] <= 1 and times["high"] > WORTH_HAVING for times in decided.values()
        )
        said = "not decided: this run was too noisy" if open_still else "**nothing: neither faster nor more exact**"
    return f"{said}; but {' and '.join(losses)}" if losses else said


def is_more_exact(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Is the first clearly nearer to torch, beyond rounding?"""
    return other["max_delta"] > ROUNDING and one["mean_abs_delta"] < CLEARLY_LESS * other["mean_abs_delta"]


def markdown(found: Mapping[str, Any]) -> str:
    """One table, a row for each pair."""
    head = (
        "checkpoint", "precision", "ours against", "times faster: P50, or a prompt", "times faster: P95, or a token",
        "nodes", "MB", "logits' largest difference from torch's", "mean difference", "kept because",
    )  # fmt: skip
    lines = [
        "# Hand-written ONNX graphs beside those of other programs",
        "",
        f"{found['machine']}, {found['threads']} threads, load {found['load_before']} before. In each pair ours comes "
        "first; times faster with their 95 % intervals; encoders end to end, decoders by ONNX Runtime alone "
        "(`python results/onnx_graphs.py`).",
        "",
        f"| {' | '.join(head)} |",
        "|--|--|--|--:|--:|--:|--:|--:|--:|--|",
        *(f"| {' | '.join(cells(row))} |" for row in found["rows"]),
        *(f"\n{name} is not among them: {reason}." for name, reason in found["skipped"].items()),
    ]
    return "\n".join(lines) + "\n"


def cells(row: Mapping[str, Any]) -> list[str]:
    """One row of the table."""
    ours, theirs = row["ours"], row["theirs"]
    times = [f"{each['value']:.2f} ({each['low']:.2f} … {each['high']:.2f})" for each in row["speed_up"].values()]
    if "p50_ms" in row:
        medians = [f"{each['ours']:.2f} / {each['theirs']:.2f} ms" for each in row["p50_ms"].values()]
        times = [f"{speed}, {median}" for speed, median in zip(times, medians, strict=True)]
    both = [
        f"{ours[what]:{shape}} / {theirs[what]:{shape}}"
        for what, shape in (("nodes", "d"), ("size_mb", ".2f"), ("max_abs_delta", ".1e"), ("mean_abs_delta", ".1e"))
    ]
    return [row["checkpoint"], row["precision"], row["against"], *times, *both, kept_because(row)]


if __name__ == "__main__":
    main()

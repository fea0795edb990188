"""Planted faults that average accuracy hardly sees, beside sound INT8: does an inspection tell them apart?

Run from the repository root: `python results/explain.py`. It builds five tiny routers (other data, other weights), and
of each makes one sound INT8 artifact and three faulty ones, plus sound ones of two more formats for the first. Every
fault is as strong as it can be while it costs no more than one point of accuracy on the dev set (the strongest on a
ladder): what a check of the average would let through. All are then inspected by `mct explain` with the built-in
behaviour tests and limits. Those limits were chosen on routers of other seeds (`--seeds 100,101`), never on these.

- damaged layer: noise on a tenth of the rows of one feed-forward matrix, before quantising;
- wrong padding: the graph pads every text, and its attention mask does not say so;
- disturbed class: noise on the weights that one high-risk class is recognised by, before quantising.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from safetensors.torch import load_file, save_file

from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import read_artifact, seal
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_model
from mct.models.data.files import read_data_file
from mct.models.progress import shown
from mct.models.scenarios.classifiers.router import build
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.tasks.tokens import open_tokenizer
from mct.models.writing.folders import write_atomically, write_json
from mct.release.inspection.behaviour.tests_file import read_suite
from mct.release.inspection.explain import Job, explain
from mct.release.inspection.explanation import Explanation
from mct.release.inspection.limits import find_limits
from mct.targets.machine import probe_machine

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / ".cache" / "explain"
MOST_LOST = 0.01
EXAMPLES, SECONDS = 120, 60.0
PAD = 0
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Fault:
    """A fault in the weights; `ladder` are its strengths, the weakest first."""

    name: str
    ladder: tuple[float, ...]
    plant: Callable[[Tensors, float, int], Tensors]


def damaged_layer(tensors: Tensors, strength: float, seed: int) -> Tensors:
    """Noise, in spreads of the matrix, on a tenth of the rows of a feed-forward matrix of one layer."""
    draw = torch.Generator().manual_seed(seed)
    names = sorted(name for name in tensors if name.endswith("intermediate.dense.weight"))
    name = names[seed % len(names)]
    found = tensors[name].clone()
    rows = torch.randperm(len(found), generator=draw)[: len(found) // 10]
    found[rows] += strength * found.std() * torch.randn(found[rows].shape, generator=draw)
    return {**tensors, name: found}


def disturbed_class(tensors: Tensors, strength: float, seed: int) -> Tensors:
    """Noise, in spreads of the head's weights, on those of one high-risk class."""
    draw = torch.Generator().manual_seed(seed)
    labels = sorted(LABELS)
    row = labels.index(sorted(HIGH_RISK_INTENTS)[seed % len(HIGH_RISK_INTENTS)])
    found = tensors["classifier.weight"].clone()
    found[row] += strength * found.std() * torch.randn(found[row].shape, generator=draw)
    return {**tensors, "classifier.weight": found}


FAULTS = (
    Fault("damaged layer", (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0), damaged_layer),
    Fault("disturbed class", (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5), disturbed_class),
)
PADDINGS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
LABELS: list[str] = []


def main() -> None:
    """Make all, inspect all, write what was seen."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", default="0,1,2,3,4")
    asked.add_argument("--out", type=Path, default=HERE / "explain")
    given = asked.parse_args()
    began, rows = time.monotonic(), list[dict[str, Any]]()
    for number, seed in enumerate(map(int, given.seeds.split(","))):
        rows += of_router(seed, every_format=number == 0)
    found = {
        "machine": probe_machine().cpu,
        "cpus": probe_machine().usable_threads,
        "instruction_sets": list(probe_machine().instruction_sets),
        "seconds": round(time.monotonic() - began),
        "rows": rows,
        "apart": apart(rows),
    }
    write_json(given.out.with_suffix(".json"), found)
    write_atomically(given.out.with_suffix(".md"), markdown(found))
    print(markdown(found))


def of_router(seed: int, every_format: bool) -> list[dict[str, Any]]:
    """Every artifact of one router, inspected."""
    folder = WORK / f"router-{seed}"
    with shown() as report:
        build("tiny", folder, seed, report)
    LABELS[:] = inspect(folder).labels
    made = {"sound": (compressed(folder, folder, "onnx"), 0.0)}
    if every_format:
        made |= {f"sound {form}": (compressed(folder, folder, form), 0.0) for form in ("openvino", "gguf")}
    for fault in FAULTS:
        faulty, strength = planted(folder, fault, seed)
        made[fault.name] = (compressed(folder, faulty, "onnx"), strength)
    pads = strongest_padding(folder)
    made["wrong padding"] = (wrongly_padded(made["sound"][0], pads), float(pads))
    return [row_of(seed, name, folder, artifact, strength) for name, (artifact, strength) in made.items()]


def compressed(original: Path, checkpoint: Path, form: str) -> Path:
    """The checkpoint in INT8, made as any other; parity is checked against itself, which a fault passes."""
    plan = make_plan(inspect(checkpoint), [form], [])
    resources, texts = gather(plan, original / "data" / "train.jsonl", original / "data" / "dev.jsonl", {}, seed=0)
    out = WORK / "artifacts" / checkpoint.name
    with shown() as report:
        (made,) = execute(plan, resources, replace(texts, requests=texts.requests[:100]), out, report)
    return made


def planted(folder: Path, fault: Fault, seed: int) -> tuple[Path, float]:
    """A copy of the checkpoint with the strongest fault that costs no more than a point on the dev set."""
    tensors = load_file(folder / "model.safetensors")
    right = right_on_dev(folder, tensors)
    strength = fault.ladder[0]
    for each in fault.ladder:
        if right - right_on_dev(folder, fault.plant(tensors, each, seed)) > MOST_LOST:
            break
        strength = each
    faulty = folder.with_name(f"{folder.name}-{fault.name.replace(' ', '-')}")
    shutil.rmtree(faulty, ignore_errors=True)
    shutil.copytree(folder, faulty, ignore=shutil.ignore_patterns("data", "*.safetensors"))
    save_file(fault.plant(tensors, strength, seed), faulty / "model.safetensors", metadata={"format": "pt"})
    return faulty, strength


def right_on_dev(folder: Path, tensors: Tensors, pads: int = 0) -> float:
    """Accuracy on the dev set with these weights; with so many [PAD] behind each text that are not masked."""
    checkpoint = inspect(folder)
    model = load_model(checkpoint)
    model.load_state_dict(tensors, strict=False)
    tokenize = open_tokenizer(folder, checkpoint.max_tokens - pads)
    rows = read_data_file(folder / "data" / "dev.jsonl", {}).rows
    right = 0
    with torch.inference_mode():
        for row in rows:
            ids = torch.tensor([tokenize(row["text"]).ids + pads * [PAD]])
            right += checkpoint.labels[int(model(input_ids=ids).logits.argmax())] == row["label"]
    return right / len(rows)


def strongest_padding(folder: Path) -> int:
    """The most padding that costs no more than a point on the dev set, of `PADDINGS`."""
    tensors = load_file(folder / "model.safetensors")
    right, found = right_on_dev(folder, tensors), PADDINGS[0]
    for pads in PADDINGS:
        if right - right_on_dev(folder, tensors, pads) > MOST_LOST:
            break
        found = pads
    return found


def wrongly_padded(sound: Path, pads: int) -> Path:
    """A copy of the artifact whose graph puts [PAD] behind every text and takes it for a part of that."""
    faulty = sound.with_name(f"{sound.name}-wrong-padding")
    shutil.rmtree(faulty, ignore_errors=True)
    shutil.copytree(sound, faulty)
    artifact = read_artifact(faulty)
    path = faulty / artifact.model
    model = onnx.load(path)
    nodes = []
    for given in model.graph.input:
        fill = np.full((1, pads), {"input_ids": PAD, "attention_mask": 1}.get(given.name, 0), dtype=np.int64)
        model.graph.initializer.append(numpy_helper.from_array(fill, f"{given.name}_more"))
        nodes.append(helper.make_node("Concat", [given.name, f"{given.name}_more"], [f"{given.name}_padded"], axis=1))
    padded = {given.name: f"{given.name}_padded" for given in model.graph.input}
    for node in model.graph.node:
        node.input[:] = [padded.get(name, name) for name in node.input]
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    onnx.save(model, path)
    (faulty / "mct.json").unlink()
    seal(artifact, faulty)
    return faulty


def row_of(seed: int, name: str, folder: Path, artifact: Path, strength: float) -> dict[str, Any]:
    """One artifact inspected."""
    job = Job(
        folder, artifact, folder / "data" / "test.jsonl", examples=EXAMPLES, seconds=SECONDS, seed=0,
        suite=read_suite("intent-router"), limits=find_limits("intent-router"),
        without=frozenset({"layers", "spurious words", "gradients"}),
    )  # fmt: skip
    with shown() as report:
        found = explain(job, report)
    row = {"seed": seed, "kind": name, "strength": strength, **figures(found)}
    print(json.dumps({key: value for key, value in row.items() if key != "lines"}), file=sys.stderr)
    return row


def figures(found: Explanation) -> dict[str, Any]:
    """What is compared."""
    assert (
        found.attribution is not None and found.attribution.floor is not None and found.attribution.excess is not None
    )
    flips, cases = found.flips, sum(each.artifact.n for each in found.behaviour)
    worse = sum(each.worse for each in found.behaviour)
    return {
        "form": found.artifact.name,
        "rows": found.rows,
        "lost_points": round(100 * (flips.worse - flips.better) / flips.rate.n, 3),
        "flips": round(flips.rate.value, 5),
        "drift": [round(value, 5) for value in _mean(found.attribution.drift)],
        "floor": [round(value, 5) for value in _mean(found.attribution.floor)],
        "excess": [round(value, 5) for value in _mean(found.attribution.excess)],
        "behaviour_worse": round(worse / cases, 5),
        "behaviour_failed": round(sum(each.artifact.count for each in found.behaviour) / cases, 5),
        "cases": cases,
        "groups_shown": [group.name for group in flips.groups if group.shown],
        "outcome": found.outcome,
        "lines": [[line.limit, line.measured, line.outcome] for line in found.lines],
        "seconds": round(found.seconds, 1),
    }


def _mean(value: Any) -> tuple[float, float, float]:
    return value.value, value.low, value.high


def apart(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Whether a figure separates all faulty from all sound, and the outcomes by limits fixed beforehand."""
    sound = [row for row in rows if row["kind"].startswith("sound")]
    faulty = [row for row in rows if not row["kind"].startswith("sound")]

    def split(of: Callable[[Mapping[str, Any]], float]) -> dict[str, Any]:
        high, low = max(map(of, sound)), min(map(of, faulty))
        return {"highest_sound": high, "lowest_faulty": low, "all_apart": low > high}

    return {
        "sound": len(sound),
        "faulty": len(faulty),
        "drift": split(lambda row: row["drift"][0]),
        "excess": split(lambda row: row["excess"][0]),
        "behaviour_worse": split(lambda row: row["behaviour_worse"]),
        "flips": split(lambda row: row["flips"]),
        "lost_points": split(lambda row: row["lost_points"]),
        "intervals_apart": min(row["drift"][1] for row in faulty) > max(row["drift"][2] for row in sound),
        "sound_outcomes": _counted(sound),
        "faulty_outcomes": _counted(faulty),
    }


def _counted(rows: list[dict[str, Any]]) -> dict[str, int]:
    outcomes = [row["outcome"] for row in rows]
    return {outcome: outcomes.count(outcome) for outcome in ("pass", "inconclusive", "fail")}


def markdown(found: Mapping[str, Any]) -> str:
    """The table, and what separates."""
    lines = [
        "# Planted faults beside sound INT8, as `mct explain` sees them", "",
        f"{found['machine']}, {found['cpus']} cores, {found['seconds']} s in all. Written by `python results/explain.py`.",
        "Every fault is the strongest on its ladder that costs at most one point of accuracy on the dev set.", "",
        "| router | artifact | fault | strength | accuracy lost, points | flips | drift | floor | beyond the floor "
        "| cases failed that the original passes | by the limits |",
        "|--:|--|--|--:|--:|--:|--:|--:|--:|--:|--|",
    ]  # fmt: skip
    for row in found["rows"]:
        figures = (
            f"{row[name][0]:.3f} [{row[name][1]:.3f}, {row[name][2]:.3f}]" for name in ("drift", "floor", "excess")
        )
        strength = f"{row['strength']:g}" if row["strength"] else "-"
        lines.append(
            f"| {row['seed']} | {row['form']} | {row['kind']} | {strength} | {row['lost_points']:+.2f} | "
            f"{100 * row['flips']:.2f} % | {' | '.join(figures)} | {100 * row['behaviour_worse']:.2f} % of {row['cases']} "
            f"| {row['outcome']} |"
        )
    told = found["apart"]
    lines += ["", f"{told['sound']} sound and {told['faulty']} faulty artifacts:", ""]
    lines += ["| figure | highest of the sound | lowest of the faulty | all told apart |", "|--|--:|--:|--|"]
    for name in ("drift", "excess", "behaviour_worse", "flips", "lost_points"):
        split = told[name]
        lines.append(
            f"| {name} | {split['highest_sound']:.4g} | {split['lowest_faulty']:.4g} "
            f"| {'yes' if split['all_apart'] else 'NO'} |"
        )
    lines += [
        "",
        f"Every interval of drift of a faulty one lies above every interval of a sound one: "
        f"{'yes' if told['intervals_apart'] else 'NO'}.",
        f"By the built-in limits, chosen on other routers: sound {_said(told['sound_outcomes'])}; "
        f"faulty {_said(told['faulty_outcomes'])}.",
    ]
    return "\n".join(lines) + "\n"


def _said(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items() if count)


if __name__ == "__main__":
    main()

"""Planted faults that average accuracy hardly sees, beside sound INT8: does an inspection tell them apart?

Run from the repository root: `python results/explain.py`. It trains a router (the first two layers of the packaged
MiniLM, on the built-in messages), makes five sound 8-bit artifacts of it, and fifteen faulty ones: five of each of
three kinds. Every fault is as strong as it can be while it costs no more than half a point of accuracy on the dev set
(the strongest on a ladder): what a check of the average would let through. All are then inspected by `mct explain` with
the built-in behaviour tests and limits. Those limits were chosen on another router and other faults (`--router 0
--seeds 0,1,2,3`), never on these.

- damaged layer: noise on a tenth of the rows of one feed-forward matrix, before quantising;
- disturbed class: noise on the weights that one high-risk class is recognised by, before quantising;
- wrong mask: the graph puts tokens behind every text that the attention mask should hide ([PAD], [SEP], [MASK], [UNK]),
  or its mask hides the end of the text.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
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
from mct.models.checkpoints.checkpoint import Checkpoint, inspect
from mct.models.checkpoints.load import load_model
from mct.models.data.files import read_data_file
from mct.models.progress import Report, shown
from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.scenarios.shop.intents import INTENTS, about, generate
from mct.models.tasks.tokens import Tokenize, open_tokenizer
from mct.models.training.classification import Training, finetune, load_base, save
from mct.models.writing.folders import write_atomically, write_json
from mct.models.writing.replacing import appearing
from mct.release.inspection.behaviour.tests_file import read_suite
from mct.release.inspection.explain import Job, explain
from mct.release.inspection.explanation import Explanation
from mct.release.inspection.limits import find_limits
from mct.targets.machine import probe_machine

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / ".cache" / "explain"
MOST_LOST = 0.005
EXAMPLES, SECONDS = 60, 60.0
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
    Fault("damaged layer", (0.5, 1.0, 1.5, 2.0, 3.0, 4.0), damaged_layer),
    Fault("disturbed class", (0.2, 0.4, 0.7, 1.0, 1.5), disturbed_class),
)
WAYS = ("[PAD]", "[SEP]", "[MASK]", "[UNK]", "hidden end")
COUNTS = (1, 2, 4, 8, 16)
SOUND = (
    ("onnx", "int8", 0),
    ("onnx", "int8-static", 0),
    ("onnx", "int8-static", 1),
    ("onnx", "int8-static", 2),
    ("openvino", "int8", 0),
)
LAYERS, AT_ONCE = 2, 64
LABELS: list[str] = []


def main() -> None:
    """Make all, inspect all, write what was seen."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--router", type=int, default=3)
    asked.add_argument("--seeds", default="10,11,12,13,14")
    asked.add_argument("--out", type=Path, default=HERE / "explain")
    given = asked.parse_args()
    began, rows = time.monotonic(), list[dict[str, Any]]()
    folder = trained(given.router)
    LABELS[:] = inspect(folder).labels
    with shown() as report:
        for name, artifact, strength in artifacts(folder, list(map(int, given.seeds.split(",")))):
            rows.append(row_of(name, folder, artifact, strength, report))
            found = {
                "machine": probe_machine().cpu,
                "cpus": probe_machine().usable_threads,
                "instruction_sets": list(probe_machine().instruction_sets),
                "seconds": round(time.monotonic() - began),
                "router": given.router,
                "seeds": given.seeds,
                "limits": find_limits("intent-router").given,
                "rows": rows,
                "apart": apart(rows),
            }
            write_json(given.out.with_suffix(".json"), found)
            write_atomically(given.out.with_suffix(".md"), markdown(found))
    print(given.out.with_suffix(".md").read_text(encoding="utf-8"))


def artifacts(folder: Path, seeds: Sequence[int]) -> Iterator[tuple[str, Path, str]]:
    """Each artifact as it is made: what it is, its folder, how strong its fault is."""
    for form, precision, seed in SOUND:
        yield f"sound, {form} {precision} {seed}", compressed(folder, folder, form, precision, seed), "-"
    for seed in seeds:
        for fault in FAULTS:
            faulty, strength = planted(folder, fault, seed)
            yield f"{fault.name} {seed}", compressed(folder, faulty, "onnx", "int8", 0), f"{strength:g}"
        way = WAYS[seed % len(WAYS)]
        count = strongest(folder, way)
        sound = WORK / "artifacts" / f"{folder.name}-0" / "onnx-int8"
        yield f"wrong mask {seed}", wrongly_masked(sound, way, count), f"{count} {way}"


def trained(seed: int) -> Path:
    """The router, trained once; its test set has 700 rows, its dev set 1,000."""
    folder = WORK / f"router-{seed}"
    if (folder / "config.json").is_file():
        return folder
    data = generate(seed, 8_000, 1_000)
    classifier = load_base(str(packaged_minilm()), INTENTS, seed)
    classifier.model.bert.encoder.layer = classifier.model.bert.encoder.layer[:LAYERS]
    classifier.model.config.num_hidden_layers = LAYERS
    training = Training(epochs=2, learning_rate=4e-4, frozen_embeddings=True, seed=seed)
    with shown() as report, appearing(folder) as draft:
        finetune(classifier, data.train, training, report, stage="training the router")
        save(classifier, draft)
        write_data(draft / "data", {"train": data.train, "dev": data.dev, "test": data.test[:700]}, about(seed))
    return folder


def compressed(original: Path, checkpoint: Path, form: str, precision: str, seed: int) -> Path:
    """The checkpoint in 8 bits, made as any other; parity is checked against itself, which a fault passes."""
    plan = make_plan(inspect(checkpoint), [form], [precision])
    data = original / "data"
    resources, texts = gather(plan, data / "train.jsonl", data / "dev.jsonl", {}, seed=seed)
    out = WORK / "artifacts" / f"{checkpoint.name}-{seed}"
    with shown() as report:
        (made,) = execute(plan, resources, replace(texts, requests=texts.requests[:20]), out, report)
    return made


def planted(folder: Path, fault: Fault, seed: int) -> tuple[Path, float]:
    """A copy of the checkpoint with the strongest fault that costs no more than half a point on the dev set."""
    tensors = load_file(folder / "model.safetensors")
    right, strength = right_on_dev(folder, tensors), fault.ladder[0]
    for each in fault.ladder:
        if right - right_on_dev(folder, fault.plant(tensors, each, seed)) > MOST_LOST:
            break
        strength = each
    faulty = folder.with_name(f"{folder.name}-{fault.name.replace(' ', '-')}-{seed}")
    shutil.rmtree(faulty, ignore_errors=True)
    shutil.copytree(folder, faulty, ignore=shutil.ignore_patterns("data", "*.safetensors", "mct-*"))
    save_file(fault.plant(tensors, strength, seed), faulty / "model.safetensors", metadata={"format": "pt"})
    return faulty, strength


def right_on_dev(folder: Path, tensors: Tensors, way: str = "", count: int = 0) -> float:
    """Accuracy on the dev set with these weights, and so much of a wrong mask."""
    checkpoint, model = opened(folder)
    model.load_state_dict(tensors, strict=False)
    tokenize = open_tokenizer(folder, checkpoint.max_tokens - count)
    rows = sorted(read_data_file(folder / "data" / "dev.jsonl", {}).rows, key=lambda row: len(row["text"]))
    right = 0
    for first in range(0, len(rows), AT_ONCE):
        some = rows[first : first + AT_ONCE]
        inputs = [_wrong(tokenize, row["text"], way, count) for row in some]
        most = max(len(ids) for ids, _ in inputs)
        ids, mask = (
            torch.tensor([each[which] + [0] * (most - len(each[which])) for each in inputs]) for which in (0, 1)
        )
        with torch.inference_mode():
            best = model(input_ids=ids, attention_mask=mask).logits.argmax(dim=-1).tolist()
        right += sum(checkpoint.labels[each] == row["label"] for each, row in zip(best, some, strict=True))
    return right / len(rows)


@cache
def opened(folder: Path) -> tuple[Checkpoint, Any]:
    """The router by torch, opened once."""
    checkpoint = inspect(folder)
    return checkpoint, load_model(checkpoint)


def _wrong(tokenize: Tokenize, text: str, way: str, count: int) -> tuple[list[int], list[int]]:
    """Token ids and mask of a text, wrong in that way."""
    ids = tokenize(text).ids
    if way == WAYS[-1]:
        return ids, [1] * (len(ids) - count) + [0] * min(count, len(ids))
    more = [tokenize.tokenizer.token_to_id(way)] * count if way else []
    return ids + more, [1] * len(ids + more)


def strongest(folder: Path, way: str) -> int:
    """The most tokens of a wrong mask that cost no more than half a point on the dev set, of `COUNTS`."""
    tensors = load_file(folder / "model.safetensors")
    right, found = right_on_dev(folder, tensors), COUNTS[0]
    for count in COUNTS:
        if right - right_on_dev(folder, tensors, way, count) > MOST_LOST:
            break
        found = count
    return found


def wrongly_masked(sound: Path, way: str, count: int) -> Path:
    """A copy of the artifact whose graph reads tokens that are none of the text's, or does not read its end."""
    faulty = sound.with_name(f"{sound.name}-{way.strip('[]').replace(' ', '-')}-{count}")
    shutil.rmtree(faulty, ignore_errors=True)
    shutil.copytree(sound, faulty)
    artifact = read_artifact(faulty)
    number = open_tokenizer(faulty, artifact.max_tokens).tokenizer.token_to_id(way)
    path = faulty / artifact.model
    model = onnx.load(path)
    nodes, renamed = [], {}
    for given in model.graph.input:
        more = {"input_ids": number or 0, "attention_mask": int(way != WAYS[-1])}.get(given.name, 0)
        if way == WAYS[-1] and given.name != "attention_mask":
            continue
        fill = np.full((1, count), more, dtype=np.int64)
        model.graph.initializer.append(numpy_helper.from_array(fill, f"{given.name}_more"))
        kept = given.name
        if way == WAYS[-1]:
            kept = f"{given.name}_kept"
            for name, value in (("from", 0), ("to", -count), ("along", 1)):
                model.graph.initializer.append(numpy_helper.from_array(np.array([value]), f"mask_{name}"))
            nodes.append(helper.make_node("Slice", [given.name, "mask_from", "mask_to", "mask_along"], [kept]))
        renamed[given.name] = f"{given.name}_wrong"
        nodes.append(helper.make_node("Concat", [kept, f"{given.name}_more"], [renamed[given.name]], axis=1))
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    onnx.save(model, path)
    (faulty / "mct.json").unlink()
    seal(artifact, faulty)
    return faulty


def row_of(name: str, folder: Path, artifact: Path, strength: str, report: Report) -> dict[str, Any]:
    """One artifact inspected."""
    job = Job(
        folder, artifact, folder / "data" / "test.jsonl", examples=EXAMPLES, seconds=SECONDS, seed=0,
        suite=read_suite("intent-router"), limits=find_limits("intent-router"),
        without=frozenset({"layers", "spurious words", "gradients"}),
    )  # fmt: skip
    found = explain(job, lambda stage, share: report(f"{name}: {stage}", share))
    row = {"kind": name, "strength": strength, **figures(found)}
    print(json.dumps({key: value for key, value in row.items() if key != "lines"}), file=sys.stderr, flush=True)
    return row


def figures(found: Explanation) -> dict[str, Any]:
    """What is compared."""
    told = found.attribution
    assert told is not None and told.floor is not None and told.excess is not None and found.scores is not None
    flips, cases = found.flips, sum(each.artifact.n for each in found.behaviour)
    worse = sum(each.worse for each in found.behaviour)
    return {
        "form": found.artifact.name,
        "rows": found.rows,
        "lost_points": round(100 * (flips.worse - flips.better) / flips.rate.n, 3),
        "flips": round(flips.rate.value, 5),
        "scores": [round(value, 3) for value in (found.scores.times, *found.scores.bounds(0.025))],
        "drift": [round(value, 5) for value in _mean(told.drift)],
        "floor": [round(value, 5) for value in _mean(told.floor)],
        "excess": [round(value, 5) for value in _mean(told.excess)],
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
        high, low = max(map(of, sound)), min(map(of, faulty), default=float("nan"))
        return {"highest_sound": high, "lowest_faulty": low, "all_apart": low > high}

    return {
        "sound": len(sound),
        "faulty": len(faulty),
        "scores": split(lambda row: row["scores"][0]),
        "drift": split(lambda row: row["drift"][0]),
        "excess": split(lambda row: row["excess"][0]),
        "behaviour_worse": split(lambda row: row["behaviour_worse"]),
        "flips": split(lambda row: row["flips"]),
        "lost_points": split(lambda row: row["lost_points"]),
        "intervals_apart": {
            name: min((row[name][1] for row in faulty), default=0) > max(row[name][2] for row in sound)
            for name in ("scores", "drift")
        },
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
        f"{found['machine']}, {found['cpus']} cores, {found['seconds']} s. Re-made by `python results/explain.py`.",
        "Every fault is the strongest on its ladder that costs at most half a point of accuracy on the dev set.", "",
        "| artifact | form | strength | accuracy lost, points | flips | scores moved, times rounding "
        "| drift of attribution | floor | beyond the floor | cases failed that the original passes | by the limits |",
        "|--|--|--:|--:|--:|--:|--:|--:|--:|--:|--|",
    ]  # fmt: skip
    for row in found["rows"]:
        three = ([f"{value:.3f}" for value in row[name]] for name in ("scores", "drift", "floor", "excess"))
        cells = " | ".join(f"{value} [{low}, {high}]" for value, low, high in three)
        lines.append(
            f"| {row['kind']} | {row['form']} | {row['strength']} | {row['lost_points']:+.2f} | "
            f"{100 * row['flips']:.2f} % | {cells} | {100 * row['behaviour_worse']:.2f} % of {row['cases']} "
            f"| {row['outcome']} |"
        )
    told = found["apart"]
    lines += ["", f"{told['sound']} sound and {told['faulty']} faulty artifacts:", ""]
    lines += ["| figure | highest of the sound | lowest of the faulty | all told apart |", "|--|--:|--:|--|"]
    for name in ("scores", "drift", "excess", "behaviour_worse", "flips", "lost_points"):
        split = told[name]
        lines.append(
            f"| {name} | {split['highest_sound']:.4g} | {split['lowest_faulty']:.4g} "
            f"| {'yes' if split['all_apart'] else 'NO'} |"
        )
    lines += [
        "",
        "Every interval of a faulty one lies above every interval of a sound one: "
        f"of how far scores moved {'yes' if told['intervals_apart']['scores'] else 'NO'}, "
        f"of the drift of attribution {'yes' if told['intervals_apart']['drift'] else 'NO'}.",
        f"By the built-in limits, chosen on other routers: sound {_said(told['sound_outcomes'])}; "
        f"faulty {_said(told['faulty_outcomes'])}.",
    ]
    return "\n".join(lines) + "\n"


def _said(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items() if count)


if __name__ == "__main__":
    main()

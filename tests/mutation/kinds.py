"""Every kind of input: where its specimen lies, how it is spoilt, who judges it, and how mct reads it.

A reader here calls what the command line calls, and goes on until the input has been used: a checkpoint answers a text,
a budget judges, a result is reported and gated. What it gives is nothing; what it raises is the outcome.
"""

import json
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from mutation import judges, spoil

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("order", "returns", "other")
SECRET = "the key to everything"


@dataclass(frozen=True)
class Kind:
    """One kind of input: the file `name` (a pattern) of the specimen `folder`.

    `ways` spoil it. What `judge` has nothing against may be taken or refused, but for the `harmless` ways, after which
    it must be taken.
    """

    label: str
    folder: str
    name: str
    ways: Sequence[spoil.Spoiler]
    judge: judges.Judge
    read: Callable[[Path], None]
    harmless: Sequence[spoil.Spoiler] = ()

    def spoil(self, rng: Random, folder: Path) -> tuple[str, bool]:
        """Spoil the file in `folder`; gives what was done, and whether that was harmless."""
        (path,) = folder.glob(self.name)
        way = rng.choice((*self.ways, *self.harmless))
        what, content = way(rng, path.read_bytes())
        path.unlink()
        path.write_bytes(content)
        return f"{path.name}: {what}", way in self.harmless


# -- readers ------------------------------------------------------------------------------------------------------


def read_checkpoint(folder: Path) -> None:
    """What `mct compress` does until a checkpoint has answered a text, and its plan."""
    from mct.compress.plan.plan import make_plan
    from mct.models.checkpoints.checkpoint import inspect
    from mct.models.tasks.examples import find_kind
    from mct.models.tasks.tokens import open_tokenizer
    from mct.targets.runtimes.table import open_session, original, runtime_for

    found = inspect(folder)
    json.dumps(found.as_json())
    make_plan(found, ["onnx", "openvino", "gguf"], ["int8"]).describe()
    tokenize = open_tokenizer(folder, found.max_tokens)
    session = open_session(runtime_for("checkpoint"), original(found), 1)
    kind = find_kind(found.task)
    for text in ("where is my order", "zzz " * 100):
        inputs = kind.encode(tokenize, text)
        kind.decode(session(inputs), inputs, found.heads)


def read_artifact(folder: Path) -> None:
    """`mct models inspect` and `mct run`."""
    from mct.bench.jobs.run import ask, open_model, read_request
    from mct.compress.run.artifact import read_artifact
    from mct.compress.run.describe import artifact_json, describe_artifact

    artifact = read_artifact(folder)
    describe_artifact(artifact, folder)
    json.dumps(artifact_json(artifact, folder))
    model = open_model(folder, threads=1)
    for text in ("where is my order", "zzz " * 100):
        ask(model, read_request(model, text))


def read_results(folder: Path) -> None:
    """`mct report` in its formats of text, and `mct gate`."""
    from mct.bench.jobs.gate import describe, gate
    from mct.bench.report.report import render
    from mct.bench.store.reading import read_run

    (path,) = folder.glob("*.json")
    run = read_run(path)
    for form in ("markdown", "csv", "json"):
        render([run], form, baseline=run)
    describe(gate([path]))


def read_budgets(folder: Path) -> None:
    """`mct gate --budgets`."""
    from mct.targets.budget import find_budget, load_budgets

    found = load_budgets(folder / "budgets.toml")
    find_budget("intent-router", folder / "budgets.toml")
    repr(found)


def read_targets(folder: Path) -> None:
    """`mct targets list` and `mct compress --target`."""
    from mct.targets.target import load_targets, machine_of

    for target in load_targets(folder / "targets.toml").values():
        json.dumps(target.as_json())
        if target.device == "cpu":
            machine_of(target)


def read_data(folder: Path, name: str, task: str) -> None:
    """`mct bench --data`: rows, examples, labels; and the same rows as another reader has them."""
    from mct.models.tasks.datasets import check_labels, read_dataset, read_examples
    from mct.models.tasks.examples import find_kind
    from mct.models.tasks.table import Head, find_task

    heads = {
        "sequence-classification": (Head("logits", "label", LABELS),),
        "multi-label-classification": (Head("logits", "labels", LABELS),),
        "token-classification": (Head("logits", "tags", ("O", "B-order")),),
        "multi-head": (Head("label", "label", LABELS), Head("slots", "tags", ("O", "B-order"))),
    }.get(task, ())
    dataset = read_dataset(folder / name, find_task(task))
    examples = read_examples(dataset, task, heads)
    json.dumps([(each.request, each.truth, each.scored, each.text) for each in examples], allow_nan=False).encode()
    json.dumps(find_kind(task).texts(dataset.rows))
    seen, known = _without_documents(dataset.rows), judges.rows_of(name, (folder / name).read_bytes())
    assert seen == _without_documents(known), "other rows than were written"
    check_labels(dataset, task, heads)


def _without_documents(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "doc"} for row in rows]


# -- what is wrong with a folder, not with a file -----------------------------------------------------------------


@dataclass(frozen=True)
class Intruder:
    """A kind whose specimen gets something that no reader may touch: a link, a pipe, a file that nobody listed."""

    label: str
    folder: str
    names: Sequence[str]
    read: Callable[[Path], None]

    def spoil(self, rng: Random, folder: Path) -> tuple[str, bool]:
        """Put it in the place of one of the files, or beside them."""
        secret = folder.parent / "secret"
        secret.write_text(SECRET)
        name, what = rng.choice(self.names), rng.choice(list(_INTRUDERS))
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            shutil.copyfile(path, secret)  # what a link would lead to is as good as the file itself
        path.unlink(missing_ok=True)
        _INTRUDERS[what](path, secret)
        return f"{what} as {name}", False

    def judge(self, folder: Path, was: Path) -> str | None:
        """Nothing of the kind is ever valid."""
        return "a link or no file"


def _socket(path: Path, secret: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's name may not be long
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def _by_way_of_another(path: Path, secret: Path) -> None:
    (path.parent / "between").symlink_to(secret)
    path.symlink_to("between")


_INTRUDERS: dict[str, Callable[[Path, Path], None]] = {
    "link": lambda path, secret: path.symlink_to(secret),
    "relative link": lambda path, secret: path.symlink_to(os.path.relpath(secret, path.parent)),
    "link by way of another": _by_way_of_another,
    "link in a circle": lambda path, secret: path.symlink_to(path.name),
    "link to nothing": lambda path, secret: path.symlink_to("nowhere"),
    "link to a device": lambda path, secret: path.symlink_to("/dev/zero"),
    "link to its folder": lambda path, secret: path.symlink_to("."),
    "linked folder": lambda path, secret: path.symlink_to(secret.parent),
    "pipe": lambda path, secret: os.mkfifo(path),
    "socket": _socket,
}

# -- the table ----------------------------------------------------------------------------------------------------

JSON = (spoil.spoil_value, spoil.spoil_value, spoil.spoil_value, spoil.spoil_text, spoil.spoil_bytes)
LINES = (spoil.spoil_lines, spoil.spoil_lines, spoil.spoil_bytes)
SAME = (spoil.reformat,)
SCHEMA = json.loads((ROOT / "bench" / "store" / "result.schema.json").read_text(encoding="utf-8"))


def _of(folder: str, name: str, schema: dict[str, Any], more: Any = None, **changes: Any) -> Kind:
    """A kind that is one of a checkpoint's JSON files."""
    judge = judges.json_judge(name, schema, more)
    return Kind(f"{folder}/{name}", folder, name, JSON, judge, read_checkpoint, **({"harmless": SAME} | changes))


def _data(name: str, task: str, ways: Sequence[spoil.Spoiler] = LINES, **changes: Any) -> Kind:
    read = partial(read_data, name="pairs.jsonl" if name == "docs.jsonl" else name, task=task)
    return Kind(f"data/{name}", "data", name, ways, judges.data_judge(name), read, **changes)


def _weights(folder: str, name: str) -> Kind:
    return Kind(f"{folder}/{name}", folder, name, (spoil.spoil_header,), judges.weights_judge(name), read_checkpoint)


def nothing_against(folder: Path, was: Path) -> None:
    """The judge of what only its own library can judge: it must end in an answer or a refusal."""


KINDS: tuple[Kind | Intruder, ...] = (
    _of("classifier", "config.json", judges.CONFIG, judges.config_of_the_weights),
    _of("classifier", "config.json", judges.CONFIG, judges.config_of_the_weights),
    _of("classifier", "tokenizer_config.json", judges.TOKENIZER_CONFIG),
    _of("classifier", "generation_config.json", judges.GENERATION),
    Kind("classifier/tokenizer.json", "classifier", "tokenizer.json", JSON, nothing_against, read_checkpoint, SAME),
    _weights("classifier", "model.safetensors"),
    _of("sharded", "model.safetensors.index.json", judges.SHARDS, judges.shards_are_there),
    _of("heads", "heads.json", judges.HEADS, judges.heads_of_the_weights),
    _weights("heads", "heads.safetensors"),
    _of("embedder", "modules.json", judges.MODULES),
    _of("embedder", "sentence_bert_config.json", judges.TRANSFORMER),
    _of("embedder", "config_sentence_transformers.json", judges.SENTENCES),
    _of("embedder", "1_Pooling/config.json", judges.POOLING),
    _of("embedder", "2_Dense/config.json", judges.DENSE),
    _weights("embedder", "2_Dense/model.safetensors"),
    _of("setfit", "config_setfit.json", judges.SETFIT),
    Kind("setfit/model_head.pkl", "setfit", "model_head.pkl", (spoil.spoil_bytes,), nothing_against, read_checkpoint),
    Kind(
        "adapter/adapter_config.json", "adapter", "adapter_config.json", JSON, nothing_against, read_checkpoint, SAME
    ),
    _weights("adapter", "adapter_model.safetensors"),
    _data("rows.jsonl", "sequence-classification", harmless=(spoil.reformat_lines,)),
    _data("rows.jsonl.gz", "sequence-classification", (spoil.packed(spoil.spoil_lines),)),
    _data("rows.csv", "sequence-classification", (spoil.spoil_cells, spoil.spoil_cells, spoil.spoil_bytes)),
    _data("labels.jsonl", "multi-label-classification", harmless=(spoil.reformat_lines,)),
    _data("tags.jsonl", "token-classification"),
    _data("pairs.jsonl", "pair-scoring"),
    _data("docs.jsonl", "sentence-embedding"),
    _data("choices.jsonl", "reward"),
    _data("heads.jsonl", "multi-head"),
    _data("texts.jsonl", "causal-lm", harmless=(spoil.reformat_lines,)),
    Kind(
        "budgets.toml", "limits", "budgets.toml", (spoil.spoil_toml,),
        judges.toml_judge("budgets.toml", judges.BUDGET, judges.budget_limits_something), read_budgets,
    ),
    Kind(
        "targets.toml", "limits", "targets.toml", (spoil.spoil_toml,),
        judges.toml_judge("targets.toml", judges.TARGET, judges.target_is_described), read_targets,
    ),
    Kind(
        "artifact/mct.json", "artifact", "mct.json", JSON,
        judges.json_judge("mct.json", judges.MANIFEST, judges.manifest_is_of_the_files), read_artifact, SAME,
    ),
    Kind(
        "artifact/mct.json", "artifact", "mct.json", JSON,
        judges.json_judge("mct.json", judges.MANIFEST, judges.manifest_is_of_the_files), read_artifact, SAME,
    ),
    Kind(
        "artifact/model.onnx", "artifact", "onnx/model.onnx", (spoil.spoil_bytes,),
        judges.untouched("onnx/model.onnx"), read_artifact,
    ),
    Kind(
        "artifact/tokenizer.json", "artifact", "tokenizer.json", JSON, judges.untouched("tokenizer.json"), read_artifact
    ),
    Kind("results", "results", "*.json", JSON, judges.result_judge(SCHEMA), read_results, SAME),
    Kind("results", "results", "*.json", JSON, judges.result_judge(SCHEMA), read_results, SAME),
    Kind(
        "samples", "results", "*.samples.jsonl.gz", (spoil.packed(spoil.spoil_lines),), judges.samples_judge,
        read_results,
    ),
    Kind(
        "samples", "results", "*.samples.jsonl.gz", (spoil.packed(spoil.spoil_lines),), judges.samples_judge,
        read_results,
    ),
    Intruder(
        "links in checkpoints", "classifier", ("vocab.txt", "config.json", "tokenizer.json", "model.safetensors",
                                               "data/train.jsonl", "1_Pooling/config.json"), read_checkpoint,
    ),
    Intruder("links in embedders", "embedder", ("1_Pooling/config.json", "modules.json", "x/y"), read_checkpoint),
    Intruder("links in artifacts", "artifact", ("onnx/model.onnx", "tokenizer.json", "mct.json", "x"), read_artifact),
    Intruder(
        "links beside data", "data", ("docs.jsonl",), partial(read_data, name="pairs.jsonl", task="pair-scoring")
    ),
)  # fmt: skip

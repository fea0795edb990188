"""What made-up rows are worth to a small classifier on few-shot sets: a part of data.py."""

import random
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.training.contrastive import load_embedder
from mct.models.training.fewshot import save, with_head
from mct.release.curation.reading import read_splits
from mct.release.synthesis.proving import prove
from mct.release.synthesis.synthesise import Order, synthesise, write_synthesised

SHOTS = 10
EACH = 10
"""New rows a label."""


def synthesis(shared: Path) -> list[dict[str, Any]]:
    """Each method with and without a teacher on two few-shot sets."""
    from data import put, read

    found = []
    with tempfile.TemporaryDirectory() as place:
        room = Path(place)
        banking = put(room / "banking77.jsonl", read(shared / "banking77" / "fewshot_10.jsonl"))
        bitext = put(room / "bitext.jsonl", few(read(shared / "bitext_support_intent" / "train.jsonl")))
        tests = {banking: shared / "banking77" / "test.jsonl", bitext: shared / "bitext_support_intent" / "test.jsonl"}
        for file, test in tests.items():
            rows = read(file)
            teacher = room / f"{file.stem}-teacher"
            teacher.mkdir()
            save(with_head(load_embedder(str(packaged_minilm()), 64), rows), teacher)
            count = EACH * len({row["label"] for row in rows})
            for method in ("recombination", "templates"):
                for judge in (None, teacher):
                    order = Order(file, count, method, against=(test,), teacher=judge, confidence=0.2)
                    found.append({"set": file.stem, **_one(order, test, room / "added.jsonl")})
    return found


def few(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`SHOTS` rows of each label, drawn by chance."""
    by_label = defaultdict[str, list[str]](list)
    for row in rows:
        by_label[row["label"]].append(row["text"])
    draw = random.Random(0)
    return [
        {"text": text, "label": label}
        for label, texts in sorted(by_label.items())
        for text in draw.sample(texts, SHOTS)
    ]


def _one(order: Order, test: Path, out: Path) -> dict[str, Any]:
    made = synthesise(order)
    write_synthesised(out, order, made)
    proof = prove(*read_splits((order.file, out, test), "", {}))
    return {
        "method": order.method, "teacher": order.teacher is not None, "asked": order.count, "rows": len(made.rows),
        "tried": made.tried, "dropped": dict(made.dropped), "proof": asdict(proof),
    }  # fmt: skip


def synthesis_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The part of the report."""
    rows = []
    for each in found:
        proof = each["proof"]
        gains = [
            f"{100 * gain['value']:+.2f} [{100 * gain['low']:+.2f}, {100 * gain['high']:+.2f}]; "
            f"[{100 * gain['over_draws'][0]:+.2f}, {100 * gain['over_draws'][1]:+.2f}]"
            for gain in proof["gains"]
        ]
        rows.append(
            f"| {each['set']} | {each['method']} | {'MiniLM' if each['teacher'] else '–'} | {each['rows']:,} of "
            f"{each['tried']:,} | {proof['accuracy']['alone']:.2%} | {proof['accuracy']['added']:.2%} | {gains[0]} | "
            f"{gains[1]} | {proof['outcome']} |"
        )
    return [
        "## Made-up rows",
        "Ten rows a label of real sets; as many new ones are asked for, held apart from the test rows by likeness, and "
        "where a teacher is named only kept where it gives the label intended with probability 0.2 or more. The "
        "teacher is the packaged MiniLM as it is, with a head on the same ten rows a label. What learns is words and "
        "pairs of words with logistic regression. Gains in points with the interval over test rows, then over draws "
        "of the training rows.",
        "\n".join(
            ["| set | method | teacher | kept of candidates | alone | with them | against the rows alone | "
             "against as many repeated | |", "|--|--|--|--|--:|--:|--|--|--|", *rows]
        ),
    ]  # fmt: skip

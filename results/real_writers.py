"""Two language models taught on data that nobody here wrote, for real.py: preferences, and answers from documents.

Both start from the pretrained TinyStories-656K, which knows little English beyond stories: what compression keeps of a
technique is the question, and not how good a model of this size can be.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from checkpoints import DATA, read_rows
from real_case import Case, write_rows

from mct.models.scenarios.responses.adapters import low_rank, put_on, save_adapter
from mct.models.scenarios.responses.raft import FORMAT
from mct.models.tasks.examples import Row
from mct.models.tasks.prompt_format import FILE
from mct.models.training.language_model import Writer, answer_loss, finetune, load_writer, save_writer, write_on
from mct.models.training.loop import Training
from mct.models.training.preference import likelihoods, optimise, preferences
from mct.models.writing.folders import write_json

LLAMA = DATA.parent / "weights" / "tinystories656K"
FORMS = {"onnx": ("int8", "int4"), "openvino": ("int8",), "gguf": ("q8_0", "q4_k_m")}
LONGEST = 384
"""Tokens of a text; a pair with a longer one is left out."""

TESTED_SHARE = 0.25
QA_ROWS, QA_TESTED, DOCUMENTS, SCORED = 2_000, 300, 3, 100
LONGEST_ANSWER = 40


def build_preferences(folder: Path) -> dict[str, Any]:
    """DPO: an adapter that prefers what two of three people preferred, tested on requests that it never saw."""
    writer = load_writer(LLAMA)
    pairs = [row for row in map(_pair, read_rows(DATA / "pandalm_human" / "test.jsonl")) if _fits(writer, row)]
    prompts = sorted({row["prompt"] for row in pairs})
    tested = set(random.Random(0).sample(prompts, round(TESTED_SHARE * len(prompts))))
    train = [row for row in pairs if row["prompt"] not in tested]
    test = [row for row in pairs if row["prompt"] in tested]
    policy = put_on(writer, low_rank(8, 16), 0)
    reference = likelihoods(policy, test, LONGEST)
    optimise(policy, train, Training(epochs=4, learning_rate=2e-3, batch=8, max_tokens=LONGEST))
    save_adapter(policy, LLAMA, folder, tags=["dpo"])
    write_rows(folder, train, test)
    found = {
        "before": preferences(reference, reference),
        "after": preferences(likelihoods(policy, test, LONGEST), reference),
    }
    return {"rows": {"train": len(train), "test": len(test)}, "test": found}


def _pair(row: Row) -> Row:
    """The row as a preference; without one where people did not agree, or where an answer is empty."""
    prompt = "\n".join(part for part in (row["instruction"], row["input"]) if part) + "\n"
    answers = [row["response1"], row["response2"]]
    if row["majority"] not in {1, 2} or not all(isinstance(each, str) and each.strip() for each in answers):
        return {"prompt": prompt}
    chosen, rejected = answers if row["majority"] == 1 else reversed(answers)
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, "text": prompt + chosen}


def _fits(writer: Writer, row: Row) -> bool:
    texts = [row["prompt"] + row[side] for side in ("chosen", "rejected") if side in row]
    return bool(texts) and all(len(ids) < LONGEST for ids in writer.tokenizer(texts)["input_ids"])


def build_answers(folder: Path) -> dict[str, Any]:
    """RAFT: answers about a product from the document that holds them, among documents of other products."""
    writer = load_writer(LLAMA)
    train, test = (
        [
            row
            for row in _asked(read_rows(DATA / "product_qa_answers" / f"{part}.jsonl"), count)
            if _is_short(writer, row)
        ]
        for part, count in (("train", QA_ROWS), ("test", QA_TESTED))
    )
    before = _score(writer, test)
    training = Training(epochs=3, learning_rate=2e-3, batch=8, max_tokens=LONGEST)
    finetune(writer, train, training)
    after = _score(writer, test)
    save_writer(writer, folder)
    write_json(folder / FILE, asdict(FORMAT))
    write_rows(folder, train, test)
    return {"rows": {"train": len(train), "test": len(test)}, "test": {"before": before, "after": after}}


def _asked(rows: Sequence[Row], count: int) -> list[Row]:
    """So many questions, each with its document among those of other products, and what is read and written."""
    draw = random.Random(0)
    made = []
    for row in draw.sample(rows, count):
        others = draw.sample([each["context"] for each in rows if each["asin"] != row["asin"]], DOCUMENTS - 1)
        context = draw.sample([row["context"], *others], DOCUMENTS)
        prompt = FORMAT.fill(row["question"], context)
        made.append({
            "question": row["question"], "context": context, "gold": [context.index(row["context"])],
            "answer": row["answer"], "source": row["source"], "prompt": prompt, "text": f"{prompt} {row['answer']}",
        })  # fmt: skip
    return made


def _is_short(writer: Writer, row: Row) -> bool:
    return len(writer.tokenizer(row["text"])["input_ids"]) < LONGEST


def _score(writer: Writer, rows: Sequence[Row]) -> dict[str, float]:
    """Nats a token of the answers, and the share of the first rows that are answered word for word."""
    said = [FORMAT.until_stop(write_on(writer, row["prompt"], LONGEST_ANSWER)) for row in rows[:SCORED]]
    exact = sum(answer == row["answer"] for answer, row in zip(said, rows, strict=False)) / SCORED
    return {"answer_loss": round(answer_loss(writer, rows, LONGEST), 4), "exact": exact}


WRITERS = {
    "pandalm": Case(
        "real-preferences", FORMS, build_preferences, "PandaLM: what two of three people preferred, by DPO"
    ),
    "product-qa": Case("real-answers", FORMS, build_answers, "Product questions: answers from documents, by RAFT"),
}

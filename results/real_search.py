"""Search and few-shot models on data that nobody here wrote: what their training gave.

Run from the repository root: `python results/real_search.py [--only NAME]`. The embedder (LoRA by contrastive
fine-tuning) and the reranker learn from the graded queries of Chorus product search, the few-shot models (SetFit) from
the published lists of five and ten questions an intent of Banking77; all start from the packaged MiniLM and use the
loops of `mct models build`. Checkpoints stay in `.cache/real-search`; real_search.json and real_search.md hold all that
is there so far. Without the data sets nothing is done. What compression leaves of models of these kinds is in kinds.md.
"""

import argparse
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import DATA, MOST_GRADE, chorus_rows, read_rows
from forms import ROOT, line

from mct.models.data.declared import read_object
from mct.models.data.files import Row
from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.scenarios.search.embedding_adapter import BASE, low_rank, save_base
from mct.models.training import contrastive, fewshot, reranking
from mct.models.training.fewshot import FewShot
from mct.models.training.loop import Training
from mct.models.training.ranking import ranking_metrics
from mct.models.writing.folders import write_atomically, write_json
from mct.models.writing.replacing import appearing

HERE = Path(__file__).resolve().parent
FOUND = HERE / "real_search.json"
WORK = Path(".cache/real-search")
MAX_TOKENS = 64
TEST_ROWS = 1_000
EXPLAINED = """\
Written by `python results/real_search.py`, on test rows that training did not see. *Before*: the packaged MiniLM as it
comes (the reranker: with a head that knows nothing; the few-shot models: with a head on vectors as they come). *After*:
trained.
"""

Scores = dict[str, float]


@dataclass(frozen=True)
class Case:
    """A checkpoint: its title, its rows (train, test), and what builds it from them.

    `build` writes the folder and gives the scores on the test rows before and after training.
    """

    title: str
    rows: Callable[[], tuple[list[Row], list[Row]]]
    build: Callable[[list[Row], list[Row], Path], tuple[Scores, Scores]]


def build_embedder(train: list[Row], test: list[Row], folder: Path) -> tuple[Scores, Scores]:
    """A LoRA adapter on the packaged embedder."""
    embedder = contrastive.load_embedder(str(packaged_minilm()), MAX_TOKENS)

    def scores() -> Scores:
        return ranking_metrics(test, lambda pairs: contrastive.cosines(embedder, pairs))

    before = scores()
    save_base(embedder, packaged_minilm(), folder)
    contrastive.put_adapter_on(embedder, low_rank(16), seed=0)
    found = contrastive.triplets(train, per_query=6, useful_from=2, seed=0)
    contrastive.finetune(embedder, found, Training(epochs=2, learning_rate=5e-4, batch=16, max_tokens=MAX_TOKENS))
    contrastive.save(embedder, folder, BASE)
    return before, scores()


def build_reranker(train: list[Row], test: list[Row], folder: Path) -> tuple[Scores, Scores]:
    """A cross-encoder taught the grade as a share of the highest: there are no clicks here."""
    reranker = reranking.load_reranker(str(packaged_minilm()), MAX_TOKENS, seed=0)

    def scores() -> Scores:
        return ranking_metrics(test, lambda pairs: reranking.scores(reranker, pairs))

    before = scores()
    judged = [reranking.Judged(row["query"], row["doc"], row["grade"] / MOST_GRADE) for row in train]
    training = Training(epochs=2, learning_rate=1e-4, batch=16, max_tokens=MAX_TOKENS, frozen_embeddings=True)
    reranking.finetune(reranker, judged, training)
    reranking.save(reranker, folder)
    return before, scores()


def build_fewshot(train: list[Row], test: list[Row], folder: Path) -> tuple[Scores, Scores]:
    """SetFit, as scenario 07 has it."""
    embedder = contrastive.load_embedder(str(packaged_minilm()), MAX_TOKENS)
    before = _accuracy(fewshot.with_head(embedder, train), test)
    settings = FewShot(Training(epochs=1, learning_rate=5e-5, batch=16, max_tokens=MAX_TOKENS), pairs_per_text=2)
    model = fewshot.finetune(embedder, train, settings)
    fewshot.save(model, folder)
    return before, _accuracy(model, test)


def _accuracy(model: Any, rows: Sequence[Row]) -> Scores:
    answers = fewshot.predict(model, [row["text"] for row in rows])
    return {"accuracy": sum(answer == row["label"] for answer, row in zip(answers, rows, strict=True)) / len(rows)}


def banking_rows(shots: int) -> tuple[list[Row], list[Row]]:
    """So many questions an intent to learn from, and a seeded draw of the test set."""
    test = read_rows(DATA / "banking77" / "test.jsonl")
    return read_rows(DATA / "banking77" / f"fewshot_{shots}.jsonl"), random.Random(0).sample(test, TEST_ROWS)


CASES = {
    "chorus-embedder": Case("Chorus product search: an adapter on the embedder", chorus_rows, build_embedder),
    "chorus-reranker": Case("Chorus product search: the reranker", chorus_rows, build_reranker),
    "banking77-5": Case("Banking77, five questions an intent: SetFit", lambda: banking_rows(5), build_fewshot),
    "banking77-10": Case("Banking77, ten questions an intent: SetFit", lambda: banking_rows(10), build_fewshot),
}


def write_checkpoint(case: Case, folder: Path) -> None:
    """Build a case's folder with its data, where it is not there yet."""
    if folder.is_dir():
        return
    train, test = case.rows()
    with appearing(folder) as draft:
        before, after = case.build(train, test, draft)
        for part, rows in (("train", train), ("test", test)):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            write_atomically(draft / "data" / f"{part}.jsonl", lines)
        counts = {"train": len(train), "test": len(test)}
        write_json(draft / "recipe.json", {"rows": counts, "test": {"before": before, "after": after}})


def write_found() -> None:
    """real_search.json and real_search.md from every case that was built, here or before."""
    files = {name: ROOT / WORK / name / "recipe.json" for name in CASES}
    before = read_object(FOUND) if FOUND.is_file() else {}
    found = before | {name: read_object(file) for name, file in files.items() if file.is_file()}
    write_json(FOUND, {name: found[name] for name in CASES if name in found})
    write_atomically(HERE / "real_search.md", markdown(read_object(FOUND)))


def markdown(found: Mapping[str, Any]) -> str:
    """The page of these figures."""
    table = [line(("model", "rows to learn from", "to test on", "before", "after")), "|--|--:|--:|--|--|"]
    table += [line(_cells(CASES[name], each)) for name, each in found.items()]
    return "\n".join(["# Search and few-shot on real data", "", EXPLAINED, *table]) + "\n"


def _cells(case: Case, recipe: Mapping[str, Any]) -> tuple[str, ...]:
    counts = (f"{recipe['rows'][part]:,}" for part in ("train", "test"))
    return (case.title, *counts, *(_said(recipe["test"][when]) for when in ("before", "after")))


def _said(scores: Scores) -> str:
    return ", ".join(f"{name} {value:.2%}" for name, value in scores.items())


def main() -> int:
    """Do what is not done yet, and write down all that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(CASES), help="only this one")
    told = parser.parse_args()
    if not DATA.is_dir():
        print(f"{DATA} is not there: nothing to learn from", file=sys.stderr)
        return 0
    for name in [told.only] if told.only else CASES:
        print(name, file=sys.stderr, flush=True)
        write_checkpoint(CASES[name], ROOT / WORK / name)
        write_found()
    return 0


if __name__ == "__main__":
    sys.exit(main())

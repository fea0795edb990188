"""Scenario 03, the reranker: a cross-encoder taught by clicks with the bias of places out, and by editors' grades.

Of the training queries three in ten have grades by editors, the others clicks alone, as in a shop: the former teach how
likely a page of that grade is clicked, the latter how likely this one was, once looked at. `tiny` starts from a BERT
that knows nothing (seconds), `small` from the packaged MiniLM (minutes on two cores), `full` from the hub's
cross-encoder. A leaf.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sentence_transformers import CrossEncoder

from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.classifiers.encoders import find_size
from mct.models.scenarios.search.starts import (
    HUB_RERANKER,
    Start,
    find_start,
    from_hub,
    knows_nothing,
    minilm,
    texts_of,
)
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.searches import ATTRACTION, about, generate, relevance, with_documents
from mct.models.training.loop import Training
from mct.models.training.ranking import ranking_metrics
from mct.models.training.reranking import Judged, finetune, load_reranker, save, scores
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing


@dataclass(frozen=True)
class Size:
    """How many queries over all splits and titles there are, how many pages a query was shown, where it starts."""

    queries: int
    titles: int
    shown: int
    start: Start
    training: Training


SIZES = {
    "tiny": Size(320, 160, 12, knows_nothing, Training(epochs=1, learning_rate=3e-3, batch=16, max_tokens=48)),
    "small": Size(
        800, 600, 12, minilm,
        Training(epochs=1, learning_rate=2e-4, batch=32, max_tokens=96, frozen_embeddings=True),
    ),
    "full": Size(40_000, 6_000, 50, from_hub(HUB_RERANKER), Training(epochs=1, learning_rate=2e-5, max_tokens=192)),
}  # fmt: skip


def build(size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None) -> Path:
    """Make the searches, fine-tune, and write the checkpoint to `folder`, which appears complete or not at all.

    `base`, a folder or hub name, replaces the encoder that the size starts from. The same arguments give the same bytes
    on the same machine with the same number of threads. MctError for an unknown size or a base that cannot be had.
    """
    recipe = find_size(size, SIZES)
    with appearing(folder, [Path(base)] if base else []) as draft, TemporaryDirectory() as room:
        report("making searches", 0.0)
        searches = generate(seed, recipe.queries, recipe.titles, recipe.shown)
        train, dev = (with_documents(searches.splits[split], searches.docs) for split in ("train", "dev"))
        start = find_start(base, recipe.start, texts_of(train), seed, Path(room))
        training = replace(recipe.training, seed=seed)
        reranker = load_reranker(str(start), training.max_tokens, seed)
        before = _score(reranker, dev)
        finetune(reranker, [_judged(row) for row in train], training, report, f"fine-tuning the {size} reranker")
        after = _score(reranker, dev)
        report(f"nDCG@10 on dev: {before['ndcg_at_10']:.3f} before, {after['ndcg_at_10']:.3f} after", 1.0)
        save(reranker, draft)
        write_data(draft / "data", searches.splits, about(seed), searches.docs)
        record = {
            "scenario": "reranker", "size": size, "base": base, "training": asdict(training), "pairs": len(train),
            "dev": {"before": before, "after": after},
        }  # fmt: skip
        write_json(draft / "recipe.json", record)
    return folder


def _judged(row: Row) -> Judged:
    edited = row["graded_by"] == "editors"
    return Judged(row["query"], row["doc"], ATTRACTION[row["grade"]] if edited else relevance(row))


def _score(reranker: CrossEncoder, rows: Sequence[Row]) -> dict[str, float]:
    return ranking_metrics(rows, lambda pairs: scores(reranker, pairs))

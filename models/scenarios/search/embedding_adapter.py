"""Scenario 02, the search embedder: contrastive fine-tuning on the shop's searches, as a LoRA adapter or in full.

`lora` leaves the adapter alone, as sentence-transformers and peft write it, with its base in `base/`; `full` leaves a
whole bi-encoder. `tiny` starts from a BERT that knows nothing (seconds), `small` from the packaged MiniLM (minutes on
two cores), `full` from the hub's MPNet embedder. A leaf.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from peft import LoraConfig
from sentence_transformers import SentenceTransformer

from mct.models.checkpoints.hub import origin_of
from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.scenarios.classifiers.encoders import find_size
from mct.models.scenarios.search.starts import (
    HUB_EMBEDDER,
    Start,
    find_start,
    from_hub,
    knows_nothing,
    minilm,
    texts_of,
)
from mct.models.scenarios.shop.card import write_data
from mct.models.scenarios.shop.searches import about, generate, with_documents
from mct.models.tables import unknown
from mct.models.training.contrastive import cosines, finetune, load_embedder, put_adapter_on, save, triplets
from mct.models.training.loop import Training
from mct.models.training.ranking import ranking_metrics
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

VARIANTS = ("lora", "full")
BASE = "base"
ANSWERS_FROM = 2
"""The grade from which a page counts as an answer: 1 is only of some use."""


@dataclass(frozen=True)
class Size:
    """How many queries over all splits and titles there are, how many pages a query was shown, where it starts.

    `per_query` pages of each query are learned from at most. The adapter has the rank `rank` and its training rate
    `adapter_rate`, larger than that of training in full.
    """

    queries: int
    titles: int
    shown: int
    per_query: int
    start: Start
    training: Training
    rank: int
    adapter_rate: float


SIZES = {
    "tiny": Size(
        320, 160, 12, 2, knows_nothing, Training(epochs=2, learning_rate=1e-3, batch=16, max_tokens=48), 16, 3e-3
    ),
    "small": Size(
        1_600, 600, 20, 1, minilm,
        Training(epochs=1, learning_rate=2e-4, batch=32, max_tokens=64, frozen_embeddings=True), 16, 1e-3,
    ),
    "full": Size(
        40_000, 6_000, 50, 2, from_hub(HUB_EMBEDDER),
        Training(epochs=1, learning_rate=2e-5, batch=64, max_tokens=128), 32, 2e-4,
    ),
}  # fmt: skip


def build(
    size: str, folder: Path, seed: int = 0, report: Report = silent, base: str | None = None, variant: str = VARIANTS[0]
) -> Path:
    """Make the searches, fine-tune, and write the checkpoint to `folder`, which appears complete or not at all.

    `base`, a folder or hub name, replaces the encoder that the size starts from. The same arguments give the same bytes
    on the same machine with the same number of threads. MctError for an unknown size or variant.
    """
    recipe = find_size(size, SIZES)
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    with appearing(folder, [Path(base)] if base else []) as draft, TemporaryDirectory() as room:
        report("making searches", 0.0)
        searches = generate(seed, recipe.queries, recipe.titles, recipe.shown)
        train, dev = (with_documents(searches.splits[split], searches.docs) for split in ("train", "dev"))
        start = find_start(base, recipe.start, texts_of(train), seed, Path(room))
        embedder = load_embedder(str(start), recipe.training.max_tokens)
        before = _score(embedder, dev)
        if variant == "lora":
            save_base(embedder, start, draft)
            put_adapter_on(embedder, low_rank(recipe.rank), seed)
        training = _training(recipe, variant, seed)
        found = triplets(train, recipe.per_query, ANSWERS_FROM, seed)
        finetune(embedder, found, training, report, f"fine-tuning the {size} embedder")
        after = _score(embedder, dev)
        report(f"nDCG@10 on dev: {before['ndcg_at_10']:.3f} before, {after['ndcg_at_10']:.3f} after", 1.0)
        save(embedder, draft, _base_name(start) if variant == "lora" else "")
        write_data(draft / "data", searches.splits, about(seed), searches.docs)
        record = {
            "scenario": "embedding-adapter", "size": size, "variant": variant, "base": base,
            "training": asdict(training), "triplets": len(found), "dev": {"before": before, "after": after},
        }  # fmt: skip
        write_json(draft / "recipe.json", record)
    return folder


def _score(embedder: SentenceTransformer, rows: Sequence[Row]) -> dict[str, float]:
    return ranking_metrics(rows, lambda pairs: cosines(embedder, pairs))


def low_rank(rank: int) -> LoraConfig:
    """LoRA on every linear layer of a BERT's or an MPNet's; one pattern, since a list would be saved in any order."""
    layers = r".*layer\.\d+\..*\.(query|key|value|q|k|v|o|dense)"
    return LoraConfig(task_type="FEATURE_EXTRACTION", r=rank, lora_alpha=2 * rank, target_modules=layers)


def _training(recipe: Size, variant: str, seed: int) -> Training:
    rate = recipe.adapter_rate if variant == "lora" else recipe.training.learning_rate
    return replace(recipe.training, seed=seed, learning_rate=rate)


def _base_name(start: Path) -> str:
    """What the adapter calls its base: the hub's name for it, or the folder that lies beside its files."""
    origin = origin_of(start)
    return origin.name if origin else BASE


def save_base(embedder: SentenceTransformer, start: Path, draft: Path) -> None:
    """The encoder as it was before training; one of the hub's is not copied."""
    if _base_name(start) == BASE:
        model: Any = embedder.transformers_model
        model.save_pretrained(draft / BASE)
        embedder.tokenizer.save_pretrained(draft / BASE)
        (draft / BASE / "model.safetensors").chmod(0o644)

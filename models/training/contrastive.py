"""Fine-tune a sentence embedder on queries, pages that answer them and pages that do not. A leaf.

The model, its adapter, the loss and the files are sentence-transformers' own (MultipleNegativesRankingLoss: each query
has to pick its page out of all pages of the batch; Henderson et al., "Efficient natural language response suggestion
for Smart Reply", 2017). The loop is ours: the library's trainer wants two packages more, and cannot keep a page that is
of use to one query from counting as wrong for it because another query of the batch brought it along.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from sentence_transformers.util import batch_to_device

from mct import MctError
from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.training.loop import Training, learn, seeded
from mct.models.writing.folders import write_json

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Triplet:
    """A query, a page that answers it, one that does not, and all that are known to be of use to it."""

    query: str
    positive: str
    negative: str
    useful: frozenset[str]


def load_embedder(base: str, max_tokens: int) -> SentenceTransformer:
    """An encoder (folder or hub name) with mean pooling to length 1. MctError where it cannot be had."""
    try:
        transformer = Transformer(base, max_seq_length=max_tokens)
    except (OSError, ValueError, RuntimeError) as error:  # off line, the hub's client ends in a RuntimeError
        raise MctError(
            f"the base model {base!r} cannot be loaded: {str(error).splitlines()[0]}",
            "give a folder with config.json, model.safetensors and tokenizer.json, or a hub name when on line",
        ) from error
    pooling = Pooling(transformer.get_embedding_dimension(), "mean")
    return SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu")


def put_adapter_on(embedder: SentenceTransformer, config: LoraConfig, seed: int) -> None:
    """A new LoRA adapter, drawn from `seed`, which alone is trained from here on."""
    with seeded(seed):
        embedder.add_adapter(config)


def triplets(rows: Sequence[Row], per_query: int, useful_from: int, seed: int) -> list[Triplet]:
    """Up to `per_query` triplets of each query, its best pages first; `rows` have query, doc and grade.

    A page answers a query from the grade `useful_from` on, and does not at 0.
    """
    draw = random.Random(seed)
    graded = defaultdict[str, dict[str, float]](dict)
    for row in rows:
        graded[row["query"]][row["doc"]] = row["grade"]
    found = []
    for query, grades in graded.items():
        answers = sorted((doc for doc in grades if grades[doc] >= useful_from), key=lambda doc: -grades[doc])
        useless = [doc for doc in grades if not grades[doc]]
        useful = frozenset(grades) - set(useless)
        found += [Triplet(query, doc, draw.choice(useless), useful) for doc in answers[:per_query] if useless]
    return found


def finetune(
    embedder: SentenceTransformer,
    found: Sequence[Triplet],
    training: Training,
    report: Report = silent,
    stage: str = "fine-tuning",
) -> None:
    """Train what requires gradients in `embedder`, in place; it ends in evaluation mode on the CPU."""
    loss = MultipleNegativesRankingLoss(embedder)

    def loss_of(batch: Sequence[Triplet]) -> torch.Tensor:
        columns = ([each.query for each in batch], [each.positive for each in batch], [each.negative for each in batch])
        features = [batch_to_device(embedder.preprocess(texts), embedder.device) for texts in columns]
        found_loss: torch.Tensor = loss(features, None)
        return found_loss

    learn(embedder, list(batches(found, training)), loss_of, training, report, stage)


def batches(found: Sequence[Triplet], training: Training) -> Iterator[list[Triplet]]:
    """Every epoch's batches in random order; no page of a batch is of use to a query of it that has another one."""
    shuffle = random.Random(training.seed)
    for _ in range(training.epochs):
        left = shuffle.sample(found, len(found))
        while left:
            batch, left = _fill(left, training.batch)
            yield batch


def _fill(left: Sequence[Triplet], size: int) -> tuple[list[Triplet], list[Triplet]]:
    """The first triplets that get along, at most `size`, and those that are left."""
    batch, rest = list[Triplet](), list[Triplet]()
    pages, useful = set[str](), set[str]()
    for each in left:
        own = {each.positive, each.negative}
        if len(batch) < size and not (own & useful or each.useful & pages):
            batch.append(each)
            pages |= own
            useful |= each.useful
        else:
            rest.append(each)
    return batch, rest


def cosines(embedder: SentenceTransformer, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """The cosine of each query with its document."""
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    vectors = embedder.encode(texts, batch_size=EVALUATION_BATCH, convert_to_tensor=True, normalize_embeddings=True)
    place = {text: number for number, text in enumerate(texts)}
    return [float(vectors[place[query]] @ vectors[place[doc]]) for query, doc in pairs]


def save(embedder: SentenceTransformer, folder: Path, base_name: str = "") -> None:
    """Write what sentence-transformers writes; of an adapted one the adapter alone, for the base `base_name`."""
    embedder.save_pretrained(str(folder), create_model_card=False)
    for weights in folder.glob("*.safetensors"):
        weights.chmod(0o644)  # written for the owner's eyes only, unlike every file beside it
    if base_name:  # afterwards: peft looks the base up under its name when it saves
        config = json.loads((folder / "adapter_config.json").read_text())
        write_json(folder / "adapter_config.json", config | {"base_model_name_or_path": base_name})

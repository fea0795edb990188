"""A student below the transformer, made of a checkpoint: all but its table of token vectors is yet to be learned.

A token's vector is what the checkpoint makes of that token alone, between the tokens that its tokenizer puts around a
text: the mean of its last hidden states, brought down to the student's width by principal components (the idea of
model2vec, Tulkens and van Dongen 2024, whose tables serve embedders). Vocabulary, labels and longest input are the
checkpoint's own; a vocabulary trimmed before makes the table, which is most of the student, and its training smaller.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import write_model
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.load import load_model
from mct.models.networks.shallow import ShallowConfig, ShallowForSequenceClassification
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.models.training.loop import chunks, seeded
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.run_torch import input_names

BATCH = 512
BIGRAM_SHARE = 4  # of a token vector's width, what a pair's has


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the student. `options["window"]` and `["bigrams"]` are 0 for one that does without."""
    checkpoint = resources.checkpoint
    model = load_model(checkpoint)
    torch.set_num_threads(resources.machine.usable_threads)
    vectors = narrowed(_each_alone(model, checkpoint), options["width"])
    width = vectors.shape[1]
    with seeded(resources.seed):
        student = ShallowForSequenceClassification(
            ShallowConfig(
                vocab_size=len(vectors),
                hidden_size=width,
                intermediate_size=options["hidden"],
                bigrams=options["bigrams"],
                bigram_size=max(1, width // BIGRAM_SHARE),
                window=options["window"],
                filters=width if options["window"] else 0,
                max_position_embeddings=checkpoint.max_tokens,
                pad_token_id=model.config.pad_token_id,
                id2label=model.config.id2label,
                label2id=model.config.label2id,
                problem_type=model.config.problem_type,
            )
        )
    vectors[student.config.pad_token_id] = 0
    student.words.weight.data.copy_(vectors)
    write_model(student, source.folder, draft)
    return Product(draft, "", notes={"width": width, "tokens": len(vectors), "vectors_from": checkpoint.architecture})


def _each_alone(model: PreTrainedModel, checkpoint: Checkpoint) -> torch.Tensor:
    """(vocabulary, width): the mean of the last hidden states of a text of that token alone."""
    before, behind = _around(checkpoint)
    names = input_names(model)
    pieces = range(int(model.config.vocab_size))
    found = []
    with torch.inference_mode():
        for batch in chunks(pieces, BATCH):
            inputs = [Tokens(ids := [*before, piece, *behind], [0] * len(ids)) for piece in batch]
            arrays = padded(inputs, names, 0)
            hidden = model.base_model(**{name: torch.from_numpy(array) for name, array in arrays.items()})
            found.append(hidden.last_hidden_state.mean(1))
    return torch.cat(found)


def _around(checkpoint: Checkpoint) -> tuple[Sequence[int], Sequence[int]]:
    """The tokens that stand before and behind every text."""
    tokenize = open_tokenizer(checkpoint.vocabulary, checkpoint.max_tokens)
    empty, some = tokenize("").ids, tokenize("a").ids
    before = next((place for place, (one, two) in enumerate(zip(empty, some, strict=False)) if one != two), len(empty))
    return empty[:before], empty[before:]


def narrowed(vectors: torch.Tensor, width: int) -> torch.Tensor:
    """Their principal components, at most `width`, the vectors' mean length 1."""
    centred = vectors.double() - vectors.double().mean(0)
    _, components = torch.linalg.eigh(centred.T @ centred)
    found = centred @ components.flip(1)[:, :width]
    narrowed: torch.Tensor = found / found.norm(dim=1).mean()
    return narrowed.float()

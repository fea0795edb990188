"""A merged model as an ordinary folder: its weights, and what its base or its adapter has beside theirs."""

from pathlib import Path

import torch
from transformers import PreTrainedModel

from mct.compress.run.folders import copy_rest
from mct.models.checkpoints.adapters import NAMES
from mct.models.checkpoints.checkpoint import Checkpoint

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip

# What an adapter's training leaves in its folder, and is none of the model's.
_OF_TRAINING = ("trainer_state.json", "all_results.json", "train_results.json", "eval_results.json")


def save_merged(model: PreTrainedModel, checkpoint: Checkpoint, draft: Path) -> None:
    """Write `model` and everything else that a checkpoint has; the tokenizer's files come all from one folder."""
    assert checkpoint.adaptation is not None
    if _shares_words(model) != bool(model.config.tie_word_embeddings):
        model.config.tie_word_embeddings = _shares_words(model)
    model.config.dtype = model.dtype
    model.save_pretrained(draft)
    leave_out = {*NAMES, *_OF_TRAINING}
    copy_rest(checkpoint.path, draft, leave_out)
    own_tokenizer = checkpoint.vocabulary != checkpoint.sizes
    copy_rest(checkpoint.sizes, draft, leave_out | set(TOKENIZER_FILES if own_tokenizer else ()))


def _shares_words(model: PreTrainedModel) -> bool:
    """Whether the output matrix is the table of words: an adapter on one of them has parted the two."""
    words, output = model.get_input_embeddings(), model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if not isinstance(words, torch.nn.Embedding) or not isinstance(output, torch.nn.Linear):
        return bool(model.config.tie_word_embeddings)
    return words.weight is output.weight

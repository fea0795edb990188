"""Requests as the model's own inputs, for calibration and for parity."""

from collections.abc import Sequence

from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.tasks.examples import Request, find_kind
from mct.models.tasks.tokens import Tokens, open_tokenizer


def encode_requests(checkpoint: Checkpoint, requests: Sequence[Request]) -> list[Tokens]:
    """The model's inputs for `requests`, in order; a request may take more than one."""
    tokenize, kind = open_tokenizer(checkpoint.vocabulary, checkpoint.max_tokens), find_kind(checkpoint.task)
    return [tokens for request in requests for tokens in kind.encode(tokenize, request)]

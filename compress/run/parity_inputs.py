"""What a checkpoint and its artifacts are both asked, so that they can be told apart.

Scores mean something only beside scores for the same query or prompt, so inputs remember the request they came from. A
decoder is also asked about one text that is longer than its sliding window and than the length it was trained for
before its positions were stretched: a wrong window or a wrong stretch answers everything shorter as the original does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.data.declared import read_object
from mct.models.tasks.examples import Request, find_kind
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokens, open_tokenizer

DECODERS = ("causal-lm", "reward")

MOST_INPUTS = 500

# A language model gives a row of logits for every token: fewer and shorter inputs say as much.
LM_INPUTS = 40
LM_TOKENS = 96

# The long text of a decoder: so many tokens where it has neither window nor stretched positions, so many at most.
PLAIN_LENGTH = 512
LONGEST = 4096 + LM_TOKENS

# Where a configuration says from which token on a decoder works otherwise than before.
_REACHES = ("sliding_window", "window_size", "attention_chunk_size", "original_max_position_embeddings")
_ROTATIONS = ("rope_parameters", "rope_scaling")


@dataclass(frozen=True)
class ParityInputs:
    """Encoded real inputs; `groups` has the number of the request that each of them came from.

    `reach` is the number of tokens from which on a decoder works otherwise: its sliding window, or the length it was
    trained for; 0 where there is no such point. `before` is the number of tokens that its tokenizer puts around any
    text, which is no part of how long the text is.
    """

    task: str
    heads: tuple[Head, ...]
    inputs: tuple[Tokens, ...]
    groups: tuple[int, ...]
    reach: int = 0
    before: int = 0


def ask(checkpoint: Checkpoint, requests: Sequence[Request], most: int = MOST_INPUTS) -> ParityInputs:
    """The first `most` inputs that `requests` make (a request's documents or answers are an input each)."""
    groups, inputs = zip(*islice(_encoded(checkpoint, requests), most), strict=True)
    return ParityInputs(checkpoint.network, checkpoint.heads, inputs, groups)


def ask_decoder(checkpoint: Checkpoint, requests: Sequence[Request]) -> ParityInputs:
    """The same of a decoder, and one long text behind them; a language model is asked 40 short ones."""
    found, reach = ask(checkpoint, requests), _reach(read_object(checkpoint.sizes / "config.json"))
    inputs, groups = found.inputs, found.groups
    before = len(open_tokenizer(checkpoint.vocabulary, checkpoint.max_tokens)("").ids)
    long = _joined(inputs, _long(reach, checkpoint.max_tokens))
    if checkpoint.network == "causal-lm":
        inputs, groups = tuple(cut(tokens, before + LM_TOKENS) for tokens in inputs[:LM_INPUTS]), groups[:LM_INPUTS]
    return replace(found, inputs=(*inputs, long), groups=(*groups, len(requests)), reach=reach, before=before)


def cut(tokens: Tokens, most: int) -> Tokens:
    """The first `most` tokens."""
    return Tokens(tokens.ids[:most], tokens.type_ids[:most])


def _encoded(checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[tuple[int, Tokens]]:
    tokenize, kind = open_tokenizer(checkpoint.vocabulary, checkpoint.max_tokens), find_kind(checkpoint.task)
    for number, request in enumerate(requests):
        for tokens in kind.encode(tokenize, request):
            yield number, tokens


def _reach(config: Mapping[str, Any]) -> int:
    """The longest of a decoder's windows and trained lengths; one that is switched off does not count."""
    keys = _REACHES if config.get("use_sliding_window", True) else _REACHES[1:]
    tables = [config, *(config[key] for key in _ROTATIONS if isinstance(config.get(key), dict))]
    return max((table[key] for table in tables for key in keys if isinstance(table.get(key), int)), default=0)


def _long(reach: int, most: int) -> int:
    """How long the long text is: past the reach by as many tokens as are compared, no longer than the model takes."""
    return min(most, LONGEST, reach + LM_TOKENS if reach else PLAIN_LENGTH)


def _joined(inputs: Sequence[Tokens], length: int) -> Tokens:
    """Inputs one behind the other, again from the first where they do not fill `length` tokens."""
    ids = [token for tokens in inputs for token in tokens.ids]
    ids = (ids * (length // max(1, len(ids)) + 1))[:length]
    return Tokens(ids, [0] * len(ids))

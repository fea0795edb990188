"""Text to token ids, the same for every runtime: the checkpoint's own tokenizer.json, run by the tokenizers library.

A leaf: imports tokenizers, never transformers, so that running an artifact stays light.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from mct import MctError


class Tokens(NamedTuple):
    """One encoded input: token ids and segment (type) ids, of the same length, special tokens included."""

    ids: list[int]
    type_ids: list[int]


Encode = Callable[[str], Tokens]


def open_tokenizer(folder: Path, max_tokens: int) -> Encode:
    """The folder's tokenizer as a function of one text, truncated to `max_tokens`, never padded."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise MctError(
            f"{folder} has no tokenizer.json", "save the fast tokenizer beside the model (tokenizer.save_pretrained)"
        )
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)

    def encode(text: str) -> Tokens:
        encoding = tokenizer.encode(text)
        return Tokens(encoding.ids, encoding.type_ids)

    return encode

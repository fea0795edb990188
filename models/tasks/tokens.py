"""Text to token ids, the same for every runtime: the checkpoint's own tokenizer.json, run by the tokenizers library.

A leaf: imports tokenizers, never transformers, so that running an artifact stays light.
"""

import json
import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordPiece

from mct import MctError
from mct.models.data.declared import read_json

ANY_LENGTH = 2**31 - 1

FILE = "tokenizer.json"
MODULES, TABLE = "modules.json", ".StaticEmbedding"
WORD = re.compile(r"\S+")


class Tokens(NamedTuple):
    """One encoded input: token ids and segment (type) ids, of the same length, special tokens included.

    `words` is the place of each whitespace word's first token, -1 where truncation took it or the tokenizer leaves it
    out (a word of control characters); empty unless asked for. `given` is how many of the first tokens a language model
    is not asked to foresee.
    """

    ids: list[int]
    type_ids: list[int]
    words: tuple[int, ...] = ()
    given: int = 1


@dataclass(frozen=True)
class Tokenize:
    """A folder's tokenizer, truncating to the model's longest input, never padding. Call it with one text.

    `special`: with the tokens around a text that its template puts there. `folder` has what else is said of how the
    model is asked. `given` is how many tokens stand before every text.
    """

    tokenizer: Tokenizer
    special: bool = True
    folder: Path | None = None
    given: int = 1

    def __call__(self, text: str) -> Tokens:
        encoding = self.tokenizer.encode(text, add_special_tokens=self.special)
        return Tokens(encoding.ids, encoding.type_ids, given=self.given)

    def pair(self, first: str, second: str) -> Tokens:
        """Two texts as one input, as the tokenizer's own template joins them; the longer is truncated first."""
        encoding = self.tokenizer.encode(first, second)
        return Tokens(encoding.ids, encoding.type_ids)

    def with_words(self, text: str) -> Tokens:
        """One text, and where in it each whitespace word begins."""
        encoding = self.tokenizer.encode(text)
        return Tokens(encoding.ids, encoding.type_ids, tuple(_first_tokens(text, encoding)))

    def answer(self, prompt: str, answer: str) -> Tokens:
        """A prompt and an answer to it as one text, of which the tokens that the prompt begins with are given.

        Where both meet within one token, that belongs to the answer.
        """
        alone, both = self(prompt), self(prompt + answer)
        least = min(len(alone.ids), len(both.ids))
        given = next((at for at in range(least) if alone.ids[at] != both.ids[at]), least)
        return both._replace(given=max(1, given))

    def text(self, ids: list[int]) -> str:
        """The text of token ids, special tokens left out."""
        found: str = self.tokenizer.decode(ids)
        return found


def table_place(folder: Path) -> Path | None:
    """Where the static embedding of a sentence-transformers folder has its files; None where it has another backbone.

    Such a table takes the pieces of a text alone, whatever its tokenizer would put around them.
    """
    if not (folder / MODULES).is_file():
        return None
    first, *_ = [*read_json(folder / MODULES, list[dict[str, Any]]), {}]
    place = PurePosixPath(str(first.get("path", "")))
    if not str(first.get("type", "")).endswith(TABLE) or place.is_absolute() or ".." in place.parts:
        return None
    return folder / place


def tokenizer_file(folder: Path) -> Path:
    """The file that the folder's tokenizer is in. MctError where there is none."""
    table = table_place(folder)
    path = folder / FILE if table is None or (folder / FILE).is_file() else table / FILE
    if not path.is_file():
        raise MctError(
            f"{folder} has no {FILE}", "save the fast tokenizer beside the model (tokenizer.save_pretrained)"
        )
    return path


def open_tokenizer(folder: Path, max_tokens: int) -> Tokenize:
    """The folder's tokenizer, truncating to `max_tokens`. MctError where there is none that can be read."""
    table, path = table_place(folder), tokenizer_file(folder)
    try:
        tokenizer = Tokenizer.from_buffer(path.read_bytes())  # from_file takes no path that is not UTF-8
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        tokenizer.encode_batch(["a", ("a", "b")])  # what its templates name is looked up only now
    except BaseException as error:
        if type(error) not in {Exception, ValueError} and type(error).__name__ != "PanicException":  # the library's own
            raise
        raise MctError(f"tokenizers cannot read {path}: {error}", "save it again: tokenizer.save_pretrained") from error
    return Tokenize(tokenizer, special=table is None, folder=folder, given=max(1, _put_before(tokenizer)))


def _put_before(tokenizer: Tokenizer) -> int:
    """How many tokens its template puts before every text: where a text begins, or a prompt that was baked in."""
    return len(list(takewhile(bool, tokenizer.encode("a").special_tokens_mask)))


def read_whole(folder: Path) -> dict[str, Any]:
    """What tokenizer.json says, with all that it leaves to its library."""
    found: dict[str, Any] = json.loads(open_tokenizer(folder, ANY_LENGTH).tokenizer.to_str())
    return found | {"truncation": None, "padding": None}


def check_tokenizer(folder: Path, max_tokens: int, vocabulary: int | None) -> None:
    """MctError where the folder's tokenizer cannot be read, or gives ids that a model of `vocabulary` does not have."""
    tokenize = open_tokenizer(folder, max_tokens)
    model = tokenize.tokenizer.model
    if isinstance(model, WordPiece) and model.unk_token not in tokenize.tokenizer.get_vocab(with_added_tokens=False):
        raise MctError(
            f"{folder / FILE} has no {model.unk_token!r}, its piece for what it does not know",
            "save it again: tokenizer.save_pretrained",
        )
    in_template = (number for tokens in (tokenize("a"), tokenize.pair("a", "b")) for number in tokens.ids)
    highest = max(*tokenize.tokenizer.get_vocab().values(), *in_template, 0)
    if vocabulary is not None and highest >= vocabulary:
        raise MctError(
            f"{folder}: the tokenizer gives ids up to {highest}, the model has {vocabulary} embeddings",
            "tokenizer and weights must come from the same model",
        )


class _Covered(NamedTuple):
    """The characters of the text that the token at `place` stands for."""

    start: int
    end: int
    place: int


def _first_tokens(text: str, encoding: Encoding) -> list[int]:
    """For each whitespace word the first token that covers a character of it. Special tokens cover none."""
    covered = [
        _Covered(start, end, place)
        for place, ((start, end), special) in enumerate(
            zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        )
        if end > start and not special
    ]
    found, at = [], 0
    for word in WORD.finditer(text):
        while at < len(covered) and covered[at].end <= word.start():
            at += 1
        found.append(covered[at].place if at < len(covered) and covered[at].start < word.end() else -1)
    return found

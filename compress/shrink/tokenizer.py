"""A tokenizer.json cut down to some of its pieces, so that every text whose pieces are kept is cut as before.

- WordPiece takes the longest piece that fits: where the longest of all is kept, it is the longest of those left.
- BPE joins the pair of lowest rank first: a piece needs the pairs that lead to it, and the pieces on the way; with
  these kept, every choice on the way to a kept piece is the choice made before.
- Unigram takes the likeliest way through the text: the best of all is the best of those left. What an unknown
  character costs hangs on the least likely piece, so that one stays.

Every piece of one character stays too, so that no text needs the unknown piece that did not need it before.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mct import MctError
from mct.models.checkpoints.files import pieces_of

Json = dict[str, Any]
Ids = Mapping[int, int]
"""Old id to new id, of the pieces that stay."""


def pieces_needed(tokenizer: Json, used: Iterable[int]) -> set[int]:
    """The ids that have to stay so that the pieces `used` come out as before.

    MctError for a kind of model that is not WordPiece, BPE or Unigram.
    """
    model, ids = tokenizer["model"], pieces_of(tokenizer)
    if model["type"] not in _NEEDED:
        raise MctError(f"a {model['type']} tokenizer cannot be trimmed", f"these can: {', '.join(sorted(_NEEDED))}")
    needed = set(used) | {added["id"] for added in tokenizer.get("added_tokens", ())}
    needed |= _named_around(tokenizer) & set(ids.values())
    needed |= {ids[name] for name in (model.get("unk_token"),) if name in ids}
    prefix = model.get("continuing_subword_prefix") or ""
    needed |= {number for piece, number in ids.items() if len(piece.removeprefix(prefix)) == 1}
    return _NEEDED[model["type"]](model, ids, needed)


def _named_around(tokenizer: Json) -> set[int]:
    """The ids that templates and padding name, whether or not a text of the user's has them."""
    found = {padding["pad_id"]} if (padding := tokenizer.get("padding")) else set()
    processor = tokenizer.get("post_processor") or {}
    for each in processor.get("processors", [processor]):
        found |= {number for token in each.get("special_tokens", {}).values() for number in token["ids"]}
        found |= {each[key][1] for key in ("sep", "cls") if key in each}
    return found


def _as_they_are(model: Json, ids: Mapping[str, int], needed: set[int]) -> set[int]:
    return needed


def _with_their_parts(model: Json, ids: Mapping[str, int], needed: set[int]) -> set[int]:
    """A piece of BPE is joined of two others, these perhaps of others again. Where several pairs give it, all stay."""
    parts: dict[str, list[str]] = defaultdict(list)
    for left, right in _merges(model):
        parts[left + right] += [left, right]
    names = {number: piece for piece, number in ids.items()}
    found, open_ = set(needed), [names[number] for number in needed]
    while open_:
        new = {ids[part] for part in parts[open_.pop()]} - found
        found |= new
        open_ += [names[number] for number in new]
    return found | _bytes_of(model, ids)


def _with_the_least_likely(model: Json, ids: Mapping[str, int], needed: set[int]) -> set[int]:
    least = min(range(len(model["vocab"])), key=lambda number: model["vocab"][number][1])
    unknown = set() if model.get("unk_id") is None else {model["unk_id"]}
    return needed | {least} | unknown | _bytes_of(model, ids)


def _bytes_of(model: Json, ids: Mapping[str, int]) -> set[int]:
    """The 256 pieces that stand for single bytes ("<0x0A>"), where characters without a piece fall back on them."""
    if not model.get("byte_fallback"):
        return set()
    return {ids[piece] for piece in (f"<0x{byte:02X}>" for byte in range(256)) if piece in ids}


def _merges(model: Json) -> list[tuple[str, str]]:
    """The pairs in order of rank; files have had them as "a b" and as ["a", "b"]."""
    pairs = (pair.split(" ", 1) if isinstance(pair, str) else pair for pair in model["merges"])
    return [(left, right) for left, right in pairs]


_NEEDED: dict[str, Callable[[Json, Mapping[str, int], set[int]], set[int]]] = {
    "WordPiece": _as_they_are,
    "BPE": _with_their_parts,
    "Unigram": _with_the_least_likely,
}


def trimmed(tokenizer: Json, new: Ids) -> Json:
    """The tokenizer with the pieces of `new` alone, under their new ids."""
    model = dict(tokenizer["model"])
    if model["type"] == "Unigram":
        model["vocab"] = [entry for number, entry in enumerate(model["vocab"]) if number in new]
        model["unk_id"] = None if model.get("unk_id") is None else new[model["unk_id"]]
    else:
        model["vocab"] = {piece: new[number] for piece, number in model["vocab"].items() if number in new}
    if model["type"] == "BPE":
        kept = model["vocab"]
        model["merges"] = [
            [left, right] for left, right in _merges(model) if left in kept and right in kept and left + right in kept
        ]
    return tokenizer | {
        "model": model,
        "added_tokens": [added | {"id": new[added["id"]]} for added in tokenizer.get("added_tokens", ())],
        "post_processor": _renumbered(tokenizer.get("post_processor"), new),
        "padding": _padding(tokenizer.get("padding"), new),
    }


def _renumbered(processor: Json | None, new: Ids) -> Json | None:
    """A post-processor that puts special tokens around a text, by their new ids."""
    if processor is None:
        return None
    if processor["type"] == "Sequence":
        return processor | {"processors": [_renumbered(each, new) for each in processor["processors"]]}
    if processor["type"] == "TemplateProcessing":
        special = {
            name: token | {"ids": [new[number] for number in token["ids"] if number in new]}
            for name, token in processor["special_tokens"].items()
        }
        return processor | {"special_tokens": special}
    pairs = {key: [processor[key][0], new[processor[key][1]]] for key in ("sep", "cls") if key in processor}
    return processor | pairs


def _padding(padding: Json | None, new: Ids) -> Json | None:
    return padding and padding | {"pad_id": new[padding["pad_id"]]}

"""A tokenizer.json that puts tokens of its own before every text, whatever else it puts around one.

A template says it for every kind of tokenizer; BERT's and RoBERTa's own processors, which know no more than their two
tokens, are written as templates first.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from mct.models.data.declared import read_object, read_text
from mct.models.writing.folders import write_atomically, write_json

Json = dict[str, Any]
Pieces = list[Json]

_CONFIG, _TEMPLATE = "tokenizer_config.json", "chat_template.jinja"


def add_virtual_tokens(path: Path, names: Sequence[str]) -> tuple[str, list[int]]:
    """The tokenizer with `names` as special tokens before every text or pair of texts, and the ids that they got."""
    tokenizer = Tokenizer.from_str(read_text(path))
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    ids = [int(tokenizer.token_to_id(name)) for name in names]
    said = json.loads(tokenizer.to_str())
    said["post_processor"] = _with_prefix(said["post_processor"], dict(zip(names, ids, strict=True)))
    return json.dumps(said, ensure_ascii=False), ids


def tell_others(folder: Path, text: str) -> None:
    """Have other programs put `text` before everything too.

    transformers takes tokenizer.json as it stands from its plain class alone: those of a family make the template anew.
    Before every chat template it is said again, since whoever fills one in adds no special tokens to it.
    """
    if (folder / _TEMPLATE).is_file():
        write_atomically(folder / _TEMPLATE, text + read_text(folder / _TEMPLATE))
    said = read_object(folder / _CONFIG) if (folder / _CONFIG).is_file() else {}
    said["tokenizer_class"] = "PreTrainedTokenizerFast"
    write_json(folder / _CONFIG, said)
    template = said.get("chat_template")
    if isinstance(template, str):
        write_json(folder / _CONFIG, said | {"chat_template": text + template})
    elif isinstance(template, list):
        several = [each | {"template": text + str(each.get("template", ""))} for each in template]
        write_json(folder / _CONFIG, said | {"chat_template": several})


def _with_prefix(processor: Json | None, ids: Mapping[str, int]) -> Json:
    """A post-processor that does what it did, and puts the tokens `ids` before it all."""
    steps = _steps(processor)
    templates = [place for place, step in enumerate(steps) if step["type"] == "TemplateProcessing"]
    if not templates:
        steps.append({"type": "TemplateProcessing", "single": [_text("A")], "pair": [_text("A"), _text("B", 1)]})
        templates = [len(steps) - 1]
    template = steps[templates[-1]]
    prefix = [_token(name) for name in ids]
    special = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in ids.items()}
    steps[templates[-1]] = template | {
        "single": [*prefix, *template["single"]],
        "pair": [*prefix, *template["pair"]],
        "special_tokens": template.get("special_tokens", {}) | special,
    }
    return steps[0] if len(steps) == 1 else {"type": "Sequence", "processors": steps}


def _steps(processor: Json | None) -> list[Json]:
    """A post-processor as a list of steps, of which those that put tokens around a text are templates."""
    if processor is None:
        return []
    kind = processor["type"]
    if kind == "Sequence":
        return [step for each in processor["processors"] for step in _steps(each)]
    if kind == "BertProcessing":
        (cls, cls_id), (sep, sep_id) = processor["cls"], processor["sep"]
        single = [_token(cls), _text("A"), _token(sep)]
        return [_template(single, [*single, _text("B", 1), _token(sep, 1)], {cls: cls_id, sep: sep_id})]
    if kind == "RobertaProcessing":
        (cls, cls_id), (sep, sep_id) = processor["cls"], processor["sep"]
        single = [_token(cls), _text("A"), _token(sep)]
        pair = [*single, _token(sep), _text("B"), _token(sep)]
        bytes_as_they_are = {
            "type": "ByteLevel", "add_prefix_space": processor["add_prefix_space"],
            "trim_offsets": processor["trim_offsets"], "use_regex": True,
        }  # fmt: skip
        return [bytes_as_they_are, _template(single, pair, {cls: cls_id, sep: sep_id})]
    return [processor]


def _template(single: Pieces, pair: Pieces, ids: Mapping[str, int]) -> Json:
    special = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in ids.items()}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


def _token(name: str, type_id: int = 0) -> Json:
    return {"SpecialToken": {"id": name, "type_id": type_id}}


def _text(which: str, type_id: int = 0) -> Json:
    return {"Sequence": {"id": which, "type_id": type_id}}

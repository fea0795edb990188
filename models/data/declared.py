"""The one door for files that others wrote: JSON, JSON Lines and TOML, read as declared types.

What a file must look like is the type it is read as (a msgspec Struct, a dataclass, a dict of them), in the room that
reads it. Whatever is not so becomes one line: the file, the place in it, what stands there and what should. The door is
stricter than the parsers behind it: numbers are finite, names are not given twice (two readers would see two things),
and nothing is opened but a regular file, so that a pipe cannot make us wait.
"""

import json
import math
import re
import stat
import tomllib
from array import array
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, inspect

from mct import MctError
from mct.models.tables import unknown

T = TypeVar("T")

HINT = "the file is damaged, or not what it is named for"

# Ranges that many files share. Everything that counts tokens, layers or rows fits 31 bits.
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Index = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Name = Annotated[str, Meta(min_length=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Nanoseconds = Annotated[int, Meta(ge=0, le=2**62)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]

_IN_WORDS = {
    "array": "a list", "object": "an object", "str": "a text", "int": "a whole number", "float": "a number",
    "bool": "true or false", "null": "null",
}  # fmt: skip
_PLAIN = (
    inspect.StrType, inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.NoneType, inspect.LiteralType,
)  # fmt: skip
_WRONG_TYPE = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<found>\w+)`")
_PLACE = re.compile(r"(?P<reason>.*?)(?: - at (?P<key>`key` in )?`(?P<place>[^`]+)`)?", re.DOTALL)


def read_json(path: Path, wanted: type[T], hint: str = HINT) -> T:
    """A JSON file as `wanted`. MctError where it is missing, no JSON, or not of that type."""
    return parse_json(read_bytes(path, hint), wanted, str(path), hint)


def read_object(path: Path, hint: str = HINT) -> dict[str, Any]:
    """A JSON file that holds an object, whatever its fields."""
    return read_json(path, dict[str, Any], hint)


def read_toml(path: Path, wanted: type[T], hint: str = HINT) -> T:
    """A TOML file as `wanted`. MctError where it is missing, no TOML, or not of that type."""
    try:
        value = tomllib.loads(read_bytes(path, hint).decode("utf-8-sig"), parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise MctError(f"{path} is not valid TOML: {error}", hint) from error
    return declared(value, wanted, str(path), hint)


def parse_json(content: bytes, wanted: type[T], place: str, hint: str = HINT) -> T:
    """JSON text as `wanted`; `place` says in a refusal where it stands."""
    try:
        value = msgspec.json.decode(content, type=wanted, dec_hook=_special)
        _NAMES.decode(content.decode())  # msgspec keeps the last of two equal names and skips what nobody asked for
    except msgspec.ValidationError as error:
        raise _refusal(error, place, hint) from error
    except (ValueError, RecursionError) as error:
        raise MctError(f"{place} is not readable as JSON: {error}", hint) from error
    return value


def declared(value: Any, wanted: type[T], place: str, hint: str = HINT) -> T:
    """Plain values as `wanted`; `place` says in a refusal where they stand.

    A dataclass takes no names but those of its fields, as a Struct does that forbids them.
    """
    if is_dataclass(wanted) and isinstance(value, dict):
        known = {field.name for field in fields(wanted)}
        for name in value:
            if name not in known:
                raise unknown(f"name at {place}:", name, known)
    try:
        return msgspec.convert(value, wanted, dec_hook=_special)
    except msgspec.ValidationError as error:
        raise _refusal(error, place, hint) from error


def is_declared(value: Any, wanted: Any) -> bool:
    """Whether a plain value is of the type `wanted`."""
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        return False
    return True


def is_plain(wanted: Any) -> bool:
    """Whether values of the type `wanted` are texts, numbers, lists and tables of these, as a file holds them."""
    try:
        return _is_plain(inspect.type_info(wanted))
    except TypeError:  # no type at all, or a union that nothing tells apart
        return False


def _is_plain(found: inspect.Type) -> bool:
    match found:
        case inspect.ListType():
            return _is_plain(found.item_type)
        case inspect.DictType():
            return isinstance(found.key_type, inspect.StrType) and _is_plain(found.value_type)
        case inspect.UnionType():
            return all(map(_is_plain, found.types))
        case inspect.Metadata():
            return _is_plain(found.type)
    return isinstance(found, _PLAIN)


def read_bytes(path: Path, hint: str = HINT) -> bytes:
    """What a regular file holds. MctError for anything else under that name, and for what cannot be read."""
    require_file(path, hint)
    try:
        return path.read_bytes()
    except OSError as error:
        raise MctError(f"{path} cannot be read: {error.strerror}", hint) from error


def read_text(path: Path, hint: str = HINT) -> str:
    """What a regular file of UTF-8 text holds."""
    try:
        return read_bytes(path, hint).decode()
    except UnicodeDecodeError as error:
        raise MctError(f"{path} is not UTF-8 text", hint) from error


def require_file(path: Path, hint: str = HINT) -> None:
    """MctError unless there is a regular file (or a link to one): opening a pipe or a device could wait for ever."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MctError(f"{path} does not exist", hint) from error
    except (OSError, ValueError, RuntimeError) as error:  # a name too long or with a NUL, links in a circle
        raise MctError(f"{str(path)!r} cannot be a file: {error}", hint) from error
    if stat.S_ISDIR(mode):
        raise MctError(f"{path} is a folder, not a file", hint)
    if not stat.S_ISREG(mode):
        raise MctError(f"{path} is a pipe, a socket or a device, not a file", hint)


def _special(wanted: type[Any], value: Any) -> Any:
    """What msgspec has no words for: a path, and an array of nanoseconds or other whole numbers from 0 on."""
    if wanted is Path:
        return Path(msgspec.convert(value, str))
    if wanted is array:
        return array("q", msgspec.convert(value, list[Nanoseconds]))
    raise NotImplementedError(wanted)


def _refusal(error: msgspec.ValidationError, place: str, hint: str) -> MctError:
    """msgspec's message ("Expected `int`, got `str` - at `$.threads`") in the words of ours."""
    parts = _PLACE.fullmatch(str(error))
    assert parts is not None
    where = f"`{parts['place'] or '$'}`" if not parts["key"] else f"a name in `{parts['place']}`"
    if wrong := _WRONG_TYPE.fullmatch(parts["reason"]):
        wanted = " or ".join(_IN_WORDS.get(each, each) for each in wrong["wanted"].split(" | ") if each != "null")
        return MctError(f"{place}: {where} is {_IN_WORDS.get(wrong['found'], wrong['found'])}, expected {wanted}", hint)
    return MctError(f"{place}: {where}: {parts['reason']}", hint)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} stands twice in one object")
    return found


_NAMES = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite)

"""Ways in which a file is spoilt, each a function of chance and the file's bytes: types swapped, keys lost, text cut.

A spoiler says what it did, for the list of what went wrong. Those that reformat change bytes and no meaning.
"""

import copy
import gzip
import json
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Spoilt = tuple[str, bytes]
Spoiler = Callable[[Random, bytes], Spoilt]

WRONG: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 7, 64, 2.5, -0.5, 1e-300, 1e308, 2**31 - 1, 2**31, 2**63, 10**30, "", "fast", "0",
    "text", "\0", "é" * 3000, "../../x", "/etc/hostname", "a\nb", [], [None], [1], ["a", "a"], ["fast"], [[]], {},
    {"a": 1}, {"0": "a"}, {"": None},
)  # fmt: skip

# What a JSON text may hold and its parsers disagree about, or should not hold at all.
TOKENS = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 5000, "01", "+1", ".5", "nul", "'a'", '"\\ud800"',
    '"\\x41"', "[1,]", '{"a":1,}', "[" * 100_000, '{"a":' * 50_000, "[" * 60 + "]" * 60, "1 // no", "undefined",
)  # fmt: skip


def spoil_value(rng: Random, content: bytes) -> Spoilt:
    """One value of a JSON text made another, or lost, or renamed."""
    tree = json.loads(content)
    places = list(_places(tree))
    holder, key = rng.choice(places)
    what = rng.choice(["replace", "replace", "replace", "delete", "rename", "wrap", "retype", "swap", "repeat"])
    value = holder[key]
    if what == "delete":
        del holder[key]
    elif what == "rename" and isinstance(holder, dict):
        del holder[key]
        holder[f"{key}_"] = value
    elif what == "wrap":
        holder[key] = rng.choice([[value], {"value": value}, [[value]]])
    elif what == "retype":
        holder[key] = _retyped(rng, value)
    elif what == "swap":
        other, name = rng.choice(places)
        if not _holds(value, other) and not _holds(other[name], holder):
            holder[key], other[name] = other[name], value
    elif what == "repeat" and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(value))
    else:
        holder[key] = copy.deepcopy(rng.choice(WRONG))
    return f"{what} {key!r}", json.dumps(tree).encode("utf-8", "surrogatepass")


def spoil_text(rng: Random, content: bytes) -> Spoilt:
    """A value of a JSON text replaced by a token that is none, or a name given twice."""
    text = content.decode("utf-8", "replace")
    names = list(re.finditer(r'"([^"\\]+)"\s*:\s*', text))
    if not names:
        return spoil_bytes(rng, content)
    at = rng.choice(names)
    if rng.random() < 0.3:
        value = rng.choice(("null", "1", '"other"', "[]"))
        return f"{at[1]} twice", (text[: at.start()] + f'"{at[1]}": {value}, ' + text[at.start() :]).encode()
    scalar = re.compile(r'"(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|true|false|null|\[\]|\{\}').match(text, at.end())
    token = rng.choice(TOKENS)
    end = scalar.end() if scalar else at.end()
    return f"{at[1]} is {token[:20]}", (text[: at.end()] + token + text[end:]).encode()


def spoil_bytes(rng: Random, content: bytes) -> Spoilt:
    """Bytes cut off, changed, doubled or lost, as copying and encoding do."""
    place = rng.randrange(len(content) + 1)
    size = rng.choice((1, 2, 8, 50))
    what = rng.choice(list(_BYTES))
    return f"{what} at {place}", _BYTES[what](rng, content, place, size)


_BYTES: dict[str, Callable[[Random, bytes, int, int], bytes]] = {
    "cut off": lambda rng, content, place, size: content[:place],
    "bit flipped": lambda rng, content, place, size: _flipped(rng, content, place),
    "bytes put in": lambda rng, content, place, size: content[:place] + rng.randbytes(size) + content[place:],
    "bytes lost": lambda rng, content, place, size: content[:place] + content[place + size :],
    "bytes doubled": lambda rng, content, place, size: content[: place + size] + content[place:],
    "overwritten": lambda rng, content, place, size: content[:place] + rng.randbytes(size) + content[place + size :],
    "zeroed": lambda rng, content, place, size: content[:place] + bytes(size) + content[place + size :],
    "emptied": lambda rng, content, place, size: b"",
    "noise": lambda rng, content, place, size: rng.randbytes(200),
    "byte order mark": lambda rng, content, place, size: b"\xef\xbb\xbf" + content,
    "UTF-16": lambda rng, content, place, size: content.decode("utf-8", "replace").encode("utf-16"),
    "Latin-1": lambda rng, content, place, size: content[:place] + "é".encode("latin-1") + content[place:],
    "appended": lambda rng, content, place, size: content + rng.choice((b"x", b"}", b"\n{}", b"\0", content)),
}


def spoil_lines(rng: Random, content: bytes) -> Spoilt:
    """One line of JSON Lines spoilt as a JSON text, lost, or doubled."""
    lines = content.splitlines()
    at = rng.randrange(len(lines))
    what, line = rng.choice((spoil_value, spoil_value, spoil_text, spoil_bytes))(rng, lines[at])
    if rng.random() < 0.1:
        what, line = "doubled", lines[at] + b"\n" + lines[at]
    lines[at] = line
    return f"line {at + 1}: {what}", b"\n".join(lines) + b"\n"


def packed(spoil: Spoiler) -> Spoiler:
    """The same inside of a gzip file, or to the file itself."""

    def within(rng: Random, content: bytes) -> Spoilt:
        if rng.random() < 0.3:
            return spoil_bytes(rng, content)
        what, spoilt = spoil(rng, gzip.decompress(content))
        return what, gzip.compress(spoilt, mtime=0)

    return within


def spoil_header(rng: Random, content: bytes) -> Spoilt:
    """The header of a safetensors file spoilt as a JSON text, its length kept true or not; or the file's bytes."""
    size = int.from_bytes(content[:8], "little")
    what, header = rng.choice((spoil_value, spoil_value, spoil_text, spoil_bytes))(rng, content[8 : 8 + size])
    length = len(header) if rng.random() < 0.8 else rng.choice((0, 1, size + 1, 2**31, 2**63, 2**64 - 1))
    if rng.random() < 0.2:
        return spoil_bytes(rng, content)
    return f"header {what}", length.to_bytes(8, "little") + header + content[8 + size :]


def spoil_cells(rng: Random, content: bytes) -> Spoilt:
    """A table with a cell more or less, an open quote, a huge cell, a name twice."""
    lines = content.decode().splitlines()
    at = rng.randrange(len(lines))
    what = rng.choice(list(_CELLS))
    lines[at] = _CELLS[what](lines[at])
    return f"line {at + 1}: {what}", "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


_CELLS: dict[str, Callable[[str], str]] = {
    "a cell more": lambda line: line + ",more",
    "a cell less": lambda line: line.rpartition(",")[0],
    "an open quote": lambda line: '"' + line,
    "a quote within": lambda line: line.replace(",", '",', 1),
    "text behind a quote": lambda line: f'"a"b,{line.rpartition(",")[2]}',
    "a huge cell": lambda line: f"{'x' * 200_000},{line.rpartition(',')[2]}",
    "a carriage return": lambda line: line.replace(",", "\r,", 1),
    "NUL": lambda line: line.replace(",", "\0,", 1),
    "no value": lambda line: re.sub(r"[^,]+", "", line, count=1),
    "a name twice": lambda line: ",".join([line.split(",")[0]] * (line.count(",") + 1)),
    "blank": lambda line: "",
    "only spaces": lambda line: "   ",
}


def spoil_toml(rng: Random, content: bytes) -> Spoilt:
    """A value of a TOML file replaced, a line lost, doubled or misspelt."""
    lines = content.decode().splitlines()
    keys = [at for at, line in enumerate(lines) if "=" in line]
    at = rng.choice(keys)
    key, _, _ = lines[at].partition(" =")
    what = rng.choice(("replace", "replace", "replace", "misspell", "lose", "double", "top", "bytes"))
    if what == "bytes":
        return spoil_bytes(rng, content)
    value = rng.choice(
        (
            '"fast"', "true", "false", "0", "-1", "-0.5", "1.5", "92.1", "nan", "inf", "-inf", "1e400", "[]", "[1]",
            '["a"]', '["a", "a"]', "{}", '{ "a" = 1 }', '{ "a" = 0.5 }', '""', "1979-05-27", "0x10", "1_0", "[", "'x'",
            "99999999999999999999",
        )
    )  # fmt: skip
    if what == "replace":
        lines[at] = f"{key} = {value}"
    elif what == "misspell":
        lines[at] = lines[at].replace(key, key + "s", 1)
    elif what == "double":
        lines.insert(at, lines[at])
    elif what == "top":
        lines.insert(0, f"{key} = {value}")
    else:
        del lines[at]
    return f"{what} {key} {value}", "".join(f"{line}\n" for line in lines).encode()


def reformat(rng: Random, content: bytes) -> Spoilt:
    """The same JSON text with other spaces, other escapes and its names in another order."""
    tree = json.loads(content)
    indent, ascii_only, reverse = rng.choice((None, 1, 4)), rng.random() < 0.5, rng.random() < 0.5
    text = json.dumps(_reversed(tree) if reverse else tree, indent=indent, ensure_ascii=ascii_only)
    return "reformatted", f"{rng.choice(('', ' ', chr(10)))}{text}{rng.choice(('', ' ', chr(10) * 3))}".encode()


def reformat_lines(rng: Random, content: bytes) -> Spoilt:
    """The same rows with other spaces, escapes, blank lines or line ends."""
    lines = [json.dumps(json.loads(line), ensure_ascii=rng.random() < 0.5).encode() for line in content.splitlines()]
    lines.insert(rng.randrange(len(lines) + 1), rng.choice((b"", b"  ", b"\t")))
    return "reformatted", rng.choice((b"\n", b"\r\n")).join(lines) + rng.choice((b"", b"\n"))


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a tree but its root, as what holds it and under which key; long lists at their ends only."""
    if isinstance(tree, dict):
        keys: list[Any] = list(tree)
    elif isinstance(tree, list):
        keys = sorted({*range(min(4, len(tree))), *range(max(0, len(tree) - 2), len(tree))})
    else:
        return
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def _holds(outer: Any, inner: Any) -> bool:
    return outer is inner or any(holder is inner or holder[key] is inner for holder, key in _places(outer))


def _retyped(rng: Random, value: Any) -> Any:
    """The same value as another type would have it."""
    if isinstance(value, bool) or value is None:
        return rng.choice((str(value), int(bool(value))))
    if isinstance(value, int | float):
        return rng.choice((str(value), float(value), -value, [value], bool(value), value + 1, value * 2))
    if isinstance(value, str):
        return rng.choice((list(value), {"value": value}, value.encode().hex(), value.upper(), value + " ", 0))
    if isinstance(value, list):
        return rng.choice(({str(place): each for place, each in enumerate(value)}, json.dumps(value), value[::-1]))
    return rng.choice((list(value), json.dumps(value), list(value.values())))


def _reversed(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _reversed(tree[key]) for key in reversed(tree)}
    return [_reversed(each) for each in tree] if isinstance(tree, list) else tree


def _flipped(rng: Random, content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    if changed:
        changed[place % len(changed)] ^= 1 << rng.randrange(8)
    return bytes(changed)

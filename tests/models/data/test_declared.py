"""The door for foreign files: what is no valid file, or not of the declared type, is one line that says where."""

import os
from pathlib import Path

import pytest
from msgspec import Struct

from mct import MctError
from mct.models.data.declared import Count, Share, read_bytes, read_json, read_toml


class Settings(Struct):
    threads: Count
    share: Share = 0.5
    names: list[str] = []


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_what_is_declared_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", '{"threads": 2, "names": ["a"], "nobody": "asks"}')
    assert read_json(path, Settings) == Settings(2, 0.5, ["a"])
    assert read_toml(write(tmp_path / "x.toml", "threads = 2\nshare = 1"), Settings) == Settings(2, 1.0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not readable as JSON"),
        ("[]", "x.json: `$` is a list, expected an object"),
        ("{}", "x.json: `$`: Object missing required field `threads`"),
        ('{"threads": "two"}', "x.json: `$.threads` is a text, expected a whole number"),
        ('{"threads": true}', "x.json: `$.threads` is true or false, expected a whole number"),
        ('{"threads": 0}', "x.json: `$.threads`: Expected `int` >= 1"),
        ('{"threads": 1, "share": 2}', "x.json: `$.share`: Expected `float` <= 1"),
        ('{"threads": 1, "names": "ab"}', "x.json: `$.names` is a text, expected a list"),
        ('{"threads": 1, "names": ["a", null]}', r"x.json: `$.names\[1\]` is null, expected a text"),
        ('{"threads": 1, "threads": 2}', "the name 'threads' stands twice"),
        ('{"threads": 1, "share": NaN}', "not readable as JSON"),
        ('{"threads": 1, "nobody": Infinity}', "not readable as JSON"),
        ('{"threads": 1, "nobody": 1e999}', "not a finite number"),
        ('{"threads": 1' + "0" * 5000 + "}", "out of range|not readable as JSON"),
        ('{"threads": ' + "[" * 100_000, "expected a whole number|not readable"),
        ('{"nobody": ' + "[" * 100_000, "not readable as JSON"),
        ('{"threads": 1, "names": ["\\ud800"]}', "not readable as JSON"),
        ('\ufeff{"threads": 1}', "not readable as JSON"),
        ('{"threads": 1}'.encode("utf-16"), "not readable as JSON"),
        (b'{"threads": 1, "names": ["\xff"]}', "not readable as JSON"),
    ],
)
def test_what_is_not_so_is_named(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(MctError, match=says.replace("$", r"\$")):
        read_json(write(tmp_path / "x.json", content), Settings)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("threads = 1\nshare = nan", "nan is not a finite number"),
        ("threads = 1\nshare = -inf", "-inf is not a finite number"),
        ("threads = 1\nthreads = 2", "not valid TOML"),
        ("threads = [", "not valid TOML"),
        ("threads = " + "[" * 10_000, "not valid TOML"),
        (b"threads = 1 # \xff", "not valid TOML"),
        ('threads = "2"', r"`\$\.threads` is a text, expected a whole number"),
    ],
)
def test_toml_goes_through_the_same_door(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(MctError, match=says):
        read_toml(write(tmp_path / "x.toml", content), Settings)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none", "does not exist"), ("file/below", "does not exist"), (".", "is a folder"), ("pipe", "is a pipe"),
        ("long" * 100, "cannot be a file"), ("nul\0", "cannot be a file"), ("circle", "cannot be a file"),
    ],
)  # fmt: skip
def test_only_plain_files_are_opened(tmp_path: Path, name: str, says: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(MctError, match=says):
        read_json(tmp_path / name, Settings)


def test_what_is_a_file_and_cannot_be_read_is_refused() -> None:
    with pytest.raises(MctError, match="/proc/self/mem cannot be read: Input/output error"):
        read_bytes(Path("/proc/self/mem"))

"""What all commands share: types of arguments, a group that lists them whole, and how values are printed."""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mct import MctError

LONGEST_SENTENCE = 300
SEED = click.IntRange(0, 2**31 - 1)

# What steers a terminal, turns the direction of writing, or is half of a character.
STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Place(click.Path):
    """A path that every library can be handed: it has a name, and that is text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does, but what has no name is no place, and neither is one whose name is not UTF-8."""
        if not os.fspath(value):
            self.fail("the name of a file or folder is empty", param, ctx)
        try:
            os.path.abspath(value).encode()
        except UnicodeEncodeError:
            self.fail(f"the name {os.path.abspath(value)!a} is not UTF-8 text: rename it", param, ctx)
        return super().convert(value, param, ctx)


class Number(click.FloatRange):
    """A number within bounds: not a number is within none, and infinity ends nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does, but finite."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


FOLDER = Place(path_type=Path)
FILE = Place(path_type=Path)
EVALUATION_SET = (
    "Evaluation set: .jsonl, .jsonl.gz or .csv.  [default: data/test.jsonl of the baseline or a checkpoint]"
)
REVISION = "Branch, tag or commit of what is named on the hub.  [default: main]"

# By a budget's verdict, or whatever else is as good as one.
EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 3}


class Commands(click.Group):
    """A group that lists its commands in the order they are used, each with a whole sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added, which is that of the work."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Click would cut each sentence off at the end of its line."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(limit=LONGEST_SENTENCE)) for name, command in found if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


Commands.group_class = type  # a group in a group is one as well


def print_json(value: Any) -> None:
    """A value on stdout, for programs."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def one_line(text: str) -> str:
    """A text that others may have written, as a terminal can be shown it: one line, what steers it in escapes."""
    return harmless(" ".join(text.split()))


def harmless(text: str) -> str:
    """The same text with what steers a terminal in escapes."""
    return STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def renames_of(fields: tuple[str, ...]) -> Mapping[str, str]:
    """What `--field text=utterance` says: our name of a column, and the file's."""
    for field in fields:
        if "=" not in field:
            raise MctError(f"--field {field} names no column", "write it as --field text=utterance")
    return dict(field.split("=", 1) for field in fields)


def given(*paths: Path | None) -> list[Path]:
    """The paths of those options that were given."""
    return [path for path in paths if path is not None]

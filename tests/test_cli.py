"""The command line as it introduces itself: help that is whole, and what `mct` says when it is asked nothing."""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mct.cli import commands

ROOT = Path(__file__).resolve().parents[1]


def groups(group: click.Group, *words: str) -> Iterator[tuple[tuple[str, ...], click.Group]]:
    """Every group of commands, with the words that lead to it."""
    yield words, group
    for name, child in group.commands.items():
        if isinstance(child, click.Group):
            yield from groups(child, *words, name)


def first_sentence(command: click.Command) -> str:
    paragraph = " ".join((command.help or "").partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".")


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(("words", "group"), list(groups(commands)), ids=lambda value: getattr(value, "name", None))
def test_a_group_says_of_each_command_a_whole_sentence(words: tuple[str, ...], group: click.Group, width: int) -> None:
    shown = CliRunner().invoke(commands, [*words, "--help"], terminal_width=width).output
    assert max(map(len, shown.splitlines())) <= width
    for name, command in group.commands.items():
        assert f"{name} {first_sentence(command)}." in " ".join(shown.split())


def test_mct_alone_shows_its_help_as_it_is(run_mct: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run_mct()
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: mct [OPTIONS] COMMAND [ARGS]...\n\n  Take any fine-tuned checkpoint")


def shown_commands() -> list[str]:
    """Every line of the README that is a command of ours, without its remark."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.startswith("    mct ")]


def told_options() -> list[tuple[str, str]]:
    """Every option that a hint gives a value, with the words of its command."""
    rooms = ("bench", "compress", "models", "release", "targets")
    texts = [path.read_text(encoding="utf-8") for room in rooms for path in ROOT.joinpath(room).rglob("*.py")]
    told = [found.groups() for text in texts for found in re.finditer(r'mct ((?:[a-z]+ )+)([^`"\n]*)', text)]
    return sorted(
        {(words.strip(), option) for words, rest in told for option in re.findall("(--[a-z-]+|-o) [A-Z]+", rest)}
    )


def test_hints_tell_of_options() -> None:
    assert len(told_options()) >= 8, told_options()


@pytest.mark.parametrize(("words", "option"), told_options())
def test_an_option_that_a_hint_gives_a_value_takes_one(words: str, option: str) -> None:
    command: click.Command = commands
    for word in words.split():
        if isinstance(command, click.Group):
            assert word in command.commands, f"a hint says mct {words}, and there is no {word}"
            command = command.commands[word]
    found = [each for each in command.params if option in each.opts]
    assert found, f"a hint says mct {words} {option}, and that has no such option"
    assert isinstance(found[0], click.Option) and not found[0].is_flag


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_of_the_readme_can_be_typed_as_it_stands(line: str) -> None:
    command: click.Command = commands
    words = shlex.split(line)
    name = words.pop(0)
    while isinstance(command, click.Group):
        name = words.pop(0)
        command = command.commands[name]
    with suppress(click.exceptions.Exit):  # it printed what was asked, and is done
        command.make_context(name, words)

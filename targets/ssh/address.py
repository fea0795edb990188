"""Which machine: `HOST`, `USER@HOST`, `HOST:PORT` or a name of ~/.ssh/config, checked before it reaches a command line.

A name that could be read as an option of ssh, or that holds anything a shell has a meaning for, is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mct import MctError

PREFIX = "ssh:"
HINT = "write ssh:HOST, ssh:USER@HOST or ssh:HOST:PORT, as in ssh:edge-box"
_ADDRESS = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})@)?"
    r"(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9]{1,16})?\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_PROGRAM = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./+-]{0,254}")


@dataclass(frozen=True)
class Address:
    """A host as ssh is told it; "" and 0 leave user and port to ssh's own configuration."""

    host: str
    user: str = ""
    port: int = 0

    @property
    def name(self) -> str:
        """As it was written, for messages."""
        return (f"{self.user}@" if self.user else "") + self.host + (f":{self.port}" if self.port else "")


def parse_address(text: str) -> Address:
    """An address without its `ssh:`. MctError where it is none."""
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"] or 0) if found else 0
    if not found or (found["port"] and not 1 <= port <= 65535):
        raise MctError(f"{text!r} is no host to reach by ssh", HINT)
    return Address(found["host"], found["user"] or "", port)


def check_program(name: str, where: str) -> None:
    """MctError where this cannot be the name or path of a program."""
    if not _PROGRAM.fullmatch(name):
        raise MctError(f"{where}: {name!r} names no program", 'as in python = "/opt/python3.12/bin/python3"')

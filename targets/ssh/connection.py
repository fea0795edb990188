"""The command line of ssh, and what its failures mean.

ssh itself reads the user's configuration (names, keys, jump hosts); what is said here on its command line comes first,
so that no configuration can make it ask a question, accept a key that it does not know, or forward anything. Nothing
passes a local shell. The other side always runs a command through the user's login shell: what is sent there is made of
words quoted one by one, and of names that were checked (`mct.targets.ssh.address`).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mct import MctError
from mct.targets.ssh.address import Address

CONFIG_VARIABLE = "MCT_SSH_CONFIG"
"""A file that ssh reads in place of ~/.ssh/config and the system's."""
ANSWER_S = 10
OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "NoHostAuthenticationForLocalhost": "no",
    "VerifyHostKeyDNS": "no",
    "UpdateHostKeys": "no",
    "ConnectTimeout": str(ANSWER_S),
    "ConnectionAttempts": "1",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "6",
    "ControlMaster": "no",
    "ControlPath": "none",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "Tunnel": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "EscapeChar": "none",
    "LogLevel": "ERROR",
}
BROKEN = 255
"""ssh's own exit code; any other is that of what ran there."""
NO_PROGRAM = frozenset({126, 127})
TOO_OLD = 86
OLDEST_PYTHON = (3, 11)
MEANINGS = (
    ("IDENTIFICATION HAS CHANGED", "the host key of {host} is not the one that is known",
     "if the machine is really the same: ssh-keygen -R {host}, then ssh {host} once by hand to check the new key"),
    ("Host key verification failed", "the host key of {host} is not known here",
     "connect once by hand, check its key and accept it: ssh {host}"),
    ("Permission denied", "{host} lets nobody in without asking", "give it a key: ssh-copy-id {host}, or ssh-add"),
    ("Too many authentication failures", "{host} lets nobody in without asking", "name one key in ~/.ssh/config"),
    ("Could not resolve hostname", "there is no host {host}", "check the name, or give it one in ~/.ssh/config"),
    ("Connection refused", "{host} takes no ssh connection", "start sshd there, or give its port: ssh:HOST:PORT"),
    ("timed out", f"{{host}} does not answer within {ANSWER_S} s", "check that it is on, and reachable from here"),
    ("No route to host", "{host} cannot be reached", "check that it is on, and reachable from here"),
    ("Network is unreachable", "{host} cannot be reached", "check the network of this machine"),
    ("Bad configuration option", "ssh cannot read its configuration", "mend ~/.ssh/config"),
)  # fmt: skip


@dataclass(frozen=True)
class Remote:
    """A machine, and the command that starts Python there."""

    address: Address
    python: str = "python3"

    @property
    def name(self) -> str:
        """The host, for messages."""
        return self.address.name

    def command(self, words: Sequence[str]) -> list[str]:
        """The command line, here, that runs these words there, each as it stands."""
        config = os.environ.get(CONFIG_VARIABLE, "")
        user, port = self.address.user, self.address.port
        return [
            "ssh", *(("-F", str(Path(config).absolute())) if config else ()), "-T", "-x", "-a",
            *(each for name, value in OPTIONS.items() for each in ("-o", f"{name}={value}")),
            *(("-l", user) if user else ()), *(("-p", str(port)) if port else ()),
            "--", self.address.host.strip("[]"), "exec " + shlex.join(words),
        ]  # fmt: skip


def explained(remote: Remote, exit_code: int, said: Sequence[str]) -> MctError | None:
    """What it means that ssh ended so, having `said` this on stderr; None where it was no failure of the way there."""
    text = "\n".join(said)
    if exit_code == TOO_OLD:
        wanted, found = ".".join(map(str, OLDEST_PYTHON)), (said or ["an older one"])[-1].removeprefix("mct: ")
        return MctError(f"{remote.python} on {remote.name} is {found}, and {wanted} is needed", _other_python())
    if exit_code in NO_PROGRAM:
        return MctError(f"there is no {remote.python} on {remote.name}", _other_python())
    if exit_code != BROKEN:
        return None
    for sign, message, hint in MEANINGS:
        if sign in text:
            return MctError(message.format(host=remote.name), hint.format(host=remote.address.host))
    last = said[-1][:200] if said else "it said nothing"
    return MctError(f"the connection to {remote.name} broke: {last}", "try it by hand: ssh " + remote.address.host)


def _other_python() -> str:
    return 'install Python 3.11 or newer there, or name it in a target file: python = "/path/to/python3"'

"""Which machine, as a user writes it: what could reach ssh as an option, or a shell as anything, is refused."""

import pytest

from mct import MctError
from mct.targets.ssh.address import Address, parse_address
from mct.targets.ssh.connection import OPTIONS, Remote, explained
from mct.targets.target import find_target, find_targets


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("box", Address("box")),
        ("edge-7.example.org", Address("edge-7.example.org")),
        ("me@box", Address("box", "me")),
        ("me@box:2222", Address("box", "me", 2222)),
        ("[::1]:22", Address("[::1]", "", 22)),
    ],
)
def test_a_host_with_or_without_user_and_port(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert address.name == text


@pytest.mark.parametrize(
    "text",
    [
        "", "-oProxyCommand=x", "me@-box", "a b", "box;reboot", "box\n", "$(reboot)", "`x`", "box:0", "box:70000",
        "box:22:1",        "@box", "me@", "b/ox", "box:", "x" * 300, "bo'x", "üx",
    ],
)  # fmt: skip
def test_everything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(MctError) as error:
        parse_address(text)
    assert "\n" not in error.value.message and error.value.hint


def test_the_command_line_says_first_what_no_configuration_may_weaken() -> None:
    words = Remote(Address("box", "me", 2222)).command(["python3", "-c", "print('a b; c')"])
    assert words[0] == "ssh" and words[-3:-1] == ["--", "box"]
    assert {"StrictHostKeyChecking=yes", "BatchMode=yes", "ForwardAgent=no"} <= set(words)
    assert words[-1] == """exec python3 -c 'print('"'"'a b; c'"'"')'"""
    assert OPTIONS["NoHostAuthenticationForLocalhost"] == "no"


@pytest.mark.parametrize(
    ("code", "said", "message"),
    [
        (255, "ssh: connect to host box port 22: Connection timed out", "does not answer within 10 s"),
        (255, "ssh: connect to host box port 22: Connection refused", "takes no ssh connection"),
        (255, "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "is not the one"),
        (255, "Host key verification failed.", "is not known here"),
        (255, "me@box: Permission denied (publickey).", "lets nobody in"),
        (255, "client_loop: send disconnect: Broken pipe", "broke"),
        (127, "sh: 1: exec: python3: not found", "there is no python3 on box"),
        (86, "mct: Python 3.9", "python3 on box is Python 3.9, and 3.11 is needed"),
    ],
)
def test_each_failure_is_one_line_with_a_hint(code: int, said: str, message: str) -> None:
    error = explained(Remote(Address("box")), code, said.splitlines())
    assert error is not None and message in error.message and error.hint
    assert "\n" not in error.message + error.hint


def test_what_ran_there_is_no_failure_of_the_way_there() -> None:
    assert explained(Remote(Address("box")), 1, ["ValueError"]) is None


def test_a_host_is_a_target_without_a_table() -> None:
    target = find_target("ssh:me@box:2222")
    assert (target.transport, target.host, target.device) == ("ssh", "me@box:2222", "cpu")
    first, second = find_targets("cpu-1, ssh:box", keep_remote=True)
    assert (first.name, second.name, second.keep_remote) == ("cpu-1", "ssh:box", True)
    with pytest.raises(MctError, match="given twice"):
        find_targets("cpu,cpu")
    with pytest.raises(MctError, match="no host"):
        find_targets("ssh:-F/etc/passwd")

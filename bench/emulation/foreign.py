"""A Python of another architecture with a runtime's own wheels, for an emulator to run: below the user's cache folder.

Python and the C libraries come from Debian's archive, by an apt-get with a state of its own: it needs no right to
install, and changes nothing of this system. The wheels are those of the package index for that architecture, in the
versions that are installed here. A folder is named after all that decides what is in it, and appears whole or not at
all.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mct
from mct import MctError
from mct.models.writing.drafts import draft_folder
from mct.models.writing.folders import cache_folder

PATIENCE_S = 900.0
DEBIAN_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "libgomp1")
ALWAYS = ("numpy", "tokenizers", "msgspec", "safetensors")
"""What a worker imports beside its runtime."""
OLDEST_GLIBC, NEWEST_GLIBC = 17, 36
"""Of the wheels to take, as in manylinux_2_28."""


@dataclass(frozen=True)
class Architecture:
    """An architecture as the package index and as Debian call it."""

    wheels: str
    debian: str


FOREIGN = {"aarch64": Architecture("aarch64", "arm64"), "x86_64": Architecture("x86_64", "amd64")}


@dataclass(frozen=True)
class Foreign:
    """A Python of another architecture, the folder that stands for its `/`, and that of its packages."""

    python: Path
    root: Path
    packages: Path


def find_foreign(architecture: Architecture, distribution: str, install: bool = False) -> Foreign:
    """The one that has this runtime's library, made now where `install` says so. MctError where it is not there."""
    wanted = [f"{name}=={_version(name)}" for name in (distribution, *ALWAYS)]
    digest = hashlib.sha256(" ".join((*wanted, *DEBIAN_PACKAGES)).encode()).hexdigest()[:12]
    folder = cache_folder() / "emulated" / f"{architecture.wheels}-{digest}"
    if not folder.is_dir():
        if not install:
            raise MctError(
                f"there is no Python for {architecture.wheels} with {distribution} here",
                f"add --install: it brings one, about 250 MB, into {folder.parent}",
            )
        _make(folder, architecture, wanted)
    python = next((folder / "root/usr/bin").glob("python3.[0-9]*"), None)
    if python is None:
        raise MctError(f"{folder} holds no Python", f"remove it, and make it again: rm -r {folder}")
    return Foreign(python, folder / "root", folder / "packages")


def mct_alone() -> Path:
    """A folder with this mct in it and nothing else: beside it may lie packages of this architecture."""
    package = Path(mct.__file__).resolve().parent
    folder = cache_folder() / "emulated" / f"mct-{hashlib.sha256(bytes(package)).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (folder / "mct").symlink_to(package)
    return folder


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        raise MctError(f"{distribution} is not installed here, to run beside", f"pip install {distribution}") from None


def _make(folder: Path, architecture: Architecture, wheels: Sequence[str]) -> None:
    with draft_folder(folder.parent, folder.name) as draft:
        root = draft / "root"
        _unpack_debian(draft / "apt", root, architecture)
        python = next((root / "usr/bin").glob("python3.[0-9]*"), None)
        if python is None:
            raise MctError("Debian's archive gave no Python", "see: apt-get update")
        _fetch_wheels(draft / "packages", architecture, python.name.removeprefix("python"), wheels)
        with suppress(OSError):  # another run was first
            draft.rename(folder)


def _unpack_debian(state: Path, root: Path, architecture: Architecture) -> None:
    """Debian's packages for another architecture, with all they need, unpacked below `root` and not installed."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True)
    apt = [
        "apt-get", "-qq", "-y", "-o", f"Dir::State={state / 'state'}", "-o", f"Dir::Cache={state / 'cache'}",
        "-o", "Dir::State::status=/dev/null", "-o", f"APT::Architecture={architecture.debian}",
        "-o", f"APT::Architectures={architecture.debian}", "-o", "APT::Install-Recommends=false",
        "-o", "APT::Sandbox::User=",
    ]  # fmt: skip
    hint = "this needs the apt-get of Debian, and its archive"
    _run([*apt, "update"], hint)
    _run([*apt, "--download-only", "install", *DEBIAN_PACKAGES], hint)
    root.mkdir()
    for package in sorted((state / "cache/archives").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(root)], hint)
    _run(["rm", "-r", str(state)], "")


def _fetch_wheels(place: Path, architecture: Architecture, python: str, wheels: Sequence[str]) -> None:
    glibc = [f"manylinux_2_{minor}_{architecture.wheels}" for minor in range(OLDEST_GLIBC, NEWEST_GLIBC + 1)]
    platforms = [word for name in (f"manylinux2014_{architecture.wheels}", *glibc) for word in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    command += ["--target", str(place), "--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    _run([*command, *platforms, *wheels], f"is there a wheel for {architecture.wheels} and Python {python}?")


def _run(command: Sequence[str], hint: str) -> None:
    """MctError with the first line that a program says of its failure."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    except FileNotFoundError:
        raise MctError(f"{command[0]} is not here", hint) from None
    except subprocess.TimeoutExpired:
        raise MctError(f"{command[0]} took more than {PATIENCE_S:g} s", "is there a network?") from None
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if "rror" in line] or [done.stderr.strip()]
        raise MctError(f"{command[0]} failed: {said[0][:200]}", hint)

"""The npm packages that artifacts run by in Node and in a browser: which, where, and the line that brings them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from mct import MctError
from mct.models.data.declared import Name, read_json

PINS = Path(__file__).with_name("package.json")
RUNTIME, TOKENIZERS = "onnxruntime-web", "@huggingface/tokenizers"


class _Pins(Struct, frozen=True):
    dependencies: dict[Name, Name]


class _Package(Struct, frozen=True):
    version: Name


def packages_folder() -> Path:
    """The folder whose `node_modules` they are in: MCT_NODE, else the one that `make node` fills."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mct" / "node"
    return Path(os.environ.get("MCT_NODE") or cache)


def pinned() -> dict[str, str]:
    """The version of each package that this mct was tried with."""
    return read_json(PINS, _Pins).dependencies


def installed() -> dict[str, str]:
    """The version of each that is there."""
    folder = packages_folder() / "node_modules"
    files = {name: folder / name / "package.json" for name in pinned()}
    return {name: read_json(file, _Package).version for name, file in files.items() if file.is_file()}


def npm_line() -> str:
    """What to type to have them."""
    wanted = " ".join(f"{name}@{version}" for name, version in pinned().items())
    return f"npm install --prefix {packages_folder()} --ignore-scripts {wanted}"


def require_packages() -> dict[str, str]:
    """Their versions. MctError with the line that brings them where one is not there, or is another version."""
    found, wanted = installed(), pinned()
    for name, version in wanted.items():
        if name not in found:
            raise MctError(f"this needs the npm package {name}, which is not in {packages_folder()}", npm_line())
        if found[name] != version:
            raise MctError(f"npm package {name} is {found[name]} here, and mct works with {version}", npm_line())
    files = [path for build in BUILDS.values() for path in build.files().values()]
    if lost := [path for path in files if not path.is_file()]:
        raise MctError(f"an npm package has lost a file: {lost[0]} is not there", f"{npm_line()} --force")
    return found


@dataclass(frozen=True)
class Build:
    """One of the runtime's builds: the script a page imports, and what that loads from beside it."""

    script: str
    loader: str
    wasm: str

    def files(self) -> dict[str, Path]:
        """What a page fetches beside model and tokenizer, by the names that it asks for."""
        return {
            "ort.mjs": _dist(self.script),
            self.loader: _dist(self.loader),
            "wasm": _dist(self.wasm),
            "tokenizers.mjs": packages_folder().joinpath("node_modules", TOKENIZERS, "dist", "tokenizers.min.mjs"),
        }


BUILDS = {
    "wasm": Build("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": Build(
        "ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm"
    ),
}
"""By the provider that computes: the CPU in WebAssembly, or the GPU."""


def _dist(name: str) -> Path:
    return packages_folder() / "node_modules" / RUNTIME / "dist" / name

"""What a page has to fetch, in bytes: as it lies there, and as servers send it, compressed by gzip and by brotli.

The levels are those that servers compress with while they answer (gzip 6, brotli 5); what is compressed once and for
all may be some per cent smaller. Brotli is Node's: Python has none of its own, and who measures for a page has Node.
"""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

from msgspec import DecodeError, ValidationError, json

from mct.bench.web.engine import Files
from mct.targets.programs import find_node

GZIP, BROTLI = 6, 5
SCRIPT = Path(__file__).with_name("weigh.mjs")
PATIENCE_S = 240.0
CHUNK = 1 << 20
GZIP_FORMAT = 16 + zlib.MAX_WBITS
WHOLE = ("model", "tokenizer", "wasm")


def weigh(files: Files) -> dict[str, dict[str, int]]:
    """The bytes of model, tokenizer, WebAssembly and the packages' scripts together; brotli left out without Node."""
    fetched = files.fetched()
    brotli = _brotli(list(fetched.values()))
    sizes = {
        name: {"raw": path.stat().st_size, "gzip": _gzip(path), **({"brotli": brotli[at]} if brotli else {})}
        for at, (name, path) in enumerate(fetched.items())
    }
    scripts = [size for name, size in sizes.items() if name not in WHOLE]
    together = {form: sum(size[form] for size in scripts) for form in scripts[0]}
    return {name: sizes[name] for name in WHOLE} | {"scripts": together}


def _gzip(path: Path) -> int:
    press, size = zlib.compressobj(GZIP, wbits=GZIP_FORMAT), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            size += len(press.compress(chunk))
    return size + len(press.flush())


def _brotli(paths: Sequence[Path]) -> list[int]:
    """The size of each; none where Node is not here or does not get it done."""
    node = find_node()
    if node.missing:
        return []
    command = [node.path, str(SCRIPT), str(BROTLI), *map(str, paths)]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
        sizes = json.decode(done.stdout, type=list[int])
    except (OSError, subprocess.SubprocessError, DecodeError, ValidationError):
        return []
    return sizes if len(sizes) == len(paths) else []

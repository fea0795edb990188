"""What a page has to fetch, in bytes: as it lies there, and as servers send it, compressed by gzip and by brotli.

The levels are those that servers compress with while they answer (gzip 6, brotli 5); what is compressed once and for
all may be some per cent smaller. Brotli is Node's: Python has none of its own, and who measures for a page has Node.
"""

from __future__ import annotations

import subprocess
import zlib
from functools import cache
from pathlib import Path

from mct.bench.web.engine import Files
from mct.targets.programs import find_node

GZIP, BROTLI = 6, 5
SCRIPT = Path(__file__).with_name("weigh.mjs")
PATIENCE_S = 240.0
CHUNK = 1 << 20
GZIP_FORMAT = 16 + zlib.MAX_WBITS
WHOLE = ("model", "tokenizer", "wasm")
Sizes = dict[str, int]
"""Bytes by form."""


def weigh(files: Files) -> dict[str, Sizes]:
    """The bytes of model, tokenizer, WebAssembly and the packages' scripts together; brotli left out without Node."""
    sizes = {name: _sizes(path, path.stat().st_size, path.stat().st_mtime_ns) for name, path in files.fetched().items()}
    scripts = [size for name, size in sizes.items() if name not in WHOLE]
    together = {form: sum(size[form] for size in scripts) for form in scripts[0]}
    return {name: sizes[name] for name in WHOLE} | {"scripts": together}


@cache
def _sizes(path: Path, size: int, changed_ns: int) -> Sizes:
    """Of one file as it was then: the runtime's are the same for every model."""
    brotli = _brotli(path)
    return {"raw": size, "gzip": _gzip(path), **({} if brotli is None else {"brotli": brotli})}


def _gzip(path: Path) -> int:
    press, size = zlib.compressobj(GZIP, wbits=GZIP_FORMAT), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            size += len(press.compress(chunk))
    return size + len(press.flush())


def _brotli(path: Path) -> int | None:
    """None where Node is not here or does not get it done."""
    node = _node()
    if node.missing:
        return None
    command = [node.path, str(SCRIPT), str(BROTLI), str(path)]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
        return int(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


_node = cache(find_node)

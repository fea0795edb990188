"""How hard the code is to walk through, in figures: before and after, from the sources alone.

Run from the repository root: `python results/rooms.py BEFORE AFTER`, each a checkout of mct. Counted are the modules of
the package, without tests and results: files in a folder, lines, the longest function, private functions that one line
alone calls, and in how many modules a family and a task kind are named (what a new one would have to be added to).
`mct --help` is timed as a whole process, the median of 15 in turns. Writes rooms.md beside this file.
"""

import ast
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from mct.models.writing.folders import write_atomically

ROOMS = ("models", "targets", "compress", "bench")
FAMILY, TASK = "qwen3", "token-classification"
LONG_MODULE, SHORT_BODY = 200, 4
STARTS = 15

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    """Measure both trees and write the table."""
    roots = [Path(word).resolve() for word in sys.argv[1:3]]
    times = help_ms(roots)
    rows = [(name, *(measure(root) for root in roots)) for name, measure in MEASURES.items()]
    rows.append(("`mct --help`, ms", *(f"{each:.0f}" for each in times)))
    table = ["| | before | after |", "|--|--:|--:|", *(f"| {' | '.join(map(str, row))} |" for row in rows)]
    write_atomically(Path(__file__).with_name("rooms.md"), f"{HEAD}\n\n" + "\n".join(table) + "\n")


HEAD = "# The rooms, before and after\n\n`python results/rooms.py BEFORE AFTER`: the sources without tests and results."


def modules(root: Path) -> list[Path]:
    """Every module of the package."""
    return [root / "cli.py", *(path for room in ROOMS for path in sorted((root / room).rglob("*.py")))]


def trees(root: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Every module, parsed."""
    for path in modules(root):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def functions(root: Path) -> list[tuple[Path, Function]]:
    """Every function, methods and inner ones among them."""
    return [(path, node) for path, tree in trees(root) for node in ast.walk(tree) if isinstance(node, Function)]


def lines_of(node: Function) -> int:
    """Lines of a function without its docstring."""
    said = ast.get_docstring(node, clean=False)
    return (node.end_lineno or 0) - node.lineno + 1 - (said.count("\n") + 1 if said else 0)


def fullest_folder(root: Path) -> str:
    """The folder with the most modules, and how many."""
    counts = Counter(path.parent.relative_to(root).as_posix() for path in modules(root) if path.stem != "__init__")
    name, count = counts.most_common(1)[0]
    return f"{count} ({name}/)"


def median_folder(root: Path) -> float:
    """Modules in a folder."""
    counts = Counter(path.parent for path in modules(root)[1:] if path.stem != "__init__")
    return statistics.median(counts.values())


def called_once(root: Path, shorter_than: int | None = None) -> int:
    """Private functions of a module's top that one place of it alone names."""
    found = 0
    for _, tree in trees(root):
        named = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
        for node in tree.body:
            if isinstance(node, Function) and node.name.startswith("_") and named[node.name] == 1:
                found += shorter_than is None or lines_of(node) <= shorter_than
    return found


def naming(root: Path, word: str) -> int:
    """Modules in which a family or a task kind stands as a string."""
    pattern = re.compile(rf"[\"']{re.escape(word)}[\"']")
    return sum(bool(pattern.search(path.read_text(encoding="utf-8"))) for path in modules(root))


def lines(root: Path, room: str) -> int:
    """Lines of all modules of a room."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (root / room).rglob("*.py"))


MEASURES: dict[str, Callable[[Path], object]] = {
    "modules": lambda root: len(modules(root)),
    "most files in a folder": fullest_folder,
    "files in a folder, median": median_folder,
    "longest function, lines": lambda root: max(lines_of(node) for _, node in functions(root)),
    f"modules over {LONG_MODULE} lines": lambda root: sum(
        len(path.read_text(encoding="utf-8").splitlines()) > LONG_MODULE for path in modules(root)
    ),
    "lines of cli.py": lambda root: len((root / "cli.py").read_text(encoding="utf-8").splitlines()),
    "lines of bench/": lambda root: lines(root, "bench"),
    "lines of bench/ without commands.py": lambda root: (
        lines(root, "bench")
        - sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (root / "bench").glob("commands.py"))
    ),
    "private functions called once": called_once,
    f"of these with at most {SHORT_BODY} lines": lambda root: called_once(root, SHORT_BODY + 1),
    f'modules that name the family "{FAMILY}"': lambda root: naming(root, FAMILY),
    f'modules that name the task kind "{TASK}"': lambda root: naming(root, TASK),
}


def help_ms(roots: list[Path]) -> list[float]:
    """Median milliseconds of `mct --help` of each tree, started in turns."""
    found: list[list[float]] = [[] for _ in roots]
    for _ in range(STARTS):
        for root, times in zip(roots, found, strict=True):
            began = time.perf_counter()
            code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from mct.cli import main; main()"
            subprocess.run([sys.executable, "-c", code, str(root / ".dev"), "--help"], check=True, capture_output=True)
            times.append(1e3 * (time.perf_counter() - began))
    return [statistics.median(times) for times in found]


if __name__ == "__main__":
    main()

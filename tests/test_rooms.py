"""The house rules that a reader relies on: rooms import only to their left, and nothing heavy before it is needed."""

import ast
import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["models", "targets", "compress", "bench", "cli"]
HEAVY = {
    "torch", "transformers", "onnx", "onnxruntime", "openvino", "nncf", "llama_cpp", "gguf", "numpy", "scipy",
    "tokenizers", "rich", "peft", "safetensors", "jinja2", "matplotlib", "huggingface_hub", "httpx",
}  # fmt: skip


def modules() -> list[Path]:
    return [ROOT / "cli.py", *(path for room in ROOMS[:-1] for path in sorted((ROOT / room).glob("*.py")))]


def imported_by(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively; write from mct.…"
            found.add(str(node.module))
    return found


def references(path: Path) -> set[str]:
    """What tables name as "mct.room.module:function"."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if text.startswith("mct.") and ":" in text and " " not in text}


def referred_to(path: Path) -> set[str]:
    """The modules of these references."""
    return {reference.partition(":")[0] for reference in references(path)}


def defined_in(module: str) -> set[str]:
    """Functions, classes and values at the top of a module, read without importing it; empty where there is none."""
    path = (ROOT / Path(*module.split(".")[1:])).with_suffix(".py")
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_room_imports_only_itself_and_what_stands_to_its_left(path: Path) -> None:
    own = ROOMS.index(path.parent.name if path.parent != ROOT else "cli")
    for module in imported_by(path) | referred_to(path):
        if module.startswith("mct."):
            assert ROOMS.index(module.split(".")[1]) <= own, f"{path.name} imports {module}"


def test_every_table_reference_names_a_function_that_exists() -> None:
    named = [(path, reference) for path in modules() for reference in references(path)]
    assert len(named) > 50, "the tables name dozens of functions"
    for path, reference in named:
        module, _, name = reference.partition(":")
        assert name in defined_in(module), f"{path.name} names {reference}"


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running `code`."""
    script = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import mct.cli",
        "from click.testing import CliRunner; from mct.cli import commands; CliRunner().invoke(commands, ['--help'])",
        "import mct.compress.plan.plan, mct.compress.run.artifact, mct.compress.run.material",
        "import mct.models.checkpoints.checkpoint, mct.models.tasks.datasets, mct.targets.runtimes.table",
        "import mct.targets.machine",
    ],
)
def test_what_only_plans_or_prints_imports_nothing_heavy(code: str) -> None:
    assert not loaded_after(code) & HEAVY


def test_the_wheel_lists_every_room() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    assert listed == {"mangaassist_mct", "mct", *(f"mct.{room}" for room in ROOMS[:-1])}


def test_no_stray_module_at_the_root() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "cli.py"}


def test_onnxruntime_opens_no_session_for_usage_events(tmp_path: Path) -> None:
    """Its package does so on import, and leaves a file of that in the folder for temporary files."""
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", "import mct, onnxruntime"], check=True, env={**environment, "TMPDIR": str(tmp_path)}
    )
    assert not list(tmp_path.iterdir())

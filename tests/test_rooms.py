"""The house rules that a reader relies on: rooms import only to their left, and nothing heavy before it is needed."""

import ast
import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A room stands to the right of what it may import. Those in one tuple stand side by side: none imports another.
ROOMS = (
    ("models",), ("models.data",), ("models.writing",), ("models.tasks",), ("models.families",), ("models.networks",),
    ("models.checkpoints",), ("models.training",),
    ("models.scenarios.shop.texts",), ("models.scenarios.shop",),
    ("models.scenarios.classifiers", "models.scenarios.responses"), ("models.scenarios.search",),
    ("models.scenarios",),
    ("models.commands",),
    ("targets.devices", "targets.ssh"), ("targets",), ("targets.runtimes",), ("targets.llama",), ("targets.elsewhere",),
    ("targets.commands",),
    ("compress.plan",), ("compress.run",),
    ("compress.merge", "compress.shrink", "compress.students", "compress.train", "compress.mixed"),
    ("compress.onnx.graphs", "compress.gguf.graphs"),
    ("compress.onnx", "compress.openvino", "compress.gguf"),
    ("compress.commands",),
    ("bench.statistics",), ("bench.samples",), ("bench.worker",), ("bench.web",), ("bench.transport",),
    ("bench.measure",), ("bench.judge",), ("bench.store",), ("bench.report",), ("bench.jobs",), ("bench.matrix",),
    ("bench.search",), ("bench.emulation",), ("bench.commands",),
    ("release.inspection.asking",), ("release.inspection.behaviour",),
    ("release.curation", "release.inspection"), ("release.synthesis",), ("release.inspection.pages",),
    ("release.inspection.commands",),
    ("release.promotion",), ("release.watching",), ("release.pipeline",),
    ("release.decision",), ("release.planning",),
    ("cli",),
)  # fmt: skip
PLACES = {room: place for place, rooms in enumerate(ROOMS) for room in rooms}
MOST_FILES = 16
HEAVY = {
    "torch", "transformers", "onnx", "onnxruntime", "openvino", "nncf", "llama_cpp", "gguf", "numpy", "scipy",
    "tokenizers", "rich", "peft", "safetensors", "jinja2", "matplotlib", "huggingface_hub", "httpx",
    "sentence_transformers", "setfit", "sklearn", "joblib", "fsspec", "mlflow", "datasketch",
}  # fmt: skip


def modules() -> list[Path]:
    tops = sorted({room.partition(".")[0] for room in PLACES} - {"cli"})
    return [ROOT / "cli.py", *(path for top in tops for path in sorted((ROOT / top).rglob("*.py")))]


def name_of(path: Path) -> str:
    """A module's name within the package: "compress.onnx.quantise"; a room's own for its `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The innermost room that a module stands in."""
    return max((room for room in PLACES if f"{module}.".startswith(f"{room}.")), key=len, default=module)


def imported_by(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively; write from mct.…"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if is_module(name) else str(node.module) for name in names}
    return found


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split(".")[1:])
    return name.startswith("mct.") and (path.with_suffix(".py").is_file() or path.is_dir())


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
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_room_imports_only_itself_and_what_stands_to_its_left(path: Path) -> None:
    own = room_of(name_of(path))
    assert own in PLACES or path.read_text(encoding="utf-8").count("\n") == 1, f"{own} is no room of its own"
    for module in imported_by(path) | (set() if is_table(path) else referred_to(path)):
        if module.startswith("mct."):
            other = room_of(module.removeprefix("mct."))
            assert other == own or PLACES[other] < PLACES[own], f"{name_of(path)} imports {module}"


def is_table(path: Path) -> bool:
    """Tables of passes and of runtimes name code of the rooms to their right, loaded when used: what they are for."""
    of_passes = room_of(name_of(path)) == "compress.plan" and path.name.startswith("passes_")
    return of_passes or name_of(path) == "targets.runtimes.table"


def test_no_room_is_a_corridor() -> None:
    """What a person can name from memory."""
    for room in PLACES:
        files = [path for path in ROOT.joinpath(*room.split(".")).glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= MOST_FILES, f"{room} has {len(files)} files"


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
        "import mct.compress.plan.plan, mct.compress.run.artifact, mct.compress.run.resources",
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
    found = {name_of(path) for path in modules() if path.name == "__init__.py"}
    assert listed == {"mangaassist_mct", "mct", *(f"mct.{room}" for room in found)}


def test_no_stray_module_at_the_root() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "cli.py"}


def test_onnxruntime_opens_no_session_for_usage_events(tmp_path: Path) -> None:
    """Its package does so on import, and leaves a file of that in the folder for temporary files."""
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", "import mct, onnxruntime"], check=True, env={**environment, "TMPDIR": str(tmp_path)}
    )
    assert not list(tmp_path.iterdir())

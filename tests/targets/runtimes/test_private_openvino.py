"""OpenVINO and NNCF tell their makers nothing: the package that would do so is never loaded."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
EVERYTHING = """
import sys
import mct.compress.openvino.{0}
import nncf
from openvino.tools.ovc import telemetry_utils
from openvino_tokenizers import convert_tokenizer
from optimum.exporters.openvino import export_from_model
assert not any(module is not None for name, module in sys.modules.items() if name.startswith("openvino_telemetry"))
assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
"""


def test_nothing_that_reports_is_loaded_with_our_files() -> None:
    code = EVERYTHING.format("export_lm")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_openvino_is_imported_in_one_place() -> None:
    rooms = ("models", "targets", "compress", "bench")
    importing = {
        path.name
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if any(line.strip().startswith(("import openvino as", "from openvino import")) for line in path.open())
    }
    assert importing == {"private_openvino.py"}

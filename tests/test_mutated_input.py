"""Two hundred spoilt inputs, the same in every run: each refused in one line, or taken rightly.

Ten thousand: `python tests/mutate_inputs.py --count 10000`.
"""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("mutate_inputs.py")


def test_spoilt_inputs_end_in_no_traceback_and_are_not_taken_for_sound() -> None:
    command = [sys.executable, str(SCRIPT), "--count", "200", "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert done.stdout.startswith("200 inputs: ")

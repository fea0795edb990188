"""Whatever ends the measured process, what it started is ended and its folders are removed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import subprocess, sys, time
from pathlib import Path
from mct.bench.web.keeper import Keeper
folder = Path(sys.argv[1]); (folder / "within").mkdir(parents=True); (folder / "within" / "file").write_text("x")
with Keeper() as keeper:
    keeper.remove(folder)
    command = ["/bin/sh", "-c", "sleep 600 & sleep 600"]
    child = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    keeper.end_group(child.pid)
    print(child.pid, flush=True)
    if sys.argv[2] == "waits":
        time.sleep(600)
"""


def _runs(group: int) -> bool:
    stats = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    return any(int(fields[2]) == group and fields[0] != "Z" for fields in stats)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("end", ["by itself", signal.SIGKILL, signal.SIGTERM])
def test_it_clears_up_after_any_end(end: str | signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "an odd\nname"
    command = [sys.executable, "-c", SCRIPT, str(folder), "ends" if end == "by itself" else "waits"]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        assert process.stdout is not None
        group = int(process.stdout.readline())
        if isinstance(end, signal.Signals):
            assert _runs(group) and folder.is_dir()
            process.send_signal(end)
        process.stdout.read()  # the keeper holds no pipe open
    until = time.monotonic() + 10
    while (_runs(group) or folder.exists()) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _runs(group) and not folder.exists()

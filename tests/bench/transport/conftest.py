"""A real sshd on loopback, and a target table that leads to it with this Python."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from mct.models.tasks.datasets import Dataset

sys.path.append(str(Path(__file__).parents[3] / "results"))
from ssh_server import SSHD, WHY_NOT, SshServer, start_server


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """The server; `box` leads to it for everything that this test starts."""
    if SSHD is None:
        pytest.skip(WHY_NOT)
    found = start_server(tmp_path_factory.mktemp("sshd"))
    monkeypatch.setenv("MCT_SSH_CONFIG", os.fspath(found.config))
    yield found
    found.stop()


@pytest.fixture
def inputs(tiny_artifact: Path, dataset: Dataset, tmp_path: Path) -> SimpleNamespace:
    """Files that a bench is given: `artifact`, its `data`, `targets` over ssh, and `budgets` that it meets."""
    found = SimpleNamespace(
        artifact=tiny_artifact,
        data=tmp_path / "data.jsonl",
        targets=tmp_path / "own targets.toml",
        budgets=tmp_path / "budgets.toml",
    )
    found.data.write_text("".join(json.dumps(row) + "\n" for row in dataset.rows))
    table = f'device = "cpu"\nabout = "loopback"\ntransport = "ssh"\nhost = "box"\npython = "{sys.executable}"\n'
    found.targets.write_text(
        f"[box]\n{table}threads = 1\nprice_per_hour = 0.1\n[tight]\n{table}threads = 1\nmemory_mb = 36\n"
        f'[gone]\ndevice = "cpu"\nabout = "nobody"\ntransport = "ssh"\nhost = "127.0.0.1:1"\n'
    )
    found.budgets.write_text('[easy]\ntask = "sequence-classification"\np95_ms = 500.0\n')
    return found

"""A release in an MLflow registry: written by the client to a real server, which this test starts."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mct.release.promotion.moves import add, promote, rollback
from mct.release.promotion.store import Store

ROOT = Path(__file__).resolve().parents[3]
ALIVE_S = 120
Stored = Callable[..., Path]


@pytest.fixture(scope="module")
def environment() -> Path:
    """The folder with the programs of an environment that has MLflow, made by `make mlflow`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mct" / "mlflow"
    programs = Path(os.environ.get("MCT_MLFLOW") or cache) / "bin"
    if not (programs / "mlflow").is_file():
        pytest.skip("no MLflow server is here: run `make mlflow`")
    return programs


@pytest.fixture(scope="module")
def server(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on loopback with a store of its own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        environment / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{environment}:{os.environ['PATH']}"}
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(command, cwd=folder, env=quiet, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/health", child, folder / "log")
        yield address
    finally:
        os.killpg(child.pid, 15)
        child.wait()


def _wait_for(address: str, child: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + ALIVE_S
    while time.monotonic() < until and child.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the server did not come up: {log.read_text()[-2000:]}")


def publish(environment: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """`mct release publish`, by the environment that has MLflow's client."""
    command = [environment / "python", "-m", "mct.cli", "release", "publish", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / ".dev")})


def ask(server: str, asked: str, **query: str) -> Any:
    """What the registry says by its own interface, without its client."""
    from urllib.parse import urlencode

    with urllib.request.urlopen(f"{server}/api/2.0/mlflow/{asked}?{urlencode(query)}") as answer:
        return json.load(answer)


def test_a_release_is_a_model_version_with_its_evidence_and_its_stage_an_alias(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, environment: Path, server: str
) -> None:
    for number in range(2):
        stored(artifacts[number])
        (release,) = add(store, [artifacts[number]], "router")
        assert promote(store, release.ref, "production", gate).moved
        done = publish(environment, release.ref, "--mlflow", server, "--store", store.address, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["version"] == str(number + 1)
    found = ask(server, "model-versions/search", filter="name = 'router'")["model_versions"]
    tags = {each["version"]: {tag["key"]: tag["value"] for tag in each["tags"]} for each in found}
    assert tags["2"]["mct.digest"] == store.find("router@2").digest and tags["2"]["mct.state"] == "production"
    assert ask(server, "registered-models/alias", name="router", alias="production")["model_version"]["version"] == "2"
    run = next(each["run_id"] for each in found if each["version"] == "2")
    files = {each["path"] for each in ask(server, "artifacts/list", run_id=run, path="artifact")["files"]}
    assert {"artifact/mct.json", "artifact/tokenizer.json"} <= files
    evidence = {each["path"] for each in ask(server, "artifacts/list", run_id=run, path="evidence")["files"]}
    assert "evidence/verdict.json" in evidence and any(name.endswith(".samples.jsonl.gz") for name in evidence)

    rollback(store, "router")
    for ref in ("router@2", "router@1", "router@1"):
        assert publish(environment, ref, "--mlflow", server, "--store", store.address).returncode == 0
    assert ask(server, "registered-models/alias", name="router", alias="production")["model_version"]["version"] == "1"
    assert len(ask(server, "model-versions/search", filter="name = 'router'")["model_versions"]) == 2, (
        "told, not copied"
    )
    assert store.track("router").production == store.find("router@1")


def test_a_registry_that_does_not_answer_is_said_in_one_line(
    store: Store, artifacts: tuple[Path, ...], environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    add(store, artifacts[:1], "router")
    done = publish(environment, "router@1", "--mlflow", "http://127.0.0.1:9", "--store", store.address)
    assert done.returncode == 2 and done.stderr.splitlines()[-2].startswith("error: the registry at http://127.0.0.1:9")
    assert "Traceback" not in done.stderr


def test_without_the_client_the_extra_is_named(
    run_mct: Callable[..., Any], store: Store, artifacts: tuple[Path, ...]
) -> None:
    import importlib.util

    if importlib.util.find_spec("mlflow"):
        pytest.skip("MLflow's client is installed here")
    add(store, artifacts[:1], "router")
    done = run_mct("release", "publish", "router@1", "--mlflow", "http://127.0.0.1:9", "--store", store.address)
    assert done.returncode == 2 and "mangaassist-mct[mlflow]" in done.stderr

"""Checkpoints by name: what is fetched and what is not, the cache without a network, and what is said when it fails.

The hub is a server on localhost that speaks the three endpoints its library asks; the library is the real one, in
processes of its own, because it reads HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE once.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.models.checkpoints.hub import Origin, find_folder, origin_of

COMMIT = "a" * 40
CODE = {"auto_map": {"AutoModel": "modeling_bert.Bert"}}

# Asks for each name in turn; a folder that was found, or what the user is told.
ASK = """
import json, sys
from pathlib import Path
from mct import MctError
from mct.models.checkpoints.hub import find_folder
for asked in sys.argv[1:]:
    name, _, revision = asked.partition("@")
    try:
        print(json.dumps({"folder": str(find_folder(Path(name), revision or None))}))
    except MctError as error:
        print(json.dumps({"error": error.message, "hint": error.hint}))
"""


@dataclass
class Hub:
    """A running server, the cache that its models are fetched into, and what it was asked for."""

    port: int
    home: Path
    asked: list[str]

    def environment(self, **changes: str) -> dict[str, str]:
        there = {"HF_ENDPOINT": f"http://127.0.0.1:{self.port}", "HF_HOME": str(self.home)}
        return {**os.environ, **there, **changes}

    def ask(self, *names: str, **changes: str) -> list[dict[str, str]]:
        command = [sys.executable, "-c", ASK, *names]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.home, env=self.environment(**changes), check=True
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def hub(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with a whole model, one that wants its own code, one with a pickle only, and a gated one."""
    models = tmp_path_factory.mktemp("hub")
    for name in ("org/bert", "org/coded", "org/pickled"):
        shutil.copytree(tiny_bert, models / name)
    config = json.loads((models / "org/coded/config.json").read_text())
    (models / "org/coded/config.json").write_text(json.dumps(config | CODE))
    (models / "org/pickled/model.safetensors").rename(models / "org/pickled/pytorch_model.bin")
    for unwanted in ("modeling_bert.py", "pytorch_model.bin", "onnx/model.onnx", "original/model.safetensors"):
        (models / "org/bert" / unwanted).parent.mkdir(exist_ok=True)
        (models / "org/bert" / unwanted).write_bytes(b"never asked for")
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), serving(models, asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Hub(server.server_address[1], tmp_path_factory.mktemp("home"), asked)
    server.shutdown()


def serving(models: Path, asked: list[str]) -> type[BaseHTTPRequestHandler]:
    """The hub's endpoints: what a model has at a revision, and one file of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            _, *words = self.path.partition("?")[0].split("/")
            if words[:2] == ["api", "models"]:
                self.model("/".join(words[2:4]), words[5])
            else:
                self.file(models / words[0] / words[1] / "/".join(words[4:]))

        do_HEAD = do_GET  # noqa: N815

        def model(self, name: str, revision: str) -> None:
            if name == "org/gated":
                self.answer(403, b"", {"X-Error-Code": "GatedRepo"})
            elif not (models / name).is_dir():
                self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
            elif revision not in ("main", COMMIT):
                self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
            else:
                files = [path.relative_to(models / name) for path in (models / name).rglob("*") if path.is_file()]
                siblings = [{"rfilename": file.as_posix()} for file in files]
                content = json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode()
                self.answer(200, content, {"Content-Type": "application/json"})

        def file(self, path: Path) -> None:
            content = path.read_bytes()
            headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self.answer(200, content, headers)

        def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    return Handler


NAMES = ("org/bert", f"org/bert@{COMMIT}", "org/bert@nope", "org/nobody", "org/gated", "org/coded", "org/pickled")


@pytest.fixture(scope="module")
def answers(hub: Hub) -> dict[str, dict[str, str]]:
    return dict(zip(NAMES, hub.ask(*NAMES), strict=True))


def test_a_name_is_fetched_without_what_could_run(
    hub: Hub, answers: dict[str, dict[str, str]], tiny_bert: Path
) -> None:
    folder = Path(answers["org/bert"]["folder"])
    assert {file.name for file in folder.iterdir()} == {file.name for file in tiny_bert.iterdir()}
    assert (folder / "model.safetensors").read_bytes() == (tiny_bert / "model.safetensors").read_bytes()
    assert not any(path.endswith((".py", ".bin", ".onnx")) or "original" in path for path in hub.asked)
    assert origin_of(folder) == Origin("org/bert", COMMIT)


def test_a_commit_names_the_same_folder(answers: dict[str, dict[str, str]]) -> None:
    assert answers[f"org/bert@{COMMIT}"] == answers["org/bert"]


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("org/bert@nope", "no revision 'nope'", "a tag or a commit"),
        ("org/nobody", "no folder, and no model on the hub", "spelling"),
        ("org/gated", "gated", "hf auth login"),
        ("org/coded", "auto_map in config.json", "architecture that transformers itself has"),
        ("org/pickled", "no safetensors weights", "convert it where you trust it"),
    ],
)
def test_what_cannot_be_had_is_said(answers: dict[str, dict[str, str]], name: str, says: str, hint: str) -> None:
    assert says in answers[name]["error"]
    assert hint in answers[name]["hint"]


def test_of_a_model_that_wants_code_no_weights_are_fetched(hub: Hub, answers: dict[str, dict[str, str]]) -> None:
    assert "org/coded" in answers
    assert not any("coded" in path and path.endswith(".safetensors") for path in hub.asked)


def test_without_a_network_the_cache_serves(hub: Hub, answers: dict[str, dict[str, str]]) -> None:
    unreachable = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    cached, other = hub.ask("org/bert", "org/other", **unreachable)
    assert cached == answers["org/bert"]
    assert "cannot be reached" in other["error"]


def test_offline_a_cached_model_is_inspected_and_another_refused(
    hub_cache: Any, run_mct: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    offline = {**os.environ, "HF_HOME": str(hub_cache.home), "HF_HUB_OFFLINE": "1"}
    done = run_mct("models", "inspect", "org/bert", cwd=tmp_path, env=offline)
    assert done.returncode == 0, done.stderr
    assert f"org/bert at {hub_cache.commit}" in done.stdout
    refused = run_mct("models", "inspect", "org/bert", "--revision", "v2", cwd=tmp_path, env=offline)
    assert refused.returncode == 2
    assert "HF_HUB_OFFLINE" in refused.stderr


def test_half_a_model_in_the_cache_is_none(hub_cache: Any, hub: Hub, tmp_path: Path) -> None:
    """As another program leaves it that read the configuration only."""
    cache = shutil.copytree(hub_cache.home, tmp_path / "cache", symlinks=True)
    next(cache.rglob("model.safetensors")).unlink()
    (answer,) = hub.ask("org/bert", HF_HOME=str(cache), HF_HUB_OFFLINE="1")
    assert "not in the hub's cache" in answer["error"]


def test_a_folder_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "bert").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_folder(Path("org/bert")) == Path("org/bert")
    with pytest.raises(MctError, match="is a path"):
        find_folder(Path("org/bert"), "main")


@pytest.mark.parametrize("mistyped", ["org/brt", "brt", "../brt", "./org/brt", "org/bert/brt"])
def test_a_mistyped_path_never_becomes_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistyped: str
) -> None:
    (tmp_path / "org" / "bert").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "mct.models.checkpoints.load_hub", None)
    assert find_folder(Path(mistyped)) == Path(mistyped)

"""Another machine, by a real sshd on loopback: the same worker, the same result, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ssh_server import SshServer

from mct import MctError
from mct.bench.jobs.compare import CompareJob, run_compare
from mct.bench.jobs.job import Job, run_job
from mct.bench.judge.compare import Limits
from mct.bench.measure.launch import ConnectionLost, WorkerDied, launch_answerer, start_worker
from mct.bench.samples.subject import identify
from mct.bench.store.store import recompute
from mct.bench.transport.site import Setting
from mct.bench.transport.table import open_site
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset, read_examples
from mct.targets.budget import find_budget
from mct.targets.ssh.address import parse_address
from mct.targets.ssh.connection import Remote
from mct.targets.ssh.folder import opened
from mct.targets.target import Target, find_target

QUICK = {"max_seconds": 4.0, "rounds": 2, "block_s": 0.05}


@pytest.fixture
def box(server: SshServer, inputs: SimpleNamespace) -> Target:
    return find_target("box", inputs.targets)


@pytest.fixture
def setting(dataset: Dataset) -> Setting:
    return Setting(read_examples(dataset, "sequence-classification", ()), 1, (), 0)


def ends(condition: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Whether it comes true; checked until then."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_bench_over_ssh_is_stored_as_one_here(
    box: Target, inputs: SimpleNamespace, server: SshServer, tmp_path: Path, dataset: Dataset
) -> None:
    budget = find_budget("easy", inputs.budgets)
    job = Job((inputs.artifact,), inputs.data, box, budget, results=tmp_path / "results", **QUICK)
    result = run_job(job)
    (entry,) = result["artifacts"]
    assert entry["failure"] is None and entry["verdict"]["outcome"] in {"pass", "inconclusive"}
    assert entry["quality"]["value"] == 1.0 and entry["latency"]["rounds"] >= 1
    assert entry["cost_per_1000"] > 0
    assert entry["environment"]["threads"] == 1 and len(entry["environment"]["affinity"]) == 1
    assert entry["environment"]["libraries"]["onnxruntime"] != "absent"
    assert (result["target"]["transport"], result["target"]["host"]) == ("ssh", "box")
    assert recompute(tmp_path / "results" / result["samples"]) == result, "the raw samples came back"
    assert ends(lambda: server.left() == [] and server.sessions() == [])


def test_two_are_compared_there_and_one_there_with_one_here(
    box: Target, inputs: SimpleNamespace, made_up: SimpleNamespace, server: SshServer, tmp_path: Path
) -> None:
    other = made_up.artifact(tmp_path / "other" / "onnx-fp32")
    for targets in ((box, box), (box, find_target("cpu-1"))):
        limits = Limits(0.5, 0.01)
        job = CompareJob(
            inputs.artifact, other, inputs.data, targets, limits, results=tmp_path / "results", max_seconds=6.0
        )
        comparison, texts = run_compare(job)
        assert len(texts) == 60 and not comparison.lost and not comparison.gained
    assert ends(lambda: server.left() == [])


def test_threads_affinity_and_memory_hold_there(
    box: Target, inputs: SimpleNamespace, server: SshServer, setting: Setting
) -> None:
    subject = identify(inputs.artifact)
    cpu = min(os.sched_getaffinity(0))
    with open_site(box, [subject]) as site:
        with closing(start_worker(subject, replace(setting, site=site, affinity=(cpu,)), 0)) as worker:
            (process,) = workers_at(server)
            assert os.sched_getaffinity(process) == {cpu}
            assert worker.start.read_mb is None or worker.start.read_mb >= 0
            environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
            assert b"OMP_NUM_THREADS=1" in environment
        with pytest.raises(WorkerDied) as death:
            start_worker(subject, replace(setting, site=site, memory_mb=36), 1)
    assert "36 MB" in f"{death.value.failure.message} {death.value.failure.hint}"
    assert not isinstance(death.value, ConnectionLost)


def workers_at(server: SshServer) -> list[int]:
    """The workers that run from what was copied to that server."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, environment = path.read_bytes().split(b"\0"), path.with_name("environ").read_bytes()
        except OSError:
            continue
        if b"mct.bench.worker.worker" in words and f"PYTHONPATH={server.temporary}".encode() in environment:
            found.append(int(path.parent.name))
    return found


def test_a_connection_that_breaks_costs_a_round_and_nothing_that_was_measured(
    box: Target, inputs: SimpleNamespace, server: SshServer, tmp_path: Path
) -> None:
    """Every connection is cut twice while it is timed, the one that keeps the folder among them."""
    cut: list[int] = []

    def cutting(stage: str, share: float) -> None:
        if stage.startswith("timing") and len(cut) < 2 and (sessions := server.sessions()):
            cut.append(len(sessions))
            for session in sessions:
                os.kill(session, signal.SIGKILL)

    job = Job((inputs.artifact,), inputs.data, box, results=tmp_path / "results", **QUICK | {"max_seconds": 30.0})
    result = run_job(job, cutting)
    (entry,) = result["artifacts"]
    assert len(cut) == 2 and cut[0] >= 2
    assert entry["failure"] is None and entry["latency"]["rounds"] >= 1
    assert [each["round"] for each in entry["lost"]] in ([0, 1], [0, 0], [0])  # two cuts in one round are one loss
    assert all("box" in each["message"] for each in entry["lost"])
    assert recompute(tmp_path / "results" / result["samples"]) == result
    assert ends(lambda: server.left() == [])


def test_answers_go_on_after_a_connection_that_breaks(
    box: Target, inputs: SimpleNamespace, server: SshServer, setting: Setting
) -> None:
    subject = identify(inputs.artifact)
    with open_site(box, [subject]) as site:
        with closing(launch_answerer(subject, replace(setting, site=site))) as worker:
            worker.get_ready()
            for session in server.sessions():
                os.kill(session, signal.SIGKILL)
            with pytest.raises(ConnectionLost, match="box"):
                worker.answers(0, 5)
        with closing(launch_answerer(subject, replace(setting, site=site))) as worker:
            worker.get_ready()
            assert len(worker.answers(0, 5).values) == 5
    assert ends(lambda: server.left() == [])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_coordinator_is_ended(
    how: signal.Signals, box: Target, inputs: SimpleNamespace, server: SshServer, tmp_path: Path
) -> None:
    words = ["bench", inputs.artifact, "--data", inputs.data, "--target", "box", "--targets", inputs.targets]
    process = subprocess.Popen(
        [sys.executable, "-m", "mct.cli", *map(str, words), "--results", str(tmp_path / "results")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip
    assert ends(lambda: bool(server.left()) and bool(workers_at(server)))
    process.send_signal(how)
    assert process.wait(timeout=120) != 0
    assert ends(lambda: server.left() == [] and server.sessions() == [] and workers_at(server) == [])


def test_what_was_copied_stays_where_it_is_asked_for(box: Target, inputs: SimpleNamespace, server: SshServer) -> None:
    subject = identify(inputs.artifact)
    with open_site(replace(box, keep_remote=True), [subject]):
        pass
    (kept,) = server.left()
    assert (server.temporary / kept / "models" / "0" / "mct.json").is_file()
    with open_site(box, [subject]):
        assert len(server.left()) == 2
    assert ends(lambda: server.left() == [kept]), "a later run leaves it too"


def test_what_a_killed_keeper_left_goes_with_the_next_run(
    box: Target, inputs: SimpleNamespace, server: SshServer
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (server.temporary / f"mct-bench-{ended.pid}-left").mkdir()
    (server.temporary / f"mct-bench-{os.getpid()}-alive").mkdir()
    (server.temporary / "somebody-else").mkdir()
    with open_site(box, [identify(inputs.artifact)]):
        pass
    assert ends(lambda: server.left() == [f"mct-bench-{os.getpid()}-alive", "somebody-else"])


def test_a_runtime_that_is_not_there_is_said_with_its_line(
    box: Target, inputs: SimpleNamespace, server: SshServer, tmp_path: Path
) -> None:
    bare = tmp_path / "bare python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    plain = replace(box, python=str(tmp_path / "bare"))
    (tmp_path / "bare").symlink_to(bare / "bin" / "python3")
    subject = identify(inputs.artifact)
    with open_site(plain, [subject]) as site:
        why = site.obstacle(subject)
    assert why is not None and "box has no onnxruntime" in why.message
    assert "-m pip install onnxruntime" in why.hint


@pytest.fixture
def light_python(tmp_path: Path) -> str:
    """A Python that has ONNX Runtime and what every worker needs, and nothing else of this one's packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "light"], check=True)
    (packages,) = (tmp_path / "light").glob("lib/python3*/site-packages")
    for name in ("onnxruntime", "numpy", "tokenizers", "msgspec"):
        of = distribution(name)
        for top in {file.parts[0] for file in of.files or () if not file.parts[0].startswith("..")}:
            (packages / top).symlink_to(of.locate_file(top))
    return str(tmp_path / "light" / "bin" / "python3")


def test_it_needs_the_runtime_alone_and_a_baseline_without_one_answers_here(
    box: Target, light_python: str, tiny_bert: Path, tiny_onnx: Path, server: SshServer, tmp_path: Path
) -> None:
    labels, data = inspect(tiny_bert).labels, tmp_path / "data.jsonl"
    rows = [{"text": f"order {number}", "label": labels[number % len(labels)]} for number in range(40)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    target = replace(box, python=light_python)
    result = run_job(
        Job((tiny_onnx / "onnx-fp32",), data, target, baseline=tiny_bert, results=tmp_path / "results", **QUICK)
    )
    original, artifact = result["artifacts"]
    assert "box has no torch" in original["failure"]["message"] and original["quality"]["n"] == 40
    assert artifact["failure"] is None and artifact["latency"]["n"] > 0
    assert artifact["quality"]["baseline"] == original["quality"]["value"] and artifact["quality"]["worse"] == 0
    assert recompute(tmp_path / "results" / result["samples"]) == result


def one_line(error: MctError) -> str:
    assert "\n" not in error.message and error.hint
    return error.message


def test_a_changed_an_unknown_and_a_missing_host_are_each_one_line(
    box: Target, inputs: SimpleNamespace, server: SshServer, run_mct: Any
) -> None:
    """The configuration says StrictHostKeyChecking no: it may not weaken what is asked."""
    words = ("bench", inputs.artifact, "--data", inputs.data, "--targets", inputs.targets, "--target")
    server.new_host_key()
    done = run_mct(*words, "box")
    assert done.returncode == 2 and "the host key of box is not the one that is known" in done.stderr
    (server.folder / "known_hosts").write_text("")
    done = run_mct(*words, "box")
    assert done.returncode == 2 and "the host key of box is not known here" in done.stderr
    done = run_mct(*words, "gone")
    assert done.returncode == 2 and "127.0.0.1:1 takes no ssh connection" in done.stderr
    done = run_mct(*words, "ssh:no-such-host.invalid")
    assert done.returncode == 2 and "there is no host no-such-host.invalid" in done.stderr
    assert server.left() == []


@pytest.mark.parametrize(("python", "message"), [("/no/python3", "there is no /no/python3"), ("/bin/true", "not work")])
def test_a_python_that_is_not_there_is_one_line(
    python: str, message: str, box: Target, inputs: SimpleNamespace, server: SshServer
) -> None:
    with pytest.raises(MctError) as error, open_site(replace(box, python=python), [identify(inputs.artifact)]):
        pass
    assert message in one_line(error.value)


def test_a_python_that_is_too_old_is_one_line(
    box: Target, inputs: SimpleNamespace, server: SshServer, tmp_path: Path
) -> None:
    old = tmp_path / "python2"
    old.write_text("#!/bin/sh\necho 'mct: Python 3.9' >&2\nexit 86\n")
    old.chmod(0o755)
    with pytest.raises(MctError) as error, open_site(replace(box, python=str(old)), [identify(inputs.artifact)]):
        pass
    assert "is Python 3.9, and 3.11 is needed" in one_line(error.value)


def test_a_login_that_prints_of_its_own_is_one_line(
    box: Target, inputs: SimpleNamespace, server: SshServer, tmp_path: Path
) -> None:
    loud = tmp_path / "loud"
    loud.write_text(f'#!/bin/sh\necho "Welcome to the shop"\nexec {sys.executable} "$@"\n')
    loud.chmod(0o755)
    with pytest.raises(MctError) as error, open_site(replace(box, python=str(loud)), [identify(inputs.artifact)]):
        pass
    assert "its login prints 'Welcome to the shop'" in one_line(error.value)
    assert ends(lambda: server.left() == [])


@pytest.mark.parametrize("name", ["a folder", "caf\u00e9", "a:b", "x" * 220])
def test_temporary_files_in_a_folder_that_cannot_be_named_there_are_one_line(
    name: str, box: Target, server: SshServer, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexport TMPDIR="{tmp_path / name}"\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    with pytest.raises(MctError) as error, open_site(replace(box, python=str(python)), []):
        pass
    assert str(tmp_path / name) in one_line(error.value) and "TMPDIR" in error.value.hint
    assert ends(lambda: list((tmp_path / name).iterdir()) == [])


def test_a_keeper_that_ends_meanwhile_is_no_fault_of_the_python_there(
    box: Target, server: SshServer, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\nif [ "$1" = -P ]; then\n  kill "$(basename "${PYTHONPATH%/code}" | cut -d- -f3)"\n'
        f'  while [ -d "$PYTHONPATH" ]; do sleep 0.1; done\n  exit 1\nfi\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    with pytest.raises(MctError) as error, open_site(replace(box, python=str(python)), []):
        pass
    assert one_line(error.value) == "the connection to box broke"


def test_a_file_that_went_before_it_was_copied_is_named(box: Target, server: SshServer, tmp_path: Path) -> None:
    with (
        pytest.raises(MctError) as error,
        opened(Remote(parse_address("box"), box.python), {"models/0/gone": tmp_path / "gone"}),
    ):
        pass
    assert "gone" in one_line(error.value) and "Python" not in error.value.hint
    assert ends(lambda: server.left() == [])


def test_a_full_disk_is_one_line_and_leaves_nothing(
    box: Target, inputs: SimpleNamespace, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mct.targets.ssh.folder.size_of", lambda files: 1 << 60)
    with pytest.raises(MctError) as error, open_site(box, [identify(inputs.artifact)]):
        pass
    assert "the disk is full" in one_line(error.value) and "TMPDIR" in error.value.hint
    assert server.left() == []


def test_probe_tells_of_the_other_machine(
    box: Target, inputs: SimpleNamespace, server: SshServer, run_mct: Any
) -> None:
    done = run_mct("targets", "probe", "--target", "box", "--targets", inputs.targets, "--json")
    here = json.loads(run_mct("targets", "probe", "--json").stdout)
    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert {name: told[name] for name in ("cpu", "cores", "memory_mb", "caches")} == {
        name: here[name] for name in ("cpu", "cores", "memory_mb", "caches")
    }
    assert told["runtimes"]["onnxruntime"] == here["runtimes"]["onnxruntime"]
    assert "cpu" in run_mct("targets", "probe", "--target", "box", "--targets", inputs.targets).stdout
    assert ends(lambda: server.left() == [])

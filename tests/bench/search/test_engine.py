"""The processes that do a search's work: what they give, what becomes of one that dies, and of all when it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mct import MctError
from mct.bench.search.engine import Local, open_engine

HELPERS = """
import os, signal, sys
from mct import MctError

def twice(number):
    if number == 13:
        raise MctError("thirteen", "another")
    return 2 * number

def die_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"

def die(path):
    os.kill(os.getpid(), signal.SIGKILL)

def whose(number):
    import time
    time.sleep(0.2)
    return os.getpid()
"""


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Functions that another process can import."""
    (tmp_path / "of_a_search.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    import importlib

    module = importlib.import_module("of_a_search")
    yield module
    sys.modules.pop("of_a_search")


def test_every_order_has_its_result_with_its_place(helpers) -> None:
    with open_engine("", workers=2, threads=1) as engine:
        found = dict(engine.each(helpers.twice, [1, 13, 3]))
    assert found[0] == 2 and found[2] == 6
    assert isinstance(found[1], MctError) and found[1].message == "thirteen"


def test_a_worker_that_dies_has_its_work_done_by_another(helpers, tmp_path: Path) -> None:
    with open_engine("", workers=1, threads=1) as engine:
        found = dict(engine.each(helpers.die_once, [str(tmp_path / "died")]))
    assert found == {0: "alive"}


def test_work_that_kills_every_worker_is_refused_and_the_rest_is_done(helpers, tmp_path: Path) -> None:
    with open_engine("", workers=1, threads=1) as engine:
        found = dict(engine.each(helpers.die, ["x"]))
        assert isinstance(found[0], MctError) and "died" in found[0].message
        assert dict(engine.each(helpers.twice, [5])) == {0: 10}


def test_nothing_is_left_running_when_the_search_is_killed(helpers, tmp_path: Path) -> None:
    script = (
        "import sys, of_a_search\nfrom mct.bench.search.engine import Local\n"
        "if __name__ == '__main__':\n    engine = Local(1, 1)\n"
        "    for _, found in engine.each(of_a_search.whose, range(100)):\n        print(found, flush=True)\n"
    )
    (tmp_path / "main.py").write_text(script)
    process = subprocess.Popen([sys.executable, str(tmp_path / "main.py")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(100):
        if not _is_there(worker):
            return
        time.sleep(0.05)
    raise AssertionError("the worker outlived its search")


def _is_there(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(("where", "said"), [("http://there", "cluster's address"), ("dask://127.0.0.1:9", "answers")])
def test_an_engine_that_is_none_is_refused(where: str, said: str) -> None:
    if where.startswith("dask"):
        pytest.importorskip("dask.distributed")
    with pytest.raises(MctError, match=said), open_engine(where, 1, 1):
        pass


def test_a_cluster_does_the_work_and_times_on_the_worker_kept_for_that(helpers, tmp_path: Path) -> None:
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.SpecCluster(
            workers={
                name: {"cls": distributed.Nanny, "options": {"nthreads": 1, "resources": resources}}
                for name, resources in (("plain", {}), ("kept", {"bench": 1}))
            },
            scheduler={"cls": distributed.Scheduler, "options": {"dashboard_address": ":0"}},
        ) as cluster,
        open_engine(cluster.scheduler_address.replace("tcp://", "dask://"), 0, 1) as engine,
    ):
        cluster.wait_for_workers(2)
        assert engine.alone(helpers.whose, 1) == engine.alone(helpers.whose, 2)
        assert dict(engine.each(helpers.twice, [1, 2, 13]))[1] == 4
        assert dict(engine.each(helpers.die_once, [str(tmp_path / "died")])) == {0: "alive"}, "a lost worker"


def test_a_cluster_without_a_worker_for_timing_is_refused() -> None:
    distributed = pytest.importorskip("dask.distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0"
    ) as cluster:
        where = cluster.scheduler_address
        with pytest.raises(MctError, match="kept for timing"), open_engine(where.replace("tcp", "dask"), 0, 1):
            pass


def test_a_pool_that_is_closed_can_be_closed_again() -> None:
    engine = Local(1, 1)
    engine.close()
    engine.close()

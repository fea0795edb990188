"""A store of releases on S3, over HTTP: the library that talks to Amazon's, and a server that answers as Amazon's."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from mct import MctError
from mct.bench.samples.subject import identify
from mct.release.promotion.moves import add, move, promote, rollback
from mct.release.promotion.releases import Moved, Track
from mct.release.promotion.store import Store, open_store

s3fs = pytest.importorskip("s3fs", reason="the extra dev has what talks to S3")
server = pytest.importorskip("moto.server", reason="the extra dev has a server that answers as S3 does")
Stored = Callable[..., Path]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of a server of S3; it goes with the tests."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place in a new bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    s3fs.S3FileSystem.clear_instance_cache()
    name = tmp_path.name.replace("_", "-")
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}/releases"


def moved(store: Store, decided_on: Track, ready: Barrier, version: int) -> str:
    """What came of a promotion that begins when the other one is ready too."""
    ready.wait()
    try:
        move(store, decided_on, Moved(version, "canary", "promote"), "")
    except MctError as error:
        return error.message
    return "moved"


def test_from_a_candidate_to_production_and_back(
    bucket: str, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path
) -> None:
    store = open_store(bucket)
    for artifact in artifacts[:2]:
        stored(artifact)
        (release,) = add(store, [artifact], "router")
        assert promote(store, release.ref, "production", gate).moved
    assert rollback(open_store(bucket), "router").production == store.find("router@1")
    (tmp_path / "out").mkdir()
    open_store(bucket).fetch(store.find("router@2"), tmp_path / "out")
    assert identify(tmp_path / "out").digest == identify(artifacts[1]).digest


def test_of_two_promotions_at_once_one_wins(bucket: str, artifacts: tuple[Path, ...]) -> None:
    """Both were decided on the journal as it was: by the time of the second, it is another."""
    store = open_store(bucket)
    add(store, artifacts[:2], "router")
    for _ in range(5):
        decided_on, ready = store.track("router"), Barrier(2)
        with ThreadPoolExecutor(2) as both:
            came_to = sorted(both.map(partial(moved, store, decided_on, ready), (1, 2)))
        assert came_to[0].startswith("another change came first") and came_to[1] == "moved"
        assert len(store.track("router").entries) == len(decided_on.entries) + 1


def test_a_damaged_artifact_is_mended(bucket: str, artifacts: tuple[Path, ...]) -> None:
    store = open_store(bucket)
    (release,) = add(store, artifacts[:1], "router")
    store.place.write(f"artifacts/{release.digest}/tokenizer.json", b"{}")
    with pytest.raises(MctError, match="has changed since it was written"), store.artifact(release):
        pass
    assert add(store, artifacts[:1], "router") == [release]
    with store.artifact(release):
        pass

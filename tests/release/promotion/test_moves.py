"""Releases go where a gate lets them, one change at a time, and a rollback brings back what was there."""

import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest

from mct import MctError
from mct.bench.samples.subject import identify
from mct.models.writing.drafts import remove as clear
from mct.models.writing.folders import sha256
from mct.release.promotion.drill import practise
from mct.release.promotion.gate_values import last_verdict, production_of, read_verdict
from mct.release.promotion.moves import add, move, promote, retire, rollback
from mct.release.promotion.places import DiskPlace
from mct.release.promotion.releases import Added, Entry, Moved, Stage, track_of
from mct.release.promotion.store import Store, open_store

Stored = Callable[..., Path]
NOBODY = "http://127.0.0.1:9"
VERDICT = "a" * 64


def with_another_history(artifact: Path, folder: Path) -> Path:
    """A copy of the same bytes that came about in another way."""
    other = Path(shutil.copytree(artifact, folder / "other" / artifact.name))
    manifest = json.loads((other / "mct.json").read_text())
    (other / "mct.json").write_text(json.dumps(manifest | {"technique": "another"}))
    return other


def remove(store: Store, name: str) -> None:
    """Take a file or folder out of a store."""
    place: Any = store.place
    if isinstance(place, DiskPlace):
        clear(place.root / name)
    else:
        place.files.rm(f"{place.root}/{name}", recursive=True)


def in_production(store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, count: int) -> None:
    for number in range(count):
        stored(artifacts[number])
        (release,) = add(store, [artifacts[number]], "router")
        assert promote(store, release.ref, "production", gate).moved


def test_an_artifact_is_added_once_and_is_a_candidate(store: Store, artifacts: tuple[Path, ...]) -> None:
    first, second = add(store, artifacts[:2], "router", by="Ada")
    assert [first.ref, second.ref] == ["router@1", "router@2"]
    assert first.state == second.state == "candidate" and first.by == "Ada"
    assert add(store, artifacts[:1], "router") == [first]
    assert first.digest == identify(artifacts[0]).digest
    with store.artifact(first) as folder:
        assert sha256(folder / "mct.json") == sha256(artifacts[0] / "mct.json")


def test_a_passing_gate_moves_and_keeps_its_verdict_and_all_evidence(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    result = stored(artifacts[0])
    add(store, artifacts[:1], "router")
    done = promote(store, "router", "production", gate, "Ada")
    assert done.moved and done.release.state == "production"
    ((_, moved),) = store.track("router").moves(1)
    verdict = read_verdict(store, moved.verdict or "")
    assert verdict == done.verdict.verdict and verdict.digest == done.release.digest
    kept = {each.kind: each for line in verdict.lines for each in line.evidence}
    assert store.evidence(kept["result"].sha256) == result.read_bytes()
    assert kept["samples"].sha256 == sha256(result.with_suffix(".samples.jsonl.gz"))
    pointer = json.loads((Path(store.address) / "names/router/production.json").read_text())
    assert identify(Path(store.address) / pointer["artifact"]).digest == pointer["digest"] == done.release.digest


def test_what_does_not_pass_stays_and_its_verdict_is_kept_all_the_same(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    stored(artifacts[0], median_ms=4.0)
    add(store, artifacts[:1], "router")
    done = promote(store, "router@1", "production", gate)
    assert not done.moved and done.verdict.verdict.outcome == "fail"
    assert store.track("router").production is None
    said = last_verdict(store, "router@1")
    assert said is not None and said.sha256 == done.verdict.sha256


def test_one_is_in_production_and_a_rollback_brings_the_one_before_back(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    in_production(store, artifacts, stored, gate, 3)
    assert [each.state for each in store.track("router").releases] == ["retired", "retired", "production"]
    assert rollback(store, "router").production == store.find("router@2")
    assert rollback(store, "router").production == store.find("router@1")
    assert [each.state for each in store.track("router").releases] == ["production", "retired", "retired"]
    with pytest.raises(MctError, match="no earlier production"):
        rollback(store, "router")


def test_no_rollback_leads_to_what_a_person_retired(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    in_production(store, artifacts, stored, gate, 3)
    retire(store, "router@2", note="leaks")
    assert rollback(store, "router").production == store.find("router@1")
    with pytest.raises(MctError, match="router@2 was retired for good"):
        promote(store, "router@2", "production", gate)
    with pytest.raises(MctError, match="nothing would take its place"):
        retire(store, "router@1")
    with pytest.raises(MctError, match="retired already"):
        retire(store, "router@2")


def test_a_change_that_came_first_is_told_to_the_other(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:2], "router")
    decided_on = store.track("router")
    move(store, decided_on, Moved(1, "production", "promote", VERDICT), "Ada")
    with pytest.raises(MctError, match=r"another change came first: router@1 went to production \(promote\) by Ada"):
        move(store, decided_on, Moved(2, "production", "promote", VERDICT), "Bob")
    assert store.track("router").productions == (1,)


def test_what_others_noted_meanwhile_is_no_change(store: Store, artifacts: tuple[Path, ...]) -> None:
    add(store, artifacts[:1], "router")
    decided_on = store.track("router")
    add(store, artifacts[1:2], "router")
    assert move(store, decided_on, Moved(1, "production", "promote", VERDICT), "").production == store.find("router@1")


def test_a_drill_changes_nothing_but_the_journal_and_finds_a_damaged_artifact(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    in_production(store, artifacts, stored, gate, 2)
    before = store.track("router")
    drill = practise(store, "router")
    after = store.track("router")
    assert drill.outcome == "pass" and drill.production == "router@2" and drill.promoted == "router@1"
    assert after.releases == before.releases and after.last_drill() is not None
    file = Path(store.address) / "artifacts" / before.releases[0].digest / "tokenizer.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(MctError, match="has changed since it was written"):
        practise(store, "router")
    with pytest.raises(MctError, match="has changed since it was written"):
        rollback(store, "router")
    assert store.track("router").production == after.production


def test_a_pointer_that_a_kill_left_behind_is_put_right(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    in_production(store, artifacts, stored, gate, 2)
    pointer = Path(store.address) / "names/router/production.json"
    pointer.write_text("null\n")
    store.settle("router")
    assert json.loads(pointer.read_text())["release"] == "router@2"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda files: files[1].unlink(), "out of order: entry 2 is missing"),
        (lambda files: files[1].write_text(files[1].read_text().replace("router", "other")), "does not follow|damaged"),
        (lambda files: files[0].write_text("{"), "not readable as JSON"),
        (lambda files: files[-1].write_text("{}"), "missing required field"),
        (lambda files: files[0].write_bytes(b"\x00\xff"), "not readable as JSON"),
        (lambda files: (files[-1].unlink(), files[-1].mkdir()), "is a folder"),
    ],
)
def test_a_journal_that_was_tampered_with_is_refused(
    store: Store, artifacts: tuple[Path, ...], spoil: Callable[[list[Path]], object], said: str
) -> None:
    add(store, artifacts, "router", by="router")
    spoil(sorted((Path(store.address) / "names/router/journal").iterdir()))
    with pytest.raises(MctError, match=said):
        store.track("router")


def test_evidence_that_was_changed_is_refused(store: Store) -> None:
    digest = store.keep(b"what was measured")
    (Path(store.address) / "evidence" / digest).write_bytes(b"what is liked better")
    with pytest.raises(MctError, match="was changed since"):
        store.evidence(digest)


def test_only_artifacts_of_one_task_under_a_good_name(
    store: Store, artifacts: tuple[Path, ...], tiny_bert: Path, tmp_path: Path
) -> None:
    for name in ("", "a/b", "..", "-x", "a" * 65, "ä"):
        with pytest.raises(MctError, match="cannot be a release's name"):
            add(store, artifacts[:1], name)
    with pytest.raises(MctError, match="is no artifact"):
        add(store, [artifacts[0], tiny_bert], "router")
    assert store.names() == []
    copied = tmp_path / "onnx-int8"
    shutil.copytree(artifacts[0], copied)
    (copied / "tokenizer.json").write_text("{}")
    with pytest.raises(MctError, match="has changed since it was written"):
        add(store, [copied], "router")
    for ref in ("router@0", "router@x", "router@1", "router@99999999999999"):
        with pytest.raises(MctError):
            store.find(ref)


def test_the_same_through_fsspec(artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path) -> None:
    """In memory, where a write is refused by itself if the name is taken; a fetched artifact is the one added."""
    store = open_store(f"memory://{tmp_path.name}/releases")
    in_production(store, artifacts, stored, gate, 2)
    decided_on = store.track("router")
    assert rollback(store, "router").production == store.find("router@1")
    with pytest.raises(MctError, match="another change came first"):
        move(store, decided_on, Moved(2, "canary", "promote"), "")
    assert practise(store, "router").outcome == "pass"
    (tmp_path / "out").mkdir()
    store.fetch(store.find("router@1"), tmp_path / "out")
    assert identify(tmp_path / "out").digest == identify(artifacts[0]).digest
    assert store.names() == ["router"] and open_store(f"memory://{tmp_path.name}/releases").track(
        "router"
    ).productions == (1,)
    assert b"router@1" in (store.place.read("names/router/production.json") or b"")


def test_storage_that_cannot_be_reached_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    class UnlikeError(Exception):
        """What a library of a storage raises is of no common kind."""

    def fail(*_: object, **__: object) -> None:
        raise UnlikeError("no credentials")

    store = open_store(f"memory://{tmp_path.name}/releases")
    for name in ("ls", "cat_file", "exists"):
        monkeypatch.setattr(MemoryFileSystem, name, fail)
    for ask in (store.names, lambda: store.place.read("x"), lambda: store.keep(b"x")):
        with pytest.raises(MctError, match="cannot be reached: no credentials"):
            ask()


@pytest.fixture
def nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for over a network is refused at once, and no file of the user's says otherwise."""
    monkeypatch.chdir(tmp_path)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOBODY)
        monkeypatch.setenv(name.lower(), NOBODY)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.mark.usefixtures("nobody_there")
@pytest.mark.parametrize(
    "address",
    [
        "ftp://127.0.0.1:9/releases", "http://127.0.0.1:9/releases", "https://127.0.0.1:9/releases",
        "sftp://127.0.0.1:9/releases", "zip://releases", "zip://releases::file:///nothing.zip", "tar://releases",
        "simplecache://releases", "github://owner:repository@branch/releases", "s3://bucket/releases",
        "data://releases", "reference://releases", "nothing-such://bucket/releases",
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_opened_read_or_written_is_refused(address: str) -> None:
    """In one line, that says why; where its library is not installed, that is why."""
    fsspec_class = fsspec.registry.get(address.partition("://")[0])
    if fsspec_class is not None:  # one that was opened before, and has another endpoint
        fsspec_class.clear_instance_cache()
    with pytest.raises(MctError) as refused:
        store = open_store(address)
        store.names()
        store.keep(b"seen")
    said = refused.value
    assert said.hint and not said.message.rstrip().endswith(":") and len(said.message) > len(address)


@pytest.mark.parametrize(
    "address", ["memory://{}/releases", "file://{}/releases", "local://{}/releases", "{}/releases"]
)
def test_a_place_of_this_machine_is_a_store(address: str, tmp_path: Path) -> None:
    store = open_store(address.format(tmp_path))
    assert store.names() == [] and store.evidence(store.keep(b"seen")) == b"seen"


def test_a_full_disk_here_is_not_said_to_be_a_storage_that_cannot_be_reached(
    artifacts: tuple[Path, ...], tmp_path: Path, files_of_at_most: Callable[..., Any]
) -> None:
    store = open_store(f"memory://{tmp_path.name}/releases")
    (release,) = add(store, artifacts[:1], "router")
    (tmp_path / "out").mkdir()
    with files_of_at_most(16), pytest.raises(MctError, match=r"writing into .*out failed: File too large"):
        store.fetch(release, tmp_path / "out")


def test_what_can_be_read_and_not_written_is_no_place_to_add_to(artifacts: tuple[Path, ...], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("releases/names/x", "")
    store = open_store(f"zip://releases::file://{tmp_path}/packed.zip")
    with pytest.raises(MctError, match="cannot be reached"):
        add(store, artifacts[:1], "router")


def test_a_manifest_that_was_changed_in_the_store_is_found(
    store: Store, artifacts: tuple[Path, ...], tmp_path: Path
) -> None:
    """Its lineage is none of the digest: the same bytes come about in other ways, and the first one's is kept."""
    add(store, artifacts[:1], "router")
    again = with_another_history(artifacts[0], tmp_path)
    (other,) = add(store, [again], "other")
    assert other.digest == store.find("router").digest
    with store.artifact(other), store.artifact(store.find("router")):
        pass
    kept = tmp_path / "releases" / "artifacts" / other.digest / "mct.json"
    kept.write_bytes((again / "mct.json").read_bytes())
    with pytest.raises(MctError, match=r"mct\.json of router@1 was changed"), store.artifact(store.find("router")):
        pass


@pytest.mark.parametrize("where", ["disk", "memory"])
@pytest.mark.parametrize("damage", ["changed", "gone", "manifest changed", "manifest gone"])
def test_adding_an_artifact_again_mends_the_one_in_the_store(
    artifacts: tuple[Path, ...], tmp_path: Path, where: str, damage: str
) -> None:
    """With the manifest that its releases bear, whichever is brought."""
    store = open_store(tmp_path / "s" if where == "disk" else f"memory://{tmp_path.name}/s")
    (release,) = add(store, artifacts[:1], "router")
    place = f"artifacts/{release.digest}/" + ("mct.json" if damage.startswith("manifest") else "tokenizer.json")
    if damage.endswith("gone"):
        remove(store, place)
    else:
        store.place.write(place, b"{}")
    with pytest.raises(MctError), store.artifact(release):
        pass
    (tmp_path / "out").mkdir()
    with pytest.raises(MctError):
        store.fetch(release, tmp_path / "out")
    if not damage.startswith("manifest"):
        assert add(store, [with_another_history(artifacts[0], tmp_path)], "router") == [release]
    else:
        assert add(store, artifacts[:1], "router") == [release]
    with store.artifact(release) as folder:
        assert sha256(folder / "mct.json") == sha256(artifacts[0] / "mct.json")
    assert store.place.names("artifacts") == [release.digest]


def test_what_is_damaged_stays_until_a_good_copy_is_whole(store: Store, artifacts: tuple[Path, ...]) -> None:
    (release,) = add(store, artifacts[:1], "router")
    place = f"artifacts/{release.digest}"
    store.place.write(f"{place}/tokenizer.json", b"{}")
    with pytest.raises(FileNotFoundError):
        store.place.mend(artifacts[0], place, ("tokenizer.json", "nothing"), "mct.json", b"{}")
    assert store.place.read(f"{place}/tokenizer.json") == b"{}"
    assert [each.name for each in Path(store.address, "artifacts").iterdir()] == [release.digest]


@pytest.mark.parametrize("where", ["disk", "memory"])
@pytest.mark.parametrize("damage", ["changed", "gone", "gone with its folder"])
def test_a_manifest_that_is_lost_is_not_replaced_by_another_history(
    artifacts: tuple[Path, ...], tmp_path: Path, where: str, damage: str
) -> None:
    """Under no name; the right one may still be brought."""
    store = open_store(tmp_path / "s" if where == "disk" else f"memory://{tmp_path.name}/s")
    (release,) = add(store, artifacts[:1], "router")
    other = with_another_history(artifacts[0], tmp_path)
    place = f"artifacts/{release.digest}"
    if damage == "changed":
        store.place.write(f"{place}/mct.json", b"{}")
    else:
        remove(store, place if damage == "gone with its folder" else f"{place}/mct.json")
    for name in ("router", "other"):
        with pytest.raises(MctError, match=r"mct\.json of router@1 is lost"):
            add(store, [other], name)
    assert store.names() == ["router"] and add(store, artifacts[:1], "router") == [release]
    with store.artifact(release):
        pass


def test_what_is_there_is_added_again_without_a_look_at_the_journals_of_others(
    store: Store, artifacts: tuple[Path, ...]
) -> None:
    (release,) = add(store, artifacts[:1], "router")
    add(store, artifacts[1:2], "other")
    next((Path(store.address) / "names/other/journal").iterdir()).write_text("{")
    assert add(store, artifacts[:1], "router") == [release]


def test_a_name_that_is_no_text_is_not_noted(store: Store, artifacts: tuple[Path, ...]) -> None:
    """As Python gives a byte of the command line that is no UTF-8."""
    with pytest.raises(MctError, match="no text"):
        add(store, artifacts[:1], "router", by="a\udcff")
    assert store.names() == []


def test_a_file_address_is_the_folder(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}/a%20b").place == open_store(tmp_path / "a b").place
    for address in ("", "s3://", "://x", "nothing-such://bucket/x"):
        with pytest.raises(MctError):
            open_store(address)


def test_of_artifacts_that_are_added_together_all_are_or_none(
    store: Store, artifacts: tuple[Path, ...], tmp_path: Path
) -> None:
    damaged = Path(shutil.copytree(artifacts[1], tmp_path / "onnx-int8"))
    (damaged / "tokenizer.json").write_text("{}")
    with pytest.raises(MctError, match="has changed since it was written"):
        add(store, [artifacts[0], damaged], "router")
    assert store.names() == []


def test_a_folder_in_the_place_of_a_manifest_is_mended(store: Store, artifacts: tuple[Path, ...]) -> None:
    (release,) = add(store, artifacts[:1], "router")
    manifest = Path(store.address) / "artifacts" / release.digest / "mct.json"
    manifest.unlink()
    manifest.mkdir()
    assert add(store, artifacts[:1], "router") == [release]
    with store.artifact(release):
        pass


def last_is_of(store: Store, at: datetime) -> str:
    """Date the last entry of the router's journal."""
    path = max((Path(store.address) / "names/router/journal").iterdir())
    said = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"at": said}))
    return said


def test_an_entry_by_a_clock_that_is_ahead_stops_the_gate_and_nothing_else(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    """Clocks of machines differ by minutes; the gate counts days."""
    in_production(store, artifacts, stored, gate, 2)
    add(store, artifacts[2:3], "router")
    stored(artifacts[2])
    ahead = last_is_of(store, datetime(2099, 1, 1, tzinfo=UTC))
    before = store.track("router")
    with pytest.raises(MctError, match=rf"the clock says .*, and the last entry of router is of {ahead}"):
        promote(store, "router@3", "production", gate)
    assert store.track("router") == before
    assert practise(store, "router").outcome == "pass"
    assert rollback(store, "router").production == store.find("router@1")
    retire(store, "router@2")
    assert {each.at for each in store.track("router").entries[len(before.entries) :]} == {ahead}
    last_is_of(store, datetime.now(UTC) + timedelta(minutes=2))
    assert promote(store, "router@3", "production", gate).moved


def test_a_journal_whose_times_go_back_is_read_and_such_a_span_is_none() -> None:
    added = Added(1, VERDICT, VERDICT, "onnx-int8", "onnx", "int8", "sequence-classification", 1.0)
    stages: tuple[Stage, ...] = ("canary", "shadow")
    moves = [Moved(1, stage, "promote", VERDICT) for stage in stages]
    times = ("01T00", "10T00", "09T00")
    entries = [
        at(number, f"2026-01-{when}:00:00Z", event)
        for number, (when, event) in enumerate(zip(times, (added, *moves), strict=True), start=1)
    ]
    track = track_of("router", entries)
    assert track.days_in(1, "canary", "2026-01-20T00:00:00Z") == 0.0
    assert track.days_in(1, "shadow", "2026-01-20T00:00:00Z") == 11.0


def at(number: int, moment: str, event: Any) -> Entry:
    return Entry(number, "", moment, "", event)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([("10T00", Moved(1, "production", "promote"))], "promotes version 1 to production by no verdict"),
        ([("10T00", Moved(1, "production", "rollback"))], "rolls back to version 1, where no way back leads"),
        ([("10T00", Moved(1, "production", "retire"))], r"moves version 1 to production \(retire\)"),
        ([("10T00", Moved(1, "retired", "promote"))], r"moves version 1 to retired \(promote\)"),
    ],
)  # fmt: skip
def test_what_no_sequence_of_commands_could_have_written_is_damage(events: list[tuple[str, Moved]], said: str) -> None:
    added = Added(1, VERDICT, VERDICT, "onnx-int8", "onnx", "int8", "sequence-classification", 1.0)
    entries = [at(1, "2026-01-01T00:00:00Z", added)]
    entries += [at(number, f"2026-01-{when}:00:00Z", event) for number, (when, event) in enumerate(events, start=2)]
    with pytest.raises(MctError, match=said):
        track_of("router", entries)


@pytest.mark.parametrize("stray", ["notes.txt", "00000001.json~", "1.json"])
def test_a_stray_file_among_the_entries_is_named(store: Store, artifacts: tuple[Path, ...], stray: str) -> None:
    add(store, artifacts[:1], "router")
    (Path(store.address) / "names/router/journal" / stray).touch()
    with pytest.raises(MctError, match=f"{stray} is no entry of a journal") as refused:
        store.track("router")
    assert refused.value.hint == "remove it"


def copy_journal(store: Store) -> None:
    """Give the name payments the journal of router."""
    names = Path(store.address) / "names"
    shutil.copytree(names / "router" / "journal", names / "payments" / "journal")


def test_a_journal_under_another_name_lets_nothing_out(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    in_production(store, artifacts, stored, gate, 1)
    copy_journal(store)
    add(store, artifacts[1:2], "payments")
    stored(artifacts[1])
    about = "in the journal of payments is about router@1 "
    for ask in (
        lambda: production_of(store, store.track("payments")),
        lambda: last_verdict(store, "payments@1"),
        lambda: promote(store, "payments@2", "production", gate),
        lambda: practise(store, "payments"),
    ):
        with pytest.raises(MctError, match=about):
            ask()
    assert production_of(store, store.track("router")) == store.find("router@1")


def test_no_rollback_leads_to_what_a_verdict_about_another_let_in(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    """Under the name that its journal was copied to."""
    in_production(store, artifacts, stored, gate, 2)
    copy_journal(store)
    with pytest.raises(MctError, match="in the journal of payments is about router@1 "):
        rollback(store, "payments")
    assert store.track("payments").production == store.find("payments@2")


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_verdict_that_is_lost_stops_neither_production_nor_a_promotion_nor_a_rollback(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, damage: str
) -> None:
    in_production(store, artifacts, stored, gate, 1)
    ((_, moved),) = store.track("router").moves(1)
    lost = Path(store.address) / "evidence" / (moved.verdict or "")
    lost.unlink() if damage == "gone" else lost.write_text("{}")
    told: list[str] = []
    assert production_of(store, store.track("router"), told.append) == store.find("router@1")
    assert len(told) == 1 and told[0].startswith("the verdict that let router@1 into production is lost: ")
    stored(artifacts[1])
    add(store, artifacts[1:2], "router")
    assert promote(store, "router@2", "production", gate).moved
    assert rollback(store, "router").production == store.find("router@1")


def test_of_two_adds_at_once_to_a_new_name_both_do_one_task(
    store: Store, artifacts: tuple[Path, ...], tmp_path: Path
) -> None:
    other = Path(shutil.copytree(artifacts[1], tmp_path / "other"))
    manifest = json.loads((other / "mct.json").read_text())
    (other / "mct.json").write_text(json.dumps(manifest | {"task": "embedding-head"}))

    class Slower(Store):
        def keep_artifact(self, folder: Path, digest: str, files: Sequence[str], own: str = "") -> str:
            add(Store(self.place), artifacts[:1], "router")
            return super().keep_artifact(folder, digest, files, own)

    with pytest.raises(
        MctError, match=r"other is for embedding-head, the releases of router for sequence-classification"
    ):
        add(Slower(store.place), [other], "router")
    assert [each.artifact for each in store.track("router").releases] == [artifacts[0].name]

"""One `mct watch`, as the command line runs it: find the release, its reference and its tokenizer, then look."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mct import MctError
from mct.bench.samples.subject import Subject, identify
from mct.models.tables import load
from mct.release.promotion.gate_values import production_of
from mct.release.promotion.releases import NAMES, split_ref
from mct.release.promotion.store import Store, open_store
from mct.release.watching.looks import Watched, take_look
from mct.release.watching.reference import of_logs, of_release, of_results
from mct.release.watching.signals import Lengths


def watch_logs(
    logs: Sequence[Path], ref: str, references: Sequence[Path], results: Path, margin: float, address: str
) -> tuple[Watched, str]:
    """Look at production's logs; what came of it, and what they were held against: a release, or a folder's path."""
    store = open_store(address)
    if _means_folder(store, ref):
        subject = identify(Path(ref))
        lengths = _lengths(subject)
        reference = of_logs(references, lengths, margin) if references else of_results(results, subject.digest, margin)
        name = ref if os.sep in ref else f".{os.sep}{ref}"
        return take_look(store.place, subject.digest, reference, logs, lengths), name
    return _watch_release(store, logs, ref, references, margin)


def _means_folder(store: Store, ref: str) -> bool:
    """Whether an artifact's folder is meant and no release. MctError where there are both under this name."""
    name, at, _ = ref.partition("@")
    if not Path(ref).is_dir() or not NAMES.fullmatch(name):
        return Path(ref).is_dir()
    releases = store.track(name).releases
    if at or not releases:
        return all(each.ref != ref for each in releases)
    raise MctError(
        f"{ref} is a folder here and a release in {store.address}",
        f"write ./{ref} for the folder, {releases[-1].ref} for a release",
    )


def _watch_release(
    store: Store, logs: Sequence[Path], ref: str, references: Sequence[Path], margin: float
) -> tuple[Watched, str]:
    name, version = split_ref(ref)
    release = store.find(ref)
    if version is None:
        production = production_of(store, store.track(name))
        if production is None:
            raise MctError(f"nothing of {name} is in production", "name a release: NAME@VERSION")
        release = production
    with store.artifact(release) as folder:
        lengths = _lengths(identify(folder))
        reference = of_logs(references, lengths, margin) if references else of_release(store, release, margin)
        return take_look(store.place, release.digest, reference, logs, lengths), release.ref


def _lengths(subject: Subject) -> Lengths:
    """Counts the tokens of texts as the model itself would."""
    tokenize = load("mct.models.tasks.tokens:open_tokenizer")(
        subject.executable.vocabulary, subject.executable.max_tokens
    )

    def lengths(texts: Sequence[str]) -> list[int]:
        return [len(tokenize(text).ids) for text in texts]

    return lengths

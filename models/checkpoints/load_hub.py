"""Fetch a checkpoint from the hub into its library's own cache: a leaf, and the only place that asks the network.

Fetched is what mct reads and nothing that could run: configurations, tokenizer files and safetensors, in the folder
itself and in the numbered steps of an embedder; SetFit's head, which is read by a reader that runs nothing
(`mct.models.checkpoints.setfit_head`). A model that wants code of its own (`auto_map`) is refused before its weights
are fetched.

The cache is that of every program that uses the library (HF_HOME). What it holds serves without a network, and under
HF_HUB_OFFLINE=1 without asking.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import httpx
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import logging
from huggingface_hub.utils.tqdm import disable_progress_bars

from mct import MctError
from mct.models.checkpoints.files import Shards
from mct.models.checkpoints.hub import COMMIT
from mct.models.data.declared import read_json, read_object

WANTED = re.compile(r"(\d+_\w+/)?([^/]+\.(safetensors|json|txt|model|jinja)|model_head\.pkl)")
WEIGHTS = ".safetensors"
CONFIG = "config.json"
OF_CODE = (CONFIG, "tokenizer_config.json")


def fetch(name: str, revision: str) -> Path:
    """The folder of the cache that holds model `name` at `revision` (a branch, tag or commit), whole.

    MctError where it cannot be had, or holds nothing that may be loaded.
    """
    if COMMIT.fullmatch(revision) and (known := _cached(name, revision)):  # what a commit holds never changes
        _refuse_code(name, known)
        return known
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        folder = _download(name, revision)
    except RevisionNotFoundError as error:
        raise MctError(f"{name} has no revision {revision!r} on the hub", "give a branch, a tag or a commit") from error
    except (httpx.HTTPError, OfflineModeIsEnabled, HFValidationError) as error:
        cached = _cached(name, revision)
        if cached is None:
            raise _cannot_be_had(name, error) from error
        folder = cached
    _refuse_code(name, folder)
    return folder


def _download(name: str, revision: str) -> Path:
    found = [file.rfilename for file in HfApi().model_info(name, revision=revision).siblings or ()]
    wanted = [file for file in found if WANTED.fullmatch(file)]
    _require_weights(name, wanted)
    if CONFIG in wanted:
        _refuse_code(name, Path(hf_hub_download(name, CONFIG, revision=revision)).parent)
    return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))


def _cached(name: str, revision: str) -> Path | None:
    """What was fetched before, if all of it is there."""
    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    shards = [set(read_json(index, Shards).weight_map.values()) for index in folder.glob(f"*{WEIGHTS}.index.json")]
    there = {file.name for file in folder.glob(f"*{WEIGHTS}")}
    return folder if there and all(there >= shard for shard in shards) else None


def _require_weights(name: str, files: Iterable[str]) -> None:
    if not any(file.endswith(WEIGHTS) for file in files):
        raise MctError(
            f"{name} has no safetensors weights on the hub, and mct loads no others: they can run code",
            "look for a --revision that has them (refs/pr/1, …), or convert it where you trust it and give the folder",
        )


def _refuse_code(name: str, folder: Path) -> None:
    for file in OF_CODE:
        if (folder / file).is_file() and "auto_map" in read_object(folder / file):
            raise MctError(
                f"{name} wants code of its own to be run (auto_map in {file}), which mct never does",
                "take a model of an architecture that transformers itself has",
            )


def _cannot_be_had(name: str, error: Exception) -> MctError:
    """The refusal for a model that is neither on the hub nor in the cache."""
    not_here = f"{name} is no folder and not in the hub's cache ({constants.HF_HUB_CACHE})"
    if isinstance(error, OfflineModeIsEnabled):
        return MctError(f"{not_here}, and HF_HUB_OFFLINE forbids to fetch it", "unset HF_HUB_OFFLINE, or give a folder")
    if isinstance(error, GatedRepoError):
        return MctError(f"{name} is gated on the hub", "accept its terms on its page there, then: hf auth login")
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return MctError(
            f"{name} is no folder, and no model on the hub that you may see",
            "check the spelling; for a private one: hf auth login",
        )
    if isinstance(error, HfHubHTTPError):
        return MctError(f"the hub answers {error.response.status_code} for {name}", "try again later, or give a folder")
    return MctError(f"{not_here}, and the hub cannot be reached: {error}", "check the path, the network and its proxy")

"""A checkpoint's folder written anew with some of its weights changed, as most passes to a checkpoint end.

Works on the tensors' names and rows, so that it serves every task kind: the encoder inside an embedder, a SetFit model
or several heads is changed, and what stands on it is copied as it is. Weights keep the type they were saved in.
"""

import shutil
from collections.abc import Callable, Container, Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from mct.models.checkpoints.checkpoint import SETFIT_HEAD
from mct.models.data.declared import read_object

MODEL = "model.safetensors"
SHARDS = "model*.safetensors"
INDEX = "model.safetensors.index.json"

# Of a checkpoint mct built: the list of its files, which are others now.
LISTS = ("mct-files.json", "mct-lineage.json")

# What a checkpoint's folder holds beside its weights; nothing that could run is carried along.
COPIED = frozenset({".json", ".txt", ".model", ".jinja", ".safetensors"})

Change = Callable[[str, torch.Tensor], tuple[str, torch.Tensor] | None]


def rewrite_weights(source: Path, draft: Path, change: Change) -> None:
    """Write the model's tensors as one file, each as `change` gives it: under a name, or not at all (None)."""
    changed = (change(name, tensor) for name, tensor in _tensors(source))
    save_file(dict(found for found in changed if found is not None), draft / MODEL, metadata={"format": "pt"})


def write_model(model: PreTrainedModel, source: Path, draft: Path) -> None:
    """Write a model that was made of the one in `source`, with all that lies beside that one's weights."""
    model.save_pretrained(draft)
    for weights in draft.glob("*.safetensors"):
        weights.chmod(0o644)  # written for the owner's eyes only, unlike every file beside it
    copy_rest(source, draft)


def copy_rest(source: Path, draft: Path, leave_out: Container[str] = ()) -> None:
    """Copy what `draft` lacks of `source`: all but the model's own weights, its list of files, and other folders.

    Folders come along where sentence-transformers numbers them ("1_Pooling").
    """
    for path in sorted(source.iterdir()):
        target = draft / path.name
        if target.exists() or path.name == INDEX or path.name in leave_out or path.name in LISTS or path.match(SHARDS):
            continue
        if path.is_file() and (path.suffix in COPIED or path.name == SETFIT_HEAD):
            shutil.copyfile(path, target)
        elif path.is_dir() and path.name.split("_")[0].isdigit():
            target.mkdir()
            for file in sorted(path.iterdir()):
                if file.is_file() and file.suffix in COPIED:
                    shutil.copyfile(file, target / file.name)


def _tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of the files that transformers reads, by name, one at a time; others may lie beside them."""
    shards = () if (folder / MODEL).is_file() else set(read_object(folder / INDEX)["weight_map"].values())
    for name in sorted(shards or (MODEL,)):
        with safe_open(folder / name, framework="pt") as tensors:
            for tensor in tensors.keys():  # noqa: SIM118 (not a mapping)
                yield tensor, tensors.get_tensor(tensor)

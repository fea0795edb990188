"""The README.md of a checkpoint: the tags by which others, and mct itself, tell how it was trained."""

from collections.abc import Sequence
from pathlib import Path

from mct.models.writing.folders import write_atomically


def write_model_card(folder: Path, title: str, text: str, tags: Sequence[str]) -> None:
    """Write README.md as model hubs read it: tags in its head, then title and text."""
    head = "".join(f"- {tag}\n" for tag in tags)
    write_atomically(folder / "README.md", f"---\ntags:\n{head}---\n\n# {title}\n\n{text}\n")

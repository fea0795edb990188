"""A release made again: its recipe, checkpoint, texts and seed in a scratch folder, compared byte by byte.

What a recipe makes follows from its inputs, the libraries' versions and the machine it is made for. So before anything
is made, whatever of these is not as it was is named: other bytes are then no wonder, and the outcome is inconclusive.
Where all are the same and the bytes are not, the release fails.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mct import MctError
from mct.bench.judge.line import Outcome
from mct.compress.plan.recipe import read_recipe
from mct.compress.run.artifact import Artifact, read_artifact
from mct.models.checkpoints.adapted import Told
from mct.models.progress import Report, silent
from mct.release.promotion.releases import Release, Remade, Source
from mct.release.promotion.store import Store
from mct.targets.machine import Machine, described_machine, probe_machine


@dataclass(frozen=True)
class Remake:
    """What making a release again came to: files that are the same, those that are not, and what was not as it was."""

    release: str
    outcome: Outcome
    same: tuple[str, ...]
    other: tuple[str, ...]
    differences: tuple[str, ...]

    def describe(self) -> str:
        """One line for a person."""
        if self.outcome == "pass":
            return f"{self.release}: all {len(self.same)} files are the same, byte by byte"
        files = f"{len(self.other)} of {len(self.same) + len(self.other)} files differ: {', '.join(self.other)}"
        why = f" Not as it was: {'; '.join(self.differences)}." if self.differences else ""
        return f"{self.release}: {files}.{why}"


def remake(
    store: Store, ref: str, source: Source, by: str = "", report: Report = silent, told: Told | None = None
) -> Remake:
    """Make a release again and compare; journalled. `source` says where its inputs lie, beyond what was said at `add`.

    `told` is what was said of an adapter when it was compressed (its base, its name). MctError where the checkpoint is
    not named, or the recipe cannot be followed.
    """
    release = store.find(ref)
    checkpoint = source.checkpoint or release.source.checkpoint
    if not checkpoint:
        raise MctError(f"{release.ref} does not say what it was made of", "name it: --checkpoint FOLDER_OR_NAME")
    inputs = Source(checkpoint, source.data or release.source.data, source.evaluation or release.source.evaluation)
    with store.artifact(release) as folder, tempfile.TemporaryDirectory(prefix="mct-remake-") as scratch:
        made, differences = _make(folder, inputs, told, Path(scratch), report)
        found = _compare(release, folder, made, differences)
    store.note(release.name, Remade(release.version, found.outcome, "; ".join((*found.other, *found.differences))), by)
    return found


def _make(folder: Path, inputs: Source, told: Told | None, scratch: Path, report: Report) -> tuple[Path, list[str]]:
    """The artifact made again below `scratch`, and what is not as it was when the first was made."""
    from mct.compress.plan.plan import make_plan
    from mct.compress.run.execute import execute
    from mct.compress.run.lineage import other_inputs, versions
    from mct.compress.run.resources import gather
    from mct.models.checkpoints.checkpoint import inspect
    from mct.models.checkpoints.hub import find_folder

    artifact, recipe = read_artifact(folder, verify=False), read_recipe(folder)
    checkpoint = find_folder(Path(inputs.checkpoint))
    plan = make_plan(inspect(checkpoint, told), [], [], _machine(artifact), recipe)
    data, evaluation = (Path(name) if name else None for name in (inputs.data, inputs.evaluation))
    resources, texts = gather(plan, data, evaluation, {}, recipe.seed, _machine(artifact))
    differences = other_inputs(folder, resources, texts.source)
    before: Mapping[str, Any] = artifact.lineage[0].get("libraries") or {} if artifact.lineage else {}
    for name in sorted(before.keys() | versions().keys()):
        if before.get(name) != (now := versions().get(name)):
            differences.append(f"{name} was {before.get(name, 'absent')} and is {now or 'absent'}")
    made = execute(plan, resources, texts, scratch, report)
    if len(made) != 1:
        raise MctError(f"the recipe makes {len(made)} artifacts", "add them to the store one by one")
    return made[0], differences


def _machine(artifact: Artifact) -> Machine:
    """The machine that the artifact was made for: as its manifest describes it where that is another."""
    here, made_for = probe_machine(), artifact.made_for
    if not made_for or list(here.instruction_sets) == list(made_for["instruction_sets"]):
        return here
    return described_machine(made_for["architecture"], tuple(made_for["instruction_sets"]))


def _compare(release: Release, folder: Path, made: Path, differences: list[str]) -> Remake:
    before, after = (read_artifact(each, verify=False).files for each in (folder, made))
    names = sorted(before.keys() | after.keys())
    other = [name for name in names if before.get(name) != after.get(name)]
    outcome: Outcome = "pass" if not other else "inconclusive" if differences else "fail"
    same = tuple(name for name in names if name not in other)
    return Remake(release.ref, outcome, same, tuple(other), tuple(differences))

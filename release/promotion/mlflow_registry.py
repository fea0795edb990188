"""A release written to an MLflow registry, which is what teams have: artifact, evidence, and its stage as an alias.

The store stays what decides; the registry is told. A release is one model version there, found again by the tag
`mct.digest`, so telling it twice makes no second one; the alias `production` (or `canary`, `shadow`) is moved to it,
and taken from a version whose release is no longer there. mlflow's client alone is needed (mlflow-skinny).
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mct import MctError
from mct.models.progress import Report, silent
from mct.models.writing.folders import write_json
from mct.release.promotion.describe import release_json, release_page
from mct.release.promotion.gate_values import last_verdict
from mct.release.promotion.releases import STAGES, Published, Release
from mct.release.promotion.store import Store

DIGEST = "mct.digest"


def publish(
    store: Store, ref: str, registry: str, model: str = "", by: str = "", report: Report = silent
) -> dict[str, Any]:
    """Write a release to the registry at `registry`; journalled. Gives what it is called there.

    MctError where nobody answers at that address, or the registry refuses.
    """
    release = store.find(ref)
    client = MlflowClient(tracking_uri=registry, registry_uri=registry)
    name = model or release.name
    try:
        report("asking the registry", 0.1)
        version = _version_of(client, name, release)
        if version is None:
            report("uploading the artifact", 0.2)
            version = _upload(store, release, client, name)
        report("setting the stage", 0.9)
        _set_stage(client, name, version, release)
    except (MlflowException, OSError) as error:
        raise MctError(
            f"the registry at {registry} refused: {_first_line(error)}", "is it an MLflow server, and up?"
        ) from error
    store.note(release.name, Published(release.version, registry, f"{name} version {version}"), by)
    return {"registry": registry, "model": name, "version": version, "release": release.ref, "state": release.state}


def _version_of(client: MlflowClient, name: str, release: Release) -> str | None:
    """The model version that has the release's bytes; None where there is none, the model registered in any case."""
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name, tags={"mct.task": release.task})
        return None
    found = client.search_model_versions(f"name = '{name}'")
    return next((str(each.version) for each in found if each.tags.get(DIGEST) == release.digest), None)


def _upload(store: Store, release: Release, client: MlflowClient, name: str) -> str:
    """A run with the artifact and its evidence, and a model version of it."""
    experiment = client.get_experiment_by_name(name)
    where = experiment.experiment_id if experiment else client.create_experiment(name)
    run = client.create_run(where, run_name=release.ref, tags={DIGEST: release.digest, "mct.release": release.ref})
    said = last_verdict(store, release.ref)
    with store.artifact(release) as folder, tempfile.TemporaryDirectory(prefix="mct-mlflow-") as scratch:
        client.log_artifacts(run.info.run_id, str(folder), "artifact")
        evidence = Path(scratch)
        write_json(evidence / "release.json", release_json(release))
        if said is not None:
            write_json(evidence / "verdict.json", said.verdict.as_json())
            for each in {each.sha256: each for line in said.verdict.lines for each in line.evidence}.values():
                (evidence / f"{each.sha256[:12]}-{Path(each.name).name}").write_bytes(store.evidence(each.sha256))
        client.log_artifacts(run.info.run_id, str(evidence), "evidence")
    with redirect_stdout(sys.stderr):  # it tells of its pages
        client.set_terminated(run.info.run_id)
    version = client.create_model_version(
        name, f"{run.info.artifact_uri}/artifact", run.info.run_id,
        tags={DIGEST: release.digest, "mct.release": release.ref, "mct.form": f"{release.format}-{release.precision}"},
        description=release_page(release, said),
    )  # fmt: skip
    return str(version.version)


def _set_stage(client: MlflowClient, name: str, version: str, release: Release) -> None:
    """The alias of the release's state on its version, and no other stage's."""
    aliases = client.get_registered_model(name).aliases
    for stage in STAGES:
        if stage == release.state and str(aliases.get(stage)) != version:
            client.set_registered_model_alias(name, stage, version)
        elif stage != release.state and str(aliases.get(stage)) == version:
            client.delete_registered_model_alias(name, stage)
    client.set_model_version_tag(name, version, "mct.state", release.state)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

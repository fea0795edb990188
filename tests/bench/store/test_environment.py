from dataclasses import replace
from types import SimpleNamespace

from mct.bench.measure.sampling import BenchPlan
from mct.bench.store.environment import fingerprint
from mct.models.tasks.datasets import Dataset
from mct.targets.machine import Machine

MACHINE = Machine("cpu", "x86_64", ("avx2",), 2, 2, None, 16000, "Linux")
PLAN = BenchPlan(threads=2, affinity=(0, 1), seed=7)


def test_the_fingerprint_changes_with_what_changes_latency_only(made_up: SimpleNamespace, dataset: Dataset) -> None:
    subject = made_up.subject()
    first = fingerprint(subject, dataset, PLAN, MACHINE)["fingerprint"]

    def differs(plan: BenchPlan = PLAN, machine: Machine = MACHINE, data: Dataset = dataset) -> bool:
        return bool(fingerprint(subject, data, plan, machine)["fingerprint"] != first)

    assert not differs()
    assert not differs(plan=replace(PLAN, seed=8))
    assert not differs(data=replace(dataset, sha256="1" * 64))
    assert differs(plan=replace(PLAN, threads=1))
    assert differs(plan=replace(PLAN, affinity=(0,)))
    assert differs(machine=replace(MACHINE, instruction_sets=("avx2", "avx512_vnni")))


def test_it_names_libraries_artifact_and_data(made_up: SimpleNamespace, dataset: Dataset) -> None:
    subject = made_up.subject()
    found = fingerprint(subject, dataset, PLAN, MACHINE)
    assert set(found["libraries"]) == {"mct", "numpy", "tokenizers", "onnxruntime"}
    assert (found["artifact_digest"], found["data_sha256"], found["seed"]) == (subject.digest, dataset.sha256, 7)
    assert (found["cpu"], found["threads"], found["affinity"]) == ("cpu", 2, [0, 1])

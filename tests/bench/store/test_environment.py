from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mct.bench.measure.sampling import BenchPlan
from mct.bench.report.change import differences
from mct.bench.store.environment import fingerprint
from mct.bench.worker.facts import Facts
from mct.models.tasks.datasets import Dataset
from mct.targets.conditions import Conditions
from mct.targets.machine import Machine

MACHINE = Machine("cpu", "x86_64", ("avx2",), 2, 2, None, 16000, "Linux")
FACTS = Facts(MACHINE, (0, 1), "3.12.1", {"numpy": "2.1.0", "onnxruntime": "1.20.1"}, "rlimit")
PLAN = BenchPlan(threads=2, affinity=(0, 1), seed=7)


def test_the_fingerprint_changes_with_what_changes_latency_only(made_up: SimpleNamespace, dataset: Dataset) -> None:
    subject = made_up.subject()
    first = fingerprint(subject, dataset, PLAN, FACTS)["fingerprint"]

    def differs(plan: BenchPlan = PLAN, facts: Facts = FACTS, data: Dataset = dataset) -> bool:
        return bool(fingerprint(subject, data, plan, facts)["fingerprint"] != first)

    assert not differs()
    assert not differs(plan=replace(PLAN, seed=8))
    assert not differs(data=replace(dataset, sha256="1" * 64))
    assert differs(plan=replace(PLAN, threads=1))
    assert differs(plan=replace(PLAN, affinity=(0,)))
    assert differs(facts=replace(FACTS, machine=replace(MACHINE, instruction_sets=("avx2", "avx512_vnni"))))
    assert differs(facts=replace(FACTS, libraries={"numpy": "2.1.0", "onnxruntime": "1.21.0"}))


@pytest.mark.parametrize(
    "changed",
    [
        {"smt": "off"},
        {"boost": "off"},
        {"governor": "powersave"},
        {"huge_pages": "never"},
        {"threading": {"KMP_BLOCKTIME": "0"}},
    ],
)
def test_what_is_set_on_the_machine_changes_times(
    made_up: SimpleNamespace, dataset: Dataset, changed: dict[str, Any]
) -> None:
    plain = Conditions("on", "on", "performance", "madvise")
    before, after = (
        fingerprint(made_up.subject(), dataset, PLAN, replace(FACTS, conditions=conditions))
        for conditions in (plain, replace(plain, **changed))
    )
    assert before["fingerprint"] != after["fingerprint"]
    assert len(differences(before, after)) == 1


def test_another_mct_or_commit_is_noted_and_leaves_a_baseline_of_use(
    made_up: SimpleNamespace, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(made_up.subject(), dataset, PLAN, FACTS)
    monkeypatch.setattr("mct.bench.store.environment.__version__", "99.0.0")
    after = fingerprint(made_up.subject(), dataset, PLAN, FACTS) | {"commit": "another"}
    assert after["mct"] == "99.0.0" != before["mct"]
    assert differences(before, after) == []
    changed = fingerprint(made_up.subject(), dataset, replace(PLAN, threads=1), FACTS)
    assert differences(before, changed) == ["threads 2 → 1"]


def test_it_names_libraries_artifact_and_data(made_up: SimpleNamespace, dataset: Dataset) -> None:
    subject = made_up.subject()
    found = fingerprint(subject, dataset, PLAN, FACTS)
    assert found["libraries"] == {"numpy": "2.1.0", "tokenizers": "absent", "onnxruntime": "1.20.1"}
    assert (found["artifact_digest"], found["data_sha256"], found["seed"]) == (subject.digest, dataset.sha256, 7)
    assert (found["cpu"], found["threads"], found["affinity"]) == ("cpu", 2, [0, 1])

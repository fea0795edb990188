"""`make peers`: turns in fair orders, what cannot be had as a row with its reason, and rounds that are kept."""

import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

RESULTS = Path(__file__).resolve().parents[1] / "results"
TEXTS = ("Where is my order?", "I want to return volume 3", "let me talk to a human now", "hi")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, ModuleType]]:
    """The script's modules, which keep what they make in a folder of this test."""
    monkeypatch.syspath_prepend(str(RESULTS))
    import peers_rounds
    import peers_systems
    import peers_table

    found = {"run": _script(), "rounds": peers_rounds, "systems": peers_systems, "table": peers_table}
    for name in ("run", "rounds", "systems"):
        monkeypatch.setattr(found[name], "PEERS", tmp_path)
    monkeypatch.setattr(peers_rounds, "ROOT", tmp_path)
    yield found
    for name in ("peers_rounds", "peers_systems", "peers_table"):
        sys.modules.pop(name)


def _script() -> ModuleType:
    """By its file: a checkout's folder may have the name of the script."""
    spec = importlib.util.spec_from_file_location("results_peers", RESULTS / "peers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", [2, 3, 4, 5, 8, 11, 12])
def test_each_stands_everywhere_and_after_every_other_equally_often(scripts: dict[str, ModuleType], size: int) -> None:
    orders = scripts["rounds"].latin_square(size)
    places = Counter((place, each) for order in orders for place, each in enumerate(order))
    pairs = Counter(pair for order in orders for pair in pairwise(order))
    assert len(places) == size * size and len(set(places.values())) == 1
    assert len(pairs) == size * (size - 1) and len(set(pairs.values())) == 1


def test_a_round_of_real_processes_is_kept_and_who_cannot_be_had_says_why(
    scripts: dict[str, ModuleType], tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, rounds, system = scripts["run"], scripts["rounds"], scripts["systems"].System
    monkeypatch.setattr(rounds, "ROUNDS", 1)
    (tmp_path / "test.jsonl").write_text("".join(json.dumps({"text": text, "label": "other"}) + "\n" for text in TEXTS))
    comparison = run.Comparison(
        "tiny", tiny_onnx / "onnx-fp32", tmp_path / "test.jsonl", tmp_path / "test.jsonl",
        (system("PyTorch eager", "", "ours:open_artifact"), system("no such", "", "ours:open_artifact", "ours:none")),
        {}, 1.0,
    )  # fmt: skip
    monkeypatch.setattr(
        run, "our_systems", lambda *_: [system("mct", "", "ours:open_artifact", folder=tiny_onnx / "onnx-int8")]
    )
    table = run.compare(comparison, run.prepare_all(comparison, [], None, None), 0.0)
    eager, failed, ours = table["rows"]
    assert "has no attribute 'none'" in failed["failure"] and "quality" not in failed
    for row in (eager, ours):
        assert row["n"] >= 4 and row["p50_ms"] <= row["p95_ms"] and row["libraries"]["onnxruntime"]
        assert row["quality"]["metric"] == "accuracy" and row["size_mb"] > 0
    assert "**no such** failed" in scripts["table"].markdown({"tiny": table})
    monkeypatch.setattr(rounds, "run_round", lambda *_: pytest.fail("it was measured already"))
    assert run.compare(comparison, run.prepare_all(comparison, [], None, None), 0.0) == table


def test_ratios_are_of_the_rounds_and_the_best_peer_keeps_its_answers(scripts: dict[str, ModuleType]) -> None:
    """Times that are a tenth of eager's in every round; the faster of two peers answers wrongly."""
    table, rng, contenders = scripts["table"], np.random.default_rng(0), []
    right, wrong = ["a"] * 1000, ["a"] * 900 + ["b"] * 100
    shares = {"PyTorch eager": (1.0, right), "slow": (0.5, right), "careless": (0.01, wrong), "mct": (0.1, right)}
    for name, (_, answers) in shares.items():
        system = scripts["systems"].System(name, "" if name == "mct" else "theirs", "")
        contenders.append(scripts["rounds"].Contender(system, size_mb=1.0, answers=answers))
    rounds: list[dict[str, list[int]]] = []
    for _ in range(8):
        times = rng.lognormal(16, 0.2, 400)
        rounds.append({name: (times * share).astype(int).tolist() for name, (share, _) in shares.items()})
    examples = [_example("a") for _ in right]
    eager, slow, careless, ours = table.rows(contenders, rounds, examples, "sequence-classification")
    assert ours["to_eager"]["value"] == pytest.approx(10, rel=1e-3)
    assert ours["to_best_peer"]["value"] == pytest.approx(5, rel=1e-3), "of the one that answers as eager does"
    assert ours["to_eager"]["low"] <= 10.01 and ours["to_eager"]["high"] >= 9.99
    assert (slow["quality"]["within"], careless["quality"]["within"]) == ("non-inferior", "inferior")
    assert careless["quality"]["delta"] == pytest.approx(-0.1)
    assert eager["to_eager"]["value"] == pytest.approx(1)


def _example(label: str) -> Any:
    from mct.models.tasks.examples import Example

    return Example("text", label, "text", "text")

"""The card beside a data file: what it says ends in the artifact, and a card of other rows is refused."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mct.models.data.card import card_path, read_card

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    texts = [f"where is order {number}" for number in range(12)] + ["where is order 3"]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": "returns"}) + "\n" for text in texts))
    return path


def test_it_stands_in_the_lineage_of_what_was_calibrated(
    run_mct: Run, data: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    clean = tmp_path / "clean.jsonl"
    assert run_mct("data", "clean", data, "-o", clean, "--drop", "duplicates").returncode == 0
    out = tmp_path / "out"
    done = run_mct("compress", tiny_bert, "-o", out, "--format", "onnx", "--precision", "int8-static", "--data", clean)
    assert done.returncode == 0, done.stderr
    lineage = json.loads((out / "onnx-int8-static" / "mct.json").read_text())["lineage"]
    (said,) = {json.dumps(step["data"]) for step in lineage if "data" in step}
    card = json.loads(said)["card"]
    assert card["sha256"] == json.loads(said)["sha256"] and card["cleaned_from"]["name"] == "rows.jsonl"
    assert run_mct("run", out / "onnx-int8-static", "where is it").returncode == 0, "it is read back"


def test_a_card_of_other_rows_is_refused(run_mct: Run, data: Path, tiny_bert: Path, tmp_path: Path) -> None:
    assert run_mct("data", "check", data, "--card").returncode == 0
    with data.open("a") as file:
        file.write('{"text": "one more", "label": "returns"}\n')
    done = run_mct("compress", tiny_bert, "-o", tmp_path / "out", "--format", "onnx", "--data", data)
    assert done.returncode == 2 and "other bytes" in done.stderr and not (tmp_path / "out").exists()
    assert run_mct("data", "check", data, "--card").returncode == 0, "it is written anew"
    assert read_card(data) is not None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"name": "x"}', b"\xff", b'{"evil": 1}', b" " * (2**20 + 1)])
def test_a_damaged_card_is_refused_in_one_line(run_mct: Run, data: Path, tiny_bert: Path, content: bytes) -> None:
    card_path(data).write_bytes(content)
    done = run_mct("compress", tiny_bert, "-o", data.parent / "out", "--format", "onnx", "--data", data)
    assert (
        done.returncode == 2
        and "Traceback" not in done.stderr
        and card_path(data).name in done.stderr
        and "hint: " in done.stderr
    )


def test_a_card_that_leads_away_is_refused(
    run_mct: Run, data: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret"
    elsewhere.write_text("{}")
    card_path(data).symlink_to(elsewhere)
    done = run_mct("compress", tiny_bert, "-o", data.parent / "out", "--format", "onnx", "--data", data)
    assert done.returncode == 2 and "leads out" in done.stderr
    card_path(data).unlink()
    os.mkfifo(card_path(data))
    done = run_mct("compress", tiny_bert, "-o", data.parent / "out", "--format", "onnx", "--data", data)
    assert done.returncode == 2 and "pipe" in done.stderr


def test_no_card_is_none(data: Path) -> None:
    assert read_card(data) is None

"""Rows for further ways to run the same folder: what a way is for, what it changes, and what is refused."""

import os
from pathlib import Path

import pytest

from mct import MctError
from mct.bench.samples.subject import identify
from mct.bench.samples.ways import device_of, on_device, run_as
from mct.targets.target import find_target

GPU = "cuda:GPU-aaaa1111"


def test_each_way_is_a_row_of_its_own_that_says_how_it_runs(tiny_bert: Path, tiny_onnx: Path) -> None:
    subjects = [on_device(identify(path), GPU) for path in (tiny_bert, tiny_onnx / "onnx-fp32")]
    found = run_as(subjects, ["bf16", "fp16+graphs", "tensorrt"])
    assert [each.name for each in found[2:]] == ["bert (bf16)", "bert (fp16, graphs)", "onnx-fp32 (tensorrt)"]
    assert [each.precision for each in found] == ["fp32", "fp32", "bf16", "fp16", "fp32"]
    assert found[3].executable.settings == {"precision": "fp16", "graphs": True}
    assert len({each.digest for each in found}) == 5 and {each.executable.device for each in found} == {GPU}
    assert run_as(subjects, []) == tuple(subjects)


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("bf61", "unknown way to run 'bf61'"),
        ("", "unknown way to run ''"),
        ("bf16+fp16", "says one thing twice"),
        ("graphs+graphs", "says one thing twice"),
        ("graphs", "is for an NVIDIA GPU"),
        ("tensorrt", "none of these is run by tensorrt"),
    ],
)
def test_what_is_no_way_here_is_refused(tiny_bert: Path, way: str, says: str) -> None:
    with pytest.raises(MctError, match=says) as refusal:
        run_as([identify(tiny_bert)], [way])
    assert refusal.value.hint


def test_the_device_of_a_target_is_the_card_that_it_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool, own = tmp_path / "nvidia-smi", tmp_path / "own.toml"
    tool.write_text("#!/bin/sh\necho 'A, 9.0, 8, 570, GPU-1'; echo 'B, 9.0, 8, 570, GPU-2'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    own.write_text(
        '[second]\ndevice = "cuda"\nabout = ""\nindex = 1\n[arc]\ndevice = "openvino-gpu"\nabout = ""\n'
        '[arc-1]\ndevice = "openvino-gpu"\nabout = ""\nindex = 1\n'
    )
    names = ("gpu", "second", "arc", "arc-1", "cpu")
    found = [device_of(find_target(name, own)) for name in names]
    assert found == ["cuda:GPU-1", "cuda:GPU-2", "openvino:GPU", "openvino:GPU.1", "cpu"]

"""GPUs by what nvidia-smi prints, which CUDA would find of them, and what is said where one is asked for in vain."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mct import MctError
from mct.targets.devices.gpus import device_environment, device_name, find_gpus, is_cuda, require_gpu
from mct.targets.devices.nvml import open_meter
from mct.targets.fitness import check_fitness

RunMct = Callable[..., subprocess.CompletedProcess[str]]
Tool = Callable[[str], None]
TWO = (
    "NVIDIA H100 80GB HBM3, 9.0, 81559, 570.86.15, GPU-aaaa1111\n"
    "NVIDIA A10G, 8.6, 23028, 570.86.15, GPU-bbbb2222\n"
)  # fmt: skip


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """A program of that name that prints what NVIDIA's does."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def write(prints: str) -> None:
        (tmp_path / "said").write_text(prints)
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\ncat '{tmp_path}/said'\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    return write


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        (None, ["GPU-aaaa1111", "GPU-bbbb2222"]),
        ("1,0", ["GPU-bbbb2222", "GPU-aaaa1111"]),
        ("GPU-bbbb", ["GPU-bbbb2222"]),
        ("1,7,0", ["GPU-bbbb2222"]),
        ("", []),
        ("-1", []),
    ],
)
def test_those_that_cuda_would_find_and_in_its_order(nvidia_smi: Tool, visible: str | None, uuids: list[str]) -> None:
    """CUDA's programming guide, "CUDA Environment Variables": the first index that is none ends the list."""
    nvidia_smi(TWO)
    found = find_gpus({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    assert [gpu.uuid for gpu in found] == uuids
    assert [gpu.index for gpu in found] == list(range(len(uuids)))


@pytest.mark.parametrize("prints", ["", "No devices were found\n", "\x00\x01\n", "a, b, c\n", "," * 400])
def test_what_is_no_list_of_gpus_is_none(nvidia_smi: Tool, prints: str) -> None:
    nvidia_smi(prints)
    assert find_gpus() == ()


def test_a_process_is_shown_one_gpu_by_what_no_order_changes(nvidia_smi: Tool) -> None:
    nvidia_smi(TWO)
    name = device_name(require_gpu(1, "gpu"))
    assert name == "cuda:GPU-bbbb2222" and is_cuda(name) and not is_cuda("cpu")
    assert device_environment(name)["CUDA_VISIBLE_DEVICES"] == "GPU-bbbb2222"
    assert device_environment("cpu") == device_environment("openvino:GPU") == {}


def test_an_index_that_is_none_is_refused_with_those_there_are(nvidia_smi: Tool) -> None:
    nvidia_smi(TWO)
    with pytest.raises(MctError, match=r"is GPU 2, and there is 0 \(NVIDIA H100 80GB HBM3\), 1 \(NVIDIA A10G\)"):
        require_gpu(2, "gpu")


def test_one_line_where_a_target_asks_for_a_gpu_that_is_not_here(
    run_mct: RunMct, nvidia_smi: Tool, tiny_onnx: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[third]\ndevice = "cuda"\nabout = "the third card"\nindex = 2\n')
    asked = (tiny_onnx / "onnx-fp32", "--targets", own, "--target")
    nvidia_smi("")
    for words in (
        ("bench", *asked, "gpu"),
        ("compress", tmp_path / "nowhere", "-o", tmp_path / "o", "--target", "gpu"),
    ):
        done = run_mct(*words)
        assert done.returncode == 2 and not done.stdout
        assert "needs an NVIDIA GPU, and there is none" in done.stderr and "hint: run this where one is" in done.stderr
    nvidia_smi(TWO)
    done = run_mct("bench", *asked, "third")
    assert done.returncode == 2 and "third is GPU 2" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('device = "cuda"\nindex = -1', r"`\$\.index`"),
        ('device = "cuda"\nindex = 1.5', r"`\$\.index`"),
        ('device = "cuda"\nindex = "0"', r"`\$\.index`"),
        ('device = "cpu"\nindex = 0', "is a CPU, which has no index"),
        ('device = "cuda"\narchitecture = "x86_64"', "describes a CPU and is a GPU"),
        ('device = "tpu"', r"`\$\.device`"),
    ],
)
def test_a_gpu_that_makes_no_sense_is_refused(run_mct: RunMct, tmp_path: Path, table: str, says: str) -> None:
    import re

    own = tmp_path / "own.toml"
    own.write_text(f'[own]\nabout = ""\n{table}\n')
    done = run_mct("targets", "list", "--targets", own)
    assert done.returncode == 2 and re.search(says, done.stderr), done.stderr


def test_what_no_card_tells_is_absent() -> None:
    """Without NVIDIA's library, or with it and without a driver."""
    if find_gpus():
        pytest.skip("there is a GPU here")
    assert open_meter("0") is None and open_meter("GPU-aaaa1111") is None


def test_a_moving_clock_comes_with_the_line_that_fixes_it(nvidia_smi: Tool) -> None:
    nvidia_smi("345, 1980\n210, 1710\n")
    found = [each for each in check_fitness(wait=lambda: None).findings if each.name.startswith("GPU")]
    assert [(each.name, each.state) for each in found] == [("GPU 0 clock", "unknown"), ("GPU 1 clock", "unknown")]
    assert "nvidia-smi -i 1 -lgc 1368" in found[1].hint
    nvidia_smi("")
    assert not [each for each in check_fitness(wait=lambda: None).findings if each.name.startswith("GPU")]

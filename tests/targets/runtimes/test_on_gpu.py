"""What each runtime says where it is asked for a GPU that its library, or this machine, does not have."""

from dataclasses import replace
from pathlib import Path

import pytest

from mct import MctError
from mct.compress.run.artifact import executable, read_artifact
from mct.targets.devices.gpus import find_gpus
from mct.targets.runtimes.table import Executable, open_session, runtime_for

GPU = "cuda:GPU-aaaa1111"


@pytest.fixture
def onnx(tiny_onnx: Path) -> Executable:
    return executable(read_artifact(tiny_onnx / "onnx-fp32"), tiny_onnx / "onnx-fp32")


def test_onnx_runtime_never_falls_back_to_the_cpu_unsaid(onnx: Executable) -> None:
    import onnxruntime as ort

    if "CUDAExecutionProvider" in ort.get_available_providers() and find_gpus():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(MctError, match=r"CUDAExecutionProvider") as refusal:
        open_session(runtime_for("onnx"), replace(onnx, device=GPU), 1)
    assert refusal.value.hint
    compiled = replace(onnx, device=GPU, settings={**onnx.settings, "tensorrt": True})
    with pytest.raises(MctError, match=r"TensorrtExecutionProvider|CUDAExecutionProvider"):
        open_session(runtime_for("onnx"), compiled, 1)


def test_torch_without_cuda_is_one_line_and_the_failure_of_its_row(tiny_bert: Path) -> None:
    """From a worker, which is shown that card and no other."""
    import torch

    from mct.bench.measure.launch import Setting, WorkerDied, start_worker
    from mct.bench.samples.subject import identify
    from mct.bench.samples.ways import on_device
    from mct.models.tasks.examples import Example

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    setting = Setting([Example("hi", "other", "hi", "hi")], threads=1, affinity=(), seed=0)
    with pytest.raises(WorkerDied) as death:
        start_worker(on_device(identify(tiny_bert), GPU), setting, 0)
    assert "finds no GPU here" in death.value.failure.message and death.value.failure.hint


def test_llama_cpp_built_for_no_gpu_says_how_to_build_it(onnx: Executable) -> None:
    import llama_cpp

    if llama_cpp.llama_supports_gpu_offload():
        pytest.skip("this llama.cpp is built for a GPU")
    from mct.targets.llama.encoders import layers_on_gpu

    assert layers_on_gpu(onnx) == 0
    with pytest.raises(MctError, match="built for no GPU") as refusal:
        layers_on_gpu(replace(onnx, device=GPU))
    assert "GGML_CUDA" in refusal.value.hint


def test_openvino_names_the_devices_that_it_has() -> None:
    import openvino as ov

    from mct.targets.runtimes.run_openvino import open_core

    if any(name.startswith("GPU") for name in ov.Core().available_devices):
        pytest.skip("OpenVINO has a GPU here")
    with pytest.raises(MctError, match=r"OpenVINO knows no GPU\.1 here, but CPU"):
        open_core(1, {"INFERENCE_PRECISION_HINT": "f32"}, "GPU.1")


@pytest.mark.skipif(not find_gpus(), reason="nvidia-smi shows no GPU here")
def test_onnx_runtime_answers_alike_on_a_gpu(onnx: Executable) -> None:
    import numpy as np
    import onnxruntime as ort

    from mct.models.tasks.tokens import open_tokenizer

    if "CUDAExecutionProvider" not in ort.get_available_providers():
        pytest.skip("this onnxruntime is built without CUDA")
    inputs = [open_tokenizer(onnx.folder, onnx.max_tokens)("where is my order")]
    wanted = open_session(runtime_for("onnx"), onnx, 1)(inputs)["logits"]
    found = open_session(runtime_for("onnx"), replace(onnx, device=GPU), 1)(inputs)["logits"]
    np.testing.assert_allclose(found, wanted, atol=1e-2)

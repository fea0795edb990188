"""Classifiers as their libraries' own pages have them made and run: one text in, its label out.

Each `make_...(checkpoint, train, out)` writes what is needed to run and nothing else; each `open_...(folder, threads)`
gives a `Peer`. Imports stand within: no environment has all of these libraries.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from peer import SEED, Peer, open_tokenizer

CALIBRATION_TEXTS = 300
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def classifier(answer: Callable[[str], str]) -> Peer:
    """A peer whose score is its answer."""
    return Peer(answer, answer)


def read_texts(train: Path) -> tuple[list[str], list[str]]:
    """Texts and labels of the training file."""
    rows = [json.loads(line) for line in train.read_text(encoding="utf-8").splitlines()]
    return [row["text"] for row in rows], [row["label"] for row in rows]


def copy_beside(checkpoint: Path, out: Path) -> None:
    """The files that a program finds labels and tokens by."""
    for name in ("config.json", *TOKENIZER_FILES):
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, out / name)


# -- PyTorch ------------------------------------------------------------------------------------------------------


def open_eager(folder: Path, threads: int) -> Peer:
    """PyTorch as it is."""
    return _torch(folder, threads, lambda model: model)


def open_compiled(folder: Path, threads: int) -> Peer:
    """PyTorch with `torch.compile`, as it is by default."""
    import torch

    return _torch(folder, threads, torch.compile)


def _torch(folder: Path, threads: int, prepared: Callable[[Any], Any]) -> Peer:
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(threads)
    tokenizer = open_tokenizer(folder)
    original = AutoModelForSequenceClassification.from_pretrained(folder).float().eval()
    model, labels = prepared(original), original.config.id2label

    def answer(text: str) -> str:
        with torch.inference_mode():
            logits = model(**tokenizer(text, truncation=True, return_tensors="pt")).logits
        return str(labels[int(logits.argmax())])

    return classifier(answer)


# -- ONNX Runtime by way of optimum-onnx --------------------------------------------------------------------------


def make_optimum_int8(checkpoint: Path, train: Path, out: Path) -> None:
    """Exported, then its dynamic INT8 configuration for this machine."""
    from optimum.onnxruntime import ORTQuantizer

    with tempfile.TemporaryDirectory() as folder:
        _exported(checkpoint).save_pretrained(folder)
        quantizer = ORTQuantizer.from_pretrained(folder, file_name="model.onnx")
        quantizer.quantize(save_dir=out, quantization_config=_optimum_config())
    copy_beside(checkpoint, out)


def make_optimum_o3(checkpoint: Path, train: Path, out: Path) -> None:
    """Exported, then its -O3: fused, with the approximated GELU."""
    from optimum.onnxruntime import AutoOptimizationConfig, ORTOptimizer

    model = _exported(checkpoint)  # whose files are there as long as it is
    optimizer = ORTOptimizer.from_pretrained(model)
    optimizer.optimize(optimization_config=AutoOptimizationConfig.O3(), save_dir=out)
    copy_beside(checkpoint, out)


def make_expert(checkpoint: Path, train: Path, out: Path) -> None:
    """What somebody who knows ONNX Runtime does by hand: optimum's -O3 graph, then dynamic INT8 per channel."""
    from onnx import TensorProto
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        make_optimum_o3(checkpoint, train, Path(folder))
        (graph,) = Path(folder).glob("*.onnx")
        told = {"DefaultTensorType": TensorProto.FLOAT}  # behind fused operators nothing infers it
        quantize_dynamic(graph, out / "model.onnx", per_channel=True, reduce_range=not _has_vnni(), extra_options=told)
    copy_beside(checkpoint, out)


def _exported(checkpoint: Path) -> Any:
    from optimum.onnxruntime import ORTModelForSequenceClassification

    return ORTModelForSequenceClassification.from_pretrained(checkpoint, export=True)


def _optimum_config() -> Any:
    from optimum.onnxruntime import AutoQuantizationConfig

    kind = AutoQuantizationConfig.avx512_vnni if _has_vnni() else AutoQuantizationConfig.avx2
    return kind(is_static=False, per_channel=False)


def _has_vnni() -> bool:
    return "avx512_vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def open_optimum(folder: Path, threads: int) -> Peer:
    """optimum's own class, fed with numpy."""
    import onnxruntime
    from optimum.onnxruntime import ORTModelForSequenceClassification

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    (graph,) = folder.glob("*.onnx")
    model = ORTModelForSequenceClassification.from_pretrained(folder, file_name=graph.name, session_options=options)
    return _fed_with_numpy(model, open_tokenizer(folder), model.config.id2label)


def _fed_with_numpy(model: Any, tokenizer: Any, labels: Mapping[int, str]) -> Peer:
    def answer(text: str) -> str:
        logits = model(**tokenizer(text, truncation=True, return_tensors="np")).logits
        return str(labels[int(logits.argmax())])

    return classifier(answer)


def open_onnx(folder: Path, threads: int) -> Peer:
    """The file by onnxruntime and tokenizers alone: the least that can lie around it."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    (graph,) = folder.rglob("*.onnx")
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    labels = {int(number): label for number, label in config["id2label"].items()}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(config["max_position_embeddings"])
    tokenizer.no_padding()
    parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    wanted = [(node.name, parts[node.name]) for node in session.get_inputs()]
    kinds = {node.name: np.int32 if "int32" in node.type else np.int64 for node in session.get_inputs()}

    def answer(text: str) -> str:
        tokens = tokenizer.encode(text)
        inputs = {name: np.array([getattr(tokens, part)], kinds[name]) for name, part in wanted}
        return labels[int(session.run(None, inputs)[0].argmax())]

    return classifier(answer)


# -- Olive --------------------------------------------------------------------------------------------------------


def make_olive(checkpoint: Path, train: Path, out: Path) -> None:
    """Olive's automatic optimisation for the CPU at INT8, by its command line."""
    with tempfile.TemporaryDirectory() as folder:
        olive = Path(sys.executable).with_name("olive")
        command = [olive, "auto-opt", "-m", checkpoint, "-t", "text-classification", "--precision", "int8"]
        command += ["-o", folder, "--device", "cpu", "--provider", "CPUExecutionProvider", "--use_dynamo_exporter"]
        subprocess.run([str(word) for word in command], check=True)
        for file in Path(folder).rglob("*.onnx*"):
            shutil.copyfile(file, out / file.name)
    copy_beside(checkpoint, out)


# -- OpenVINO by way of optimum-intel -----------------------------------------------------------------------------


def make_openvino(checkpoint: Path, train: Path, out: Path) -> None:
    """Exported, then INT8 weights and activations, calibrated on training texts."""
    from datasets import Dataset
    from optimum.intel import OVConfig, OVModelForSequenceClassification, OVQuantizationConfig, OVQuantizer

    tokenizer, texts = open_tokenizer(checkpoint), read_texts(train)[0]
    step = max(1, len(texts) // CALIBRATION_TEXTS)
    rows = Dataset.from_list([dict(tokenizer(text, truncation=True)) for text in texts[::step]])
    model = OVModelForSequenceClassification.from_pretrained(checkpoint, export=True)
    OVQuantizer.from_pretrained(model).quantize(
        calibration_dataset=rows,
        ov_config=OVConfig(quantization_config=OVQuantizationConfig(num_samples=CALIBRATION_TEXTS)),
        save_directory=out,
    )
    copy_beside(checkpoint, out)


def open_openvino(folder: Path, threads: int) -> Peer:
    """optimum-intel's own class, fed with numpy."""
    from optimum.intel import OVModelForSequenceClassification

    model = OVModelForSequenceClassification.from_pretrained(folder, ov_config={"INFERENCE_NUM_THREADS": threads})
    return _fed_with_numpy(model, open_tokenizer(folder), model.config.id2label)


# -- model2vec ----------------------------------------------------------------------------------------------------


def make_model2vec(checkpoint: Path, train: Path, out: Path) -> None:
    """The checkpoint's encoder distilled to a table of tokens, and a classifier trained on it, all by default."""
    import torch
    from model2vec.distill import distill_from_model
    from model2vec.train import StaticModelForClassification
    from transformers import AutoModel

    torch.manual_seed(SEED)
    static = distill_from_model(AutoModel.from_pretrained(checkpoint), open_tokenizer(checkpoint))
    StaticModelForClassification.from_static_model(model=static).fit(*read_texts(train)).to_pipeline().save_pretrained(
        str(out)
    )


def open_model2vec(folder: Path, threads: int) -> Peer:
    """Its pipeline, which runs on numpy."""
    from model2vec.inference import StaticModelPipeline

    pipeline = StaticModelPipeline.from_pretrained(str(folder))
    return classifier(lambda text: str(pipeline.predict([text])[0]))

"""Checkpoint to ONNX fp32, in one file that ONNX Runtime opens here, in browsers and on phones.

Two ways lead there: the graph written from the weights with fused operators where the architecture is known
(mct.compress.onnx_fused: faster), else the graph that torch traces (any architecture). A fused graph must give the
model's own answers here, or the traced one is taken.

The file depends on the checkpoint alone. torch's exporter writes stack traces with the paths of the machine into it,
and shapes that its later rewrites make wrong; both are taken out, so that two exports are equal byte by byte.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from transformers import PreTrainedModel

from mct.compress.onnx_fused import build, obstacle
from mct.compress.passes import Material, Product
from mct.compress.quiet import quiet
from mct.models.folders import read_json
from mct.models.load import load_model
from mct.targets.run_torch import input_names

MODEL = "onnx/model.onnx"
OPSET = 20
AXES = ("batch", "sequence")

# Largest |difference| of any logit between the model and its fused graph.
TOLERANCE = 1e-3


def run(source: Product, draft: Path, settings: Mapping[str, Any], material: Material) -> Product:
    """Write `onnx/model.onnx`: int64 inputs of shape (batch, sequence), one output `logits`, float32 (batch, labels).

    `settings["graph"]` = "exported" takes the traced graph whatever the architecture.
    """
    model = load_model(material.checkpoint)
    graph, notes = _graph(model, settings.get("graph", "fused"))
    (draft / MODEL).parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(graph, draft / MODEL)
    return Product(draft, MODEL, {"pad_id": pad_id(material.checkpoint.path)}, notes)


def pad_id(folder: Path) -> int:
    """The token id that fills up shorter inputs of a batch; RoBERTa counts its positions by it."""
    return int(read_json(folder / "config.json").get("pad_token_id") or 0)


def _graph(model: PreTrainedModel, wanted: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    names = input_names(model)
    reason = "asked for" if wanted == "exported" else obstacle(model)
    if not reason:
        graph = build(model, names)
        delta = max_difference(model, graph, names)
        if delta <= TOLERANCE:
            return graph, {"graph": "fused", "max_abs_delta": delta}
        reason = f"the fused graph differs by {delta:.2g}"
    return trace(model, names), {"graph": "exported", "why": reason}


def max_difference(model: PreTrainedModel, graph: onnx.ModelProto, names: list[str]) -> float:
    """Largest |difference| of a logit between the model and the graph, on two random inputs, one of them padded."""
    ids = np.random.default_rng(0).integers(5, model.config.vocab_size, size=(2, 12))
    mask = np.ones_like(ids)
    mask[1, 7:] = 0
    ids[1, 7:] = model.config.pad_token_id or 0
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    inputs = {name: inputs[name] for name in names}
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        ours = model(**{name: torch.from_numpy(array) for name, array in inputs.items()}).logits.numpy()
    return float(np.abs(session.run(["logits"], inputs)[0] - ours).max())


def trace(model: PreTrainedModel, names: list[str]) -> onnx.ModelProto:
    """The model as torch traces it, with free batch and sequence axes, stripped of all that describes this machine."""
    example = {name: torch.ones((2, 8), dtype=torch.int64) for name in names}
    axes = dict.fromkeys(range(len(AXES)), torch.export.Dim.DYNAMIC)
    with quiet():
        program = torch.onnx.export(
            model,
            kwargs=example,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(names, axes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return _strip(program.model_proto)


def _strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop doc strings, the exporter's metadata and all shapes between the ends; name the free axes."""
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for value in graph.input:
        for dimension, name in zip(value.type.tensor_type.shape.dim, AXES, strict=True):
            dimension.dim_param = name
    graph.output[0].type.tensor_type.shape.dim[0].dim_param = AXES[0]
    return model

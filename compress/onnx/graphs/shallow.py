"""The network below the transformer as ONNX: as few nodes as it can be written in, since each costs as much as a layer.

The learned weight of a token is multiplied into its row of the table beforehand. There is one input, the ids: padding
adds nothing (see mct.models.networks.shallow). The convolution is one product of the windows, laid side by side.
"""

from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from mct.compress.onnx.graphs.graph import GraphBuilder, assemble
from mct.compress.onnx.graphs.heads import BATCH, LOGITS, SEQUENCE, arrays
from mct.models.networks.shallow import ShallowConfig, ShallowForSequenceClassification

GRAPH = "shallow"
IDS, BESIDE = "input_ids", "ids_beside_nothing"
TO_THE_END = np.iinfo(np.int64).max


def obstacle(module: torch.nn.Module) -> str:
    """Why this model cannot be written so; empty where it can."""
    wanted = isinstance(module.model, ShallowForSequenceClassification)
    return "" if wanted else f"no graph of look-ups for {type(module.model).__name__}"


def build(module: torch.nn.Module, inputs: list[str]) -> onnx.ModelProto:
    """The model's graph: int64 ids (batch, sequence) to "logits". Only for a model without an `obstacle`."""
    model = cast(ShallowForSequenceClassification, module.model)
    config = cast(ShallowConfig, model.config)
    builder = GraphBuilder(arrays(model))
    table = builder.constant("words.weight", builder.weights["words.weight"] * builder.weights["weights"][:, None])
    reach = max(config.window - 1, 1 if config.bigrams else 0)
    vectors = builder.add("Gather", [table, _between_paddings(builder, config, reach) if reach else IDS])
    sums = [builder.add("ReduceSum", [vectors, builder.integer(1)], keepdims=0)]
    if config.bigrams:
        sums.append(_sum_of_pairs(builder, config, reach))
    summed = builder.add("Concat", sums, axis=-1) if config.bigrams else sums[0]
    norm = [builder.weight("norm.weight"), builder.weight("norm.bias")]
    pooled = builder.add("LayerNormalization", [summed, *norm], axis=-1, epsilon=model.norm.eps)
    if config.window:
        pooled = builder.add("Concat", [pooled, _highest(builder, config, vectors, reach)], axis=-1)
    hidden = builder.add("Relu", [_linear(builder, "dense", pooled)])
    _linear(builder, "classifier", hidden, LOGITS)
    ids = helper.make_tensor_value_info(IDS, TensorProto.INT64, [BATCH, SEQUENCE])
    logits = helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [BATCH, config.num_labels])
    return assemble(builder, GRAPH, [ids], [logits])


def _between_paddings(builder: GraphBuilder, config: ShallowConfig, reach: int) -> str:
    """The ids with so many paddings at both ends."""
    ends = builder.constant(f"ends_{reach}", np.array([0, reach, 0, reach], np.int64))
    return builder.add("Pad", [IDS, ends, builder.integer(cast(int, config.pad_token_id), scalar=True)], BESIDE)


def _highest(builder: GraphBuilder, config: ShallowConfig, vectors: str, reach: int) -> str:
    """(batch, filters): each filter's highest value over all windows. `vectors` have `reach` paddings at both ends."""
    most = config.window - 1
    parts = [_slice(builder, vectors, reach - most + start, start - reach) for start in range(config.window)]
    windows = builder.add("Concat", parts, axis=-1) if len(parts) > 1 else parts[0]
    filters = builder.constant("convolution.weight", builder.weights["convolution.weight"].T)
    product = builder.add("MatMul", [windows, filters])
    return builder.add("Relu", [builder.add("ReduceMax", [product, builder.integer(1)], keepdims=0)])


def _sum_of_pairs(builder: GraphBuilder, config: ShallowConfig, reach: int) -> str:
    """(batch, width): the vectors of all pairs of neighbours, added up."""
    codes: Any = builder.weights["codes"]
    sides = (_slice(builder, BESIDE, reach - 1, -reach), _slice(builder, BESIDE, reach, 1 - reach))
    both = [
        builder.add("Gather", [builder.constant(f"codes.{side}", codes[:, side].copy()), ids])
        for side, ids in enumerate(sides)
    ]
    rows = builder.add("Mod", [builder.add("Add", both), builder.integer(config.bigrams, scalar=True)])
    vectors = builder.add("Gather", [builder.weight("pairs.weight"), rows])
    return builder.add("ReduceSum", [vectors, builder.integer(1)], keepdims=0)


def _slice(builder: GraphBuilder, value: str, start: int, end: int) -> str:
    """Tokens from `start` on; those up to `end`, which counts from behind, 0 for all."""
    stop = builder.integer(end or TO_THE_END)
    return builder.add("Slice", [value, builder.integer(start), stop, builder.integer(1)])


def _linear(builder: GraphBuilder, name: str, value: str, *output: str) -> str:
    weights = [builder.weight(f"{name}.weight"), builder.weight(f"{name}.bias")]
    return builder.add("Gemm", [value, *weights], *output, transB=1)

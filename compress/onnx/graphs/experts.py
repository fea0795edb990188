"""A sparse mixture of experts as one operator: each token goes through its few experts, and no others are computed.

The operator chooses and weighs the experts itself, by the softmax of the router's scores over all experts; the weights
of the chosen ones are made to sum to 1 where the model does so. Source: MoE in onnxruntime's docs/ContribOperators.md.

ONNX Runtime 1.31 lets the operator write its output over its input and then answers 0 where the weights of the experts
are not made to sum to 1. A node behind it that names the input too, and takes nothing from it, keeps the input apart.
"""

import numpy as np

from mct.compress.onnx.graphs.family import Sizes
from mct.compress.onnx.graphs.graph import GraphBuilder
from mct.models.families.experts import ROUTER_SCORES


def add_experts(builder: GraphBuilder, sizes: Sizes, prefix: str, value: str) -> str:
    """(..., width) to the same, through the experts of one layer.

    The checkpoint's weights are (experts, 2 * inner, width), gates before values, and (experts, width, inner). ONNX
    Runtime on the CPU takes gate and value of each inner unit in turn.
    """
    router = builder.weights[f"{prefix}.gate.weight"]
    flat = builder.add("Reshape", [value, builder.constant("rows", np.array([-1, router.shape[1]], np.int64))])
    gate_weight = builder.constant(f"{prefix}.gate.weight", router.T)
    scores = builder.add("MatMul", [flat, gate_weight], f"{prefix}{ROUTER_SCORES}")
    gate, up = np.split(builder.weights[f"{prefix}.experts.gate_up_proj"], 2, axis=1)
    in_turn = np.stack([gate, up], axis=2).reshape(len(gate), -1, gate.shape[2])
    mixed = builder.fused(
        "MoE",
        [
            value,
            scores,
            builder.constant(f"{prefix}.experts.gate_up_proj", in_turn),
            "",
            builder.weight(f"{prefix}.experts.down_proj"),
        ],
        k=sizes.experts_used,
        normalize_routing_weights=int(sizes.experts_sum_to_1),
        activation_type="swiglu",
        swiglu_fusion=1,
        activation_alpha=1.0,
        activation_beta=0.0,
    )
    return builder.add("Where", [builder.constant("never", np.array(False)), value, mixed])

"""Which products of an OpenVINO graph are its heads: what INT8 leaves alone.

They cost a thousandth of the time and decide the answer. In INT8, with a ReLU between them (DistilBERT), OpenVINO
2026.4 even gives answers of the order of 1e9 on one thread.
"""

import math

from mct.targets.runtimes.private_openvino import ov

TOKENS = 8
PRODUCT = "MatMul"
LOGITS = "logits"
NORMALISATIONS = frozenset({"MVN"})


def head_products(model: ov.Model) -> list[str]:
    """Names of the products behind the backbone that make one vector of a whole text, or a text's or tokens' logits.

    The first are poolers, classifiers and an embedder's dense layers; the second taggers and reward heads, which run
    over every token. The backbone ends with its last normalisation: what comes before stays, even where only the first
    token of the last layer is computed. Shapes are read off a copy that takes one text of 8 tokens.
    """
    copy = model.clone()
    copy.reshape({port.any_name: [1, TOKENS] for port in copy.inputs})
    vectors = {
        name
        for port in copy.outputs
        for name, node in _walk_back(port.node, NORMALISATIONS).items()
        if node.get_type_name() == PRODUCT and _makes_one_vector(node)
    }
    last = {
        name
        for port in copy.outputs
        if any(name.endswith(LOGITS) for name in port.names)
        for name, node in _walk_back(port.node, frozenset({PRODUCT})).items()
        if node.get_type_name() == PRODUCT and node.output(0).partial_shape[-1] == port.partial_shape[-1]
    }
    return sorted(vectors | last)


def _walk_back(start: ov.Node, until: frozenset[str]) -> dict[str, ov.Node]:
    """Every operation that `start` is made of, by name, up to and with those of the types `until`."""
    waiting, found = [start], {start.get_friendly_name(): start}
    while waiting:
        node = waiting.pop()
        if node.get_type_name() in until:
            continue
        sources = [value.get_source_output().get_node() for value in node.inputs()]
        waiting += [source for source in sources if source.get_friendly_name() not in found]
        found |= {source.get_friendly_name(): source for source in sources}
    return found


def _makes_one_vector(node: ov.Node) -> bool:
    shape = node.output(0).partial_shape
    return bool(shape.is_static) and math.prod(shape.to_shape()[:-1]) == 1

"""A decoder checkpoint to ONNX fp32: language models with their cache, reward models with their score.

There is one way, the graph written from the weights (mct.compress.onnx.graphs.decoder): a family it does not know is
refused rather than traced, since a traced decoder spells attention, cache and rotation out in hundreds of nodes and no
runtime puts them together again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from mct import MctError
from mct.compress.merge.kept_adapters import Layers, load_kept
from mct.compress.onnx.adapter_files import SUFFIX, as_updates, write_adapter
from mct.compress.onnx.companions import write_companions
from mct.compress.onnx.graphs.decoder import build_lm, build_reward
from mct.compress.onnx.graphs.graph import save
from mct.compress.onnx.graphs.low_rank import add_places
from mct.compress.onnx.graphs.obstacles import obstacle
from mct.compress.onnx.graphs.prefix import add_prefix
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.kept_files import file_names
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import pad_id
from mct.models.checkpoints.load import load_model
from mct.models.checkpoints.load_adapter import Prefix, load_with_prefix

MODEL = "onnx/model.onnx"


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `onnx/model.onnx` (beyond 2 GB its weights stand in `onnx/model.onnx_data`) and `genai_config.json`.

    MctError for a family, or a variant of one, whose graph is not known.
    """
    checkpoint = resources.checkpoint
    model, prefix, kept = _load(checkpoint)
    if reason := obstacle(model.config.to_dict()):
        raise MctError(f"ONNX cannot hold this {checkpoint.architecture}: {reason}", "gguf and openvino may hold it")
    graph = build_reward(model) if checkpoint.network == "reward" else build_lm(model)
    if prefix:
        add_prefix(graph.graph, prefix)
    names = file_names(kept, SUFFIX)
    for name, values in add_places(graph.graph, {name: as_updates(each) for name, each in kept.items()}).items():
        write_adapter(draft / names[name], values)
    save(graph, draft / MODEL)
    write_companions(checkpoint, graph, MODEL, draft)
    runtime = {"pad_id": pad_id(checkpoint.sizes)} | ({"adapters": names} if names else {})
    return Product(draft, MODEL, runtime, {"graph": "fused"})


def _load(checkpoint: Checkpoint) -> tuple[PreTrainedModel, list[Prefix], dict[str, Layers]]:
    """The model, what stands before every text of it, and the adapters that stay beside it."""
    if checkpoint.adaptation is None:
        return load_model(checkpoint), [], {}
    if checkpoint.keeps_adapters:
        model, kept = load_kept(checkpoint)
        return model, [], kept
    return *load_with_prefix(checkpoint), {}

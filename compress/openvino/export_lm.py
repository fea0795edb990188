"""Causal language model to OpenVINO, stateful: the cache of keys and values lives inside the graph.

The graph is optimum-intel's, which patches each family so that it traces with its cache; the exporter is called in
this process with a model that is loaded already, so it has nothing to fetch. Tokenizer and detokenizer become OpenVINO
models beside it: with them `openvino_genai.LLMPipeline(folder)` goes from text to text, and OVModelForCausalLM opens
the same folder.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedModel

from mct import MctError
from mct.compress.openvino.export import MODEL, name_by_place, save
from mct.compress.openvino.obstacles import why_not_language_model
from mct.compress.openvino.prefix import add_prefix
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.quiet import quiet
from mct.models.checkpoints.load import load_model
from mct.models.checkpoints.load_adapter import load_with_prefix
from mct.targets.runtimes.private_openvino import ov

TASK = "text-generation-with-past"
TOKENIZER, DETOKENIZER = "openvino_tokenizer.xml", "openvino_detokenizer.xml"
COMPANIONS = ("config.json", "generation_config.json")

# Where other programs look for how to run the graph: without it openvino-genai keeps its cache in 8 bits.
OPTIONS = "runtime_options"
CACHE = "KV_CACHE_PRECISION"


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `openvino_model.xml` and `.bin` in fp32, tokenizer, detokenizer and the checkpoint's configurations.

    Inputs are input_ids, attention_mask, position_ids (batch, tokens) and beam_idx (batch); the output is `logits`,
    float32 (batch, tokens, vocabulary). MctError for a family that mct.compress.openvino.obstacles does not know.
    """
    checkpoint = resources.checkpoint
    if reason := why_not_language_model(checkpoint, options):
        raise MctError(f"openvino cannot hold this {checkpoint.architecture}: {reason}", "try --format onnx or gguf")
    model, prefix = load_with_prefix(checkpoint) if checkpoint.adaptation else (load_model(checkpoint), [])
    graph = export(model, draft, TASK)
    if prefix:
        add_prefix(graph, prefix)
    set_cache_precision(graph, "f32")
    save(graph, draft / MODEL)
    notes = write_tokenizers(checkpoint.vocabulary, draft)
    for name in COMPANIONS:
        if (checkpoint.sizes / name).is_file():
            shutil.copyfile(checkpoint.sizes / name, draft / name)
    return Product(draft, MODEL, {"kv_cache_precision": "f32"}, notes)


def export(model: PreTrainedModel, workshop: Path, task: str) -> ov.Model:
    """The graph of a loaded model for one of the exporter's own tasks; `workshop` is used for a moment."""
    from optimum.exporters.openvino import export_from_model

    with tempfile.TemporaryDirectory(dir=workshop) as folder:
        with quiet(), _any_newest(model, task):
            export_from_model(model, folder, task=task)
        core = ov.Core()
        core.set_property({"ENABLE_MMAP": False})
        return core.read_model(Path(folder) / MODEL)


@contextmanager
def _any_newest(model: PreTrainedModel, task: str) -> Iterator[None]:
    """Let the exporter take the transformers that is here, and not only up to the newest that it was tried with.

    For some families (Gemma) that bound lies below what everything else needs; whether the graph is right is not taken
    on trust from either: it is held against the original.
    """
    from optimum.exporters.tasks import TasksManager

    kind = TasksManager.get_exporter_config_constructor(
        "openvino", model=model, task=task, library_name="transformers"
    ).func
    bound = getattr(kind, "MAX_TRANSFORMERS_VERSION", None)
    kind.MAX_TRANSFORMERS_VERSION = None
    try:
        yield
    finally:
        kind.MAX_TRANSFORMERS_VERSION = bound


def set_cache_precision(graph: ov.Model, precision: str) -> None:
    """Say in the graph itself how its cache is kept, for programs that do not read `mct.json`."""
    graph.set_rt_info(precision, [OPTIONS, CACHE])


def write_tokenizers(checkpoint: Path, draft: Path) -> dict[str, str]:
    """The checkpoint's tokenizer as OpenVINO models; a note with the reason where its kind cannot be one.

    Only openvino-genai needs them: optimum-intel and mct read tokenizer.json.
    """
    from openvino_tokenizers import convert_tokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
    try:
        with quiet():
            models = convert_tokenizer(tokenizer, with_detokenizer=True)
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return {"openvino_genai": f"cannot open this: no tokenizer graph ({str(error).splitlines()[0]})"}
    for model, name in zip(models, (TOKENIZER, DETOKENIZER), strict=True):
        name_by_place(model)
        ov.save_model(model, draft / name, compress_to_fp16=False)
    return {"openvino_genai": "opens this"}

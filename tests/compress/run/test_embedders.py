"""An embedder with modules behind its pooling, as the library wrote it: every format gives the library's vectors."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import executable, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.runtimes.table import open_session, runtime_for

TEXTS = ["where is my order", "i want to return this", "recommend me something like volume 3", "is this another order"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_norms_and_cut_vectors_come_along_into_every_format(precision: str, tiny_bert: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Normalize, Pooling, Transformer

    torch.manual_seed(0)
    norm = LayerNorm(64)
    torch.nn.init.normal_(norm.norm.weight)
    torch.nn.init.normal_(norm.norm.bias)
    modules = [Transformer(str(tiny_bert)), Pooling(64, "mean"), Dropout(0.3), norm, Normalize()]
    SentenceTransformer(modules=modules, device="cpu", truncate_dim=24).save(str(tmp_path / "embedder"))
    wanted = SentenceTransformer(str(tmp_path / "embedder"), device="cpu").encode(TEXTS)
    assert wanted.shape == (len(TEXTS), 24)
    for name, texts in (("eval", TEXTS), ("data", [f"{text}, or this" for text in TEXTS])):
        rows = [{"query": text, "doc": text, "doc_id": text, "grade": 1} for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = make_plan(inspect(tmp_path / "embedder"), ["onnx", "openvino", "gguf"], [precision])
    resources, requests = gather(plan, tmp_path / "data.jsonl", tmp_path / "eval.jsonl", {}, seed=0)
    for made in execute(plan, resources, requests, tmp_path / "out"):
        artifact = read_artifact(made)
        session = open_session(runtime_for(artifact.format), executable(artifact, made), 1)
        found = np.concatenate([session([open_tokenizer(made, 64)(text)])["sentence_embedding"] for text in TEXTS])
        assert found.shape == wanted.shape
        near = 1e-3 if artifact.format == "gguf" else 1e-4  # llama.cpp takes its GELU from a table in half precision
        assert np.abs(found - wanted).max() <= (near if precision == "fp32" else 0.1)

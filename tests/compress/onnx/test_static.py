"""Static embeddings and routers as sentence-transformers writes them: a table of vectors without a model behind it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from mct import MctError
from mct.bench.samples.subject import identify
from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import executable, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_module, outputs_of
from mct.models.tasks.tokens import open_tokenizer
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.table import open_session, runtime_for

pytestmark = pytest.mark.filterwarnings("ignore")

TEXTS = ("where is my order", "I want to return volume 3, it arrived damaged", "", "order")
ROWS = (("order", "where is my order", 1), ("order", "a human", 0), ("return", "return it", 1), ("return", "hi", 0))


@pytest.fixture(scope="module")
def table(tiny_bert: Path) -> Any:
    """What the library's module gives its own tokenizer to, whose template would put two tokens around a text."""
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(tiny_bert / "tokenizer.json"))
    return StaticEmbedding(tokenizer, embedding_weights=torch.randn(max(1100, tokenizer.get_vocab_size()), 16))


@pytest.fixture(scope="module")
def static(table: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    folder = tmp_path_factory.mktemp("static") / "static"
    torch.manual_seed(1)
    SentenceTransformer(modules=[table, Dense(16, 8), Normalize()], device="cpu").save(str(folder))
    return folder


def theirs(folder: Path) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    return np.asarray(SentenceTransformer(str(folder), device="cpu").encode(list(TEXTS)))


def ours(folder: Path) -> np.ndarray:
    checkpoint = inspect(folder)
    tokens = [open_tokenizer(checkpoint.vocabulary, checkpoint.max_tokens)(text) for text in TEXTS]
    arrays = padded(tokens, ["input_ids", "attention_mask"], 0)
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return outputs_of(load_module(checkpoint), inputs)["sentence_embedding"].numpy()


def test_every_format_gives_the_librarys_vectors(static: Path, tmp_path: Path) -> None:
    found = inspect(static)
    assert (found.task, found.technique) == ("sentence-embedding", "static-embedding")
    np.testing.assert_allclose(ours(static), theirs(static), atol=1e-6)
    plan = make_plan(found, ["onnx", "openvino"], ["fp32", "fp16", "int8"])
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"query": query, "doc": doc, "grade": grade}) + "\n" for query, doc, grade in ROWS)
    )
    resources, texts = gather(plan, tmp_path / "rows.jsonl", None, {}, seed=0)
    for folder in execute(plan, resources, texts, tmp_path / "out"):
        artifact = read_artifact(folder)
        session = open_session(runtime_for(artifact.format), executable(artifact, folder), 1)
        tokenize = open_tokenizer(folder, artifact.max_tokens)
        vectors = np.concatenate([session([tokenize(text)])["sentence_embedding"] for text in TEXTS])
        exact = artifact.precision == "fp32"
        np.testing.assert_allclose(vectors, theirs(static), atol=1e-5 if exact else 0.05, err_msg=folder.name)
        assert identify(folder).size_mb < (0.3 if artifact.precision == "int8" else 1)


def test_onnxruntime_needs_the_pieces_alone(static: Path, tmp_path: Path) -> None:
    plan = make_plan(inspect(static), ["onnx"], ["fp32"])
    resources, texts = gather(plan, None, None, {}, seed=0)
    (folder,) = execute(plan, resources, texts, tmp_path / "out")
    pieces = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXTS[0], add_special_tokens=False).ids
    inputs = {"input_ids": np.array([pieces]), "attention_mask": np.ones((1, len(pieces)), np.int64)}
    (found,) = ort.InferenceSession(str(folder / "onnx" / "model.onnx")).run(["sentence_embedding"], inputs)
    np.testing.assert_allclose(found[0], theirs(static)[0], atol=1e-5)


def test_the_table_may_lie_in_a_folder_of_its_own(static: Path, tmp_path: Path) -> None:
    """As earlier versions of the library wrote it, and as it lies on the hub."""
    folder = _nested(static, tmp_path / "nested")
    np.testing.assert_allclose(ours(folder), theirs(folder), atol=1e-6)
    assert identify(folder).digest != identify(static).digest
    plan = make_plan(inspect(folder), ["onnx"], ["fp32"])
    resources, texts = gather(plan, None, None, {}, seed=0)
    (made,) = execute(plan, resources, texts, tmp_path / "out")
    assert (made / "tokenizer.json").is_file() and not (made / "0_StaticEmbedding").exists()
    artifact = read_artifact(made)
    session = open_session(runtime_for("onnx"), executable(artifact, made), 1)
    vector = session([open_tokenizer(made, 64)(TEXTS[0])])["sentence_embedding"][0]
    np.testing.assert_allclose(vector, theirs(static)[0], atol=1e-5)


def _nested(static: Path, folder: Path) -> Path:
    shutil.copytree(static, folder)
    (folder / "0_StaticEmbedding").mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).rename(folder / "0_StaticEmbedding" / name)
    rows = json.loads((folder / "modules.json").read_text())
    rows[0]["path"] = "0_StaticEmbedding"
    (folder / "modules.json").write_text(json.dumps(rows))
    return folder


def test_tables_of_model2vec_are_written_out(static: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(static, tmp_path / "model2vec")
    rows = load_file(static / "model.safetensors")["embedding.weight"]
    weights = np.linspace(0.5, 2, len(rows)).astype(np.float32)
    mapping = np.arange(len(rows))[::-1].copy()
    save_file({"embeddings": rows, "mapping": mapping, "weights": weights}, folder / "model.safetensors")
    np.testing.assert_allclose(ours(folder), theirs(folder), atol=1e-6)


def test_llama_cpp_has_no_graph_for_it(static: Path) -> None:
    with pytest.raises(MctError, match="a table of vectors has no layer") as caught:
        make_plan(inspect(static), ["gguf"], ["int8"])
    assert caught.value.hint == "these formats can hold it: --format onnx,openvino"


def test_bad_tables_are_refused(static: Path, tmp_path: Path) -> None:
    empty, short, broken = (shutil.copytree(static, tmp_path / name) for name in ("empty", "short", "broken"))
    rows = load_file(static / "model.safetensors")["embedding.weight"]
    save_file({"other": rows}, empty / "model.safetensors")
    with pytest.raises(MctError, match="has no table of vectors"):
        inspect(empty)
    save_file({"embedding.weight": rows[:4]}, short / "model.safetensors")
    with pytest.raises(MctError, match="more pieces than the 4 rows"):
        load_module(inspect(short))
    save_file({"embedding.weight": rows * np.float32(np.nan)}, broken / "model.safetensors")
    with pytest.raises(MctError, match="holds NaN"):
        load_module(inspect(broken))
    rows_of = json.loads((broken / "modules.json").read_text())
    rows_of[0]["path"] = "../static"
    (broken / "modules.json").write_text(json.dumps(rows_of))
    with pytest.raises(MctError):
        load_module(inspect(broken))


def test_a_router_is_taken_a_route_at_a_time(
    table: Any, tiny_bert: Path, tmp_path: Path, run_mct: Callable[..., Any]
) -> None:
    """Queries by a table, documents by a transformer: each becomes the embedder that the library calls there."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Router, Transformer

    backbone = Transformer(str(tiny_bert))
    width = backbone.get_embedding_dimension()
    router = Router.for_query_document(
        query_modules=[table, Dense(16, 8)], document_modules=[backbone, Pooling(width, "mean"), Dense(width, 8)]
    )
    both = SentenceTransformer(modules=[router, Normalize()], device="cpu")
    both.save(str(tmp_path / "router"))
    done = run_mct("compress", tmp_path / "router", "-o", tmp_path / "out", "--plan")
    assert done.returncode == 2 and f"mct models route {tmp_path / 'router'} query -o DIR" in done.stderr
    for route, encode in (("query", both.encode_query), ("document", both.encode_document)):
        done = run_mct("models", "route", tmp_path / "router", route, "-o", tmp_path / route)
        assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / route)), done.stderr
        wanted = np.asarray(encode(list(TEXTS)))
        np.testing.assert_allclose(theirs(tmp_path / route), wanted, atol=1e-6, err_msg="the library opens it")
        if route == "query":
            np.testing.assert_allclose(ours(tmp_path / route), wanted, atol=1e-6)
        assert make_plan(inspect(tmp_path / route), ["onnx", "openvino"], ["fp32"])
    done = run_mct("models", "route", tmp_path / "router", "doc", "-o", tmp_path / "none")
    assert done.returncode == 2 and "document" in done.stderr and not (tmp_path / "none").exists()
    done = run_mct("models", "route", tmp_path / "query", "query", "-o", tmp_path / "none")
    assert done.returncode == 2 and "holds no router" in done.stderr

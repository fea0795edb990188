"""A sentence-transformers folder read without that library gives the vectors that the library gives."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_module, outputs_of
from mct.models.tasks.tokens import open_tokenizer

TEXTS = ["hi", "Where is my order?", "I want to return volume 3, it arrived damaged", "manga " * 80]

Make = Callable[..., Path]


@pytest.fixture
def make(tiny_bert: Path, tmp_path: Path) -> Make:
    """Write an embedder with the library itself: a pooling mode (or several) and the modules behind it."""

    def write(mode: object, *behind: torch.nn.Module) -> Path:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

        folder = tmp_path / f"embedder-{len(list(tmp_path.iterdir()))}"
        backbone = Transformer(str(tiny_bert))
        width = backbone.get_embedding_dimension()
        SentenceTransformer(modules=[backbone, Pooling(width, mode), *behind], device="cpu").save(str(folder))
        return folder

    return write


def _ours(folder: Path) -> np.ndarray:
    """All texts in one padded batch."""
    checkpoint = inspect(folder)
    tokenize = open_tokenizer(folder, checkpoint.max_tokens)
    encoded = [tokenize(text).ids for text in TEXTS]
    longest = max(map(len, encoded))
    ids = torch.tensor([each + [0] * (longest - len(each)) for each in encoded])
    mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in encoded])
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return outputs_of(load_module(checkpoint), inputs)["sentence_embedding"].numpy()


def _theirs(folder: Path) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu").encode(TEXTS)


@pytest.mark.parametrize(
    "mode",
    ["mean", "cls", "max", "lasttoken", "mean_sqrt_len_tokens", "weightedmean", ("cls", "mean"), ("max", "lasttoken")],
)
def test_every_pooling_gives_the_librarys_vectors(make: Make, mode: object) -> None:
    folder = make(mode)
    assert inspect(folder).task == "sentence-embedding"
    np.testing.assert_allclose(_ours(folder), _theirs(folder), atol=2e-5)


def test_dense_layers_and_normalisation_follow_in_their_order(make: Make) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    folder = make(
        "mean", Dense(64, 32), Dense(32, 16, bias=False, activation_function=torch.nn.Identity()), Normalize()
    )
    found = _ours(folder)
    assert found.shape == (len(TEXTS), 16)
    np.testing.assert_allclose(found, _theirs(folder), atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_layer_norm_is_computed_and_a_dropout_is_none(make: Make) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense, Dropout, LayerNorm

    norm = LayerNorm(64)
    torch.nn.init.normal_(norm.norm.weight)
    torch.nn.init.normal_(norm.norm.bias)
    folder = make("mean", Dropout(0.4), norm, Dense(64, 16), LayerNorm(16))
    np.testing.assert_allclose(_ours(folder), _theirs(folder), atol=5e-5)
    assert not np.allclose(_ours(folder), _theirs(make("mean", Dense(64, 16))), atol=0.1)


@pytest.mark.parametrize("length", [16, 64, 100])
def test_vectors_are_cut_behind_all_modules_as_their_folder_says(make: Make, length: int) -> None:
    """A vector of length 1 that is cut is shorter than that: nothing is made 1 again, as the library does not."""
    from sentence_transformers.sentence_transformer.modules import Normalize

    folder = make("mean", Normalize())
    _edit(folder / "config_sentence_transformers.json", truncate_dim=length)
    found = _ours(folder)
    assert found.shape == (len(TEXTS), min(length, 64))
    np.testing.assert_allclose(found, _theirs(folder), atol=2e-5)


@pytest.mark.parametrize("marked", [("mean",), ("cls", "max", "mean")])
def test_a_pooling_saved_by_an_older_library_is_read_too(make: Make, marked: tuple[str, ...]) -> None:
    folder = make(marked if len(marked) > 1 else marked[0])
    modes = ("cls", "mean", "max", "mean_sqrt_len")
    old = {"word_embedding_dimension": 64} | {f"pooling_mode_{mode}_tokens": mode in marked for mode in modes}
    old["pooling_mode_cls_token"] = old.pop("pooling_mode_cls_tokens")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(old))
    np.testing.assert_allclose(_ours(folder), _theirs(folder), atol=2e-5)


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_not_known_is_refused_and_named(make: Make) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, WordWeights

    with pytest.raises(MctError, match="module WordWeights is not known"):
        load_module(inspect(make("mean", WordWeights(["a"], {"a": 1.0}))))
    folder = make("mean", LayerNorm(64))
    _edit(next(folder.glob("2_*")) / "config.json", dimension=32)
    with pytest.raises(MctError, match="not those of the layer norm"):
        load_module(inspect(folder))
    folder = make("mean", Dense(64, 32))
    dense = next(folder.glob("2_*"))
    _edit(dense / "config.json", activation_function="os.system")
    with pytest.raises(MctError, match=r"activation 'os\.system' is not known"):
        load_module(inspect(folder))
    shutil.move(dense / "model.safetensors", dense / "pytorch_model.bin")
    _edit(dense / "config.json", activation_function="torch.nn.modules.activation.Tanh")
    with pytest.raises(MctError, match=r"has no model\.safetensors"):
        load_module(inspect(folder))


def test_a_module_outside_the_folder_is_refused(make: Make) -> None:
    folder = make("mean")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = "../elsewhere"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(MctError, match="outside the folder"):
        load_module(inspect(folder))


def test_a_prompt_or_lower_casing_outside_the_tokenizer_is_refused_not_forgotten(make: Make) -> None:
    folder = make("mean")
    _edit(folder / "sentence_bert_config.json", do_lower_case=True)
    load_module(inspect(folder))  # this tokenizer lower-cases by itself
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(MctError, match="do_lower_case"):
        load_module(inspect(folder))
    _edit(folder / "sentence_bert_config.json", do_lower_case=False)
    _edit(folder / "config_sentence_transformers.json", default_prompt_name="query", prompts={"query": "query: "})
    with pytest.raises(MctError, match="prompt 'query'"):
        load_module(inspect(folder))


def _setfit(folder: Path, labels: list[str], config: dict[str, object], width: int = 64) -> None:
    """A SetFit folder's head over the embedder in `folder`, as SetFit writes it."""
    import joblib
    from sklearn.linear_model import LogisticRegression

    vectors = np.random.default_rng(0).normal(size=(40, width))
    head = LogisticRegression().fit(vectors, [labels[row % len(labels)] for row in range(40)])
    joblib.dump(head, folder / "model_head.pkl")
    (folder / "config_setfit.json").write_text(json.dumps(config))


def test_a_length_of_nothing_is_refused(make: Make) -> None:
    folder = make("mean")
    _edit(folder / "config_sentence_transformers.json", truncate_dim=0)
    with pytest.raises(MctError, match="truncate_dim"):
        load_module(inspect(folder))


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("cut", [None, 16])
def test_a_setfit_folder_gives_its_heads_logits(make: Make, normalised: bool, cut: int | None) -> None:
    import joblib
    from sentence_transformers import SentenceTransformer

    folder = make("mean")
    labels = ["returns", "other", "manga"]
    _setfit(folder, labels, {"normalize_embeddings": normalised, "labels": None}, cut or 64)
    _edit(folder / "config_sentence_transformers.json", truncate_dim=cut)
    checkpoint = inspect(folder)
    assert (checkpoint.task, checkpoint.labels) == ("embedding-head", ("manga", "other", "returns"))
    vectors = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=normalised)
    theirs = joblib.load(folder / "model_head.pkl").decision_function(vectors)
    tokenize = open_tokenizer(folder, checkpoint.max_tokens)
    module = load_module(checkpoint)
    for text, logits in zip(TEXTS, theirs, strict=True):
        ids = torch.tensor([tokenize(text).ids])
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        np.testing.assert_allclose(outputs_of(module, inputs)["logits"][0], logits, atol=1e-4)

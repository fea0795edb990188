"""SetFit's head is read for what it is, and a pickle that is more than that is refused before it can do anything."""

import builtins
import json
import os
import pickle
import random
import subprocess
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from setfit import SetFitHead
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from mct import MctError
from mct.models.checkpoints.setfit_head import read_head

WIDTH = 12


def _fit(labels: list[object], **settings: object) -> LogisticRegression:
    vectors = np.random.default_rng(0).normal(size=(60, WIDTH))
    return LogisticRegression(**settings).fit(vectors, np.array([labels[row % len(labels)] for row in range(60)]))


def _save(folder: Path, model: object, **settings: object) -> Path:
    joblib.dump(model, folder / "model_head.pkl")
    if settings:
        (folder / "config_setfit.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("intercept", [True, False])
def test_weights_are_those_of_the_model(tmp_path: Path, intercept: bool) -> None:
    model = _fit(["c", "a", "b"], fit_intercept=intercept)
    head = read_head(_save(tmp_path, model))
    assert head.labels == ("a", "b", "c")
    np.testing.assert_allclose(head.weight, model.coef_, rtol=1e-6)
    np.testing.assert_allclose(head.bias, np.broadcast_to(model.intercept_, 3), rtol=1e-6)


def test_two_labels_get_two_logits_with_the_models_own_probabilities(tmp_path: Path) -> None:
    model = _fit(["no", "yes"])
    head = read_head(_save(tmp_path, model))
    vectors = np.random.default_rng(1).normal(size=(20, WIDTH))
    logits = vectors @ head.weight.T + head.bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), model.predict_proba(vectors), atol=1e-6)


def test_numbered_classes_get_their_names_from_setfits_settings(tmp_path: Path) -> None:
    head = read_head(_save(tmp_path, _fit([0, 2, 3]), labels=["a", "b", "c", "d"]))
    assert head.labels == ("a", "c", "d")
    assert read_head(_save(tmp_path, _fit([0, 2, 3]), labels=None)).labels == ("0", "2", "3")


def test_labels_that_numpy_keeps_as_objects_are_read(tmp_path: Path) -> None:
    model = _fit(["a", "b", "c"])
    model.classes_ = model.classes_.astype(object)
    assert read_head(_save(tmp_path, model)).labels == ("a", "b", "c")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_that_joblib_may_have_written_is_read(tmp_path: Path, protocol: int) -> None:
    model = _fit(["a", "b", "c"])
    joblib.dump(model, tmp_path / "model_head.pkl", protocol=protocol)
    np.testing.assert_allclose(read_head(tmp_path).weight, model.coef_, rtol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_setfits_own_head_gives_the_logits_that_it_gives_in_torch(
    tmp_path: Path, bias: bool, temperature: float
) -> None:
    torch.manual_seed(0)
    model = SetFitHead(WIDTH, 3, temperature=temperature, bias=bias, device="cpu")
    head = read_head(_save(tmp_path, model, labels=["a", "b", "c"]))
    vectors = torch.randn(20, WIDTH)
    expected = model(vectors)[0].detach().numpy()
    np.testing.assert_allclose(vectors.numpy() @ head.weight.T + head.bias, expected, atol=1e-5)
    assert head.labels == ("a", "b", "c")
    assert read_head(_save(tmp_path, model, labels=None)).labels == ("0", "1", "2")


def test_setfits_head_of_several_labels_at_once_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="answers yes or no for each label"):
        read_head(_save(tmp_path, SetFitHead(WIDTH, 3, multitarget=True, device="cpu")))


@pytest.mark.parametrize("start", range(0, 1200, 97))
def test_a_damaged_head_of_setfits_own_is_refused_in_one_line(tmp_path: Path, start: int) -> None:
    content = (_save(tmp_path, SetFitHead(WIDTH, 3, device="cpu")) / "model_head.pkl").read_bytes()
    (tmp_path / "model_head.pkl").write_bytes(content[:start] + content[start + 40 :])
    try:
        assert read_head(tmp_path).weight.shape == (3, WIDTH)
    except MctError as refused:
        assert "\n" not in refused.message


class _Calls:
    """Pickles as a call of a function, which a careless reader would make."""

    def __init__(self, function: object, *values: object) -> None:
        self.call = (function, values)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


def _payloads(proof: Path) -> list[object]:
    command = f"touch {proof}"
    return [
        _Calls(os.system, command),
        _Calls(builtins.eval, f"__import__('os').system({command!r})"),
        _Calls(builtins.exec, f"open({str(proof)!r}, 'w')"),
        _Calls(subprocess.call, ["touch", str(proof)]),
        _Calls(os.rename, "a", "b"),
        _Calls(np.load, str(proof), "r", True),
    ]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("hidden", [False, True])
def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path: Path, number: int, hidden: bool) -> None:
    proof = tmp_path / "proof"
    payload = _payloads(proof)[number]
    if hidden:
        model = _fit(["a", "b"])
        model.class_weight = payload
        payload = model
    (tmp_path / "model_head.pkl").write_bytes(pickle.dumps(payload))
    with pytest.raises(MctError, match="it holds"):
        read_head(tmp_path)
    assert not proof.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch proof'\ntR.",  # protocol 0: GLOBAL, REDUCE
        b"(S'touch proof'\nios\nsystem\n.",  # INST
        b"\x80\x02(cposix\nsystem\nX\x0b\x00\x00\x00touch prooftR.",
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R}X\x05\x00\x00\x00shapeK\x01sb.",  # a state that is no state
        b"\x80\x02cnumpy\nndarray\n}X\x07\x00\x00\x00__new__K\x01sb.",  # BUILD on a class
        b"\x80\x02K\x01K\x02\x85R.",  # calls a number
        b"\x80\x02Phttp://somewhere\n.",  # PERSID
        b"\x82\x01.",  # EXT1
        b"",
        b"not a pickle at all",
    ],
)
def test_programs_written_by_hand_are_refused(tmp_path: Path, program: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model_head.pkl").write_bytes(program)
    with pytest.raises(MctError, match=r"model_head\.pkl is not read"):
        read_head(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model_head.pkl"]


def test_other_models_and_untrained_ones_are_refused(tmp_path: Path) -> None:
    vectors, labels = np.random.default_rng(0).normal(size=(30, WIDTH)), np.arange(30) % 3
    with pytest.raises(MctError, match=r"it holds sklearn\.multiclass\.OneVsRestClassifier"):
        read_head(_save(tmp_path, OneVsRestClassifier(LogisticRegression()).fit(vectors, labels)))
    with pytest.raises(MctError, match="no trained head"):
        read_head(_save(tmp_path, LogisticRegression()))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_file_that_was_cut_off_anywhere_is_refused(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model_head.pkl"
    joblib.dump(_fit(["a", "b", "c"]), path, protocol=protocol)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(MctError):
            read_head(tmp_path)


def test_bytes_changed_at_random_give_a_head_or_a_refusal(tmp_path: Path) -> None:
    path, chance = tmp_path / "model_head.pkl", random.Random(0)
    whole = _save(tmp_path, _fit(["a", "b", "c"])).joinpath(path.name).read_bytes()
    refused = 0
    for _ in range(600):
        changed = bytearray(whole)
        changed[chance.randrange(len(whole))] = chance.randrange(256)
        path.write_bytes(changed)
        try:
            assert read_head(tmp_path).weight.shape == (3, WIDTH)
        except MctError:
            refused += 1
    assert 0 < refused < 600

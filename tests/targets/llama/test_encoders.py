import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from mct import MctError
from mct.compress.gguf import export_encoder as export_gguf
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import Tokens
from mct.targets.llama.encoders import open_session
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable

SHORT = Tokens([2, 10, 11, 12, 3], [0] * 5)
LONG = Tokens([2, *range(10, 70)], [0] * 61)


@pytest.fixture(scope="module")
def model(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Executable:
    resources = Resources(inspect(tiny_bert), None, probe_machine(), 0)
    product = export_gguf.run(Product(tiny_bert, ""), tmp_path_factory.mktemp("gguf"), {}, resources)
    return Executable(product.folder, product.model, "sequence-classification", 3, 64)


def test_a_batch_answers_like_its_inputs_one_by_one(model: Executable) -> None:
    session = open_session(model, threads=2)
    together = session([SHORT, LONG, SHORT])["logits"]
    assert together.shape == (3, 3)
    assert together.dtype == np.float32
    assert np.array_equal(together, np.concatenate([session([tokens])["logits"] for tokens in (SHORT, LONG, SHORT)]))
    assert not np.allclose(together[0], together[1])


def test_two_sessions_do_not_disturb_each_other(model: Executable) -> None:
    one, other = open_session(model, threads=1), open_session(model, threads=1)
    before = one([SHORT])["logits"]
    other([LONG])
    assert np.array_equal(one([SHORT])["logits"], before)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (Tokens([2, 5, 3, 6, 3], [0, 0, 0, 1, 1]), "second segment"),
        (Tokens([2] * 65, [0] * 65), "65 tokens; this model takes 1 to 64"),
        (Tokens([], []), "0 tokens"),
        (Tokens([2, 100_000, 3], [0] * 3), "llama.cpp refused an input of 3 tokens: "),
    ],
)
def test_what_would_end_the_process_or_lie_is_refused(model: Executable, tokens: Tokens, says: str) -> None:
    session = open_session(model, threads=1)
    with pytest.raises(MctError, match=says):
        session([tokens])
    assert np.isfinite(session([SHORT])["logits"]).all(), "the session goes on"


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused_with_the_reason(model: Executable, kept: float, tmp_path: Path) -> None:
    whole = (model.folder / model.model).read_bytes()
    (tmp_path / "model.gguf").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(MctError, match=r"llama\.cpp cannot load .*model\.gguf: "):
        open_session(Executable(tmp_path, "model.gguf", model.task, 3, 64), 1)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="cannot load"):
        open_session(Executable(tmp_path, "model.gguf", "sequence-classification", 3, 64), 1)


def test_a_manifest_with_another_number_of_labels_is_refused(model: Executable) -> None:
    with pytest.raises(MctError, match="has 3 labels, its manifest says 7"):
        open_session(Executable(model.folder, model.model, model.task, 7, 64), 1)


def test_a_manifest_that_promises_longer_inputs_is_refused(model: Executable) -> None:
    """Past the last position llama.cpp would end the process."""
    with pytest.raises(MctError, match="inputs of up to 64 tokens, its manifest says 65"):
        open_session(Executable(model.folder, model.model, model.task, 3, 65), 1)


def test_a_manifest_with_another_pooling_is_refused(model: Executable) -> None:
    with pytest.raises(MctError, match="pools by 'rank', its manifest says 'mean'"):
        open_session(Executable(model.folder, model.model, model.task, 3, 64, {"pooling": "mean"}), 1)


def test_segments_that_a_model_does_not_know_are_ignored(model: Executable) -> None:
    session = open_session(Executable(model.folder, model.model, model.task, 3, 64, {"second_segment": "ignored"}), 1)
    pair = Tokens(SHORT.ids, [0, 0, 0, 1, 1])
    assert np.array_equal(session([pair])["logits"], session([SHORT])["logits"])


def test_a_dropped_session_frees_its_model(model: Executable) -> None:
    session = open_session(model, threads=1)
    [finalizer] = [found for found in weakref.finalize._registry if found.peek()[0] is session]  # type: ignore[attr-defined]
    del session
    gc.collect()
    assert not finalizer.alive

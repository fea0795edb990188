"""A disk that takes no more is said in one line, whichever library met it: real ones, under a limit on file sizes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from mct import MctError
from mct.models.writing.full_disk import full_disk_explained

Limit = Callable[[int], AbstractContextManager[None]]
VALUES = np.ones((256, 256), dtype=np.float32)


def with_safetensors(folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"weights": VALUES}, folder / "model.safetensors")


def with_onnx(folder: Path) -> None:
    import onnx
    from onnx import helper, numpy_helper

    graph = helper.make_graph([], "graph", [], [], [numpy_helper.from_array(VALUES, "weights")])
    onnx.save_model(helper.make_model(graph), folder / "model.onnx")


def with_openvino(folder: Path) -> None:
    import openvino as ov
    from openvino import opset13

    read = opset13.parameter([1, 256], np.float32)
    model = ov.Model([opset13.matmul(read, opset13.constant(VALUES), False, False)], [read])
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)


def with_gguf(folder: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(folder / "model.gguf", "bert")
    writer.add_tensor("weights", VALUES)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()


def with_tokenizers(folder: Path) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({f"word {place}": place for place in range(10_000)})).save(str(folder / "t.json"))


WRITERS = [with_safetensors, with_onnx, with_openvino, with_gguf, with_tokenizers]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_library_that_writes_models(
    tmp_path: Path, write: Callable[[Path], None], files_of_at_most: Limit
) -> None:
    with pytest.raises(MctError, match="failed: ") as refusal, files_of_at_most(50_000), full_disk_explained(tmp_path):
        write(tmp_path)
    assert str(tmp_path) in refusal.value.message and refusal.value.hint
    with full_disk_explained(tmp_path):
        write(tmp_path)


def test_a_bug_stays_a_bug(tmp_path: Path) -> None:
    for bug in (ValueError("requested and written"), OSError(22, "invalid"), FileNotFoundError(2, "no", "file")):
        with pytest.raises(type(bug)), full_disk_explained(tmp_path):
            raise bug

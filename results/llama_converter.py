"""What llama.cpp's own converter makes of three Banking77 classifiers, beside ours: the same 500 test texts.

Run from the repository root after `python results/banking77_checkpoints.py`:
`python results/llama_converter.py [--llama-cpp FOLDER]`. Writes llama_converter.json and llama_converter.md beside this
file. The converter is in no wheel; FOLDER is a source tree of llama.cpp, and without it the one inside the source
package of the installed llama-cpp-python is taken (so converter, writer and runtime are of one version).

Both files are given the same token ids, those of the checkpoint's tokenizer.json, and are run by llama.cpp with rank
pooling, so that what differs is the tensors alone; only DistilBERT's head, which mct keeps beside its file, is applied
by mct's session. For each file it is said which tensors of the head it lacks. That the missing pooler is all that goes
wrong with BERT is shown by leaving it out in torch as well.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import torch
from gguf import GGUFReader
from numpy.typing import NDArray

from mct import MctError
from mct.compress.gguf import export_encoder as export_gguf
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.parity import Reference, run_original
from mct.models.checkpoints.checkpoint import Checkpoint, inspect
from mct.models.checkpoints.load import load_model
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.llama.encoders import open_session, start_backend
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "banking77" / "test.jsonl"
CHECKPOINTS = HERE.parent / ".cache" / "banking77"
SOURCES = HERE.parent / ".cache" / "llama_cpp"
NAMES = ("minilm", "distilbert", "roberta")
TEXTS, SEED = 500, 0
HEAD = ("cls.weight", "cls.bias", "cls.output.weight", "cls.output.bias")
Logits = NDArray[np.float32]


def main() -> None:
    """Convert, run, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llama-cpp", type=Path, help="a source tree of llama.cpp")
    given = parser.parse_args()
    if not DATA.is_file():
        raise MctError(f"{DATA} is not here", "this evidence needs the Banking77 files")
    source = given.llama_cpp or download_source()
    start_backend()
    found = {
        "machine": probe_machine().cpu,
        "llama_cpp_python": version("llama-cpp-python"),
        "texts": TEXTS,
        "rows": [row for name in NAMES for row in compare(name, source)],
    }
    write_json(HERE / "llama_converter.json", found)
    write_atomically(HERE / "llama_converter.md", markdown(found))


def download_source() -> Path:
    """llama.cpp's sources as llama-cpp-python ships them, by pip, once."""
    package = f"llama_cpp_python-{version('llama-cpp-python')}"
    tree = SOURCES / package / "vendor" / "llama.cpp"
    if not tree.is_dir():
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--dest", str(SOURCES)]
        subprocess.run([*command, f"llama-cpp-python=={version('llama-cpp-python')}"], check=True)
        with tarfile.open(SOURCES / f"{package}.tar.gz") as archive:
            archive.extractall(SOURCES, filter="data")
    return tree


def compare(name: str, source: Path) -> list[dict[str, Any]]:
    """One checkpoint, by the converter and by us, each against the original run by torch at fp32."""
    checkpoint = inspect(CHECKPOINTS / name)
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    rows = random.Random(SEED).sample(rows, TEXTS)
    reference = run_original(checkpoint, [row["text"] for row in rows], probe_machine().usable_threads)
    original = np.concatenate([outputs["logits"] for outputs in reference.outputs])
    truth = [row["label"] for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        theirs, said = convert(source, checkpoint, Path(folder) / "theirs.gguf")
        (Path(folder) / "ours").mkdir()
        made = export_gguf.run(
            Product(checkpoint.path, ""), Path(folder) / "ours", {}, Resources(checkpoint, None, probe_machine(), 0)
        )
        by_them = run_rank(theirs, reference, len(checkpoint.labels)) if theirs else None
        by_us = run_made(made, checkpoint, reference)
        common = {"checkpoint": name, "original_accuracy": accuracy(original, checkpoint, truth)}
        return [
            common
            | {"written_by": "llama.cpp's converter", "lacks": lacks(theirs), "said": said}
            | (measures(by_them, original, checkpoint, truth) if by_them is not None else {})
            | explanation(by_them, checkpoint, reference),
            common
            | {"written_by": "mct", "lacks": [] if "head" in made.settings else lacks(made.folder / made.model)}
            | measures(by_us, original, checkpoint, truth),
        ]


def convert(source: Path, checkpoint: Checkpoint, out: Path) -> tuple[Path | None, str]:
    """Run convert_hf_to_gguf.py. The file and "", or None and the last line of what it said."""
    command = [sys.executable, str(source / "convert_hf_to_gguf.py"), str(checkpoint.path), "--outtype", "f32"]
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([*command, "--outfile", str(out)], capture_output=True, text=True, env=quiet)
    return (out, "") if done.returncode == 0 else (None, done.stderr.strip().splitlines()[-1])


def run_rank(path: Path, reference: Reference, labels: int) -> Logits | None:
    """The file's answers by rank pooling, as other programs ask for them; None where llama.cpp cannot load it."""
    try:
        model = llama_cpp.Llama(
            str(path), embedding=True, pooling_type=llama_cpp.LLAMA_POOLING_TYPE_RANK, n_ctx=0, n_batch=512,
            n_ubatch=512, verbose=False,
        )  # fmt: skip
    except ValueError:
        return None
    answers = []
    for tokens in reference.asked.inputs:
        ids = (llama_cpp.llama_token * len(tokens.ids))(*tokens.ids)
        if llama_cpp.llama_encode(model.ctx, llama_cpp.llama_batch_get_one(ids, len(ids))) != 0:
            raise MctError(f"llama.cpp refuses an input of {len(ids)} tokens", "is it this model's tokenizer?")
        answers.append(llama_cpp.llama_get_embeddings_seq(model.ctx, 0)[:labels])
    return np.array(answers, dtype=np.float32)


def run_made(made: Product, checkpoint: Checkpoint, reference: Reference) -> Logits:
    """Our file's answers: in the same way as the converter's, or by our session where a head lies beside it."""
    labels = len(checkpoint.labels)
    if "head" not in made.settings:
        answers = run_rank(made.folder / made.model, reference, labels)
        assert answers is not None
        return answers
    executable = Executable(made.folder, made.model, checkpoint.task, labels, checkpoint.max_tokens, made.settings)
    session = open_session(executable, probe_machine().usable_threads)
    return np.concatenate([session([tokens])["logits"] for tokens in reference.asked.inputs])


def lacks(path: Path | None) -> list[str]:
    """The head's tensors that are not in the file."""
    names = {tensor.name for tensor in GGUFReader(path).tensors} if path else set()
    return [name for name in HEAD if name not in names]


def measures(logits: Logits, original: Logits, checkpoint: Checkpoint, truth: Sequence[str]) -> dict[str, float]:
    """Agreement with the original, accuracy, and the largest difference of a logit."""
    return {
        "agreement": float((logits.argmax(axis=1) == original.argmax(axis=1)).mean()),
        "accuracy": accuracy(logits, checkpoint, truth),
        "max_abs_delta": float(np.abs(logits - original).max()),
    }


def explanation(by_them: Logits | None, checkpoint: Checkpoint, reference: Reference) -> dict[str, float]:
    """Of a BERT classifier: how far the converter's file is from the original with its pooler left out, in torch."""
    if by_them is None or checkpoint.model_type != "bert":
        return {}
    model = load_model(checkpoint)
    with torch.inference_mode():
        first = [model.bert(torch.tensor([tokens.ids])).last_hidden_state[:, 0] for tokens in reference.asked.inputs]
        bare = torch.cat([model.classifier(vector) for vector in first]).numpy()
    return {
        "bare_agreement": float((by_them.argmax(axis=1) == bare.argmax(axis=1)).mean()),
        "bare_max_abs_delta": float(np.abs(by_them - bare).max()),
    }


def accuracy(logits: Logits, checkpoint: Checkpoint, truth: Sequence[str]) -> float:
    """Share of texts whose highest logit is the right label's."""
    return float(
        np.mean([checkpoint.labels[best] == label for best, label in zip(logits.argmax(1), truth, strict=True)])
    )


def markdown(found: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# BERT-family classifiers as GGUF: llama.cpp's own converter, and mct",
        "",
        f"F32 files of the fine-tuned Banking77 checkpoints (77 labels), {found['texts']} test texts, the same token "
        f"ids, llama-cpp-python {found['llama_cpp_python']}. Made by `results/llama_converter.py`, which runs the "
        "converter itself.",
        "",
        "| checkpoint | written by | same answer as the original | accuracy (original) | max \\|Δlogit\\| "
        "| head tensors missing |",
        "|--|--|--:|--:|--:|--|",
    ]
    lines += [_row(row) for row in found["rows"]]
    [bert] = [row for row in found["rows"] if "bare_agreement" in row]
    return "\n".join([*lines, "", *(note.format(**bert) for note in NOTES), ""])


NOTES = (
    "BERT: the converter drops the pooler (dense and tanh), which an embedder does not need, so that the classifier "
    "reads another vector than it was trained on. Left out in torch as well, the same wrong answers come: "
    "{bare_agreement:.1%} equal, logits within {bare_max_abs_delta:.2g}. The file loads and answers without a warning.",
    "",
    "DistilBERT: its dense layer is written as BERT's pooler, behind which llama.cpp's graph has tanh where the model "
    "has ReLU. mct keeps that head beside the file.",
    "",
    "RoBERTa: the converter knows byte-level BPE tokenizers by a hash of what they make of one text, and refuses one "
    "that somebody trained for their own data. mct compares what tokenizer.json says of itself.",
    "",
    "Neither of the converter's files names a pooling; rank pooling was asked for.",
)


def _row(row: dict[str, Any]) -> str:
    start = f"| {row['checkpoint']} | {row['written_by']} |"
    if "agreement" not in row:
        return f"{start} cannot be run: {row['said'] or 'llama.cpp cannot load the file'} | | | |"
    return (
        f"{start} {row['agreement']:.2%} | {row['accuracy']:.2%} ({row['original_accuracy']:.2%}) "
        f"| {row['max_abs_delta']:.2g} | {', '.join(row['lacks']) or 'none'} |"
    )


if __name__ == "__main__":
    main()

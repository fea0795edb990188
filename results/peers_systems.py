"""What `make peers` compares: one row a peer, the environment it is installed in, and what makes and runs its model.

An environment is a folder under `.cache/peers`, made by venv and pip, once. Peers share one where their versions go
together (torch is large); what a peer needs beyond it is installed for it alone, so that what cannot be installed is
that peer's failure and no other's.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forms import ROOT

from mct.bench.worker.environment import ALONE, THREAD_VARIABLES
from mct.models.writing.folders import write_json

PEERS = ROOT / ".cache" / "peers"
WORKERS = Path(__file__).resolve().parent / "peers_workers"
READY = "mct-ready.json"
OURS = ""
"""The environment that mct itself runs in."""

ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    "transformers": ("torch==2.13.0", "transformers==5.5.4"),
    # optimum-onnx stands still at transformers 4 and optimum 2.1: nothing of today lives beside it.
    "optimum-onnx": ("torch==2.13.0", "optimum-onnx[onnxruntime]==0.1.0", "onnxscript"),
    "model2vec": ("torch==2.13.0", "model2vec[distill,train,quantization]==0.10.0"),
    "olive": ("torch==2.13.0", "olive-ai[auto-opt]==0.13.0", "onnxruntime==1.31.1", "requests"),
}
# optimum-intel pulls in a torchvision built for another torch, which then breaks transformers.
UNWANTED = ("torchvision",)


@dataclass(frozen=True)
class System:
    """One row: its name, where it runs, and the functions of results/peers_workers that make and open its model.

    `packages` are installed into the environment for it alone. Without `make` it runs the checkpoint; `of` is the form
    of ours that its model is made of, in place of the checkpoint; `folder` is where one of ours lies.
    """

    name: str
    environment: str
    open: str
    make: str = ""
    packages: tuple[str, ...] = ()
    of: str = ""
    folder: Path | None = None

    @property
    def slug(self) -> str:
        """A name for files."""
        return "".join(sign if sign.isalnum() else "-" for sign in self.name.lower()).strip("-")


EAGER = "PyTorch eager"
CLASSIFIERS = (
    System(EAGER, "transformers", "encoders:open_eager"),
    System("torch.compile", "transformers", "encoders:open_compiled"),
    System("optimum -O3", "optimum-onnx", "encoders:open_optimum", "encoders:make_optimum_o3"),
    System("optimum dynamic INT8", "optimum-onnx", "encoders:open_optimum", "encoders:make_optimum_int8"),
    System("-O3 and INT8 by hand", "optimum-onnx", "encoders:open_onnx", "encoders:make_expert"),
    System("Olive, automatic, INT8", "olive", "encoders:open_onnx", "encoders:make_olive"),
    System(
        "optimum-intel OpenVINO INT8", "transformers", "encoders:open_openvino", "encoders:make_openvino",
        ("optimum-intel[openvino]==2.2.0", "openvino==2026.4.1", "nncf==3.4.0", "datasets==4.8.5"),
    ),
    System("model2vec", "model2vec", "encoders:open_model2vec", "encoders:make_model2vec"),
)  # fmt: skip
# Quantised from our own F32 file: its own converter leaves out a matrix that is stored under the name of its other use.
_LLAMA_CPP = (("llama-cpp-python==0.3.36",), "gguf-f32")
WRITERS = (
    System(EAGER, "transformers", "writers:open_eager"),
    System("llama.cpp Q8_0", "transformers", "writers:open_llama", "writers:make_q8_0", *_LLAMA_CPP),
    System("llama.cpp Q4_K_M", "transformers", "writers:open_llama", "writers:make_q4_k_m", *_LLAMA_CPP),
    System(
        "onnxruntime-genai INT4", "transformers", "writers:open_genai", "writers:make_genai",
        ("onnxruntime-genai==0.18.0", "onnx-ir", "onnxruntime==1.31.1"),
    ),
)  # fmt: skip


class Unavailable(Exception):  # noqa: N818 - what happened, not an error of ours
    """A peer cannot be had; the text is the reason that its row shows."""


def interpreter(system: System, wheels: Path | None) -> Path:
    """The Python of its environment, which is made where it is not there yet. Unavailable with pip's reason."""
    if system.environment == OURS:
        return Path(sys.executable)
    folder = PEERS / system.environment
    python = folder / "bin" / "python"
    done: list[list[str]] = json.loads((folder / READY).read_text()) if (folder / READY).is_file() else []
    for packages in map(list, (ENVIRONMENTS[system.environment], system.packages)):
        if not packages or packages in done:
            continue
        print(f"installing {' '.join(packages)}", file=sys.stderr, flush=True)
        if not done:
            _told([sys.executable, "-m", "venv", folder])
        found = ("--find-links", wheels, "--prefer-binary") if wheels else ()
        pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
        # What is there already keeps its version, or pip says why it cannot.
        _told([*pip, "install", *found, *(word for each in done for word in each if "==" in word), *packages])
        _told([*pip, "uninstall", "--yes", *UNWANTED])
        done.append(packages)
        write_json(folder / READY, done)
    return python


def environment(system: System, threads: int) -> dict[str, str]:
    """For its process: the same threads as everybody, nothing of ours on its path but mct, no hub, no telemetry."""
    found = {
        **os.environ,
        **dict.fromkeys(("HF_HUB_OFFLINE", "DO_NOT_TRACK", "ORT_DISABLE_TELEMETRY", "OLIVE_DISABLE_TELEMETRY"), "1"),
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "TOKENIZERS_PARALLELISM": "false",
        "TORCHINDUCTOR_CACHE_DIR": str(PEERS / "inductor"),
        "PYTHONPATH": str(ROOT / ".dev"),
    }
    return found | ({ALONE: "1"} if system.environment == OURS else {})


def _told(command: Sequence[Any]) -> None:
    """Run it; Unavailable with the last line of its complaint where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said or ["it says nothing"]
        raise Unavailable(f"cannot be installed: {errors[-1].strip()}")

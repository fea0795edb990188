"""What executes a model: one table row and one leaf file per runtime.

A runtime's leaf file gives `open_session(executable, threads) -> Session`. A session takes token ids and gives arrays;
text and labels are not its business, so that parity, bench and `mct run` all measure the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mct.models.tables import load, unknown
from mct.models.tasks.table import network_of
from mct.targets.arithmetic import Arithmetic, arithmetic_of
from mct.targets.devices.gpus import CPU, CUDA, OPENVINO_GPU, WEBGPU
from mct.targets.machine import Machine
from mct.targets.probe import RuntimeState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mct.models.checkpoints.checkpoint import Checkpoint
    from mct.models.tasks.tokens import Tokens
    from mct.targets.target import Target


DEFERRED = "deferred"
"""Beside its answers a cascade says which inputs of a batch went to its second stage: (batch,), of truth values."""


class Session(Protocol):
    """An opened model: a batch of encoded inputs (unpadded) to named outputs, each float32 of shape (batch, ...).

    Outputs by task: "logits" (batch, labels) for one label or several, (batch, tokens, labels) for tags, (batch, 1) for
    scores of pairs and rewards; "<head>_logits" for each of several heads; "sentence_embedding" (batch, width).
    """

    def __call__(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]: ...


class Generator(Session, Protocol):
    """An opened causal language model. Called with one input it gives all its "logits", (1, tokens, vocabulary).

    Writing is the same work in every runtime, since it is timed: the prompt in one go, of which only the last token's
    logits are computed, into a cache whose memory is there already and is not wiped; then one step a token.
    """

    def write(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> Iterator[int]:
        """The `most` likeliest next token ids (greedy, with a KV cache), each as it is found, ending before `stop`.

        Written to the end before the session is used again.
        """
        ...

    def generate(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> list[int]:
        """The same all at once."""
        ...


@runtime_checkable
class ShowsExperts(Protocol):
    """A generator whose runtime shows which experts of a mixture each token goes to."""

    def with_experts(self, batch: Sequence[Tokens]) -> dict[str, NDArray[np.generic]]:
        """Called as a session is; "experts", (1, tokens, layers, experts), are True for those chosen."""
        ...


@dataclass(frozen=True)
class Executable:
    """All that a runtime needs to open a model.

    `model` is the model file relative to `folder` ("" for a Hugging Face folder run by torch). `settings` are the
    runtime's own, as recorded by the pass that wrote the model (length buckets, pooling, ...). `outputs` is the number
    of labels of a model with one head, 0 otherwise. `device` is "cpu", "cuda:GPU-…" by its UUID, or "openvino:GPU".
    """

    folder: Path
    model: str
    task: str
    outputs: int
    max_tokens: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: str = CPU

    @property
    def network(self) -> str:
        """The task whose network it has: how it is opened."""
        return network_of(self.task)

    def with_adapter(self, name: str) -> Executable:
        """The same with one of the adapters that are kept beside the model. MctError where none has that name."""
        adapters = self.settings.get("adapters", {})
        if name not in adapters:
            raise unknown("adapter", name, adapters)
        return replace(self, settings={**self.settings, "adapter": name})

    @property
    def adapter(self) -> Path | None:
        """The file of the adapter that was asked for; None where the model answers as it is."""
        asked = self.settings.get("adapter") if "adapters" in self.settings else None
        return None if asked is None else self.folder / self.settings["adapters"][asked]

    @property
    def sizes(self) -> Path:
        """The folder that holds the config.json of its network: its own, or that of the base that an adapter names."""
        return Path(self.settings.get("base", self.folder))

    @property
    def vocabulary(self) -> Path:
        """The folder that holds its tokenizer: its own, or that of its base where it has none."""
        return self.folder if (self.folder / "tokenizer.json").is_file() else self.sizes


@dataclass(frozen=True)
class Runtime:
    """One table row: the format it runs, the library and pip extra it needs, the functions that open a session.

    `open` opens encoders, `open_lm` causal language models, as a Generator. `open_reward` opens reward models where
    these, decoders that give one number, need a function of their own.

    `answers_at_once`: how many inputs one call may take without changing any answer. Dynamic INT8 takes its range from
    the whole batch, static shapes and llama.cpp gain nothing from one: 1 for these.

    `concurrent`: whether several threads may call a session of an encoder at once. Language models keep a cache: never.

    `settings` names the type of what an artifact of this format tells its runtime, "" where there are no artifacts.

    `devices` are those it runs on where its library is built for them. `stand_ins` are further distributions that bring
    the same library, built for a GPU.
    """

    name: str
    format: str
    distribution: str
    extra: str
    open: str
    open_lm: str
    answers_at_once: int = 1
    concurrent: bool = False
    open_reward: str = ""
    settings: str = ""
    devices: tuple[str, ...] = (CPU,)
    stand_ins: tuple[str, ...] = ()

    def opener(self, task: str) -> str:
        """The function that opens a model of that task."""
        if task == "reward" and self.open_reward:
            return self.open_reward
        return self.open_lm if task == "causal-lm" else self.open


RUNTIMES = (
    Runtime(
        "onnxruntime", "onnx", "onnxruntime", "onnx",
        "mct.targets.runtimes.run_onnxruntime:open_session", "mct.targets.runtimes.generate_onnxruntime:open_session",
        concurrent=True, settings="mct.targets.runtimes.settings:OnnxSettings",
        devices=(CPU, CUDA), stand_ins=("onnxruntime-gpu",),
    ),
    Runtime(
        "openvino", "openvino", "openvino", "openvino",
        "mct.targets.runtimes.run_openvino:open_session", "mct.targets.runtimes.generate_openvino:open_session",
        settings="mct.targets.runtimes.settings:OpenvinoSettings",
        devices=(CPU, OPENVINO_GPU),
    ),
    Runtime(
        "llama.cpp", "gguf", "llama-cpp-python", "gguf",
        "mct.targets.llama.encoders:open_session", "mct.targets.llama.generate:open_session",
        open_reward="mct.targets.llama.rewards:open_session",
        settings="mct.targets.runtimes.settings:LlamaSettings",
        devices=(CPU, CUDA),
    ),
    Runtime(
        "torch", "checkpoint", "torch", "compress",
        "mct.targets.runtimes.run_torch:open_session", "mct.targets.runtimes.generate_torch:open_session",
        answers_at_once=32, concurrent=True, devices=(CPU, CUDA),
    ),
)  # fmt: skip


def runtime_for(format_name: str) -> Runtime:
    """The runtime that executes a format ("onnx", "openvino", "gguf", or "checkpoint")."""
    for runtime in RUNTIMES:
        if runtime.format == format_name:
            return runtime
    raise unknown("format", format_name, (runtime.format for runtime in RUNTIMES))


def runtime_states(machine: Machine) -> tuple[RuntimeState, ...]:
    """Every runtime as it is here: its version, what it computes in on `machine`, else the line that brings it."""
    found = []
    for runtime in RUNTIMES:
        version = installed_version(runtime)
        missing = "" if version else f"pip install 'mangaassist-mct[{runtime.extra}]'"
        computes = _computes(arithmetic_of(machine))[runtime.name] if version else ()
        if version and (version.partition("+")[2].startswith("cu") or _stand_in(runtime)):
            computes += (CUDA,)
        found.append(RuntimeState(runtime.name, version, computes, missing))
    return tuple(found)


def _computes(arithmetic: Arithmetic) -> dict[str, tuple[str, ...]]:
    int8 = "int8 in 7 bits" if arithmetic.saturates else "int8"
    bfloat16 = ("bf16",) if arithmetic.bfloat16 else ()
    return {
        "onnxruntime": ("fp32", int8, "int4 weights"),
        "openvino": ("fp32", *bfloat16, int8, "int4 weights"),
        "llama.cpp": ("f32", "f16", "blocks of 8 to 2 bits"),
        "torch": ("fp32", *bfloat16),
    }


IN_JAVASCRIPT = {"onnxruntime-web": "onnxruntime"}
"""Runtimes of a page and of Node, by the one here whose artifacts they run."""


def runtimes_of(target: Target) -> frozenset[str]:
    """The runtimes that a target names, by their names here. MctError for one that mct does not know."""
    known = {each.name: each.name for each in RUNTIMES} | IN_JAVASCRIPT
    for name in target.runtimes:
        if name not in known:
            raise unknown(f"runtime in target {target.name}", name, known)
    return frozenset(known[name] for name in target.runtimes)


def is_on(runtime: Runtime, target: Target) -> bool:
    """Whether a target runs the runtime's artifacts, on such a device. MctError as `runtimes_of` has it."""
    named = not target.runtimes or runtime.name in runtimes_of(target)
    device = CPU if target.device == WEBGPU else target.device  # its page computes beside it what it cannot
    return device in runtime.devices and named


def original(checkpoint: Checkpoint) -> Executable:
    """A checkpoint as torch runs it at fp32: the original that every artifact is held against."""
    told = checkpoint.adaptation.told.as_json() | {"base": str(checkpoint.sizes)} if checkpoint.adaptation else {}
    return Executable(checkpoint.path, "", checkpoint.task, len(checkpoint.labels), checkpoint.max_tokens, told)


def open_session(runtime: Runtime, executable: Executable, threads: int) -> Session:
    """Open a model on `threads` threads. MctError with the pip line when the runtime is not installed."""
    session: Session = load(runtime.opener(executable.network), runtime.extra)(executable, threads)
    return session


def _stand_in(runtime: Runtime) -> bool:
    """Whether a distribution for GPUs brings its library here."""
    for distribution in runtime.stand_ins:
        with suppress(PackageNotFoundError):
            return bool(version(distribution))
    return False


def installed_version(runtime: Runtime) -> str | None:
    """Version of the runtime's library, None where it is not installed. Imports nothing."""
    for distribution in (runtime.distribution, *runtime.stand_ins):
        with suppress(PackageNotFoundError):
            return version(distribution)
    return None

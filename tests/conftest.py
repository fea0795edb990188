"""What several test files share: small real checkpoints, written by the libraries that users write them with.

`make test` runs as many workers as this process may use CPUs, each kept to one of them, so that no library of any
worker starts more threads than there is room for; `pytest` alone runs everything in one process on all of them.
"""

import gc
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mct.targets.machine import probe_machine

WORKER_MB = 2_500
"""What a worker takes once it has seen torch, OpenVINO and NNCF."""


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: the CPUs that affinity and quota leave, as long as the memory goes round."""
    machine = probe_machine()
    return max(1, min(machine.usable_threads, machine.memory_mb // WORKER_MB))


def _keep_to_one_cpu(worker: str) -> None:
    """Every library asks the system how many CPUs there are; none of them has to be told."""
    usable = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {usable[int(worker.removeprefix("gw")) % len(usable)]})


if "PYTEST_XDIST_WORKER" in os.environ and hasattr(os, "sched_setaffinity"):
    _keep_to_one_cpu(os.environ["PYTEST_XDIST_WORKER"])


@pytest.fixture(scope="module", autouse=True)
def _spare_the_garbage_collector() -> None:
    """What the libraries made when they were imported stays: some passes collect garbage by hand, through all of it."""
    gc.freeze()


TEXTS = (
    "Where is my order?", "I want to return volume 3, it arrived damaged", "recommend me something like Berserk",
    "is this suitable for a 12 year old", "my card was declined at checkout", "let me talk to a human now",
    "do you have One Piece box sets in stock", "hi", "注文 12345 はどこですか", "how long does shipping take to Osaka",
)  # fmt: skip

LABELS = ("order_tracking", "returns", "other")


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT classifier with random weights, three labels and its own WordPiece vocabulary: in a second.

    Two thirds of the texts' words are in it, and every character: the library's trainer, which would find
    better pieces, gives others in every run, and so another model.
    """
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "bert"
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    plain, cut = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in TEXTS for word, _ in cut.pre_tokenize_str(plain.normalize_str(text))})
    characters = sorted({character for word in words for character in word})
    whole = [word for place, word in enumerate(words) if len(word) > 1 and (place % 3 or len(word) == 2)]
    pieces = [*specials, *characters, *(f"##{character}" for character in characters), *whole]
    tokenizer = Tokenizer(models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = plain, cut
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=128, max_position_embeddings=64, initializer_range=0.3,
        id2label=dict(enumerate(LABELS)), label2id={label: number for number, label in enumerate(LABELS)},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=64).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights, whose tokenizer has every byte and a few pieces, put together by hand."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "llama"
    merges = [("o", "r"), ("or", "d"), ("e", "r"), ("ord", "er"), ("t", "h"), ("i", "s"), ("Ġ", "a"), ("i", "n")]
    pieces = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *(left + right for left, right in merges)]
    tokenizer = Tokenizer(models.BPE({piece: place for place, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(pieces), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, max_position_embeddings=128, initializer_range=0.15, bos_token_id=0, eos_token_id=1,
        pad_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", model_max_length=128
    ).save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class HubCache:
    """A folder for HF_HOME that holds one model, "org/bert", at one commit, in `snapshot`."""

    home: Path
    commit: str
    snapshot: Path


@pytest.fixture(scope="session")
def hub_cache(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> HubCache:
    """The tiny BERT as the hub's library caches it: files are links into `blobs`, `refs` name the commits."""
    home, commit = tmp_path_factory.mktemp("hf-home"), "b" * 40
    repository = home / "hub" / "models--org--bert"
    snapshot = repository / "snapshots" / commit
    for folder in (repository / "refs", repository / "blobs", snapshot):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    for file in tiny_bert.iterdir():
        content = file.read_bytes()
        blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return HubCache(home, commit, snapshot)


@pytest.fixture(scope="session")
def tiny_onnx(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the tiny BERT's artifacts "onnx-fp32" and "onnx-int8": to read or to copy, not to change."""
    from mct.compress.plan.plan import make_plan
    from mct.compress.run.execute import execute
    from mct.compress.run.resources import gather
    from mct.models.checkpoints.checkpoint import inspect

    folder = tmp_path_factory.mktemp("onnx")
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    plan = make_plan(inspect(tiny_bert), ["onnx"], ["fp32", "int8"])
    resources, requests = gather(plan, None, folder / "texts.jsonl", {}, seed=0)
    execute(plan, resources, requests, folder)
    return folder


@pytest.fixture
def files_of_at_most() -> Callable[[int], AbstractContextManager[None]]:
    """Files of so many bytes at most while it lasts, as on a disk with so many left.

    Python ignores the signal, so that writing fails with an error.
    """

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


Completed = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def run_mct() -> Callable[..., Completed]:
    """Run the whole command line, from `sys.argv` to the exit code: in this process, which has its libraries loaded.

    `input` is what it reads from stdin. With other options of `subprocess.run` (`cwd`, `env`) in a process of its own,
    as a user does.
    """

    def run(*words: object, input: str = "", **options: Any) -> Completed:
        if options:
            return _run_apart(*map(str, words), input=input, **options)
        return _run_here(*map(str, words), given=input)

    return run


def _run_apart(*words: str, **options: Any) -> Completed:
    command = [sys.executable, "-m", "mct.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, **options)


def _run_here(*words: str, given: str) -> Completed:
    """What `main` prints and exits with; a bug's exception comes through, which is its traceback."""
    from mct.cli import main

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    said, told = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(told):
        patch.setattr(sys, "argv", ["mct", *words])
        patch.setattr(sys, "stdin", io.StringIO(given))
        patch.setattr(sys, "unraisablehook", sys.unraisablehook)  # `main` sets its own
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    stdout, stderr = (stream.buffer.getvalue().decode() for stream in (said, told))  # type: ignore[attr-defined]
    return Completed(["mct", *words], int(code or 0), stdout, stderr)


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder that `make node` filled with transformers.js (it needs npm, and half a gigabyte)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mct" / "node"
    folder = Path(os.environ.get("MCT_NODE") or cache)
    if not shutil.which("node") or not (folder / "node_modules" / "@huggingface" / "transformers").is_dir():
        pytest.skip("transformers.js is not here: install Node, then run `make node`")
    return folder

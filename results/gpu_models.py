"""The models of results/gpu.py and what one request to each of them is: random weights, so nothing has to be fetched.

Torch, transformers and the light files of `mct.targets.devices` alone. A request begins with token ids in Python and
ends with the answer in Python (a label, a vector, fifty scores, token ids): what goes to the GPU and what comes back is
in it, and so is waiting for both.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
)

from mct.targets.devices.torch_device import TorchDevice
from mct.targets.devices.torch_loop import Loop
from mct.targets.devices.torch_weights import HALVES, lowered, weight_bytes

NEW_TOKENS, PROMPT_TOKENS, CANDIDATES, LABELS = 32, 128, 50, 10
LENGTHS = (6, 40)
PAIR_LENGTHS = (24, 64)
STEP = 8

Request = list[list[int]]


@dataclass(frozen=True)
class Size:
    """How large the models are: those that people ship, or small enough for a test."""

    encoder: dict[str, int]
    router: dict[str, int]
    llama: dict[str, int]


WHOLE = Size(
    {"vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
     "intermediate_size": 1536},
    {"vocab_size": 30522, "dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072},
    {"vocab_size": 128256, "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
     "num_key_value_heads": 8, "intermediate_size": 8192, "max_position_embeddings": 4096},
)  # fmt: skip
SMALL = Size(
    {"vocab_size": 500, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256},
    {"vocab_size": 500, "dim": 128, "n_layers": 2, "n_heads": 4, "hidden_dim": 256},
    {"vocab_size": 512, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
     "num_key_value_heads": 2, "intermediate_size": 256, "max_position_embeddings": 512},
)  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A model ready to answer; what `writes` gives its tokens one by one."""

    answer: Callable[[Request], Any]
    weights_mb: float
    writes: bool = False


def requests_of(kind: str, size: Size, count: int) -> list[Request]:
    """So many requests of random token ids, of lengths as short texts have them."""
    rng = random.Random(0)
    vocabulary = size.llama["vocab_size"] if kind == "llama" else size.encoder["vocab_size"]

    def text(length: int) -> list[int]:
        return [rng.randrange(5, vocabulary) for _ in range(length)]

    if kind == "llama":
        return [[text(PROMPT_TOKENS)] for _ in range(count)]
    if kind == "cross-encoder":
        return [[text(rng.randint(*PAIR_LENGTHS)) for _ in range(CANDIDATES)] for _ in range(count)]
    return [[text(rng.randint(*LENGTHS))] for _ in range(count)]


def open_model(kind: str, size: Size, device: TorchDevice, way: Sequence[str]) -> Opened:
    """The model on the device in the way that these words say: a precision, "compile", "graphs".

    The same weights in every way. RuntimeError and more where torch, or the card, cannot.
    """
    precision = next((word for word in way if word not in {"compile", "graphs", "eager"}), "fp32")
    torch.manual_seed(0)
    model = _made(kind, size, device, precision)
    model.requires_grad_(False)
    lowered(model, precision)
    size_mb = weight_bytes(model) / 1e6
    if kind == "llama":
        return Opened(_writer(model, device, way), size_mb, writes=True)
    if "compile" in way:
        model.forward = torch.compile(model.forward, dynamic=True)
    forward = _graphed(model, device) if "graphs" in way else _eager(model, device)
    return Opened(lambda request: _ANSWERS[kind](forward(request)), size_mb)


def _made(kind: str, size: Size, device: TorchDevice, precision: str) -> Any:
    """The model, drawn where it will be. A decoder of a billion is drawn in half precision already."""
    half = HALVES.get(precision, torch.bfloat16) if kind == "llama" and precision != "fp32" else torch.float32
    before = torch.get_default_dtype()
    torch.set_default_dtype(half)
    try:
        with torch.device(device.name):
            if kind == "router":
                made: Any = DistilBertForSequenceClassification(DistilBertConfig(**size.router, num_labels=LABELS))
            elif kind == "embedder":
                made = BertModel(BertConfig(**size.encoder), add_pooling_layer=False)
            elif kind == "cross-encoder":
                made = BertForSequenceClassification(BertConfig(**size.encoder, num_labels=1))
            else:
                made = LlamaForCausalLM(LlamaConfig(**size.llama, pad_token_id=0, bos_token_id=1, eos_token_id=2))
    finally:
        torch.set_default_dtype(before)
    return made.train(False)


def _padded(request: Request, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, (texts, longest of them or the next multiple of `step`), on the CPU."""
    length = -(-max(map(len, request)) // step) * step
    ids = torch.tensor([text + [0] * (length - len(text)) for text in request])
    mask = torch.tensor([[1] * len(text) + [0] * (length - len(text)) for text in request])
    return ids, mask


def _forward(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Logits, (texts, labels); of an embedder the mean of its tokens' vectors, (texts, width)."""
    found = model(input_ids=ids, attention_mask=mask)
    if hasattr(found, "logits"):
        logits: torch.Tensor = found.logits
        return logits
    hidden, shown = found.last_hidden_state, mask[:, :, None].to(found.last_hidden_state.dtype)
    return (hidden * shown).sum(dim=1) / shown.sum(dim=1)


def _eager(model: Any, device: TorchDevice) -> Callable[[Request], torch.Tensor]:
    def forward(request: Request) -> torch.Tensor:
        ids, mask = _padded(request, 1)
        with torch.inference_mode():
            return _forward(model, device.put(ids), device.put(mask)).float().cpu()

    return forward


def _graphed(model: Any, device: TorchDevice) -> Callable[[Request], torch.Tensor]:
    graphs: dict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor, Callable[[], torch.Tensor]]] = {}

    def forward(request: Request) -> torch.Tensor:
        ids, mask = _padded(request, STEP)
        shape = tuple(ids.shape)
        with torch.inference_mode():
            if shape not in graphs:
                place = device.put(ids.clone()), device.put(mask.clone())
                graphs[shape] = (*place, device.captured(lambda: _forward(model, *place)))
            on_ids, on_mask, replay = graphs[shape]
            on_ids.copy_(ids)
            on_mask.copy_(mask)
            return replay().float().cpu()

    return forward


def _writer(model: Any, device: TorchDevice, way: Sequence[str]) -> Callable[[Request], Iterator[int]]:
    loop = Loop(model, device, PROMPT_TOKENS + 2 * NEW_TOKENS, {"logits_to_keep": 1}, recorded="graphs" in way)
    if "compile" in way:  # the step alone: it is what is run 32 times, and one shape takes half the time to compile
        loop.stepping = torch.compile(model, dynamic=False)

    def write(request: Request) -> Iterator[int]:
        return islice(loop.tokens(request[0]), NEW_TOKENS)

    return write


_ANSWERS: dict[str, Callable[[torch.Tensor], Any]] = {
    "router": lambda logits: int(logits.argmax()),
    "embedder": lambda vectors: vectors[0].tolist(),
    "cross-encoder": lambda logits: logits[:, 0].tolist(),
}

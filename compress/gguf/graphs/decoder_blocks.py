"""The parts that the Llama and Qwen families share: rotary attention, gated feed-forward, experts, embeddings.

Names on the right are Hugging Face's, on the left GGUF's. Shapes are worked out from the configuration, in the
checkpoint's own order (rows are outputs).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mct import MctError
from mct.compress.gguf.graphs.decoders import Arrange, Array, Config, Weight, only, plain
from mct.compress.gguf.graphs.encoders import Tensor
from mct.models.families.rotations import kind_of, rotations, share_of


@dataclass(frozen=True)
class Sizes:
    """The dimensions of a rotary decoder; `rotated` counts the channels of a head that turn."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head: int
    rotated: int
    feed_forward: int
    vocabulary: int
    positions: int


def read_sizes(config: Config) -> Sizes:
    """The dimensions in a configuration, the width of a head worked out where it is not given."""
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    return Sizes(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head=head,
        rotated=int(head * share_of(config, rotations(config)[0])),
        feed_forward=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
    )


def keys(config: Config, sizes: Sizes, context: int) -> dict[str, int | float | str | Sequence[bool]]:
    """The dimensions as GGUF's keys."""
    return {
        "context_length": context,
        "embedding_length": sizes.hidden,
        "feed_forward_length": sizes.feed_forward,
        "block_count": sizes.layers,
        "attention.head_count": sizes.heads,
        "attention.head_count_kv": sizes.kv_heads,
        "attention.key_length": sizes.head,
        "attention.value_length": sizes.head,
        "attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "rope.dimension_count": sizes.rotated,
        "vocab_size": sizes.vocabulary,
        **rope_keys(config),
    }


def rope_keys(config: Config) -> dict[str, int | float | str]:
    """The rotation as GGUF's keys; where each kind of layer has its own, that of those without a window."""
    rope = config["rope_parameters"].get("full_attention") or config["rope_parameters"]
    found: dict[str, int | float | str] = {"rope.freq_base": float(rope["rope_theta"])}
    if rope["rope_type"] == "linear":
        found |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(rope["factor"])}
    return found


def require_rope(config: Config, *known: str, partial: bool = False) -> None:
    """MctError for a way of stretching positions that this graph of llama.cpp does not have, or we do not write."""
    for rotation in rotations(config):
        if kind_of(rotation) not in known or (share_of(config, rotation) != 1.0 and not partial):
            raise MctError(
                f"the rotary positions of this checkpoint are {kind_of(rotation)!r}, which cannot be written as GGUF "
                "yet",
                f"those that can: {', '.join(known)}{'' if partial else ', over the whole head'}",
            )


def require_square_heads(config: Config) -> None:
    """MctError where heads do not add up to the width. Where the width of a head is not said, they do."""
    heads, head, hidden = (config.get(key) for key in ("num_attention_heads", "head_dim", "hidden_size"))
    if heads and head and hidden and heads * head != hidden:
        raise MctError(
            f"llama.cpp's {config['model_type']} has heads that add up to its width; this checkpoint has "
            f"{heads} of {head} in {hidden}",
            "choose --format onnx or openvino for it",
        )


def within_window(config: Config, positions: int) -> tuple[int, tuple[str, ...]]:
    """The longest input of a graph that looks at everything before a token, and what to say of it."""
    context = min(positions, config.get("sliding_window") or positions)
    return context, (f"inputs end at the sliding window of {context} tokens",) if context < positions else ()


def llama3_factors(config: Config, sizes: Sizes) -> Array:
    """What llama.cpp divides each rotary frequency by, for Llama 3's stretched positions.

    Long wavelengths are slowed by `factor`, short ones kept, those between mixed: transformers'
    `_compute_llama3_parameters`, as ratios.
    """
    rope = config["rope_parameters"]
    wavelengths = 2 * math.pi * rope["rope_theta"] ** (np.arange(0, sizes.head, 2) / sizes.head)
    turns = rope["original_max_position_embeddings"] / wavelengths
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    share = np.clip((turns - low) / (high - low), 0.0, 1.0)
    factors: Array = (1 / ((1 - share) / rope["factor"] + share)).astype(np.float32)
    return factors


def embeddings(config: Config, sizes: Sizes, output_needed: bool) -> Iterator[Weight]:
    """Token embeddings, last norm, and the output matrix.

    Tied embeddings have none in the file; llama.cpp then multiplies with the embeddings, but in a graph that insists on
    one (`output_needed`). Importance belongs to the matrix that makes the logits.
    """
    shape, tied = (sizes.vocabulary, sizes.hidden), config["tie_word_embeddings"]
    source = "model.embed_tokens.weight"
    yield plain("token_embd.weight", source, shape, reads="lm_head" if tied and not output_needed else "")
    yield plain("output_norm.weight", "model.norm.weight", (sizes.hidden,))
    if output_needed or not tied:
        yield plain("output.weight", source if tied else "lm_head.weight", shape, reads="lm_head")


def attention(layer: int, sizes: Sizes, biased: Sequence[str], rope: Arrange | None = None) -> Iterator[Weight]:
    """Norm and the four projections of a layer. `biased` are those with a bias.

    `rope`: how rows of queries and keys are reordered, one head after the other, for the graph's kind of rotation.
    """
    q, kv = sizes.heads * sizes.head, sizes.kv_heads * sizes.head
    shapes = {"q": (q, sizes.hidden), "k": (kv, sizes.hidden), "v": (kv, sizes.hidden), "o": (sizes.hidden, q)}
    names = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output"}
    source = f"model.layers.{layer}"
    yield plain(f"blk.{layer}.attn_norm.weight", f"{source}.input_layernorm.weight", (sizes.hidden,))
    for part, shape in shapes.items():
        module, name = f"{source}.self_attn.{part}_proj", f"blk.{layer}.{names[part]}"
        arrange = partial(_by_head, sizes.head, rope) if rope and part in {"q", "k"} else only
        yield plain(f"{name}.weight", f"{module}.weight", shape, arrange, reads=module)
        if part in biased:
            yield plain(f"{name}.bias", f"{module}.bias", shape[:1], arrange)


def _by_head(size: int, arrange: Arrange, sources: Sequence[Array]) -> Array:
    values = only(sources)
    heads = np.split(values, len(values) // size)
    return np.concatenate([arrange([head]) for head in heads])


def interleave(sources: Sequence[Array]) -> Array:
    """Rows of one head from "first half, second half" to pairs that lie side by side.

    Rotation turns pairs of channels. Hugging Face pairs channel i with i + half; llama.cpp's "llama" graph pairs
    neighbours, as Meta's own weights did.
    """
    head = only(sources)
    half = len(head) // 2
    result: Array = np.stack([head[:half], head[half:]], axis=1).reshape(head.shape)
    return result


def feed_forward(layer: int, sizes: Sizes, biased: bool = False) -> Iterator[Weight]:
    """Norm and the gated feed-forward of a layer."""
    yield feed_forward_norm(layer, sizes)
    yield from gated(layer, sizes, biased)


def gated(layer: int, sizes: Sizes, biased: bool = False) -> Iterator[Weight]:
    """The gated feed-forward of a layer."""
    source = f"model.layers.{layer}.mlp"
    yield from _gated(source, f"blk.{layer}.ffn_{{}}", sizes.hidden, sizes.feed_forward, biased)


def feed_forward_norm(layer: int, sizes: Sizes) -> Weight:
    """The norm before a layer's feed-forward."""
    source = f"model.layers.{layer}.post_attention_layernorm.weight"
    return plain(f"blk.{layer}.ffn_norm.weight", source, (sizes.hidden,))


def shared_expert(layer: int, sizes: Sizes, width: int) -> Iterator[Weight]:
    """The expert that sees every token (Qwen2-MoE), and its gate."""
    source = f"model.layers.{layer}.mlp.shared_expert"
    yield from _gated(source, f"blk.{layer}.ffn_{{}}_shexp", sizes.hidden, width, biased=False)
    gate = (Tensor("gate", f"{source}_gate.weight", (1, sizes.hidden)),)
    yield Weight(f"blk.{layer}.ffn_gate_inp_shexp.weight", gate, lambda sources: only(sources)[0])


def _gated(source: str, name: str, hidden: int, width: int, biased: bool) -> Iterator[Weight]:
    for part, shape in {"gate": (width, hidden), "up": (width, hidden), "down": (hidden, width)}.items():
        module, target = f"{source}.{part}_proj", name.format(part)
        yield plain(f"{target}.weight", f"{module}.weight", shape, reads=module)
        if biased:
            yield plain(f"{target}.bias", f"{module}.bias", shape[:1])


def experts(layer: int, sizes: Sizes, count: int, width: int, names: dict[str, str], module: str) -> Iterator[Weight]:
    """Router and experts of a layer: each of the three matrices of all experts as one, stacked.

    `names` are the checkpoint's of "gate", "up" and "down"; `module` is where it keeps router and experts.
    """
    source = f"model.layers.{layer}.{module}"
    yield plain(f"blk.{layer}.ffn_gate_inp.weight", f"{source}.gate.weight", (count, sizes.hidden))
    shapes = {"gate": (width, sizes.hidden), "up": (width, sizes.hidden), "down": (sizes.hidden, width)}
    for part, shape in shapes.items():
        sources = tuple(
            Tensor(part, f"{source}.experts.{expert}.{names[part]}.weight", shape) for expert in range(count)
        )
        yield Weight(
            f"blk.{layer}.ffn_{part}_exps.weight", sources, np.stack,
            reads=f"model.layers.{layer}.mlp.experts", part="down" if part == "down" else "up",
        )  # fmt: skip

"""One row a `model_type`: which tensor plays which part, what config.json calls its sizes, what each format calls it.

Everything that hangs on a family is asked of its row, so that a new one is added here, or by another package: its entry
point of the group `mct.families` names a row, or a tuple of rows. Parts are named by what they do, the same for all; a
family that lacks one, or has it fused with others, leaves it out. Names are those of the bare backbone; where it was
saved with a head, `prefix` stands before them.

Light: nothing is imported here that a plan does not have already.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mct.models.tables import added_by_others


@dataclass(frozen=True)
class ConfigKeys:
    """What config.json calls each size.

    `embeddings` is the width of the embeddings, where that may be another than the layers' and they are projected then.
    """

    hidden: str = "hidden_size"
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    feed_forward: str = "intermediate_size"
    activation: str = "hidden_act"
    embeddings: str = ""


@dataclass(frozen=True)
class Classifier:
    """A family's head for labels: two linear layers with an activation between, by their names in the checkpoint.

    `norm` stands behind the activation where there is one.
    """

    dense: str
    output: str
    activation: Literal["tanh", "relu", "gelu"] = "tanh"
    norm: str = ""


@dataclass(frozen=True)
class Traits:
    """What a decoder's layers do otherwise than Llama's, where neither its weights nor config.json tell.

    `norms_add_one`: its norms multiply by 1 + weight. `windowed_throughout`: a sliding window in config.json is that of
    every layer. `by_layer`: keys of config.json that list what each layer does, which hangs on its number where they
    are left out.
    """

    norms_add_one: bool = False
    windowed_throughout: bool = False
    by_layer: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """One architecture.

    `layers` is what stands before a layer's number. `words` is the table of word embeddings, `word_rows` whatever else
    has a row for each piece of the vocabulary: an output matrix or its bias. `parts` maps parts to modules, "{layer}"
    standing for a layer and its number.

    `graphs` says by format which of its graphs computes the family: "onnx" and "gguf" a graph of ours, "openvino" the
    tasks that the exporter gets right, "genai" the family that onnxruntime-genai takes it for. `refused` gives the
    reason where a format has none, or one that computes a part of the family. `positions_follow_padding`: position ids
    begin at pad_token_id + 1, and the rows of the table before that are never used. `decoder`: it reads from left to
    right, in layers with these `traits`. `says_head_width`: its config.json can say how wide an attention head is, so
    that there may be fewer of them.
    """

    model_type: str
    layers: str
    words: str
    prefix: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    keys: ConfigKeys = field(default_factory=ConfigKeys)
    classifier: Classifier | None = None
    word_rows: tuple[str, ...] = ()
    graphs: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    positions_follow_padding: bool = False
    decoder: bool = False
    traits: Traits = field(default_factory=Traits)
    says_head_width: bool = False

    def layer(self, number: int) -> str:
        """Where a layer's modules stand."""
        return f"{self.layers}.{number}"


EMBEDDINGS = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "segments": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
}
BERT_FFN = {"ffn_up": "{layer}.intermediate.dense", "ffn_down": "{layer}.output.dense"}
BERT = (
    EMBEDDINGS
    | BERT_FFN
    | {
        "query": "{layer}.attention.self.query",
        "key": "{layer}.attention.self.key",
        "value": "{layer}.attention.self.value",
        "attention_output": "{layer}.attention.output.dense",
        "attention_norm": "{layer}.attention.output.LayerNorm",
        "layer_norm": "{layer}.output.LayerNorm",
    }
)
MPNET = BERT | {
    "query": "{layer}.attention.attn.q",
    "key": "{layer}.attention.attn.k",
    "value": "{layer}.attention.attn.v",
    "attention_output": "{layer}.attention.attn.o",
    "attention_norm": "{layer}.attention.LayerNorm",
}
# The network of ours below the transformer: mct.models.networks.shallow.
SHALLOW = "mct_shallow"
DISTILBERT = {part: name for part, name in EMBEDDINGS.items() if part != "segments"} | {
    "query": "{layer}.attention.q_lin",
    "key": "{layer}.attention.k_lin",
    "value": "{layer}.attention.v_lin",
    "attention_output": "{layer}.attention.out_lin",
    "attention_norm": "{layer}.sa_layer_norm",
    "ffn_up": "{layer}.ffn.lin1",
    "ffn_down": "{layer}.ffn.lin2",
    "layer_norm": "{layer}.output_layer_norm",
}

LLAMA_ATTENTION = {
    "query": "{layer}.self_attn.q_proj",
    "key": "{layer}.self_attn.k_proj",
    "value": "{layer}.self_attn.v_proj",
    "attention_output": "{layer}.self_attn.o_proj",
}
LLAMA = LLAMA_ATTENTION | {
    "ffn_gate": "{layer}.mlp.gate_proj",
    "ffn_up": "{layer}.mlp.up_proj",
    "ffn_down": "{layer}.mlp.down_proj",
}

ENCODER_GRAPHS = {"onnx": "encoder", "gguf": "bert"}
TWO_LAYERS = Classifier("classifier.dense", "classifier.out_proj")
APART = "its attention keeps content and position apart"
WINDOWED = Traits(windowed_throughout=True)

_BERT_PLACES = ("encoder.layer", "embeddings.word_embeddings.weight")
_LLAMA_PLACES = ("layers", "embed_tokens.weight", "model.")


def _roberta(model_type: str, graphs: Mapping[str, str]) -> Family:
    """RoBERTa under another name: other data, other languages, the same layers."""
    return Family(
        model_type, *_BERT_PLACES, "roberta.", BERT, classifier=TWO_LAYERS, graphs=graphs, positions_follow_padding=True
    )


def _llama(model_type: str, gguf: str, genai: str, tasks: str = "causal-lm reward", **more: Any) -> Family:
    """A decoder of Llama's layout: norms first, a gated FFN, rotated positions."""
    graphs = {"onnx": more.pop("onnx", "llama"), "gguf": gguf, "openvino": tasks, "genai": genai}
    parts = more.pop("parts", LLAMA)
    return Family(
        model_type, *_LLAMA_PLACES, parts=parts, word_rows=("lm_head.weight",), graphs=graphs, decoder=True,
        says_head_width="query" in parts, **more,
    )  # fmt: skip


def _gemma(model_type: str, graph: str) -> Family:
    """Llama's layout with a second norm behind each step. OpenVINO's exporter gets its reward models wrong."""
    keys, traits = ConfigKeys(activation="hidden_activation"), Traits(norms_add_one=True, by_layer=("layer_types",))
    return _llama(model_type, graph, model_type, "causal-lm", onnx="gemma", keys=keys, traits=traits)


FAMILIES = (
    Family(
        "bert", *_BERT_PLACES, "bert.", BERT, classifier=Classifier("bert.pooler.dense", "classifier"),
        graphs=ENCODER_GRAPHS,
    ),
    _roberta("roberta", ENCODER_GRAPHS),
    _roberta("xlm-roberta", ENCODER_GRAPHS),
    _roberta("camembert", ENCODER_GRAPHS),
    Family(
        "distilbert", "transformer.layer", _BERT_PLACES[1], "distilbert.", DISTILBERT,
        ConfigKeys("dim", "n_layers", "n_heads", "hidden_dim", "activation"),
        Classifier("pre_classifier", "classifier", "relu"), graphs=ENCODER_GRAPHS,
    ),
    Family(
        "mpnet", *_BERT_PLACES, "mpnet.", MPNET, classifier=TWO_LAYERS, graphs={"onnx": "encoder"},
        refused={"gguf": "its attention adds a learned bias for relative positions"}, positions_follow_padding=True,
    ),
    Family(
        "electra", *_BERT_PLACES, "electra.", BERT, ConfigKeys(embeddings="embedding_size"),
        classifier=Classifier("classifier.dense", "classifier.out_proj", "gelu"), graphs=ENCODER_GRAPHS,
        refused={"gguf": "its embeddings are not as wide as its layers, and are projected"},
    ),
    Family(
        "albert", "", _BERT_PLACES[1], "albert.",
        refused={"gguf": "its layers share their weights, and its embeddings are projected"},
    ),
    # Its first layer has no norm, and what a layer sees hangs on its number: layers cannot be told to move.
    Family(
        "modernbert", "", "embeddings.tok_embeddings.weight", "model.",
        classifier=Classifier("head.dense", "classifier", "gelu", "head.norm"), graphs={"gguf": "modern-bert"},
    ),
    Family("deberta", *_BERT_PLACES, "deberta.", BERT_FFN, refused={"gguf": APART}),
    Family("deberta-v2", *_BERT_PLACES, "deberta.", BERT_FFN, refused={"gguf": APART}),
    Family(
        "gpt2", "h", "wte.weight", "transformer.",
        keys=ConfigKeys("n_embd", "n_layer", "n_head", "n_inner", "activation_function"),
        word_rows=("lm_head.weight",), decoder=True,
        graphs={"onnx": "gpt2", "gguf": "gpt2", "openvino": "causal-lm reward", "genai": "llama"},
    ),
    _llama("llama", "llama", "llama"),
    _llama("mistral", "llama", "mistral", traits=WINDOWED),
    _llama("mixtral", "llama", "mistral", "causal-lm", traits=WINDOWED, parts=LLAMA_ATTENTION),
    _llama("smollm3", "smollm3", "llama", traits=Traits(by_layer=("no_rope_layers",))),
    _llama("phi3", "phi3", "llama", traits=WINDOWED, parts={}),
    _gemma("gemma2", "gemma2"),
    _gemma("gemma3_text", "gemma3"),
    Family(
        "gpt_neox", "layers", "embed_in.weight", "gpt_neox.", word_rows=("embed_out.weight",), decoder=True,
        graphs={"onnx": "gpt_neox", "gguf": "gptneox", "openvino": "causal-lm reward", "genai": "llama"},
    ),
    Family(
        "bloom", "h", "word_embeddings.weight", "transformer.", word_rows=("lm_head.weight",), decoder=True,
        keys=ConfigKeys(layers="n_layer", heads="n_head", feed_forward="", activation=""),
        graphs={"onnx": "bloom", "gguf": "bloom", "openvino": "causal-lm reward", "genai": "llama"},
    ),
    _llama("qwen2", "qwen2", "qwen2"),
    _llama("qwen2_moe", "qwen2moe", "qwen2", "causal-lm", parts=LLAMA_ATTENTION),
    _llama("qwen3", "qwen3", "qwen3"),
    _llama("qwen3_moe", "qwen3moe", "qwen3", "causal-lm", parts=LLAMA_ATTENTION),
    Family(
        SHALLOW, "", "words.weight", word_rows=("weights", "codes"), graphs={"onnx": "shallow"},
        refused={"gguf": "it is a table of token vectors and has no layer, and llama.cpp runs no graph without one"},
    ),
)  # fmt: skip


def families() -> tuple[Family, ...]:
    """Every row, those that other packages add among them."""
    return (*FAMILIES, *added_by_others("mct.families", Family))


def find_family(model_type: str) -> Family | None:
    """The row of that model_type; None where there is none."""
    return next((family for family in families() if family.model_type == model_type), None)


def graph_of(model_type: str, format_name: str) -> str:
    """Which of a format's graphs computes the family; "" where none is known to."""
    family = find_family(model_type)
    return family.graphs.get(format_name, "") if family else ""


def with_graph(format_name: str, graphs: Iterable[str]) -> list[str]:
    """The model_types that one of these graphs of a format computes, in table order."""
    wanted = frozenset(graphs)
    return [family.model_type for family in families() if family.graphs.get(format_name, "") in wanted]

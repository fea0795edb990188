"""Which checkpoints cannot be made smaller, told from their small files: what the plan asks beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import read_tokenizer
from mct.models.checkpoints.techniques import EXPERT_COUNTS
from mct.models.data.declared import read_object
from mct.models.families.table import find_family

SHOWN = 60
FACTORISED = ("BertModel", "BertForSequenceClassification", "BertForTokenClassification")
PREFIX = "its prefix of keys and values belongs to this model as it is"
EXPERTS = ("mixtral", "qwen2_moe", "qwen3_moe")
KEPT = "adapters that are kept beside it belong to this base as it is"
TRIMMED = ("WordPiece", "BPE", "Unigram")
BLOCK = 32
"""Weights that have a scale together in INT4 and Q8_0: rows that are no multiple of it are kept in more bits."""


def why_not_drop_layers(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why these layers of this checkpoint cannot be kept; "" where they can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return PREFIX if checkpoint.has_prefix else KEPT
    family = find_family(checkpoint.model_type)
    if family is None or not family.layers:
        return f"where a {checkpoint.model_type} model keeps its layers is not known"
    config = read_object(checkpoint.sizes / "config.json")
    count, kept = config.get(family.keys.layers), options["keep"]
    if not isinstance(count, int):
        return f"config.json does not say {family.keys.layers}"
    if not kept or list(kept) != sorted(set(kept)) or not all(0 <= layer < count for layer in kept):
        return f"`keep` names layers in rising order, of 0 to {count - 1}; it is {str(list(kept))[:SHOWN]}"
    if unsaid := [key for key in family.traits.by_layer if not config.get(key)]:
        return f"what a layer does hangs on its number, and config.json does not list it ({unsaid[0]})"
    if config.get("scale_attn_by_inverse_layer_idx"):
        return "it scales attention by the number of the layer, which would change"
    if config.get("decoder_sparse_step", 1) != 1:
        return f"every {config['decoder_sparse_step']}th layer has experts, by its number, which would change"
    return ""


def why_not_trim_vocabulary(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why this checkpoint's vocabulary cannot be trimmed; "" where it can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return PREFIX if checkpoint.has_prefix else KEPT
    family = find_family(checkpoint.model_type)
    if family is None or not family.words:
        return f"where a {checkpoint.model_type} model keeps its word embeddings is not known"
    if not (checkpoint.vocabulary / "tokenizer.json").is_file():
        return "it has no tokenizer.json"
    model = read_tokenizer(checkpoint.vocabulary).get("model", {})
    if model.get("type") not in TRIMMED:
        return f"its tokenizer is a {model.get('type')}, and these can be trimmed: {', '.join(TRIMMED)}"
    if model["type"] == "BPE" and (model.get("end_of_word_suffix") or model.get("continuing_subword_prefix")):
        return "its tokenizer marks the pieces at the end or inside of a word, and merges of such are not followed"
    return ""


def why_not_fewer_experts(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why this checkpoint cannot have so many experts a layer; "" where it can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return PREFIX if checkpoint.has_prefix else KEPT
    config = read_object(checkpoint.sizes / "config.json")
    count = next((config[key] for key in EXPERT_COUNTS if isinstance(config.get(key), int)), 0)
    if checkpoint.model_type not in EXPERTS or count < 2:
        return f"a {checkpoint.model_type} model has no experts that could be told apart: {', '.join(EXPERTS)} have"
    used = config.get("num_experts_per_tok")
    least = used if isinstance(used, int) else 1
    if not least <= options["keep"] < count:
        return f"`keep` is {options['keep']}, and of {count} experts, of which a token takes {least}, fewer must stay"
    return ""


def why_not_narrow_ffn(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why this checkpoint's layers cannot be narrowed to so many neurons; "" where they can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return PREFIX if checkpoint.has_prefix else KEPT
    family = find_family(checkpoint.model_type)
    if family is None or "ffn_down" not in family.parts:
        return f"where a {checkpoint.model_type} model keeps the neurons of its layers is not known"
    width, keep = read_object(checkpoint.sizes / "config.json").get(family.keys.feed_forward), options["keep"]
    if not isinstance(width, int):
        return f"config.json does not say {family.keys.feed_forward}"
    if not 0 < neurons_kept(width, keep) < width:
        return f"`keep` is {keep}: a number of neurons, or a share of them below 1, of the {width} that a layer has"
    return ""


def why_not_factorise_embeddings(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why this checkpoint's token vectors cannot be so narrow; "" where they can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return PREFIX if checkpoint.has_prefix else KEPT
    if checkpoint.model_type != "bert" or checkpoint.architecture not in FACTORISED:
        return f"it is for {', '.join(FACTORISED)}, and this is a {checkpoint.architecture}"
    config = read_object(checkpoint.sizes / "config.json")
    if (kind := config.get("position_embedding_type", "absolute")) != "absolute":
        return f"its positions are {str(kind)[:SHOWN]}, and those of what comes out are absolute"
    if not 1 < options["width"] <= config["hidden_size"]:
        return f"`width` is {options['width']}: from 2 to {config['hidden_size']}, the width of its layers"
    return ""


def neurons_kept(width: int, keep: float) -> int:
    """How many of a layer's neurons a number or a share of them is; of a share, whole blocks where there are any."""
    if isinstance(keep, int):
        return keep
    if not 0 < keep < 1:
        return 0
    block = BLOCK if width > BLOCK and width % BLOCK == 0 else 1
    return max(1, round(width * keep / block)) * block


@dataclass(frozen=True)
class HeadSizes:
    """A layer's heads: `queries` in groups, each of which shares one of the `keys`; `width` channels a head."""

    queries: int
    keys: int
    width: int

    @property
    def group(self) -> int:
        """Heads that share their keys and values."""
        return self.queries // self.keys


def head_sizes(config: Mapping[str, Any]) -> HeadSizes:
    """From the configuration of a family that can say how wide a head is."""
    queries = config["num_attention_heads"]
    return HeadSizes(
        queries,
        config.get("num_key_value_heads") or queries,
        config.get("head_dim") or config["hidden_size"] // queries,
    )


def why_not_prune_heads(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why this checkpoint's layers cannot have so many heads; "" where they can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return PREFIX if checkpoint.has_prefix else KEPT
    family = find_family(checkpoint.model_type)
    if family is None or not family.says_head_width:
        return (
            f"config.json of a {checkpoint.model_type} model cannot say how wide a head is, and would take fewer heads "
            "for wider ones (narrow-ffn and drop-layers make it smaller)"
        )
    config, keep = read_object(checkpoint.sizes / "config.json"), options["keep"]
    sizes = head_sizes(config)
    if not 0 < keep < sizes.queries or (keep % sizes.group and keep % sizes.keys):
        return (
            f"`keep` is {keep}: of {sizes.queries} heads, fewer must stay, whole groups of {sizes.group} that share "
            f"their keys, or as many of each of the {sizes.keys} groups"
        )
    if config["hidden_size"] % keep:
        return (
            f"transformers takes no number of heads that does not divide the width {config['hidden_size']}, as {keep}"
        )
    return ""

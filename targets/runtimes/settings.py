"""What an artifact may tell its runtime: a type for each format's settings, checked before anything is opened.

A file of settings travels with its model through other hands. Sessions read these values as they are.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from mct.models.data.declared import Count, Index, Name, Share

Activation = Literal["relu", "tanh", "sigmoid", "gelu", "normalise", "standardise"]


class OnnxSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`pad_id` fills up the shorter inputs of a batch; `adapters` are files beside the model, by name.

    `threads` is the most to use, 0 for all that may be; `spinning`: they wait for the next request without sleeping.
    """

    pad_id: Index = 0
    threads: Index = 0
    spinning: bool = True
    adapters: dict[Name, Name] = {}


class OpenvinoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`buckets` are the input lengths to compile for; the precisions are OpenVINO's own words."""

    pad_id: Index = 0
    buckets: list[Count] = []
    inference_precision: Literal["f32", "bf16"] = "f32"
    kv_cache_precision: Literal["f32", "f16", "bf16"] = "f32"


class Linear(Struct, frozen=True, forbid_unknown_fields=True):
    """A step that is a layer of the head's file, by its name there."""

    linear: Name


class Output(Struct, frozen=True, forbid_unknown_fields=True):
    """What an output is made of: the first row of an input or all of them, through `steps`."""

    per: Literal["text", "token"]
    steps: list[Linear | Activation]


class LlamaStage(Struct, frozen=True, forbid_unknown_fields=True):
    """See `mct.targets.llama.encoders`; of decoders `mct.targets.llama.context`."""

    pooling: Literal["none", "mean", "cls", "last", "rank"] | None = None
    outputs: dict[Name, Output] | None = None
    head: Name | None = None
    second_segment: Literal["added", "ignored"] | None = None
    cache: Literal["f32", "f16"] = "f16"
    context: Count | None = None
    adapters: dict[Name, Name] = {}
    prefix: Name | None = None
    prefix_tokens: Index = 0


class SecondStage(Struct, frozen=True, forbid_unknown_fields=True):
    """See `mct.targets.llama.cascade`. It has no second stage of its own."""

    model: Name
    settings: LlamaStage
    threshold: Share
    always: list[Index]


class LlamaSettings(LlamaStage, frozen=True, forbid_unknown_fields=True):
    """Those of an artifact: its one model's, or its first of two."""

    second_stage: SecondStage | UnsetType = UNSET

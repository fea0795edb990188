"""Virtual tokens become rows of the vocabulary that the tokenizer puts before every text: an ordinary model.

Prompt tuning and P-tuning train vectors, and nothing else: what stands in the table of words at new ids gives the same
vectors, and a template of tokenizer.json gives the ids. They stand before everything, the first special token of the
text included, as in training: so positions, and the token that a pooler reads, are those of training too.

A language model must never say them. Their rows of the output matrix repeat that of the token which is least likely
behind the prompt: greedy answers take the first of equals, which is not they.

Lester et al. 2021, arXiv:2104.08691 (prompt tuning); Liu et al. 2021, arXiv:2103.10385 (P-tuning).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mct.compress.merge.saving import save_merged
from mct.compress.merge.templates import add_virtual_tokens, tell_others
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.adapted import adapter_name
from mct.models.checkpoints.load_adapter import inner_model, load_peft, plain_base, unwrapped
from mct.models.writing.folders import write_atomically


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint with its virtual tokens in the vocabulary, and a tokenizer that puts them there itself."""
    checkpoint = resources.checkpoint
    adaptation = checkpoint.adaptation
    assert adaptation is not None
    adapted = load_peft(checkpoint, plain_base(checkpoint))
    with torch.inference_mode():
        vectors = adapted.get_prompt(batch_size=1)[0].clone()
        unwanted = _least_likely(inner_model(adapted), vectors)
    names = [f"<|virtual_{number}|>" for number in range(len(vectors))]
    tokenizer, ids = add_virtual_tokens(checkpoint.vocabulary / "tokenizer.json", names)
    model = unwrapped(inner_model(adapted), adapter_name(adaptation.first))
    _write_rows(model, ids, vectors, unwanted)
    save_merged(model, checkpoint, draft)
    write_atomically(draft / "tokenizer.json", tokenizer)
    tell_others(draft, "".join(names))
    return Product(draft, "", notes={"virtual_tokens": len(names), "before_every_text": "".join(names)})


def _least_likely(model: PreTrainedModel, vectors: torch.Tensor) -> int | None:
    """The token that a language model finds least likely behind the prompt; None for a model of another kind."""
    if model.get_output_embeddings() is None:  # type: ignore[no-untyped-call]
        return None
    return int(model(inputs_embeds=vectors[None]).logits[0, -1].argmin())


def _write_rows(model: PreTrainedModel, ids: list[int], vectors: torch.Tensor, unwanted: int | None) -> None:
    """Put the vectors into the table of words at `ids`, which may lie behind its end, and keep the output from them."""
    rows = max(model.config.vocab_size, ids[-1] + 1)
    words, output = model.get_input_embeddings(), model.get_output_embeddings()  # type: ignore[no-untyped-call]
    assert isinstance(words, torch.nn.Embedding)
    table = _longer(words.weight.data, rows)
    table[ids] = vectors / getattr(words, "embed_scale", 1.0)  # Gemma's table is multiplied by it when it is read
    if isinstance(output, torch.nn.Linear) and unwanted is not None:
        matrix = _longer(output.weight.data, rows)
        matrix[ids] = matrix[unwanted].clone()
        output.weight, output.out_features = torch.nn.Parameter(matrix), rows
        if output.bias is not None:
            bias = _longer(output.bias.data, rows)
            bias[ids] = bias[unwanted].clone()
            output.bias = torch.nn.Parameter(bias)
    words.weight, words.num_embeddings = torch.nn.Parameter(table), rows
    model.config.vocab_size = rows


def _longer(table: torch.Tensor, rows: int) -> torch.Tensor:
    """A copy of so many rows, those that are new zero."""
    found = table.new_zeros((rows, *table.shape[1:]))
    found[: len(table)] = table
    return found

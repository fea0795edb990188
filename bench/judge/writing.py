"""How a language model writes: reading the prompt (prefill) and writing on (decode) apart, as a reader feels them.

Time to first token runs from the request to the moment its first new token is known, tokenising included; time per
output token is what each further one took, turning them into text included. A request that gives less than two tokens
has no time per token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mct.bench.samples.measurement import Block
from mct.bench.statistics.percentiles import estimate_percentile, percentile
from mct.bench.statistics.rounding import rounded


def summarise_writing(blocks: Sequence[Block]) -> dict[str, Any] | None:
    """As result.schema.json has it; None for what writes nothing. Times apart are missing where they were not kept."""
    new_tokens = sum(block.new_tokens or 0 for block in blocks)
    if not new_tokens:
        return None
    requests = sum(len(block.end_to_end_ns) for block in blocks)
    seconds = sum(sum(block.model_ns) for block in blocks) / 1e9
    found: dict[str, Any] = {"new_tokens": new_tokens / requests, "tokens_per_s": new_tokens / seconds}
    if all(block.first_ns is not None and block.written is not None and block.tokens is not None for block in blocks):
        found |= _apart(blocks)
    plain: dict[str, Any] = rounded(found, 5)
    return plain


def _apart(blocks: Sequence[Block]) -> dict[str, Any]:
    first, each = [], []
    for number in sorted({block.round for block in blocks}):
        parts = [_of_block(block) for block in blocks if block.round == number]
        first.append(np.concatenate([first_ms for first_ms, _, _ in parts]))
        each.append(np.concatenate([rest_ms[steps > 0] / steps[steps > 0] for _, rest_ms, steps in parts]))
    read = sum(sum(block.tokens or ()) for block in blocks)
    steps = sum(max(0, count - 1) for block in blocks for count in block.written or ())
    rest_s = sum(float(rest_ms[steps > 0].sum()) for _, rest_ms, steps in map(_of_block, blocks)) / 1e3
    return {
        "first_token": _spread(first),
        "per_token": _spread([process for process in each if len(process)]),
        "prefill_tokens_per_s": read / (sum(float(process.sum()) for process in first) / 1e3),
        "decode_tokens_per_s": steps / rest_s if rest_s else None,
    }


def _of_block(block: Block) -> tuple[Any, Any, Any]:
    """Milliseconds to the first token and from there to the end, and the steps after it, of each request."""
    whole, first, written = (
        np.asarray(values, dtype=np.float64) for values in (block.end_to_end_ns, block.first_ns, block.written)
    )
    return first / 1e6, (whole - first) / 1e6, np.maximum(0, written - 1)


def _spread(processes: Sequence[Any]) -> dict[str, Any] | None:
    """P50 and P95 of what each process took; P95 None where there are too few for its interval."""
    if not processes:
        return None
    p95 = estimate_percentile(processes, 0.95)
    return {
        "p50_ms": percentile(np.concatenate(processes), 0.50),
        "p95_ms": None if p95 is None else p95.value,
        "p95_ci_ms": None if p95 is None else [p95.low, p95.high],
    }

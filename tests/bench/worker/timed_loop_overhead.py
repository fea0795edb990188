"""What the timed loop adds to what it times, against a bare loop of the same calls.

    python tests/bench/worker/timed_loop_overhead.py

Both loops take turns; of each the fastest of many repeats counts, because noise only adds time. No test asserts on it:
a busy machine would fail it for nothing.
"""

import gc
from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import Any

from mct.bench.worker.predict import Predictor, time_requests
from mct.models.tasks.tokens import Tokens

REQUESTS, REPEATS = 2_000, 200
TOKENS = Tokens([1, 2, 3], [0, 0, 0])
OUTPUTS = {"logits": [0.0]}


def encode(text: str) -> list[Tokens]:
    """A tokenizer that takes no time, so that what is left is the loop."""
    return [TOKENS]


def infer(batch: Sequence[Tokens]) -> dict[str, Any]:
    """A model that takes no time."""
    return OUTPUTS


def decode(outputs: Mapping[str, Any], inputs: Sequence[Tokens]) -> str:
    """A decoder that takes no time."""
    return "label"


def bare_ns(texts: Sequence[str]) -> float:
    """Nanoseconds per request of the loop that a user would write."""
    began = perf_counter_ns()
    for text in texts:
        inputs = encode(text)
        decode(infer(inputs), inputs)
    return (perf_counter_ns() - began) / len(texts)


def main() -> None:
    """Print three figures in nanoseconds per request."""
    texts = ["text"] * REQUESTS
    predictor = Predictor(encode, infer, decode)
    bare, inside, whole = [], [], []
    gc.disable()
    for _ in range(REPEATS):
        bare.append(bare_ns(texts))
        began = perf_counter_ns()
        timings = time_requests(predictor, texts, cap_ns=10**12)
        whole.append((perf_counter_ns() - began) / REQUESTS)
        inside.append(sum(timings.end_to_end) / REQUESTS)
    print(f"bare loop:                    {min(bare):6.0f} ns per request")
    print(f"added to what is timed:       {min(inside) - min(bare):6.0f} ns")
    print(f"added around it, not timed:   {min(whole) - min(inside):6.0f} ns")


if __name__ == "__main__":
    main()

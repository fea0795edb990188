"""What an artifact costs a visitor whose browser runs it, and whether it answers there as it does natively.

The first answer is the time from a page's request for the model to its first answer: the downloads at the target's
stated rate, then the runtime's scripts, the tokenizer, the compiling of WebAssembly, the session and the first call, as
they were measured from loopback. A page may overlap some of these, and finds files again in its cache later: this is a
first visit, one after the other. The line's rate is the only figure in it that was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from mct.bench.samples.measurement import Answers, Measurement, Start
from mct.models.tasks.examples import Answer
from mct.models.tasks.table import find_task

FETCH = "fetch"
"""The stage that is the network's: on loopback it says nothing, and the downloads stand for it."""


def summarise_web(measured: Measurement, mbps: float | None) -> dict[str, Any] | None:
    """As result.schema.json has it; None for what did not run in JavaScript. `mbps`: 10^6 bits a second of the line."""
    starts = [start for start in measured.starts if start.stages_ms]
    if not starts:
        return None
    stages = _stages(starts)
    downloads = next((start.downloads for start in starts if start.downloads), {})
    sent_mb = sum(min(sizes.values()) for sizes in downloads.values()) / 1e6
    ready_ms = sum(stages.values())
    network_ms = sent_mb * 8e3 / mbps if mbps and downloads else None
    return {
        "downloads": [{"name": name} | _sizes_mb(sizes) for name, sizes in downloads.items()],
        "sent_mb": round(sent_mb, 3) if downloads else None,
        "mbps": mbps,
        "stages_ms": {name: round(value, 3) for name, value in stages.items()},
        "first_answer_ms": round(ready_ms, 3),
        "downloaded_first_answer_ms": None if network_ms is None else round(network_ms + ready_ms, 3),
        "native": _beside_native(measured.subject.task, measured.answers),
    }


def _stages(starts: Sequence[Start]) -> dict[str, float]:
    """What stands between the files and the first answer, milliseconds, each the median of the fresh processes."""
    names = [name for name in starts[0].stages_ms if name != FETCH]
    loading = {name: median(start.stages_ms.get(name, 0.0) for start in starts) for name in names}
    scripts, first = median(start.import_ms for start in starts), median(start.first_call_ms for start in starts)
    return {"scripts": scripts, **loading, "first call": first}


def _sizes_mb(sizes: Mapping[str, int]) -> dict[str, float | None]:
    return {f"{name}_mb": round(sizes[name] / 1e6, 3) if name in sizes else None for name in ("raw", "gzip", "brotli")}


def _beside_native(task: str, answers: Answers | None) -> dict[str, Any] | None:
    """How many answers are others than the same artifact's by this machine's own runtime; None where that is not here.

    `unlike` examples are tokenised otherwise in JavaScript; `unlike_flips` of the flips are of these, and the rest of
    arithmetic: the same products, summed or rounded in another order.
    """
    if answers is None or not answers.native:
        return None
    ordered = find_task(task).decides in ("order", "neighbour")
    pairs = zip(answers.native, answers.values, strict=True)
    flips = [_best(native) != _best(here) if ordered else native != here for native, here in pairs]
    return {
        "n": len(flips),
        "flips": sum(flips),
        "unlike": sum(count > 0 for count in answers.unlike),
        "unlike_flips": sum(flip and count > 0 for flip, count in zip(flips, answers.unlike, strict=True)),
    }


def _best(scores: Answer) -> int:
    """The place of a request's best candidate."""
    return max(range(len(scores)), key=scores.__getitem__, default=0)

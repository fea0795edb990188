"""What ran in JavaScript: what a page fetches, how long a visitor waits for the first answer, and the native answers.

Plain cells and sentences, which Markdown and the page show each in their own way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]

OF_PAGE = "What a page fetches, and how long its first answer takes:"
OF_NODE = "How long the first answer takes in JavaScript:"
FORMS = ("raw", "gzip", "brotli")


def web_title(entries: Sequence[Entry]) -> str:
    """What `web_rows` are about."""
    return OF_PAGE if any(entry["web"]["downloads"] for entry in entries if entry.get("web")) else OF_NODE


def web_columns(entries: Sequence[Entry]) -> tuple[str, ...]:
    """The head of `web_rows`."""
    rates = {found["mbps"] for entry in entries if (found := entry.get("web")) and found["mbps"]}
    at = f" at {' or '.join(f'{rate:g}' for rate in sorted(rates))} Mbit/s" if rates else ""
    return ("artifact", "fetched", "raw MB", "gzip MB", "brotli MB", "first answer ms", f"with the download{at}, ms")


def web_rows(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """A row for each part of what is fetched, one for all of it, with the first answer."""
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        if not (found := entry.get("web")):
            continue
        parts = found["downloads"]
        rows += [
            (entry["artifact"], part["name"], *(_mb(part[f"{form}_mb"]) for form in FORMS), "", "") for part in parts
        ]
        whole = (_mb(_together(parts, form)) for form in FORMS)
        waits = (f"{found['first_answer_ms']:.0f}", _ms(found["downloaded_first_answer_ms"]))
        rows.append((entry["artifact"], "together" if parts else "-", *whole, *waits))
    return rows


def web_sentences(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Each artifact's name, and what its first answer is made of and how its answers stand beside the native ones."""
    found = [(entry, entry["web"]) for entry in entries if entry.get("web")]
    return [(entry["artifact"], f"{_stages(web)}; {_native(web['native'], entry)}") for entry, web in found]


def _stages(web: Mapping[str, Any]) -> str:
    return "first answer: " + ", ".join(f"{name} {value:.0f} ms" for name, value in web["stages_ms"].items())


def _native(native: Mapping[str, Any] | None, entry: Entry) -> str:
    """How many answers differ, and by what: other tokens, else other arithmetic."""
    if native is None:
        return "the native runtime is not here to compare with"
    if not native["flips"]:
        said = f"the same answer as by the native runtime on all {native['n']:,} examples"
    else:
        rest = native["flips"] - native["unlike_flips"]
        parts = (
            [f"{native['unlike_flips']} of texts that JavaScript tokenises otherwise"] if native["unlike_flips"] else []
        )
        parts += [f"{rest} of {_arithmetic(entry['precision'])}"] if rest else []
        said = f"another answer than by the native runtime on {native['flips']} of {native['n']:,}: {', '.join(parts)}"
    return said + (f"; {native['unlike']} tokenised otherwise" if native["unlike"] else "")


def _arithmetic(precision: str) -> str:
    """Why the same graph may answer otherwise on the same tokens."""
    if precision in ("fp32", "fp16", "bf16"):
        return "sums rounded in another order"
    return "products of few bits, which WebAssembly computes by other kernels"


def _together(parts: Sequence[Mapping[str, Any]], form: str) -> float | None:
    sizes = [part[f"{form}_mb"] for part in parts]
    return None if not sizes or None in sizes else sum(sizes)


def _mb(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"

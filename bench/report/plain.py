"""Reports for programs: the results as they were stored, and one flat row per artifact for a spreadsheet."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mct.bench.report.report import Report

COLUMNS: tuple[tuple[str, tuple[str | int, ...]], ...] = (
    *((name, (name,)) for name in ("artifact", "path", "digest", "format", "precision", "runtime", "task")),
    ("outcome", ("verdict", "outcome")),
    ("failure", ("failure", "message")),
    ("n", ("latency", "n")),
    ("mean_ms", ("latency", "mean_ms")),
    *(
        column
        for name in ("p50", "p95", "p99")
        for column in (
            (f"{name}_ms", ("latency", f"{name}_ms")),
            (f"{name}_low_ms", ("latency", f"{name}_ci_ms", 0)),
            (f"{name}_high_ms", ("latency", f"{name}_ci_ms", 1)),
        )
    ),
    ("model_only_p95_ms", ("model_only", "p95_ms")),
    ("metric", ("quality", "metric")),
    ("examples", ("quality", "n")),
    ("quality", ("quality", "value")),
    ("quality_low", ("quality", "value_ci", 0)),
    ("quality_high", ("quality", "value_ci", 1)),
    ("baseline_quality", ("quality", "baseline")),
    ("delta", ("quality", "delta")),
    ("delta_low", ("quality", "delta_ci", 0)),
    ("delta_high", ("quality", "delta_ci", 1)),
    ("worse", ("quality", "worse")),
    ("better", ("quality", "better")),
    ("p_value", ("quality", "p_value")),
    ("perplexity", ("quality", "perplexity")),
    ("new_tokens", ("writing", "new_tokens")),
    ("tokens_per_s", ("writing", "tokens_per_s")),
    ("first_token_p50_ms", ("writing", "first_token", "p50_ms")),
    ("first_token_p95_ms", ("writing", "first_token", "p95_ms")),
    ("per_token_p50_ms", ("writing", "per_token", "p50_ms")),
    ("per_token_p95_ms", ("writing", "per_token", "p95_ms")),
    ("prefill_tokens_per_s", ("writing", "prefill_tokens_per_s")),
    ("decode_tokens_per_s", ("writing", "decode_tokens_per_s")),
    *((name, (name,)) for name in ("size_mb", "load_ms", "load_cold_ms", "import_ms", "first_call_ms", "peak_rss_mb")),
    ("throttled_s", ("throttled_s",)),
    ("cost_per_1000", ("cost_per_1000",)),
    ("energy_per_request_mj", ("energy_per_request_mj",)),
    ("stable", ("stability", "ok")),
    ("fingerprint", ("environment", "fingerprint")),
)
"""Column name, and where its value stands in an artifact's entry."""


def as_json(report: Report) -> str:
    """The results as stored, in a list."""
    return json.dumps([run.result for run in report.runs], ensure_ascii=False, indent=2) + "\n"


def as_csv(report: Report) -> str:
    """One row per artifact of every run; an empty cell is a value that could not be had."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["run", "created", "data", "rows", "budget", *(name for name, _ in COLUMNS)])
    for run in report.runs:
        result = run.result
        data = result["data"]
        of_run = [result["id"], result["created"], data["name"], data["rows"], run.budget.get("name")]
        for entry in run.entries:
            writer.writerow([_cell(value) for value in (*of_run, *(_at(entry, path) for _, path in COLUMNS))])
    return written.getvalue()


def _at(entry: Mapping[str, Any], path: Sequence[str | int]) -> Any:
    """The value at a path; None where any part of it is missing."""
    found: Any = entry
    for key in path:
        if found is None:
            return None
        found = found[key] if isinstance(key, int) else found.get(key)
    return found


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay numbers."""
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return value

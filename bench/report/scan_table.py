"""The table of a scan: one row for each artifact at each value of the parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mct.bench.report.table import figures_table, section, with_interval

if TYPE_CHECKING:
    from mct.bench.judge.scan_result import ScanRow

BATCH_NOTE = (
    "Times are those of a whole batch, texts of mixed lengths padded to the longest. A runtime that answers the inputs"
    " of a batch one by one, as OpenVINO's and llama.cpp's sessions here, gains nothing from one; dynamic INT8 takes"
    " its range from the whole batch, so its answers may differ from those of single requests."
)
CLIENTS_NOTE = (
    "Clients are threads of the process that holds the model, on the CPUs of the target; each asks again as soon as it"
    " is answered, and what it waits for the others is in its times. OpenVINO's and llama.cpp's sessions here answer"
    " one call at a time."
)
NOTES = {"batch": BATCH_NOTE, "clients": CLIENTS_NOTE}


def scan_table(rows: Sequence[ScanRow]) -> str:
    """Markdown. Below it what the machine did to the figures."""
    parameter = rows[0].parameter
    columns = ("artifact", parameter, "requests /s", "P50 ms", "P95 ms", "processes")
    cells = [
        (
            row.artifact,
            f"{row.value}",
            with_interval(row.per_s, row.per_s_ci, 1),
            "-" if row.p50 is None else f"{row.p50.value:.2f}",
            "-" if row.p95 is None else with_interval(row.p95.value, (row.p95.low, row.p95.high), 2),
            f"{row.processes}",
        )
        for row in rows
    ]
    noise = [f"- **{row.artifact}**, {parameter} {row.value}: {reason}." for row in rows for reason in row.reasons]
    parts = (
        figures_table(columns, cells, words=(0,)),
        NOTES.get(parameter, ""),
        section("Noise:", noise),
    )
    return "\n\n".join(part for part in parts if part) + "\n"

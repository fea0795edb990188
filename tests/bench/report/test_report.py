"""Reports of runs that the store itself wrote, from made-up measurements with known answers."""

import csv
import http.server
import io
import json
import re
import shutil
import struct
import subprocess
import threading
import xml.etree.ElementTree as ElementTree
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mct import MctError
from mct.bench.measure.sampling import BenchPlan
from mct.bench.report.change import find_changes
from mct.bench.report.markdown import MARKER, escape
from mct.bench.report.plot_labels import Box, place_labels
from mct.bench.report.plot_pareto import pareto_front, quality_floor
from mct.bench.report.plots import panels, svg
from mct.bench.report.report import FORMATS, headline, render
from mct.bench.samples.measurement import Failure, Measurement
from mct.bench.store.reading import StoredRun, read_run
from mct.bench.store.store import append, make_question
from mct.models.tasks.datasets import Dataset
from mct.targets.budget import Budget

TRUTH = ("order", "returns", "human") * 200
BUDGET = Budget(
    "router", "sequence-classification", p95_ms=3.0, quality_max_drop=0.02, slices=("returns",), slice_max_drop=0.02
)
EVIL = "<script>alert(1)</script>|x\n@team #1 `$y$` ]]> --> &amp; 名前"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

MakeMeasurement = Callable[..., Measurement]


def timed(measurement: Measurement, factor: float) -> Measurement:
    """The same measurement with every latency multiplied."""

    def longer(times: "array[int]") -> "array[int]":
        return array("q", [round(value * factor) for value in times])

    blocks = (
        replace(block, end_to_end_ns=longer(block.end_to_end_ns), model_ns=longer(block.model_ns))
        for block in measurement.blocks
    )
    return replace(measurement, blocks=tuple(blocks))


def answers_with_errors(every: int) -> tuple[str, ...]:
    """The truth with every so-manieth answer wrong."""
    return tuple("order" if number % every == 1 else label for number, label in enumerate(TRUTH))


def store(folder: Path, measurements: Sequence[Measurement], **question: Any) -> Path:
    dataset = Dataset("made-up.jsonl", tuple({"text": "t", "label": label} for label in TRUTH), "a" * 64)
    subjects = [each.subject for each in measurements]
    return append(folder, make_question(subjects, dataset, BenchPlan(threads=1), **question), measurements, dataset)


@pytest.fixture
def path(tmp_path: Path, measured: MakeMeasurement) -> Path:
    """A stored run: the original, one as good and faster, one that loses 'returns', one that died."""
    return store(
        tmp_path / "results",
        [
            timed(measured("original", TRUTH, TRUTH), 2.0),
            measured("onnx-int8", TRUTH, TRUTH),
            timed(measured("onnx-int4", TRUTH, answers_with_errors(6)), 0.8),
            measured("gguf", TRUTH, None, blocks=(), failure=Failure("it died", "try again", ("boom",))),
        ],
        budget=BUDGET,
        baseline="original",
    )


@pytest.fixture
def run(path: Path) -> StoredRun:
    return read_run(path)


@pytest.fixture
def evil(tmp_path: Path, measured: MakeMeasurement) -> StoredRun:
    """A run whose names and texts try to break out of wherever they are written."""
    good, bad = measured("original", TRUTH, TRUTH), measured(EVIL, TRUTH, TRUTH)
    died = measured(f"died {EVIL}", TRUTH, None, blocks=(), failure=Failure(EVIL, EVIL, (EVIL,)))
    return read_run(store(tmp_path / "evil", [good, bad, died], budget=BUDGET, baseline="original"))


def text_of(report: str | bytes) -> str:
    assert isinstance(report, str)
    return report


# What every format must survive


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_every_format_reports_a_whole_run_and_one_of_which_nothing_could_be_had(row: Any, run: StoredRun) -> None:
    bare = {**run.result, "budget": None, "baseline": None}
    bare["artifacts"] = [{**entry, "quality": None, "verdict": None, "stability": None} for entry in run.entries]
    for each in (run, StoredRun(run.result), StoredRun(bare)):
        report = render([each], row.name)
        assert isinstance(report, bytes if row.name == "png" else str)
        assert len(report) > 100


def test_an_unknown_format_is_refused_with_the_nearest_name(run: StoredRun) -> None:
    with pytest.raises(MctError) as caught:
        render([run], "htlm")
    assert "html" in caught.value.hint


def test_the_headline_leaves_the_baseline_out_and_counts_the_rest(run: StoredRun) -> None:
    assert headline(run) == "1 of 3 meets the budget router, 2 miss it"


# Markdown


def test_markdown_begins_with_the_marker_and_has_one_table_and_one_fold(run: StoredRun) -> None:
    report = text_of(render([run], "markdown"))
    assert report.splitlines()[0] == MARKER
    assert len(re.findall(r"^\| ---", report, re.MULTILINE)) == 1
    assert report.count("<details>") == report.count("</details>") == 1
    assert report.index("✗ FAIL") < report.index("<details>")


def test_markdown_tells_agreement_noise_and_environment_inside_the_fold(run: StoredRun) -> None:
    inside = text_of(render([run], "markdown")).partition("<details>")[2]
    assert "**onnx-int8**: same answer on 100.00%" in inside
    assert "**onnx-int4**: same answer on 83.33%" in inside
    assert run.entries[0]["environment"]["fingerprint"] in inside
    assert "**gguf**: it died (try again)\n  - boom" in inside


def test_a_comment_longer_than_github_takes_is_cut_and_says_so(run: StoredRun) -> None:
    line = {"limit": "a limit", "measured": "-", "outcome": "pass", "reason": "x" * 500}
    entries = [{**entry, "verdict": {"outcome": "pass", "lines": [line] * 200}} for entry in run.entries]
    text = render([replace(run, result={**run.result, "artifacts": entries})], "markdown")
    assert isinstance(text, str)
    assert 60_000 < len(text) <= 65_536
    assert text.count("<details>") == text.count("</details>") == 1
    assert "longer than a comment may be" in text.splitlines()[-1]


def test_names_cannot_break_the_markdown(evil: StoredRun) -> None:
    report = text_of(render([evil], "markdown", baseline=evil))
    rows = [line for line in report.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(evil.entries)
    assert {row.count("|") for row in rows} == {13}
    for active in ("<script", "@team", "#1 ", "`$y", "-->\n", "\n@"):
        assert active not in report.replace(MARKER, "")


@given(st.text(max_size=30))
def test_escaped_text_stays_on_one_line_and_holds_nothing_active(text: str) -> None:
    written = escape(text)
    assert not re.search(r"[<>|*`\[\]~@\\\n\r]", written)
    assert not re.search(r"&(?!#\d+;)", written)


def test_what_is_harmless_stays_readable() -> None:
    assert escape("recall of age_sensitive_recommendation: 92.30 % (-0.2)") == (
        "recall of age_sensitive_recommendation: 92.30 % (-0.2)"
    )


# Change against an earlier run


def test_a_slow_down_beyond_what_two_jobs_differ_by_is_called_one(
    tmp_path: Path, run: StoredRun, measured: MakeMeasurement
) -> None:
    names = {"original": 2.0 * 1.05, "onnx-int8": 0.5, "onnx-int4": 0.8 * 1.25}
    before = read_run(store(tmp_path / "b", [timed(measured(name, TRUTH, TRUTH), by) for name, by in names.items()]))
    found = find_changes(run, before)
    outcomes = {change.artifact: change.outcome for change in found.changes}
    assert outcomes == {"original": "about the same", "onnx-int8": "slower", "onnx-int4": "undecided"}
    change = next(change for change in found.changes if change.artifact == "onnx-int8")
    assert change.ratio == pytest.approx(2.0)
    assert change.low < 2.0 < change.high
    assert found.remarks == ("New, not in the earlier run: gguf.",)


def test_the_ratio_of_two_runs_has_the_interval_that_mover_gives(run: StoredRun) -> None:
    """Of a run with itself: exp(-+ hypot(log(v / low), log(high / v))), from the P95 interval (low, high) of v."""
    found = next(change for change in find_changes(run, run).changes if change.artifact == "onnx-int8")
    latency = next(entry for entry in run.entries if entry["artifact"] == "onnx-int8")["latency"]
    low, high = np.log(np.array(latency["p95_ci_ms"]) / latency["p95_ms"])
    assert np.log([found.low, found.high]) == pytest.approx([-np.hypot(low, high), np.hypot(low, high)], rel=1e-3)


def test_runs_of_different_machines_are_compared_only_when_asked(run: StoredRun) -> None:
    other = json.loads(json.dumps(run.result))
    for entry in other["artifacts"]:
        entry["environment"] |= {"fingerprint": "f" * 12, "cpu": "Another CPU"}
    before = StoredRun(other, run.latencies_ms)
    refused = find_changes(run, before)
    assert refused.changes == ()
    assert f"cpu Another CPU → {run.entries[0]['environment']['cpu']}), not compared: original," in refused.remarks[0]
    allowed = find_changes(run, before, allow_different=True)
    assert len(allowed.changes) == 3
    assert "compared all the same" in allowed.remarks[0]
    assert "not compared" in text_of(render([run], "markdown", baseline=before))


# CSV and JSON


def test_csv_has_a_row_per_artifact_with_the_values_of_the_result(run: StoredRun) -> None:
    rows = list(csv.DictReader(io.StringIO(text_of(render([run, run], "csv")))))
    assert [row["artifact"] for row in rows] == [entry["artifact"] for entry in run.entries] * 2
    row, entry = rows[1], run.entries[1]
    assert float(row["p95_high_ms"]) == entry["latency"]["p95_ci_ms"][1]
    assert float(row["delta"]) == entry["quality"]["delta"]
    assert rows[3]["p95_ms"] == "" and rows[3]["failure"] == "it died"


def test_csv_text_cannot_be_taken_for_a_formula(tmp_path: Path, measured: MakeMeasurement) -> None:
    stored = store(tmp_path, [measured("=HYPERLINK(1)", TRUTH, TRUTH)])
    rows = list(csv.DictReader(io.StringIO(text_of(render([read_run(stored)], "csv")))))
    assert rows[0]["artifact"] == "'=HYPERLINK(1)"


def test_json_is_the_results_as_stored(run: StoredRun, path: Path) -> None:
    assert json.loads(text_of(render([run], "json"))) == [json.loads(path.read_text(encoding="utf-8"))]


# Figures


def test_the_sheet_is_a_png_twice_as_wide_as_the_page(run: StoredRun) -> None:
    sheet = render([run], "png")
    assert isinstance(sheet, bytes)
    assert sheet[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", sheet[16:20]) == (1720,)


def test_nothing_to_draw_is_said(tmp_path: Path, measured: MakeMeasurement) -> None:
    dead = measured("dead", TRUTH, None, blocks=(), failure=Failure("it died"))
    run = read_run(store(tmp_path, [dead]))
    assert panels(run) == []
    with pytest.raises(MctError, match="no artifact"):
        render([run], "png")


def test_the_front_holds_those_that_nobody_beats() -> None:
    points = [(3.0, 92.0), (1.0, 90.0), (2.0, 89.0), (4.0, 92.0), (5.0, 95.0)]
    assert [points[index] for index in pareto_front(points)] == [(1.0, 90.0), (3.0, 92.0), (5.0, 95.0)]


def test_the_floor_of_quality_is_the_easier_of_the_two_limits(run: StoredRun) -> None:
    """The original has 100 %, 2 points may be lost: 98 %; an absolute limit of 95 % would do too, one of 99 % not."""
    assert quality_floor(run) == pytest.approx(0.98)
    for at_least, floor in ((0.95, 0.95), (0.99, 0.98)):
        budget = {**run.result["budget"], "quality_at_least": at_least}
        assert quality_floor(StoredRun({**run.result, "budget": budget})) == pytest.approx(floor)


@given(st.lists(st.tuples(st.floats(60, 740), st.floats(40, 360)), min_size=1, max_size=10))
def test_labels_lie_on_no_other_label_where_there_is_room(points: list[tuple[float, float]]) -> None:
    frame = Box(0, 0, 800, 400)
    boxes = place_labels(points, [(90, 14)] * len(points), frame, [])
    assert all(box.outside(frame) == pytest.approx(0, abs=1e-6) for box in boxes)
    for number, box in enumerate(boxes):
        assert all(box.overlap(other) == 0 for other in boxes[:number])


def test_figures_say_in_words_what_they_show(run: StoredRun) -> None:
    latency, pareto, slices = panels(run)
    assert "onnx-int8: P95 1.40 ms" in latency.description and "budget is 3 ms" in latency.description
    assert pareto.description.startswith("Best accuracy for its P95, fastest first: onnx-int4")
    assert "onnx-int4: returns -50.00 points" in slices.description


def test_a_curve_is_drawn_where_p95_is_refused(tmp_path: Path, measured: MakeMeasurement) -> None:
    """50 requests bound no P95 (72 do): the figure says so, and shows what there is."""
    whole = measured("few", TRUTH, TRUTH)
    block = whole.blocks[0]
    few = replace(block, end_to_end_ns=block.end_to_end_ns[:50], model_ns=block.model_ns[:50])
    run = read_run(store(tmp_path, [replace(whole, blocks=(few,))]))
    assert run.entries[0]["latency"]["p95_ms"] is None
    latency = panels(run)[0]
    assert latency.name == "latency" and "few: P95 unknown (50 requests)" in latency.description
    assert "unknown" in svg(latency, narrow=False)


def test_a_dollar_in_a_name_is_no_mathematics(tmp_path: Path, measured: MakeMeasurement) -> None:
    run = read_run(store(tmp_path, [measured("a$x^2$b", TRUTH, TRUTH)]))
    for narrow in (False, True):
        assert ">a$x^2$b<" in svg(panels(run)[0], narrow)


# HTML


def test_the_page_refers_to_nothing_outside_itself(run: StoredRun) -> None:
    page = text_of(render([run], "html", baseline=run))
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", re.sub(r"xlink:href=.#", "", page))
    assert not re.findall(r"url\((?!#)|@import|<script|<link(?! rel=.icon. href=.data:)", page)
    assert "default-src 'none'" in page


def test_ids_on_the_page_are_unique_and_every_reference_meets_one(run: StoredRun) -> None:
    page = text_of(render([run, run], "html"))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_every_figure_is_well_formed_and_labelled(evil: StoredRun) -> None:
    figures = re.findall(r"<svg .*?</svg>", text_of(render([evil], "html")), re.DOTALL)
    assert len(figures) == 2 * len(panels(evil))
    for figure in figures:
        root = ElementTree.fromstring(figure)
        assert root.get("role") == "img" and root.get("aria-label")


def test_names_cannot_break_the_page(evil: StoredRun) -> None:
    page = text_of(render([evil], "html", baseline=evil))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


class Visits(http.server.BaseHTTPRequestHandler):
    """Answers nothing and notes who came."""

    def do_GET(self) -> None:
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        self.send_error(404)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def visited() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and the paths that were asked of it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Visits)
    server.seen = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", server.seen  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def open_page(page: str, folder: Path) -> tuple[str, list[str]]:
    """What the page is after Chromium has opened it, and the lines of its console."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    quiet = ("gpu", "quic", "background-networking", "component-update", "sync", "dev-shm-usage")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    command += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_chromium_opens_it_without_a_complaint_and_asks_nobody_for_anything(
    tmp_path: Path, measured: MakeMeasurement, visited: tuple[str, list[str]]
) -> None:
    address, seen = visited
    name = f"<img src={address}/name><script>fetch('{address}/script'); document.title = 'owned'</script>"
    stored = store(
        tmp_path / "r", [measured("original", TRUTH, TRUTH), measured(name, TRUTH, TRUTH)], baseline="original"
    )
    page, console = open_page(text_of(render([read_run(stored)], "html")), tmp_path)
    assert "How to read this" in page and "<title>mct report" in page
    assert console == []
    assert seen == []


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_page_that_does_complain_or_ask_would_have_been_noticed(
    tmp_path: Path, visited: tuple[str, list[str]]
) -> None:
    address, seen = visited
    _, console = open_page(f"<img src='{address}/image'><script>console.error('oh')</script>", tmp_path)
    assert seen == ["/image"]
    assert any("oh" in line for line in console)

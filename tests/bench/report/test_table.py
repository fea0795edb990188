import json
from pathlib import Path
from typing import Any

import pytest

from mct.bench.report.table import markdown_table


@pytest.fixture
def example() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parents[1] / "result_example.json").read_text(encoding="utf-8"))
    return found


def test_one_row_per_artifact_all_of_the_same_width(example: dict[str, Any]) -> None:
    rows = [line for line in markdown_table(example).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(example["artifacts"])
    assert {row.count("|") for row in rows} == {13}


def test_a_row_says_what_was_measured(example: dict[str, Any]) -> None:
    row = next(line for line in markdown_table(example).splitlines() if line.startswith("| onnx-int8 "))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "onnx-int8",
        "onnx int8",
        "1.43",
        "2.70 (2.60 to 2.85)",
        "-",
        "2.65",
        "92.30%, -0.20 (-0.56 to +0.16)",
        "returns 94.67%, -0.33",
        "23.4",
        "310",
        "150",
        "? inconclusive",
    ]


def test_what_was_not_measured_is_a_dash(example: dict[str, Any]) -> None:
    row = next(line for line in markdown_table(example).splitlines() if line.startswith("| gguf-q8_0 "))
    assert row == "| gguf-q8_0 | gguf q8_0 | - | - | - | - | - | - | 24.9 | - | - | ✗ FAIL |"


def test_every_line_that_did_not_pass_is_listed_with_its_reason(example: dict[str, Any]) -> None:
    listed = [line for line in markdown_table(example).splitlines() if line.startswith("- ")]
    assert len(listed) == 3
    assert listed[-1].startswith("- **gguf-q8_0**, runs: ✗ FAIL (died). The worker was ended by SIGSEGV")


def test_an_artifact_made_for_other_instruction_sets_says_so(example: dict[str, Any]) -> None:
    """Both machines stand in the result: whatever this one is, the table of a stored result is the same."""
    assert "another machine" not in markdown_table(example)
    here = {"cpu": "Example CPU", "architecture": "x86_64", "instruction_sets": ["avx2"]}
    for entry in example["artifacts"]:
        entry["environment"] |= here | {"made_for": here}
    assert "another machine" not in markdown_table(example)
    for entry in example["artifacts"][1:]:
        entry["environment"]["made_for"] = here | {"instruction_sets": ["avx2", "avx512_vnni"]}
    text = markdown_table(example)
    made = [
        line for line in text.partition("Made for another machine than this:")[2].splitlines() if " was made " in line
    ]
    onnx, gguf = made
    assert onnx.startswith(
        "- **onnx-int8** was made for x86_64 with avx2, avx512_vnni: sums of 8-bit products saturate"
    )
    assert gguf.startswith("- **gguf-q8_0** was made for") and "the same for this machine" in gguf


WEB = {
    "downloads": [
        {"name": "model", "raw_mb": 4.0, "gzip_mb": 3.0, "brotli_mb": 2.9},
        {"name": "wasm", "raw_mb": 10.0, "gzip_mb": 4.0, "brotli_mb": 2.0},
    ],
    "sent_mb": 4.9, "mbps": 25.0, "stages_ms": {"scripts": 20.0, "first call": 3.0}, "first_answer_ms": 23.0,
    "downloaded_first_answer_ms": 1591.0, "native": {"n": 400, "flips": 3, "unlike": 2, "unlike_flips": 1},
}  # fmt: skip


def test_what_a_page_fetches_and_how_its_answers_compare_stand_below(example: dict[str, Any]) -> None:
    assert "fetches" not in markdown_table(example)
    example["artifacts"][1]["web"] = WEB
    text = markdown_table(example)
    assert "| onnx-int8 | together | 14.00 | 7.00 | 4.90 | 23 | 1,591 |" in text
    assert "with the download at 25 Mbit/s, ms" in text
    assert (
        "another answer than by the native runtime on 3 of 400: 1 of texts that JavaScript tokenises otherwise" in text
    )
    assert "2 of products of few bits" in text and "; 2 tokenised otherwise." in text


def test_in_node_nothing_is_fetched_and_brotli_may_be_unknown(example: dict[str, Any]) -> None:
    example["artifacts"][1]["web"] = WEB | {"downloads": [], "mbps": None, "native": None}
    text = markdown_table(example)
    assert "How long the first answer takes in JavaScript:" in text and "is not here to compare with" in text
    unknown = [each | {"brotli_mb": None} for each in WEB["downloads"]]  # type: ignore[attr-defined]
    example["artifacts"][1]["web"] = WEB | {"downloads": unknown}
    assert "| onnx-int8 | together | 14.00 | 7.00 | - |" in markdown_table(example)


CHOICE = {"fastest": "b", "ties": [], "uncorrected": [], "considered": 3}


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({}, "The fastest that is shown to meet the whole budget, chosen among 3: **b**."),
        ({"considered": 1}, "The fastest that is shown to meet the whole budget: **b**."),
        ({"ties": ["a", "c", "d"]}, "**b**. Not shown to be slower: a, c and d."),
        ({"uncorrected": ["a"]}, "**b**. Each by itself passes, but not as the best of 3: a."),
        ({"fastest": None, "considered": 0}, "This target has a runtime for none of these."),
        ({"fastest": None}, "None of these is shown to meet the whole budget."),
        (
            {"fastest": None, "uncorrected": ["a", "b"]},
            "meet the whole budget. Each by itself passes, but not as the best of 3: a and b.",
        ),
    ],
)
def test_the_choice_in_words(example: dict[str, Any], choice: dict[str, Any], said: str) -> None:
    example["choice"] = CHOICE | choice
    assert said in markdown_table(example)


def test_how_many_times_faster(example: dict[str, Any]) -> None:
    example["artifacts"][1]["speedup"] = {"p50": 6.0, "p50_ci": [5.5, 6.5], "p95": 5.123, "p95_ci": [4.8, 5.5]}
    assert "| 2.70 (2.60 to 2.85) | 5.12 (4.80 to 5.50) | 2.65 |" in markdown_table(example)


def test_a_clean_pass_has_no_list(example: dict[str, Any]) -> None:
    example["artifacts"] = example["artifacts"][:1]
    text = markdown_table(example)
    assert "did not pass" not in text
    assert "✓ pass" in text
    assert "2,000 rows of test.jsonl, budget intent-router; quality is accuracy, against router in points." in text


def test_further_figures_stand_below_the_table(example: dict[str, Any]) -> None:
    entry = example["artifacts"][0]
    recall = {"name": "recall_cap_at_10", "n": 135, "value": 0.5, "delta": -0.01, "delta_ci": None}
    margin = {"name": "reward_margin", "value": 1.5, "delta": -0.25, "delta_ci": [-0.5, -0.01]}
    entry["quality"] |= {"others": [recall], "perplexity": 12.345, "amounts": [margin]}
    entry["writing"] = {"new_tokens": 32.0, "tokens_per_s": 87.04}
    text = markdown_table(example)
    names = " | ".join(each["artifact"] for each in example["artifacts"])
    others = " | -" * (len(example["artifacts"]) - 1)
    assert f"|  | {names} |" in text
    assert f"| recall_cap_at_10 | 50.00%, -1.00{others} |" in text
    assert f"| perplexity | 12.35{others} |" in text
    assert f"| reward margin | 1.5, -0.25 (-0.5 to -0.01){others} |" in text
    assert "- **router**: 87.0 new tokens a second" in text
    example["artifacts"][1]["quality"] |= {"value": None, "delta": None}
    assert "| - | returns" in markdown_table(example)


def test_an_unsteady_run_and_an_assumed_budget_are_said(example: dict[str, Any]) -> None:
    example["artifacts"][0]["stability"] |= {"ok": False, "reasons": ["neighbours"]}
    example["budget"]["assumed"] = True
    text = markdown_table(example)
    assert "- **router**, unsteady run: neighbours." in text
    assert "(assumed, not confirmed)" in text


def test_why_an_artifact_could_not_be_measured_is_said_without_a_budget_too(example: dict[str, Any]) -> None:
    failure = {"message": "it died", "hint": "free some memory", "stderr": []}
    example["artifacts"][1] |= {"failure": failure, "verdict": None}
    said = f"- **{example['artifacts'][1]['artifact']}** could not be measured: it died (free some memory)"
    assert said in markdown_table(example)


def test_a_name_of_several_lines_does_not_break_the_table(example: dict[str, Any]) -> None:
    example["artifacts"][0]["artifact"] = "a\nb\x1b[31m"
    assert "| a b\\x1b[31m |" in markdown_table(example)


def test_a_name_with_a_bar_does_not_break_the_table(example: dict[str, Any]) -> None:
    example["artifacts"][0]["artifact"] = "a|b"
    assert "| a/b |" in markdown_table(example)

"""Production's log is held against the evidence: what changed is said, what did not is not, and every look counts."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from mct import MctError
from mct.bench.samples.subject import identify
from mct.release.promotion.places import DiskPlace
from mct.release.watching.describe import describe
from mct.release.watching.drift import (
    ALPHA,
    Count,
    blocks_of_time,
    counts_of,
    design_effect,
    find_changes,
    level_of,
    p_of_two,
    scales,
)
from mct.release.watching.log import Row, in_order, read_log
from mct.release.watching.looks import take_look, watched_of
from mct.release.watching.reference import of_facts, of_logs, of_results
from mct.release.watching.signals import MOST_ANSWERS, UNKNOWN, count, facts_of

LABELS = {"order": 0.5, "returns": 0.3, "human": 0.2}


def rows(
    count: int, seed: int, mix: dict[str, float] = LABELS, slower: float = 1.0, longer: int = 0
) -> Iterator[dict[str, object]]:
    rng = random.Random(seed)
    for _ in range(count):
        yield {
            "tokens": rng.randint(3, 20) + longer,
            "answer": rng.choices(list(mix), list(mix.values()))[0],
            "confidence": round(rng.betavariate(8, 1), 4),
            "latency_ms": slower * (1 + rng.expovariate(1.0)),
            "deferred": rng.random() < 0.1,
        }


def write(path: Path, *parts: Iterator[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for part in parts for row in part))
    return path


def test_the_looks_may_err_together_what_one_may() -> None:
    assert sum(map(level_of, range(1, 10_000))) == pytest.approx(ALPHA, rel=1e-3)
    assert scales(50) == [1, 2, 4, 8, 16, 32] and scales(1) == [1]


def test_fisher_s_test_is_that_of_the_tea(tmp_path: Path) -> None:
    """Fisher 1935: three cups of four told right; one-sided 17/70."""
    (found,) = p_of_two([Count(3, 4)], [Count(1, 4)])
    assert found == pytest.approx(2 * 17 / 70)


def test_requests_that_come_together_are_worth_less() -> None:
    rng = np.random.default_rng(0)
    independent = (rng.random((1, 4000)) < 0.3).astype(np.float64)
    together, fours = np.repeat(independent[:, :1000], 4, axis=1), np.repeat(np.arange(1000), 4)
    blocks, each = blocks_of_time(4000), np.arange(4000)
    assert design_effect(independent, blocks) < 2 and design_effect(independent, each) < 1.1
    assert 3 < design_effect(together, fours) < 4.8
    counts = counts_of({"share": together[0]}, [each, fours])
    assert counts["share"].rows < 1300 and counts["share"].share == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    ("changed", "signal"),
    [
        ({"mix": {"order": 0.35, "returns": 0.3, "human": 0.35}}, "answers"),
        ({"mix": {"order": 0.4, "returns": 0.3, "human": 0.2, "new": 0.1}}, "answers"),
        ({"slower": 2.0}, "latency"),
        ({"longer": 4}, "lengths"),
        ({}, ""),
    ],
)
def test_what_changed_is_said(tmp_path: Path, changed: dict[str, object], signal: str) -> None:
    before = write(tmp_path / "before.jsonl", rows(3000, 1))
    reference = of_logs([before], None, 0.2)
    log = write(tmp_path / "log.jsonl", rows(2000, 3, **changed))  # type: ignore[arg-type]
    watched = take_look(DiskPlace(tmp_path / "store"), "d" * 64, reference, [log], None)
    assert watched.look is not None and {each.signal for each in watched.look.changes} == (
        {signal} if signal else set()
    )
    assert watched.outcome == ("fail" if signal else "pass")


def test_a_look_is_one_only_where_enough_rows_are_new(tmp_path: Path) -> None:
    place = DiskPlace(tmp_path / "store")
    reference = of_logs([write(tmp_path / "before.jsonl", rows(1000, 1))], None, 0.2)
    few = write(tmp_path / "log.jsonl", rows(99, 2))
    watched = take_look(place, "d" * 64, reference, [few], None)
    assert watched.look is None and watched.outcome == "inconclusive" and watched.waiting == 99
    log = write(tmp_path / "log.jsonl", rows(99, 2), rows(200, 3))
    assert [take_look(place, "d" * 64, reference, [log], None).new for _ in range(3)] == [True, False, False]
    log = write(log, rows(99, 2), rows(200, 3), rows(150, 4))
    again = take_look(place, "d" * 64, reference, [log], None)
    assert again.look is not None and (again.look.number, again.look.rows) == (2, 150)
    other = write(tmp_path / "rotated.jsonl", rows(120, 5))
    assert take_look(place, "d" * 64, reference, [log, other], None).look is not None
    assert take_look(place, "e" * 64, reference, [log], None).look.number == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("different", [1500, 150])
def test_answers_that_the_reference_never_gave_are_a_drift_of_answers(tmp_path: Path, different: int) -> None:
    reference = of_logs([write(tmp_path / "before.jsonl", rows(3000, 1))], None, 0.2)
    strange = ({**row, "answer": f"garbage {number % different}"} for number, row in enumerate(rows(1500, 2)))
    watched = take_look(DiskPlace(tmp_path / "s"), "d" * 64, reference, [write(tmp_path / "l.jsonl", strange)], None)
    assert watched.outcome == "fail" and watched.look is not None
    (change,) = [each for each in watched.look.changes if each.share == UNKNOWN]
    assert (change.signal, change.before, change.now) == ("answers", 0.0, 1.0)
    known = set(LABELS) if different > MOST_ANSWERS else set()
    assert {UNKNOWN} <= set(watched.look.counts["answers"]) and not known & set(watched.look.counts["answers"])
    assert len(watched.look.counts["answers"]) == (1 if different > MOST_ANSWERS else different + 1)


def many(count: int, seed: int, rare: float) -> Iterator[dict[str, object]]:
    """Rows of which so many have one of 200 more answers."""
    rng = random.Random(seed)
    for row in rows(count, seed):
        yield {"answer": f"rare {rng.randrange(200)}" if rng.random() < rare else row["answer"]}


def test_rare_answers_that_the_reference_missed_by_chance_are_no_drift() -> None:
    """Two hundred of 0.1 % each, of which 300 rows do not hold most; what does change is still found."""
    alarms, found, unknown = 0, 0, 0.0
    for run in range(60):
        parts = [facts_of([Row(**row) for row in many(300, 100 * run + n, 0.2)], None) for n in range(6)]  # type: ignore[arg-type]
        reference = count(parts[0], {}, None)
        looks = [count(part, {}, None, reference["answers"]) for part in parts[1:]]
        unknown += reference["answers"][UNKNOWN].share - sum(each["answers"][UNKNOWN].share for each in looks) / 5
        alarms += any(find_changes(looks[:n], reference, {}) for n in range(1, 6))
        more = facts_of([Row(**row) for row in many(300, 100 * run + 7, 0.6)], None)  # type: ignore[arg-type]
        found += bool(find_changes([count(more, {}, None, reference["answers"])], reference, {}))
    assert alarms <= 60 * ALPHA and found > 50 and abs(unknown / 60) < 0.02


@pytest.mark.parametrize(("had", "outcome"), [(False, "pass"), (True, "inconclusive")])
def test_confidence_is_asked_only_of_a_log_that_once_had_it(tmp_path: Path, had: bool, outcome: str) -> None:
    place, log = DiskPlace(tmp_path / "store"), tmp_path / "log.jsonl"
    reference = of_logs([write(tmp_path / "before.jsonl", rows(3000, 1))], None, 0.2)
    without = [{k: v for k, v in row.items() if k != "confidence"} for row in rows(2000, 3)]
    first = rows(1000, 2) if had else iter(without[1000:])
    lines = list(first)
    assert take_look(place, "d" * 64, reference, [write(log, iter(lines))], None).outcome == "pass"
    for new in (True, False):
        watched = take_look(place, "d" * 64, reference, [write(log, iter(lines + without[:1000]))], None)
        assert (watched.outcome, watched.new) == (outcome, new)
        assert watched.lacking == (("confidence",) if had else ())
        said = describe(watched, "router@1")
        assert "not watched, for want of rows that hold it here and there: confidence" in said
        assert ("no all-clear without" in said) is had


def test_what_the_reference_holds_and_the_log_does_not_leaves_no_all_clear(tmp_path: Path) -> None:
    reference = of_logs([write(tmp_path / "before.jsonl", rows(3000, 1))], None, 0.2)
    log = write(tmp_path / "log.jsonl", ({k: v for k, v in row.items() if k != "answer"} for row in rows(1000, 3)))
    watched = take_look(DiskPlace(tmp_path / "store"), "d" * 64, reference, [log], None)
    assert watched.outcome == "inconclusive" and watched.lacking == ("answers",)
    assert "no all-clear without" in describe(watched, "router@1")
    (stored,) = (tmp_path / "store").rglob("*.json")
    stored.write_text(stored.read_text().replace('"inconclusive"', '"pass"'))  # as it was said before
    assert take_look(DiskPlace(tmp_path / "store"), "d" * 64, reference, [log], None).outcome == "inconclusive"


def test_a_look_that_is_lost_keeps_its_number_and_is_said(tmp_path: Path) -> None:
    place, log = DiskPlace(tmp_path / "store"), tmp_path / "log.jsonl"
    reference = of_logs([write(tmp_path / "before.jsonl", rows(3000, 1))], None, 0.2)
    for parts in range(1, 4):
        write(log, *(rows(300, 10 + number) for number in range(parts)))
        take_look(place, "d" * 64, reference, [log], None)
    first, _, third = sorted((tmp_path / "store").rglob("*.json"))
    first.unlink()
    write(log, *(rows(300, 10 + number) for number in range(4)))
    watched = take_look(place, "d" * 64, reference, [log], None)
    assert watched.look is not None and (watched.look.number, watched.look.rows, watched.lost) == (4, 300, (1,))
    assert "looks that are gone, and count as looks: 1" in describe(watched, "router@1")
    first.write_bytes(third.read_bytes())
    with pytest.raises(MctError, match=r"00000001\.json holds look 3"):
        take_look(place, "d" * 64, reference, [log], None)


def test_a_log_that_is_its_own_reference_is_refused(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", rows(500, 1))
    lines = log.read_text().splitlines(keepends=True)
    copies = {"copy": lines, "grown": [*lines, '{"tokens": 3}\n'], "sorted": sorted(lines, reverse=True)}
    for name, content in copies.items():
        (tmp_path / name).with_suffix(".jsonl").write_text("".join(content))
        reference = of_logs([tmp_path / f"{name}.jsonl"], None, 0.2)
        with pytest.raises(MctError, match=r"log\.jsonl is its own reference"):
            take_look(DiskPlace(tmp_path / "store"), "d" * 64, reference, [log], None)


def test_a_log_that_begins_with_the_same_line_is_another(tmp_path: Path) -> None:
    same = [{"answer": "order"}] * 19
    before = write(tmp_path / "before.jsonl", iter(same), rows(1000, 1))
    log = write(tmp_path / "log.jsonl", iter(same), rows(1000, 2))
    reference = of_logs([before], None, 0.2)
    assert take_look(DiskPlace(tmp_path / "store"), "d" * 64, reference, [log], None).new
    short = of_logs([write(tmp_path / "short.jsonl", iter(same))], None, 0.2)
    with pytest.raises(MctError, match=r"log\.jsonl is its own reference"):
        take_look(DiskPlace(tmp_path / "store"), "d" * 64, short, [log], None)


def test_another_margin_is_another_series_and_that_is_said(tmp_path: Path) -> None:
    place, log = DiskPlace(tmp_path / "store"), write(tmp_path / "log.jsonl", rows(300, 2))
    before = write(tmp_path / "before.jsonl", rows(1000, 1))
    watched = [take_look(place, "d" * 64, of_logs([before], None, margin), [log], None) for margin in (0.2, 0.5)]
    assert [each.others for each in watched] == [0, 1] and all(each.new for each in watched)
    assert "1 other series of looks" in describe(watched[1], "router@1")


def test_an_alarm_stands_until_enough_new_rows_say_otherwise(tmp_path: Path) -> None:
    place = DiskPlace(tmp_path / "store")
    reference = of_logs([write(tmp_path / "before.jsonl", rows(3000, 1))], None, 0.2)
    log = tmp_path / "log.jsonl"
    outcomes = []
    for quiet in (0, 99, 20_000):
        write(log, rows(300, 2, slower=3.0), rows(quiet, 3))
        watched = take_look(place, "d" * 64, reference, [log], None)
        outcomes.append((watched.outcome, watched.new, watched.waiting))
    assert outcomes == [("fail", True, 0), ("fail", False, 99), ("pass", True, 0)]


def test_a_log_that_lost_rows_is_refused_and_one_begun_anew_is_another(tmp_path: Path) -> None:
    place = DiskPlace(tmp_path / "store")
    reference = of_logs([write(tmp_path / "before.jsonl", rows(500, 1))], None, 0.2)
    log = write(tmp_path / "log.jsonl", rows(300, 2))
    take_look(place, "d" * 64, reference, [log], None)
    with pytest.raises(MctError, match="has 200 rows, and an earlier look saw 300"):
        take_look(place, "d" * 64, reference, [write(log, rows(200, 2))], None)
    assert take_look(place, "d" * 64, reference, [write(log, rows(200, 3))], None).new


def test_logs_that_begin_with_the_same_rows_and_go_on_otherwise_are_several(tmp_path: Path) -> None:
    """A service warms up by the same requests each time; a log that is cut off is refused all the same."""
    place, warm = DiskPlace(tmp_path / "store"), [{"answer": "order", "tokens": 2}] * 25
    reference = of_logs([write(tmp_path / "before.jsonl", rows(1500, 1))], None, 0.2)

    def look(*logs: Path) -> int | None:
        watched = take_look(place, "d" * 64, reference, [*logs], None)
        return watched.look.rows if watched.look and watched.new else None

    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert look(write(first, iter(warm), rows(400, 2))) == 425
    assert look(write(second, iter(warm), rows(300, 3))) == 325
    assert look(write(first, iter(warm), rows(500, 2)), write(second, iter(warm), rows(350, 3))) == 150
    assert look(write(tmp_path / "third.jsonl", iter(warm), rows(9, 4)), write(first, iter(warm), rows(700, 2))) == 234
    for short in (1, 300, 349):
        with pytest.raises(MctError, match="and an earlier look saw"):
            look(write(tmp_path / "cut.jsonl", iter(warm), rows(short, 3)))


def test_a_look_of_before_it_kept_marks_refuses_what_begins_alike(tmp_path: Path) -> None:
    place = DiskPlace(tmp_path / "store")
    reference = of_logs([write(tmp_path / "before.jsonl", rows(500, 1))], None, 0.2)
    log = write(tmp_path / "log.jsonl", rows(300, 2))
    take_look(place, "d" * 64, reference, [log], None)
    (kept,) = (tmp_path / "store").rglob("00000001.json")
    kept.write_text(
        json.dumps({name: value for name, value in json.loads(kept.read_text()).items() if name != "marks"})
    )
    with pytest.raises(MctError, match="has 100 rows, and an earlier look saw 300"):
        take_look(place, "d" * 64, reference, [write(log, rows(40, 2), rows(60, 3))], None)


def test_what_a_stranger_called_things_is_shown_as_text(tmp_path: Path) -> None:
    before = write(tmp_path / "a&b_*.jsonl", rows(1000, 1))
    log = write(tmp_path / "log.jsonl", rows(1000, 2, mix={"<b>&\x1b[2J": 1.0}))
    watched = take_look(DiskPlace(tmp_path / "store"), "d" * 64, of_logs([before], None, 0.2), [log], None)
    said = describe(watched, "router@1")
    assert "a&b_*.jsonl" in said and "<b>&\\x1b[2J" in said and "\x1b" not in said


@pytest.mark.parametrize(("before", "now"), [(0, 300), (99, 300), (300, 0)])
def test_where_nothing_can_be_held_against_anything_there_is_no_all_clear(
    tmp_path: Path, before: int, now: int
) -> None:
    told = write(tmp_path / "before.jsonl", rows(before, 1), iter([{"other": 1}] * (300 - before)))
    log = write(tmp_path / "log.jsonl", rows(now, 2), iter([{"other": 2}] * (300 - now)))
    watched = take_look(DiskPlace(tmp_path / "store"), "d" * 64, of_logs([told], None, 0.2), [log], None)
    assert watched.look is not None and watched.outcome == "inconclusive" and watched.as_json()["watched"] == []
    assert "watched: nothing" in describe(watched, "router@1")


def test_a_result_without_its_samples_or_of_another_artifact_is_no_reference(
    tmp_path: Path, artifacts: tuple[Path, ...], stored: Callable[..., Path]
) -> None:
    path, digest, other = stored(artifacts[0]), identify(artifacts[0]).digest, "f" * 64
    assert of_results(path.parent, digest, 0.2).counts
    true = path.read_text()
    path.write_text(true.replace(digest, other))
    with pytest.raises(MctError, match="no samples of this artifact"):
        of_results(path.parent, other, 0.2)
    path.write_text(true)
    path.with_suffix(".samples.jsonl.gz").unlink()
    with pytest.raises(MctError, match="does not exist"):
        of_results(path.parent, digest, 0.2)


def test_two_logs_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    reference = of_logs([write(tmp_path / "before.jsonl", rows(500, 1))], None, 0.2)
    logs = [write(tmp_path / f"{number}.jsonl", rows(200, 2)) for number in range(2)]
    with pytest.raises(MctError, match="which would count twice"):
        take_look(DiskPlace(tmp_path / "store"), "d" * 64, reference, logs, None)


def test_a_log_is_known_by_the_rows_that_were_seen_and_not_by_its_first_line(tmp_path: Path) -> None:
    """Every log of a server begins with the same line."""
    place, start = DiskPlace(tmp_path / "store"), [{"event": "server started"}]
    reference = of_logs([write(tmp_path / "before.jsonl", rows(3000, 1))], None, 0.2)
    log, other = tmp_path / "monday.jsonl", tmp_path / "tuesday.jsonl"
    take_look(place, "d" * 64, reference, [write(log, iter(start), rows(400, 2))], None)
    write(other, iter(start), rows(300, 3, mix={"human": 1.0}))
    watched = take_look(place, "d" * 64, reference, [other], None)
    assert watched.look is not None and (watched.new, watched.look.rows, watched.outcome) == (True, 301, "fail")
    write(log, iter(start), rows(400, 2), rows(150, 4))
    watched = take_look(place, "d" * 64, reference, [log, other], None)
    assert watched.look is not None and (watched.look.number, watched.look.rows) == (3, 150)
    write(log, iter(start), rows(399, 2), rows(151, 5))  # a row that was seen is another one now
    watched = take_look(place, "d" * 64, reference, [log], None)
    assert watched.look is not None and (watched.look.number, watched.look.rows) == (4, 551)
    write(other, iter(start), rows(400, 2), rows(150, 4), rows(1, 9))
    write(log, iter(start), rows(400, 2), rows(150, 4), rows(1, 10))
    with pytest.raises(MctError, match="begin with the same rows"):
        take_look(place, "d" * 64, reference, [log, other], None)


def of_the_hour(rng: np.random.Generator, count: int, cycle: int, swing: float) -> list[Row]:
    """Requests whose mean length rises and falls by that share of it, once in so many rows."""
    lengths = rng.poisson(9 * (1 + swing * np.sin(2 * np.pi * np.arange(count) / cycle))) + 1
    return [Row(tokens=int(length)) for length in lengths]


def slowly(rng: np.random.Generator, count: int, memory: int) -> list[Row]:
    """Requests whose confidence wanders, and forgets in so many rows where it was."""
    kept, wander = np.exp(-1 / memory), np.empty(count)
    wander[0] = rng.normal()
    for place, step in enumerate(rng.normal(size=count - 1) * np.sqrt(1 - kept**2), start=1):
        wander[place] = kept * wander[place - 1] + step
    odds = np.exp(1.5 + 0.5 * wander + np.sqrt(0.75) * rng.normal(size=count))
    return [Row(confidence=float(each)) for each in odds / (1 + odds)]


@pytest.mark.parametrize(
    ("draw", "before", "too_short"),
    [
        (lambda rng, count: of_the_hour(rng, count, 800, 0.3), 7 * 800, False),
        (lambda rng, count: of_the_hour(rng, count, 800, 0.3), 800, True),
        (lambda rng, count: slowly(rng, count, 40), 4000, False),
        (lambda rng, count: slowly(rng, count, 800), 4000, True),
    ],
    ids=["seven days", "one day", "forgets soon", "forgets late"],
)
def test_what_varies_more_slowly_than_a_look_is_no_drift(
    draw: Callable[[np.random.Generator, int], list[Row]], before: int, too_short: bool
) -> None:
    """Either the reference shows by how much, or it is said to be too short."""
    alarms = short = 0
    for run in range(20):
        drawn = draw(np.random.default_rng(run), before + 30 * 100)
        reference = of_facts("before", facts_of(drawn[:before], None), 0.2)
        parts = [facts_of(drawn[place : place + 100], None) for place in range(before, len(drawn), 100)]
        looks = [count(part, reference.cuts, None) for part in parts]
        short += bool(reference.too_short)
        held = [{name: each[name] for name in watched_of(each, reference)} for each in looks]
        alarms += any(find_changes(held[:n], reference.counts, {}, slow=reference.slow) for n in range(1, 31))
    assert alarms <= 1 and (short >= 15 if too_short else short <= 5), (alarms, short)


def test_a_reference_that_is_too_short_to_tell_gives_no_all_clear(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [{"tokens": row.tokens, "answer": "order"} for row in of_the_hour(rng, 4500, 4000, 0.3)]
    reference = of_logs([write(tmp_path / "before.jsonl", iter(lines[:4000]))], None, 0.2)
    log = write(tmp_path / "log.jsonl", iter(lines[4000:]))
    for new in (True, False):
        watched = take_look(DiskPlace(tmp_path / "store"), "d" * 64, reference, [log], None)
        assert (watched.outcome, watched.new) == ("inconclusive", new)
        assert watched.as_json()["too_short"] == ["lengths"] and watched.as_json()["watched"] == ["answers"]
        assert "the reference is too short to tell" in describe(watched, "router@1")


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", rows(3, 1))
    before = read_log(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_log(path) == before


def test_no_text_of_a_customer_is_kept(tmp_path: Path) -> None:
    reference = of_logs([write(tmp_path / "before.jsonl", rows(500, 1))], None, 0.2)
    log = write(tmp_path / "log.jsonl", ({**row, "text": "my card is 4111"} for row in rows(200, 2)))
    take_look(DiskPlace(tmp_path / "store"), "d" * 64, reference, [log], lambda texts: [len(text) for text in texts])
    assert not [path for path in (tmp_path / "store").rglob("*.json") if "4111" in path.read_text()]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"latency_ms": -1}',
        '{"latency_ms": NaN}',
        '{"confidence": 1.2}',
        '{"tokens": 1.5}',
        '{"text": 3}',
        '{"time": -1.0}',
        "\x00",
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"tokens": 3}\n' + line + "\n")
    with pytest.raises(MctError, match=r"log\.jsonl line 2"):
        read_log(path)


def test_rows_are_in_the_order_of_their_times_and_a_cut_line_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"tokens": 2, "time": "2026-01-02T00:00:00Z"}\n{"tokens": 1, "time": "2026-01-01"}\n{"tok')
    assert [row.tokens for row in in_order(read_log(path).rows)] == [1, 2]
    path.write_text('{"tokens": 2, "time": "tomorrow"}\n')
    with pytest.raises(MctError, match="is no time"):
        in_order(read_log(path).rows)


def test_a_release_is_held_against_the_evidence_of_its_promotion(
    tmp_path: Path, run_mct: Callable[..., object], tiny_onnx: Path
) -> None:
    """The command, from a bench to an alarm."""
    folder = tmp_path / "onnx-int8"
    shutil.copytree(tiny_onnx / "onnx-int8", folder)
    data = tmp_path / "test.jsonl"
    texts = ["where is my order", "i want to return volume 3", "hi", "let me talk to a human now", "is this suitable"]
    data.write_text("".join(json.dumps({"text": text, "label": "other"}) + "\n" for text in texts * 60))
    results = tmp_path / "results"
    bench = ["bench", folder, "--data", data, "--results", results, "--max-seconds", "0.5"]
    assert run_mct(*bench).returncode == 0  # type: ignore[attr-defined]
    from mct.bench.jobs.run import ask, open_model, read_request

    model = open_model(folder)
    said = [ask(model, read_request(model, text)) for text in texts]
    log = tmp_path / "log.jsonl"
    lines = [{"text": each["request"], "answer": each["answer"], "latency_ms": 0.001} for each in said]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines * 60))
    watch = ["watch", log, "--release", folder, "--results", results, "--store", tmp_path / "store"]
    done = run_mct(*watch, "--json")
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    found = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert {"answers", "lengths"} <= set(found["look"]["counts"])
    other = tmp_path / "later.jsonl"
    slow = [line | {"latency_ms": 1e5, "text": f"{line['text']} please " * 3} for line in lines]
    other.write_text("".join(json.dumps(line) + "\n" for line in slow * 60))
    done = run_mct("watch", other, *watch[2:])
    assert done.returncode == 1 and "lengths" in done.stdout  # type: ignore[attr-defined]


def test_a_name_means_what_is_there_and_is_refused_where_both_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_onnx: Path, run_mct: Callable[..., CompletedProcess[str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_onnx / "onnx-int8", tmp_path / "router")
    log, before = write(tmp_path / "log.jsonl", rows(200, 2)), write(tmp_path / "before.jsonl", rows(300, 1))
    words = ("watch", log, "--reference", before, "--store", "store", "--json", "--release")
    assert json.loads(run_mct(*words, "router").stdout)["release"] == "./router"
    assert run_mct("release", "add", "router", "--name", "router", "--store", "store").returncode == 0
    done = run_mct(*words, "router")
    assert done.returncode == 2 and "./router" in done.stderr and "router@1" in done.stderr
    for ref, taken in (("./router", "./router"), ("router@1", "router@1")):
        assert json.loads(run_mct(*words, ref).stdout)["release"] == taken
    (tmp_path / "router@1").mkdir()
    assert json.loads(run_mct(*words, "router@1").stdout)["release"] == "router@1"

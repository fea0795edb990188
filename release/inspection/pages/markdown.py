"""What was found, as Markdown: what matters first. Texts of a stranger's file stand in it and do nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mct.bench.judge.line import Line
from mct.bench.report.markdown import escape
from mct.bench.report.table import MARKS
from mct.release.inspection.behaved import Behaved
from mct.release.inspection.drift import Mean
from mct.release.inspection.explanation import Attributed, Attribution, Behaviour, Explanation, Sensitivity
from mct.release.inspection.flips import Flips, Group
from mct.release.inspection.rates import Rate
from mct.release.inspection.scores import ScoreDrift
from mct.release.inspection.spurious import Driven, Spurious

MOST_GROUPS, MOST_FLIPS, MOST_ANSWERS, MOST_WORDS, MOST_PARTS, MOST_FAILURES, MOST_LABELS = 8, 10, 5, 5, 8, 5, 8
MOST_TEXT = 120


def explanation_markdown(found: Explanation) -> str:
    """All of an inspection."""
    parts = [
        f"# {_text(found.artifact.name)} beside {_text(found.original.name)}",
        headline(found),
        _lines(found.lines),
        _flips(found.flips),
        _scores(found.scores),
        _attribution(found.attribution),
        _spurious(found.spurious),
        _sensitivity(found.sensitivity),
        _behaviour(found.behaviour, found.tests),
        _left_out(found.left_out),
        f"{found.rows - found.repeated:,} examples of {_text(found.data)} (SHA-256 {found.sha256[:12]})"
        f"{f', {found.repeated:,} that ask the same left out' if found.repeated else ''}, seed {found.seed}, "
        f"{found.seconds:.0f} s; artifact {found.artifact.digest[:12]}, original {found.original.digest[:12]}.",
    ]
    return "\n\n".join(each for each in parts if each) + "\n"


def behaviour_markdown(found: Behaved) -> str:
    """Behaviour tests of one model."""
    parts = [f"# Behaviour of {_text(found.name)}", _lines(found.lines), _behaviour(found.behaviour, found.tests)]
    return "\n\n".join(each for each in parts if each) + "\n"


def headline(found: Explanation) -> str:
    """The outcome in a sentence."""
    flips = found.flips
    said = f"{percent(flips.rate)} of the answers differ ({flips.worse} got worse, {flips.better} better)"
    if found.scores is not None:
        worst = found.scores.labels[0].label
        said += f"; the scores of {_text(worst)} moved {times(found.scores)} times as far as rounding moves them"
    if found.attribution is not None:
        said += f"; what answers rest on drifted by {mean(found.attribution.drift)}"
        if found.attribution.floor is not None:
            said += (
                f", where rounding to {found.attribution.floor_bits} bits alone gives {mean(found.attribution.floor)}"
            )
    if found.behaviour:
        failed, cases = (
            sum(each.artifact.count for each in found.behaviour),
            sum(each.artifact.n for each in found.behaviour),
        )
        worse = sum(each.worse for each in found.behaviour)
        said += f"; {failed} of {cases} behaviour cases fail, {worse} of them only since it was compressed"
    return said + "."


def percent(rate: Rate) -> str:
    """A share with its interval."""
    return f"{100 * rate.value:.2f} % [{100 * rate.low:.2f}, {100 * rate.high:.2f}]"


def mean(value: Mean) -> str:
    """A mean with its interval."""
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _text(text: Any, most: int = MOST_TEXT) -> str:
    said = str(text)
    return escape(said if len(said) <= most else f"{said[: most - 1]}…")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """The first `words` columns are words, the others figures."""
    rule = ["--" if at < words else "--:" for at in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _lines(lines: Sequence[Line]) -> str:
    if not lines:
        return ""
    rows = [[_text(line.limit), line.measured, MARKS[line.outcome], line.reason] for line in lines]
    return _table(("limit", "found", "", "why"), rows, words=4)


def _flips(flips: Flips) -> str:
    said = [
        "## Flips", "",
        f"{flips.rate.count:,} of {flips.rate.n:,} answers differ: {percent(flips.rate)}. "
        f"{flips.worse} were right and are wrong now, {flips.better} the other way (p = {flips.p_value:.2g}).",
    ]  # fmt: skip
    shown = [group for group in flips.groups if group.shown]
    if flips.groups:
        some = shown or list(flips.groups[:3])
        about = (
            f"{len(shown)} of {len(flips.groups)} groups flip more or less often than the rest (p corrected for all):"
            if shown
            else f"No group of {len(flips.groups)} is shown to flip more often than the rest; the nearest to it:"
        )
        said += [
            "",
            about,
            "",
            _table(("group", "flips", "rate", "rest", "more by", "p"), [_group(each) for each in some[:MOST_GROUPS]]),
        ]
    if flips.listed:
        rows = [
            [str(each.row), _text(each.text), _text(each.truth),
             f"{_text(each.original)} ({each.original_confidence:.2f})",
             f"{_text(each.artifact)} ({each.artifact_confidence:.2f})", each.became]
            for each in flips.listed[:MOST_FLIPS]
        ]  # fmt: skip
        said += ["", _table(("row", "text", "truth", "original", "artifact", ""), rows, words=6)]
    return "\n".join(said)


def _group(group: Group) -> list[str]:
    more = f"{100 * group.more:+.2f} [{100 * group.low:+.2f}, {100 * group.high:+.2f}]"
    return [
        f"{group.kind} {_text(group.name)}", f"{group.flips.count} of {group.flips.n}",
        f"{100 * group.flips.value:.2f} %", f"{100 * group.rest:.2f} %", more, f"{group.p_value:.2g}",
    ]  # fmt: skip


def times(found: ScoreDrift) -> str:
    """The multiple of the floor with its interval."""
    high = "?" if found.high is None else f"{found.high:.2f}"
    return f"{found.times:.2f} [{found.low:.2f}, {high}]"


def _scores(found: ScoreDrift | None) -> str:
    if found is None:
        return ""
    rows = [
        [_text(each.label), f"{each.drift:.4f}", f"{each.floor:.4f}", f"{each.times:.2f}"]
        for each in found.labels[:MOST_LABELS]
    ]
    about = (
        f"How far the score of each label moved (root mean square over {found.n:,} examples), and how far it does where"
        f" the original is rounded to {found.bits} bits. The most of any label: {times(found)} times as far."
    )
    return "\n".join(
        ["## How far scores moved", "", about, "", _table(("label", "moved", "by rounding", "times"), rows)]
    )


def _attribution(found: Attribution | None) -> str:
    if found is None:
        return ""
    cut = " (the time cap came first)" if found.cut_short else ""
    said = [
        "## What answers rest on", "",
        f"Drift of attribution: {mean(found.drift)}, the mean of 1 - rank correlation of what each word is worth over "
        f"{found.drift.n} answers{cut}.",
    ]  # fmt: skip
    if found.floor is not None and found.excess is not None:
        said[-1] += (
            f" Rounding the original to {found.floor_bits} bits gives {mean(found.floor)}; beyond that: "
            f"{mean(found.excess)}."
        )
    if found.gap is not None:
        said += [
            "",
            f"Integrated gradients of the original, from {_text(found.baseline)}: "
            f"completeness gap {100 * found.gap:.2f} %.",
        ]
    told = sorted((each for each in found.examples if each.drift is not None), key=lambda each: -(each.drift or 0.0))
    rows = [_answer(each) for each in told[:MOST_ANSWERS]]
    return "\n".join(
        [
            *said,
            "",
            "The answers that drifted most, and the words worth most:",
            "",
            _table(("row", "answer", "original", "artifact", "drift"), rows, words=4),
        ]
    )


def _answer(each: Attributed) -> list[str]:
    sides = []
    for side in ("original", "artifact"):
        best = sorted(each.words, key=lambda word: -getattr(word, side))[:MOST_WORDS]
        sides.append(", ".join(f"{_text(word.word, 24)} {getattr(word, side):+.2f}" for word in best))
    return [str(each.row), _text(each.of), *sides, f"{each.drift:.2f}"]


def _spurious(found: Sequence[Spurious] | None) -> str:
    if not found:
        return ""
    shown = [each for each in found if each.shown]
    some = shown or found[:3]
    about = (
        "These words stand in texts that are answered with a label more often than they have it (p corrected):"
        if shown
        else "No word is shown to drive an answer beyond what the labels say; the nearest to it:"
    )
    head = (
        "word",
        "label",
        "texts",
        "have it",
        "original answers",
        "artifact answers",
        "push, original",
        "push, artifact",
        "p",
    )
    rows = [
        [_text(each.word, 30), _text(each.label), str(each.n), f"{100 * each.labelled:.1f} %",
         f"{100 * each.original.answered:.1f} %",
         f"{100 * each.artifact.answered:.1f} %", _push(each.original), _push(each.artifact),
         f"{each.original.p_value:.2g}, {each.artifact.p_value:.2g}"]
        for each in some
    ]  # fmt: skip
    return "\n".join(["## Words that drive answers", "", about, "", _table(head, rows, words=2)])


def _push(driven: Driven) -> str:
    return "-" if driven.push is None else f"{driven.push:+.2f}"


def _sensitivity(found: Sensitivity | None) -> str:
    if found is None:
        return ""
    order = sorted(found.parts, key=lambda part: -part.cost)[:MOST_PARTS]
    whole = sum(part.cost for part in found.parts) or 1.0
    rows = [
        [f"`{_text(part.name)}`", part.layer or "-", f"{part.cost:.3g}", f"{100 * part.cost / whole:.0f} %"]
        for part in order
    ]
    about = (
        f"Each matrix of weights alone in {found.bits} bits, on {found.texts} texts: how far answers move from "
        f"those at full precision. All together cost {found.all:.3g}."
    )
    return "\n".join(
        ["## What each layer costs", "", about, "", _table(("weights", "layer", "cost", "share"), rows, words=2)]
    )


def _behaviour(found: Sequence[Behaviour], tests: str) -> str:
    if not found:
        return ""
    beside = any(each.original is not None for each in found)
    head = ("test", "kind", "cases", "fail", *(("original fails", "worse", "better") if beside else ()))
    rows = []
    for each in found:
        cells = [_text(each.test.name), each.test.kind, str(each.artifact.n), percent(each.artifact)]
        if each.original is not None:
            cells += [percent(each.original), str(each.worse), str(each.better)]
        rows.append(cells)
    said = [f"## Behaviour: {_text(tests)}", "", _table(head, rows, words=2)]
    for each in (each for each in found if each.failures):
        said += ["", f"**{_text(each.test.name)}**, {len(each.failures)} of {each.artifact.n} fail:", ""]
        said += [f"- {_case(outcome)}" for outcome in each.failures[:MOST_FAILURES]]
        if len(each.failures) > MOST_FAILURES:
            said.append(f"- and {len(each.failures) - MOST_FAILURES} more")
    return "\n".join(said)


def _case(outcome: Any) -> str:
    becomes = f" → “{_text(outcome.case.becomes)}”" if outcome.case.becomes else ""
    return f"“{_text(outcome.case.text)}”{becomes}: {_text(outcome.failed)}"


def _left_out(left_out: Mapping[str, str]) -> str:
    if not left_out:
        return ""
    return "\n".join(
        ["## Not looked at", "", *(f"- {name}: {_text(reason, 300)}" for name, reason in left_out.items())]
    )

"""The decision for a person: one fact a line, so that two of them can be read side by side as a diff.

What a file may hold makes no mark-up of its own: in the page that is written each character that could is an entity. A
terminal is shown the same lines as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mct.bench.report.markdown import escape
from mct.models.command_line import one_line
from mct.models.scenarios.table import find_scenario
from mct.release.decision.costs import HOURS
from mct.release.decision.criterion import ASKS, Margin
from mct.release.decision.decision import Decision

SIGNS = {"met": "✓", "not met": "✗", "missing": "?"}
NEAREST = 8
Plain = Callable[[str], str]
"""Makes a text that a file may hold one line of a list, or a cell, without mark-up of its own."""


def as_markdown(decision: Decision) -> str:
    """The whole page."""
    return _page(decision, lambda text: escape(one_line(text)))


def as_text(decision: Decision) -> str:
    """The whole page as a terminal shows it."""
    return _page(decision, one_line)


def _page(decision: Decision, plain: Plain) -> str:
    row = find_scenario(decision.scenario)
    subject = f"{decision.artifact} ({decision.digest[:12]}…)" if decision.digest else "nothing was measured yet"
    lines = [
        f"# {decision.outcome.capitalize()}: {row.number} {row.name}", "",
        f"- technique: {row.technique}",
        f"- what is decided about: {plain(subject)}",
        f"- what it must not lose: {row.must_keep}",
        f"- newest evidence: {plain(decision.date or 'none')}",
        f"- signed by: {plain(decision.signed_by or 'nobody yet')}",
        *_section("Why", map(plain, decision.why)),
        *_criteria(decision, plain),
        *_section("Production", map(plain, _production(decision))),
        *_alternatives(decision, plain),
        *_cost(decision, plain),
        *_section("What would change it", map(plain, _changes(decision))),
        *_section("Risks in the high-risk flows", map(plain, decision.risks)),
        *_section("Assumed", map(plain, decision.assumed or ("nothing",))),
        *_evidence(decision, plain),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return ["", f"## {title}", "", *(f"- {line}" for line in lines)]


def _criteria(decision: Decision, plain: Plain) -> Iterator[str]:
    yield from ("", "## The five criteria")
    for number, each in enumerate(decision.criteria, 1):
        yield from ("", f"### {number}. {SIGNS[each.state]} {ASKS[each.name]}: {each.state}", "")
        yield from (f"- {plain(fact)}" for fact in each.facts)
        yield from (f"- {'missing' if each.state == 'missing' else 'lacks'}: {plain(lack)}" for lack in each.lacks)
        if each.files:
            yield f"- files: {', '.join(map(plain, each.files))}"


def _production(decision: Decision) -> Iterator[str]:
    standing = decision.standing
    if standing.production is None:
        yield "nothing is in production, as far as the evidence tells"
    else:
        yield f"in production: {standing.production.ref}"
        yield f"a rollback leads to: {standing.earlier.ref if standing.earlier else 'nothing'}"
    if standing.subject is not None:
        subject = f"{standing.subject.ref}, {standing.subject.state}"
        yield f"what is decided about is {subject}; its gate: {standing.gate or 'not asked'}"
    yield from decision.trouble or ("no sign of misbehaviour in the evidence",)


def _alternatives(decision: Decision, plain: Plain) -> Iterator[str]:
    yield from ("", "## Alternatives considered", "")
    yield "| what | name | P95 | quality | size | a month | verdict | why not |"
    yield "|--|--|--:|--:|--:|--:|--|--|"
    for each in decision.alternatives:
        cells = (each.what, each.name, each.p95, each.quality, each.size, each.cost, each.verdict, each.why_not)
        yield f"| {' | '.join(map(plain, cells))} |"


def _cost(decision: Decision, plain: Plain) -> Iterator[str]:
    costs = decision.costs
    yield from ("", f"## Cost a month at {costs.load_qps:g} requests a second", "")
    yield "| target | USD an hour | one machine serves | machines | USD a month | rests on |"
    yield "|--|--:|--:|--:|--:|--|"
    for each in costs.targets:
        serves = "-" if each.qps_each is None else f"{each.qps_each:,.4g} a second"
        machines = "-" if each.machines is None else f"{each.machines}"
        least = "" if each.machines is not None else "at least "
        yield (
            f"| {plain(each.target)} | {each.price_per_hour:g} | {serves} | {machines} "
            f"| {least}{each.per_month:,.2f} | {plain(each.rests_on)} |"
        )
    limit = "no limit was set" if costs.limit is None else f"it may cost {costs.limit:,.2f} USD a month"
    yield from ("", f"A month has {HOURS} hours; {limit}.")


def _changes(decision: Decision) -> Iterator[str]:
    if decision.outcome == "roll back":
        yield from (f"no rollback without: {each}" for each in decision.trouble)
    for each in decision.criteria:
        yield from (f"to promote: {lack}" for lack in each.lacks)
    nearest = decision.margins[:NEAREST]
    yield from map(_margin, nearest)
    if len(decision.margins) > NEAREST:
        yield f"{len(decision.margins) - NEAREST} further limits are farther away"
    if not nearest and not any(each.lacks for each in decision.criteria):
        yield "nothing that the evidence has a number of"


def _margin(margin: Margin) -> str:
    unit = f" {margin.unit}" if margin.unit else ""
    state = f"{margin.slack:.0%} of the limit away" if margin.slack > 0 else "at or beyond it"
    return f"{margin.what}: {margin.now:.4g}{unit}, turns {margin.flips_at} ({state})"


def _evidence(decision: Decision, plain: Plain) -> Iterator[str]:
    yield from ("", "## Evidence", "")
    if not decision.files:
        yield "None."
        return
    yield "| file | SHA-256 | made by |"
    yield "|--|--|--|"
    for file, sha256, command in decision.files:
        yield f"| {plain(file)} | {sha256} | {plain(command) or '-'} |"

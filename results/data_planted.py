"""What is planted in Banking77 and found again by `mct data check`: a part of data.py."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mct.release.curation.drift import find_drifts
from mct.release.curation.likeness import meetings, repeats
from mct.release.curation.ngrams import judge, words_of
from mct.release.curation.noise import suspected
from mct.release.curation.personal import find_personal, iban, luhn

PLANTED = 300
FLIPPED = 500
SHUFFLES = 100
OTHERS = ("hint3/test", "snips/test", "bitext_support_intent/test")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def planted(shared: Path) -> dict[str, Any]:
    """Every experiment, with its counts."""
    from data import read

    train, test = read(shared / "banking77" / "train.jsonl"), read(shared / "banking77" / "test.jsonl")
    others = {name: [row["text"] for row in read(shared / f"{name}.jsonl")] for name in OTHERS}
    return {
        "copies": copies([row["text"] for row in train], [row["text"] for row in test]),
        "untouched": untouched([row["text"] for row in train], [row["text"] for row in test], others),
        "personal": personal([row["text"] for row in train]),
        "labels": labels(train),
        "months": months([row["text"] for row in train], [row["label"] for row in train]),
    }


def typo(text: str, draw: random.Random) -> str:
    """One letter of a text exchanged, left out, added, or changed places with the next."""
    at = draw.choice([place for place in range(len(text) - 1) if text[place].isalpha()])
    letter = draw.choice(LETTERS)
    return draw.choice(
        [text[:at] + letter + text[at + 1 :], text[:at] + text[at + 1 :], text[:at] + letter + text[at:],
         text[:at] + text[at + 1] + text[at] + text[at + 2 :]]
    )  # fmt: skip


def other_order(text: str, draw: random.Random) -> str:
    """The words from some place on, then those before it."""
    words = text.split()
    cut = draw.randrange(1, len(words)) if len(words) > 1 else 0
    return " ".join(words[cut:] + words[:cut])


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "word for word": lambda text, draw: text,
    "capitals, stops, spaces": lambda text, draw: "  ".join(re.sub(r"[.?!,]", "", text).upper().split()) + " !",
    "words in another order": other_order,
    "one typo": typo,
    "two typos": lambda text, draw: typo(typo(text, draw), draw),
    "three typos": lambda text, draw: typo(typo(typo(text, draw), draw), draw),
    "one word added": lambda text, draw: f"please {text}",
}


def copies(train: Sequence[str], test: Sequence[str]) -> dict[str, Any]:
    """Of test rows copied into train by each change, how many are found; and of train rows within train."""
    from data import interval

    found = {}
    # Rows that have a likeness already would be found by that.
    near, alone = {match.place for match in meetings(test, train)}, {match.place for match in repeats(train)}
    for number, (name, change) in enumerate(CHANGES.items()):
        draw = random.Random(number)
        sources = draw.sample([place for place in range(len(test)) if place not in near], PLANTED)
        changed = [change(test[place], draw) for place in sources]
        leaks = {match.place for match in meetings([test[place] for place in sources], [*train, *changed])}
        within = draw.sample([place for place in range(len(train)) if place not in alone], PLANTED)
        doubled = [*train, *(change(train[place], draw) for place in within)]
        again = {match.place for match in repeats(doubled) if match.place >= len(train)}
        found[name] = {"leaks": interval(len(leaks), PLANTED), "duplicates": interval(len(again), PLANTED)}
    return found


def untouched(train: Sequence[str], test: Sequence[str], others: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What is called a leak where nothing was planted: in texts of other sets, and in Banking77 itself."""
    from data import interval

    sets = {}
    for name, texts in others.items():
        met = meetings(texts, train)
        pairs = [[texts[match.place], train[match.of]] for match in met[:5]]
        sets[name] = {"share": interval(len(met), len(texts)), "rows": len(texts), "pairs": pairs}
    own = meetings(test, train)
    drawn = random.Random(0).sample([match for match in own if match.how == "near"], 8)
    pairs = [[test[match.place], train[match.of]] for match in drawn]
    counts = {how: sum(match.how == how for match in own) for how in ("same", "reordered", "near")}
    return {"others": sets, "own": {"rows": len(test), "counts": counts, "pairs": pairs}}


def personal(texts: Sequence[str]) -> dict[str, Any]:
    """Of what is planted, how much is found as what it is; and of numbers that are nothing personal, how much."""
    from data import interval

    draw = random.Random(0)
    found = {}
    for what, make in _PERSONAL.items():
        hits = 0
        for text in draw.choices(texts, k=PLANTED):
            said = make(draw)
            place = draw.choice([f"{said} {text}", f"{text} {said}", f"{text} ({said})", f"{text} {said}."])
            hits += any(each.what == what for each in find_personal(place))
        found[what] = interval(hits, PLANTED)
    false = {
        name: interval(sum(bool(find_personal(f"{draw.choice(texts)} {make(draw)}")) for _ in range(PLANTED)), PLANTED)
        for name, make in _DECOYS.items()
    }
    false["untouched rows"] = interval(sum(bool(find_personal(text)) for text in texts), len(texts))
    return {"found": found, "false_alarms": false}


def _digits(draw: random.Random, many: int) -> str:
    return "".join(draw.choice("0123456789") for _ in range(many))


def _card(draw: random.Random) -> str:
    body = draw.choice("3456") + _digits(draw, 14)
    whole = next(body + check for check in "0123456789" if luhn(body + check))
    return draw.choice([whole, " ".join(whole[at : at + 4] for at in range(0, 16, 4))])


def _iban(draw: random.Random) -> str:
    body = _digits(draw, 18)
    whole = next(f"DE{check:02d}{body}" for check in range(2, 99) if iban(f"DE{check:02d}{body}"))
    return draw.choice([whole, " ".join(whole[at : at + 4] for at in range(0, 22, 4))])


_PERSONAL: dict[str, Callable[[random.Random], str]] = {
    "mail": lambda draw: f"{''.join(draw.choices(LETTERS, k=6))}{draw.choice(['', '.x', '_1'])}@mail.example.com",
    "phone": lambda draw: draw.choice(
        [f"+49 170 {_digits(draw, 7)}", f"+1-212-555-{_digits(draw, 4)}", f"(030) 555 {_digits(draw, 4)}",
         f"my phone number is 9{_digits(draw, 9)}"]
    ),
    "card": _card,
    "iban": _iban,
}  # fmt: skip
_DECOYS: dict[str, Callable[[random.Random], str]] = {
    "order number of 8 digits": lambda draw: f"order {_digits(draw, 8)}",
    "order number of 10 digits": lambda draw: f"order 9{_digits(draw, 9)}",
    "reference of 16 digits": lambda draw: f"reference {_digits(draw, 16)}",
    "date and time": lambda draw: f"{draw.randint(10, 28)}.{draw.randint(10, 12)}.2026 {draw.randint(10, 23)}:30",
    "price": lambda draw: f"{draw.randint(1, 9)},{_digits(draw, 3)}.{_digits(draw, 2)} EUR",
    "account with a wrong check": lambda draw: f"DE00{_digits(draw, 18)}",
}


def labels(train: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of labels that were flipped, how many are suspected; by chance, and to the label that is confused most."""
    from data import interval

    draw = random.Random(0)
    texts, given = [row["text"] for row in train], [row["label"] for row in train]
    clean = _suspected(texts, given)
    confused = {given[place]: suggested for place, suggested in reversed(clean)}
    names = sorted(set(given))
    found: dict[str, Any] = {"untouched": interval(len(clean), len(train))}
    for how in ("any label", "the label confused most"):
        chosen = set(draw.sample(range(len(train)), FLIPPED))
        flipped = list(given)
        for place in sorted(chosen):
            other = draw.choice([name for name in names if name != given[place]])
            flipped[place] = other if how == "any label" else confused.get(given[place], other)
        listed = _suspected(texts, flipped)
        hits = [place in chosen for place, _ in listed]
        right = sum(place in chosen and suggested == given[place] for place, suggested in listed)
        found[how] = {
            "found": interval(sum(hits), FLIPPED),
            "suggested_right": interval(right, max(1, sum(hits))),
            "precision_first": interval(sum(hits[:FLIPPED]), min(FLIPPED, len(hits))),
            "listed": len(listed),
            "false_alarms": interval(len(listed) - sum(hits), len(train) - FLIPPED),
        }
    return found


def _suspected(texts: Sequence[str], given: Sequence[str]) -> list[tuple[int, str]]:
    """What `mct data check` suspects: places and suggested labels, the surest first."""
    judged = judge(words_of(texts, len(set(given))), texts, given)
    assert judged is not None
    return [(place, suggested) for place, suggested, *_ in suspected(judged, given)[0]]


def months(texts: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Checks of six months with no drift that raise any alarm; and how small a shift is found."""
    from data import interval

    alarms = 0
    for seed in range(SHUFFLES):
        draw = random.Random(seed)
        chosen = draw.sample(range(len(texts)), 1200)
        said = [f"2026-{1 + at % 6:02d}" for at in range(len(chosen))]
        found = find_drifts(said, [texts[at] for at in chosen], [names[at] for at in chosen], seed)
        alarms += any(each.drifted for each in found)
    shifts = {}
    for share in (0.05, 0.1, 0.2):
        hits = 0
        for seed in range(20):
            draw = random.Random(seed)
            chosen = draw.sample(range(len(texts)), 1000)
            said = ["2026-01"] * 500 + ["2026-02"] * 500
            # In the second month so many rows are of three intents.
            of_three = [at for at, name in enumerate(names) if name in {"card_arrival", "top_up_failed", "age_limit"}]
            for place in range(500, 500 + int(500 * share)):
                chosen[place] = draw.choice(of_three)
            found = find_drifts(said, [texts[at] for at in chosen], [names[at] for at in chosen], seed)
            hits += any(each.drifted for each in found)
        shifts[f"{share:.0%}"] = interval(hits, 20)
    return {"checks": SHUFFLES, "false_alarms": interval(alarms, SHUFFLES), "found": shifts}


def planted_lines(found: Mapping[str, Any]) -> list[str]:
    """The part of the report."""
    from data import shown

    copied = [
        f"| {name} | {shown(each['leaks'])} | {shown(each['duplicates'])} |" for name, each in found["copies"].items()
    ]
    others = [
        f"| {name} | {each['rows']:,} | {shown(each['share'])} | "
        + "; ".join(f"“{one.strip()}” – “{other.strip()}”" for one, other in each["pairs"][:2]) + " |"
        for name, each in found["untouched"]["others"].items()
    ]  # fmt: skip
    own = found["untouched"]["own"]
    persons = [f"| {what} | {shown(share)} |" for what, share in found["personal"]["found"].items()]
    decoys = [f"| {what} | {shown(share)} |" for what, share in found["personal"]["false_alarms"].items()]
    flips = [
        f"| {how} | {shown(each['found'])} | {shown(each['precision_first'])} | {shown(each['suggested_right'])} | "
        f"{each['listed']:,} | {shown(each['false_alarms'])} |"
        for how, each in found["labels"].items()
        if how != "untouched"
    ]
    shifts = [f"| {share} of a month's rows | {shown(each)} |" for share, each in found["months"]["found"].items()]
    return [
        "## Planted in Banking77: copies",
        f"{PLANTED} test rows copied into train and {PLANTED} train rows copied within train, by each change. Two "
        "texts are near from nine words of ten in common: a word more in a text of fewer than nine is another "
        "text, at the default of `--near`.",
        "\n".join(["| copy | leaks found | duplicates found |", "|--|--|--|", *copied]),
        "Where nothing was planted: rows of other sets that are said to stand in Banking77's train rows.",
        "\n".join(["| set | rows | called a leak | such as |", "|--|--:|--|--|", *others]),
        f"Banking77's own test rows, of {own['rows']:,}: {own['counts']['same']} read as a train row does, "
        f"{own['counts']['reordered']} have its words in another order, {own['counts']['near']} nearly; the set was "
        "written by paraphrase. Some of the last, drawn by chance:",
        "\n".join(f"- “{one.strip()}” – “{other.strip()}”" for one, other in own["pairs"]),
        "## Planted in Banking77: personal data",
        "\n".join(["| planted | found |", "|--|--|", *persons]),
        "\n".join(["| nothing personal | taken for it |", "|--|--|", *decoys]),
        "A number of 16 digits passes the checksum one time in ten; half of these begin as no card does.",
        "## Planted in Banking77: wrong labels",
        f"{FLIPPED} of 10,003 labels flipped. Of the untouched set {shown(found['labels']['untouched'])} are "
        "suspected: false alarms and its own errors together.",
        "\n".join(
            ["| flipped to | found | right among the first 500 | true label suggested | listed | false alarms |",
             "|--|--|--|--|--:|--|", *flips]
        ),
        "## Drift",
        f"Of {found['months']['checks']} checks of six months (ten comparisons each) dealt by chance "
        f"{shown(found['months']['false_alarms'])} raised any alarm; 5 % is what is promised. Of 20 pairs of months "
        "of 500 rows, so many were found where a part of the second month's rows came from three of 77 intents:",
        "\n".join(["| shift | found |", "|--|--|", *shifts]),
    ]  # fmt: skip

"""What in a text is personal: mail addresses, phone numbers, payment cards (Luhn) and bank accounts (IBAN, mod 97).

Only what a checksum or a shape of its own gives away is found; names and addresses are not. A bare run of digits is a
phone number only where a word before it says so: a shop's texts are full of order numbers.
"""

import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

What = Literal["mail", "phone", "card", "iban"]

_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,5}[^\W\d_]{2,24}\b")
_IBAN = re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\d.,+-])[2-6](?:[ -]?\d){12,18}(?![\d]|[.,]\d)")
_PHONE = re.compile(
    r"(?<![\w.+])(?<!\d[ -])(?:(?:\+|00)[1-9]\d{0,2}[ ./()-]{0,2}(?:\d[ ./()-]{0,2}){5,11}\d"
    r"|\(\d{2,5}\)[ -]?\d{3,4}[ -]?\d{3,4}"  # an area in brackets
    r"|\d{3}[ .-]\d{3}[ .-]\d{4}"
    r"|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5})(?![\d.]\d|\d)"
)
_SAID_PHONE = re.compile(
    r"\b(?:phone|mobile|cell|tel|telephone|whatsapp|call me (?:on|at)|reach me (?:on|at)|contact) ?"
    r"(?:number|no|nr)?\.?(?: is)?[:# ]{1,3}(\+?\d{7,15})\b",
    re.IGNORECASE,
)
_IBAN_LENGTHS = {
    "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18,
    "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SE": 24, "SI": 19, "SK": 24,
    "TR": 26, "SA": 24, "AE": 23, "IL": 23,
}  # fmt: skip


class Found(NamedTuple):
    """Characters `start` to `end` of a text."""

    what: What
    start: int
    end: int


def find_personal(text: str) -> list[Found]:
    """What is personal in a text, in order, none within another."""
    taken: list[Found] = []
    for found in _candidates(text):
        if all(found.end <= other.start or found.start >= other.end for other in taken):
            taken.append(found)
    return sorted(taken, key=lambda found: found.start)


def replaced(text: str) -> str:
    """The text with a word in brackets for everything personal: "[mail]"."""
    return _with_each(text, lambda found, _: f"[{found.what}]")


def masked(text: str) -> str:
    """The text as a report may quote it."""
    return _with_each(text, lambda found, said: mask(found.what, said))


def mask(what: What, said: str) -> str:
    """Enough to find it again for those who have the data: "a…@….com", "+49…21"."""
    compact = re.sub(r"[\s()./-]", "", said) if what != "mail" else said
    if what == "mail":
        return f"{compact[0]}…@….{compact.rpartition('.')[2]}"
    return f"{compact[:2]}…{compact[-2:]}"


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban(said: str) -> bool:
    """Whether it has the length of its country's accounts and the remainder 1 modulo 97 (ISO 13616)."""
    compact = said.replace(" ", "").upper()
    if len(compact) != _IBAN_LENGTHS.get(compact[:2], 0) or not compact.isascii():
        return False
    if not "02" <= compact[2:4] <= "98":  # what the standard's arithmetic gives
        return False
    return int("".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])) % 97 == 1


def _candidates(text: str) -> Iterator[Found]:
    """The surest kinds first: a number that is a bank account is no phone number."""
    if "@" in text:
        for mail in _MAIL.finditer(text):
            yield Found("mail", *mail.span())
    if sum(map(str.isdigit, text)) < 7:
        return
    for account in _IBAN.finditer(text):
        # What follows an account in small letters may look like one more group of it.
        for end in range(account.end(), account.start() + 14, -1):
            if iban(text[account.start() : end]):
                yield Found("iban", account.start(), end)
                break
    for card in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", card[0])
        if len(set(digits)) > 1 and luhn(digits):
            yield Found("card", *card.span())
    for phone in _PHONE.finditer(text):
        yield Found("phone", *phone.span())
    for phone in _SAID_PHONE.finditer(text):
        yield Found("phone", *phone.span(1))


def _with_each(text: str, write: Callable[[Found, str], str]) -> str:
    parts, at = [], 0
    for found in find_personal(text):
        parts += [text[at : found.start], write(found, text[found.start : found.end])]
        at = found.end
    return "".join([*parts, text[at:]])

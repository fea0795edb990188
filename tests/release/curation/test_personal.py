"""Personal data: what a checksum or a shape gives away, and what only looks like it."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mct.release.curation.personal import find_personal, iban, luhn, masked, replaced

# Card numbers that payment networks publish for tests, and the IBANs of ISO 13616's own examples.
FOUND = {
    "write to ada.l+x@shop.example.co.uk, please": "write to [mail], please",
    "card 4111 1111 1111 1111 was declined": "card [card] was declined",
    "5555-5555-5555-4444": "[card]",
    "378282246310005": "[card]",
    "from DE89 3704 0044 0532 0130 00 please": "from [iban] please",
    "GB82WEST12345698765432.": "[iban].",
    "call +49 170 1234567 now": "call [phone] now",
    "(212) 555-0199 or 0800 123 4567": "[phone] or [phone]",
    "my phone number is 9876543210": "my phone number is [phone]",
}
NOTHING = (
    "card 4111 1111 1111 1112", "order 9876543210", "order 12345678 of 12.05.2026 10:30", "DE00 3704 0044 0532 0130 00",
    "it costs 1,234.50", "version 1.2.3", "volumes 1-20", "@ada said so", "2026-11-28 0045", "", "0000000000000000",
)  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), FOUND.items())
def test_what_is_personal_is_replaced_and_masked(text: str, wanted: str) -> None:
    assert replaced(text) == wanted
    quoted = masked(text)
    for found in find_personal(text):
        assert text[found.start : found.end] not in quoted
    assert not find_personal(quoted)


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_looks_like_it_is_left(text: str) -> None:
    assert replaced(text) == text


def test_checksums() -> None:
    assert luhn("79927398713") and not luhn("79927398710")
    assert iban("GB82 WEST 1234 5698 7654 32") and not iban("GB82 WEST 1234 5698 7654 33")
    assert not iban("DE00 1000 0000 0000 0000 28"), "no arithmetic gives 00"
    assert not iban("XX82 WEST 1234 5698 7654 32"), "no such country"


@given(st.text(st.sampled_from("0123456789"), min_size=1, max_size=18))
def test_one_check_digit_fits_and_no_other(body: str) -> None:
    assert sum(luhn(body + check) for check in "0123456789") == 1


@given(st.text(max_size=200))
def test_no_text_breaks_it_and_nothing_is_found_twice(text: str) -> None:
    assert not find_personal(replaced(text)) or "@" in text or any(map(str.isdigit, text))
    spans = [(found.start, found.end) for found in find_personal(text)]
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@pytest.mark.parametrize("text", ["a" * 100_000 + "@", "1 " * 100_000, "+1" * 50_000, "DE12" * 50_000, "a.b@" * 50_000])
def test_a_hostile_text_takes_no_longer_than_its_length(text: str) -> None:
    """Ten times as long may take some ten times longer, not a hundred."""
    took = []
    for part in (text[: len(text) // 10], text):
        started = time.process_time()
        find_personal(part)
        took.append(time.process_time() - started)
    assert took[1] < 60 * max(took[0], 0.01)

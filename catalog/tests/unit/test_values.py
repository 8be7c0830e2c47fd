"""What a value is cleaned to is clean: nothing changes if it is cleaned once more."""

import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import values

# White space of every kind, what cannot be seen, accents and what they go on, Hangul that
# composes, and characters that a normalisation replaces by others.
ODD = (
    " \t\n\r\x0b\x1c\x85\u00a0\u1680\u2000\u2007\u2028\u202f\u3000"
    "\u200b\u200c\u200d\u2060\ufeff\u00ad"
    "eE\u0301\u0323\u0345\u00e9\u1e9b\u212a\u2126\u0958\u1100\u1161\u11a8\uac00\U0001d15e"
    "0123456789.'=+-@\uff1d"
)
odd = st.text(st.sampled_from(ODD), max_size=3)
text = st.one_of(
    st.text(st.one_of(st.sampled_from(ODD), st.sampled_from(ODD), st.characters()), max_size=12),
    st.tuples(odd, st.sampled_from(["true", "NO", "1", "1299.00", "0.5", "007"]), odd).map("".join),
)


def price_text(given: str) -> str:
    return values.clean_price(given) or ""


def active_text(given: str) -> str:
    active = values.clean_active(given)
    return "" if active is None else str(active)


@pytest.mark.parametrize(
    "clean",
    [
        values.clean_sku,
        values.clean_name,
        values.clean_description,
        price_text,
        active_text,
    ],
)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=text)
def test_a_clean_value_stays_as_it_is(clean: Callable[[str], str], text: str) -> None:
    try:
        value = clean(text)
    except ValueError:
        return  # there is no such value
    assert clean(value) == value


@pytest.mark.parametrize("between", ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff"])
def test_an_accent_composes_with_its_letter_whatever_stood_between_unseen(between: str) -> None:
    assert values.clean_sku(f"cafe{between}\u0301") == "caf\u00e9"


@pytest.mark.parametrize(
    ("given", "sku"),
    [
        ("'13384", "13384"),
        ("''13384", "13384"),
        ('="00123"', "00123"),
        (' \'="00123" ', "00123"),
        ("\u200eABC-1", "ABC-1"),
        ("\u202aABC-2\u202c", "ABC-2"),
        ("\u2068ABC-2\u2069", "ABC-2"),
        ("ABC\u00ad-3", "ABC-3"),
        ("'quoted'", "'quoted'"),
        ("O'Neil", "O'Neil"),
        ("=1+1", "=1+1"),
    ],
)
def test_guards_and_what_cannot_be_seen_come_off_a_sku(given: str, sku: str) -> None:
    assert values.clean_sku(given) == sku


def test_a_guard_around_nothing_is_no_sku() -> None:
    with pytest.raises(ValueError, match="The SKU is empty"):
        values.clean_sku('=""')


def test_a_name_loses_what_has_no_width_at_its_ends() -> None:
    name = "\u00a0\ufeff Errea\u00a0\u200bSHORT\u200b \u2060"
    assert values.clean_name(name) == "Errea\u00a0\u200bSHORT"


@pytest.mark.parametrize(
    ("given", "price"),
    [("34.0000", "34.00"), ("100.000000", "100.00"), ("12.5000", "12.50"), ("1000", "1000")],
)
def test_zeros_after_the_second_decimal_go(given: str, price: str) -> None:
    assert values.clean_price(given) == price


@pytest.mark.parametrize(
    ("clean", "given"),
    [
        (values.clean_price, "12,50"),
        (values.clean_typed_price, "about 5"),
        (values.clean_typed_price, "1,234"),
    ],
)
def test_what_is_no_price_is_told_with_an_example_of_one(
    clean: Callable[[str], str | None], given: str
) -> None:
    with pytest.raises(ValueError, match="Write it like") as told:
        clean(given)
    [example] = re.findall(r"Write it like ([0-9.]+), with", str(told.value))
    assert clean(example) == example


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ("19.989999999999998", "left of 19.99"),
        ("4.3500000000000005", "left of 4.35"),
        ("1.234", "more than two decimals"),
        ("$5.99", "a currency sign"),
        ("12,50", "a decimal comma"),
        ("NULL", "programs write it where there is none"),
        ("-5", "below zero"),
        ("12345678900", "up to 9999999999.99"),
        ("from 5.00", "“from” stands beside the number"),
        ("5.00 ea", "“ea” stands beside the number"),
        ("9" * 100_000 + ".001", "is not a price"),
    ],
)
def test_a_price_that_is_none_is_refused_with_its_cause(given: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        values.clean_price(given)


def test_long_cells_are_cleaned_in_time_that_grows_with_their_length() -> None:
    """Each takes seconds where every end is looked at anew."""
    long = 300_000
    for text in ("\u200b " * long + "x", "' " * long + "x", "'\u00ad" * long, '="' * long):
        for clean in (values.clean_sku, values.clean_name, values.clean_price):
            try:
                clean(text)
            except ValueError:
                continue

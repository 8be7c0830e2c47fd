"""What a value is cleaned to is clean: nothing changes if it is cleaned once more."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
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
@settings(max_examples=500, deadline=None)
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

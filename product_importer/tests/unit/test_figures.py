"""How figures are written for people."""

from decimal import Decimal

import pytest

from product_importer.templatetags.figures import percent, told


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("12.46", "+12.5 %"),
        ("-3", "\N{MINUS SIGN}3.0 %"),
        ("1000", "+1,000.0 %"),
        ("-0.02", "\N{MINUS SIGN}0.02 %"),
        ("Infinity", "from 0"),
    ],
)
def test_a_change_is_told_in_per_cent_and_never_as_none(change: str, text: str) -> None:
    assert percent(Decimal(change)) == text


def test_one_word_stands_for_active_and_an_own_flag_is_yes_or_no() -> None:
    assert [told(True, "active"), told(False, "active")] == ["Active", "Inactive"]
    assert [told(True, "fields.vegan"), told(False, "fields.vegan")] == ["Yes", "No"]

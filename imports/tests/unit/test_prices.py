"""Prices as suppliers write them: exact, or refused; never a factor off."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imports.mapping.cells.amounts import BLANKS, common_currency, plain_number
from imports.mapping.prices import price_reader, quick_price, rounded
from imports.mapping.rules import ColumnRule


def rule(**options: Any) -> ColumnRule:
    return ColumnRule("price", ("P",), **options)


def read(text: str, **options: Any) -> str:
    return price_reader(rule(**options))(text)


@pytest.mark.parametrize(
    ("text", "decimal", "price"),
    [
        ("1.299,00", ",", "1299"),
        ("1 299,5", ",", "1299.50"),
        ("1\u202f299\u202f000,50", ",", "1299000.50"),
        ("1'299,50", ",", "1299.50"),
        ("1’299.50", ".", "1299.50"),
        ("1,299.00", ".", "1299"),
        ("1.234", ",", "1234"),
        ("1,234", ".", "1234"),
        ("1299", ",", "1299"),
        ("0,99", ",", "0.99"),
        (",99", ",", "0.99"),
        ("12,5000", ",", "12.50"),
        ("50,-", ",", "50"),
        ("50,–", ",", "50"),
        ("1 200:-", ",", "1200"),
        ("1,200/-", ".", "1200"),
        ("12.–", ".", "12"),
        ("9.999.999.999,99", ",", "9999999999.99"),
    ],
)
def test_well_formed_prices_are_read(text: str, decimal: str, price: str) -> None:
    assert read(text, decimal=decimal) == price


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("12.50", ","),
        ("1.23,45", ","),
        ("1.2345,00", ","),
        ("0.123", ","),
        ("1.234.56", ","),
        ("1.234 567,00", ","),
        ("1,23,456.78", "."),
        ("1,5", "."),
        ("12,345.6789", "."),
        ("12.345,678", ","),
        ("99.999.999.999", ","),
        ("-5,00", ","),
        ("5,00-", ","),
        ("(5,00)", ","),
        ("5,00 / 6,00", ","),
        ("01. Mai", ","),
        ("5,00 je Stück", ","),
        ("٣,٥", ","),
        ("NULL", ","),
        ("1" * 100, ","),
    ],
)
def test_what_is_not_well_formed_is_refused(text: str, decimal: str) -> None:
    with pytest.raises(ValueError, match="“"):
        read(text, decimal=decimal)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("5.99 €", "EUR"),
        ("€5.99", "EUR"),
        ("EUR 5.99", "EUR"),
        ("5.99", "EUR"),
        ("eur5.99", "EUR"),
        ("US$ 5.99", "USD"),
        ("$5.99", "$"),
        ("Fr.5.99", "CHF"),
        ("5.99 zł", "PLN"),
        ("5.99 руб.", "RUB"),
        ("5.99 XTS", "XTS"),
    ],
)
def test_a_columns_currency_is_taken_off(text: str, currency: str) -> None:
    assert read(text, currency=currency) == "5.99"


@pytest.mark.parametrize(
    ("text", "currency"), [("$5.99", "EUR"), ("5.99 USD", "$"), ("5.99 €/kg", "EUR")]
)
def test_another_currency_is_refused_and_named(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        read(text, currency=currency)


@pytest.mark.parametrize("text", ["5.99 €/Stk", "5.99 € / Stk.", "5.99 EUR pro Stk", "€ 5.99/Stk"])
def test_a_currency_with_its_unit_is_taken_off(text: str) -> None:
    assert read(text, currency="EUR/Stk") == "5.99"


@pytest.mark.parametrize("text", ["5.99 €/kg", "5.99 €", "5.99 €/100", "5.99 €/100 Stk"])
def test_an_amount_for_another_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        read(text, currency="EUR/Stk")


def test_a_sign_without_a_rule_is_refused_with_its_cause() -> None:
    with pytest.raises(ValueError, match="currency"):
        read("$5.99")
    with pytest.raises(ValueError, match="currency"):
        read("5,99 €", decimal=",")


def test_a_dot_of_a_currency_is_no_decimal_mark() -> None:
    assert read("Fr.50", currency="CHF", decimal=".") == "50"


def test_what_binary_arithmetic_leaves_is_refused_with_its_cause_or_rounded() -> None:
    with pytest.raises(ValueError, match=r"left of 19\.99"):
        read("19.989999999999998")
    assert read("19.989999999999998", round="0.01") == "19.99"


@pytest.mark.parametrize(
    ("text", "how", "price"),
    [
        ("12.49", ".99", "12.99"),
        ("12.48", ".99", "11.99"),
        ("0.10", ".99", "0.99"),
        ("0", ".99", "0"),
        ("12.99", ".99", "12.99"),
        ("12.20", ".95", "11.95"),
        ("12.345", "0.01", "12.35"),
        ("12.344999", "0.01", "12.34"),
        ("12.32", "0.05", "12.30"),
        ("12.325", "0.05", "12.35"),
        ("12.75", "0.5", "13"),
        ("14", "10", "10"),
    ],
)
def test_prices_are_rounded_to_a_step_or_to_an_ending(text: str, how: str, price: str) -> None:
    assert Decimal(read(text, round=how)) == Decimal(price)


def test_cents_and_margins_are_exact() -> None:
    assert read("1999", factor=Decimal("0.01")) == "19.99"
    assert read("12,50", decimal=",", factor=Decimal("1.19"), round="0.01") == "14.88"
    with pytest.raises(ValueError, match=r"times 1\.19 is 14\.875"):
        read("12,50", decimal=",", factor=Decimal("1.19"))
    with pytest.raises(ValueError, match="not a price"):
        read("9999999999", factor=Decimal("10"))


money = st.decimals(0, 9_999_999_999, places=2)


def written(amount: Decimal, decimal: str, group: str) -> str:
    whole, _, places = f"{amount:.2f}".partition(".")
    return f"{int(whole):,}".replace(",", group) + decimal + places


@settings(deadline=None)
@given(amount=money, decimal=st.sampled_from(".,"), group=st.sampled_from(["", *"'’.,", *BLANKS]))
def test_groups_are_never_a_factor_off(amount: Decimal, decimal: str, group: str) -> None:
    text = written(amount, decimal, group)
    try:
        found = Decimal(read(text, decimal=decimal))
    except ValueError:
        assert group == decimal
        return
    if group != decimal:
        assert found == amount


@settings(max_examples=500, deadline=None)
@given(
    text=st.text(st.sampled_from("0019.,' -€E\u00a0"), max_size=12),
    decimal=st.sampled_from([".", ",", None]),
    currency=st.sampled_from([None, "EUR", "€"]),
    group=st.sampled_from([None, "", "."]),
)
def test_what_is_taken_at_once_is_what_a_closer_look_gives(
    text: str, decimal: Any, currency: str | None, group: str | None
) -> None:
    options = {"decimal": decimal, "currency": currency, "group": group if decimal == "," else None}
    quick = quick_price(rule(**options))(text)
    if quick is not None:
        assert Decimal(quick) == Decimal(read(text, **options))


@settings(deadline=None)
@given(
    amount=st.decimals(0, 10**10, places=4),
    step=st.sampled_from(["0.01", "0.05", "0.5", "1", "10", "0.03"]),
)
def test_the_nearest_step_is_chosen_half_up(amount: Decimal, step: str) -> None:
    found = rounded(amount, step)
    width = Decimal(step)
    assert found % width == 0
    assert -width / 2 < found - amount <= width / 2


@settings(deadline=None)
@given(amount=st.decimals("0.0001", 10**9, places=4), ending=st.sampled_from([".99", ".95", ".00"]))
def test_the_nearest_ending_is_chosen_the_higher_of_two(amount: Decimal, ending: str) -> None:
    found = rounded(amount, ending)
    assert found % 1 == Decimal(ending)
    assert found == Decimal(ending) or -Decimal("0.5") < found - amount <= Decimal("0.5")


@settings(deadline=None)
@given(amount=money, factor=st.decimals("0.0001", 1000, places=4))
def test_a_factor_is_multiplied_in_decimals(amount: Decimal, factor: Decimal) -> None:
    expected = (amount * factor).quantize(Decimal("0.01"), ROUND_HALF_UP)
    try:
        found = read(f"{amount}", factor=factor, round="0.01")
    except ValueError:
        assert expected >= 10**10
        return
    assert Decimal(found) == expected


def test_one_currency_is_found_for_signs_and_codes_that_mean_the_same() -> None:
    assert common_currency({"€"}) == "EUR"
    assert common_currency({"$"}) == "$"
    assert common_currency({"$", "usd"}) == "USD"
    assert common_currency({"$", "cad"}) == "CAD"
    assert common_currency({"€", "$"}) is None
    assert common_currency({"€/stk", "eur/stk"}) == "EUR/stk"
    assert common_currency({"€/stk", "€/kg"}) is None
    assert common_currency({"€/stk", "€"}) == "EUR"


def test_zeros_at_the_end_are_no_decimals() -> None:
    assert plain_number("34.0000", ".") == "34"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ab 5,00", "ab"),
        ("ab 5,00 €", "ab"),
        ("5,00 Stück", "Stück"),
        ("~5,00", "~"),
        ("5,00*", "*"),
    ],
)
def test_a_word_beside_the_number_is_named(text: str, word: str) -> None:
    for currency in (None, "EUR"):
        with pytest.raises(ValueError, match=re.escape(f"“{word}” stands beside the number")):
            read(text, decimal=",", currency=currency)


def test_what_keeps_a_cell_a_text_is_no_part_of_a_price() -> None:
    assert read('="5,00"', decimal=",") == "5"
    assert read("'1.299,00", decimal=",") == "1299"
    assert read('="5.00"') == "5.00"

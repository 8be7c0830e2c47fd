"""What the values of fields of one's own may be, as they are read and as they are typed."""

import pytest

from catalog.field_values import Definition, clean, clean_value


def of(type: str, scale: int = 2) -> Definition:
    return Definition("x", "X", type, scale=scale)


def test_what_cannot_be_seen_at_the_ends_is_no_part_of_a_value() -> None:
    assert clean(of("text"), "\ufeffAcme\u200b ") == "Acme"
    assert clean(of("text"), " \u200b\u2060") is None
    assert clean(of("gtin"), "\ufeff4006381333931") == "04006381333931"


@pytest.mark.parametrize("text", ["1.000", "25.000", "1.000.000"])
def test_a_whole_number_that_can_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="two ways"):
        clean(of("integer"), text)


@pytest.mark.parametrize("text", ["12.0", "12.00", "12.0000", "0.000"])
def test_a_whole_number_may_have_decimals_that_say_nothing(text: str) -> None:
    assert clean(of("integer"), text) == int(text.partition(".")[0])


@pytest.mark.parametrize(
    ("type", "scale", "text", "value"),
    [
        ("money", 2, "12,50", "12.50"),
        ("money", 2, "1.299,90", "1299.90"),
        ("money", 2, "1,299.90", "1299.90"),
        ("money", 2, "12.5", "12.50"),
        ("money", 2, " ", None),
        ("decimal", 2, "-1,5", "-1.50"),
        ("decimal", 3, "1.250", "1.250"),
        ("decimal", 3, "0,250", "0.250"),
        ("decimal", 3, "1.299,5", "1299.500"),
    ],
)
def test_a_person_may_type_an_amount_with_a_decimal_comma(
    type: str, scale: int, text: str, value: str | None
) -> None:
    assert clean_value(of(type, scale), text, typed=True) == value


@pytest.mark.parametrize(("type", "text"), [("money", "1,234"), ("decimal", "1,250")])
def test_a_typed_amount_that_can_be_read_in_two_ways_is_refused(type: str, text: str) -> None:
    with pytest.raises(ValueError, match="two ways"):
        clean_value(of(type, 3), text, typed=True)


def test_a_program_writes_a_point_before_the_decimals() -> None:
    with pytest.raises(ValueError, match="decimal comma"):
        clean_value(of("money"), "12,50")


@pytest.mark.parametrize("between", [", ", "|", ";", "\n", " "])
def test_several_links_in_one_value_are_told_as_such(between: str) -> None:
    with pytest.raises(ValueError, match="several links, and the field takes one"):
        clean(of("image"), between.join(["https://a.example/1.jpg", "https://a.example/2.jpg"]))


def test_a_link_may_have_another_one_in_it() -> None:
    link = "https://a.example/?to=https://b.example/"
    assert clean(of("link"), link) == link


@pytest.mark.parametrize("text", ["4006381333931.0", "4006-381333931", "4006381 333931"])
def test_a_gtin_is_read_however_a_program_writes_its_digits(text: str) -> None:
    assert clean(of("gtin"), text) == "04006381333931"


@pytest.mark.parametrize("text", ["4.00638E+12", "4,00638E+12", "4006381333930.0", "400638.0"])
def test_a_gtin_whose_digits_are_lost_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"GTIN|digits are lost"):
        clean(of("gtin"), text)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("31/12/2026", "2026-12-31"),
        ("12/31/2026", "2026-12-31"),
        ("31-12-2026", "2026-12-31"),
        ("03/03/2026", "2026-03-03"),
        ("2026/3/2", "2026-03-02"),
        ("2026.03.02", "2026-03-02"),
    ],
)
def test_a_date_that_can_only_mean_one_day_is_that_day(text: str, day: str) -> None:
    assert clean(of("date"), text) == day


@pytest.mark.parametrize(
    ("text", "why"),
    [("02/03/2026", "two days"), ("13/13/2026", "there is not"), ("31/02/2026", "there is not")],
)
def test_a_date_that_means_two_days_or_none_is_refused_as_such(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        clean(of("date"), text)


TAGS = Definition("x", "X", "choices", ("S", "M", "Red, dark"))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("S, M", ["S", "M"]),
        ("m,s", ["S", "M"]),
        ("Red, dark", ["Red, dark"]),
        ("Red, dark|S", ["S", "Red, dark"]),
        ("S,,M,", ["S", "M"]),
    ],
)
def test_commas_are_between_several_of_a_list_unless_they_are_a_part_of_one(
    text: str, values: list[str]
) -> None:
    assert clean(TAGS, text) == values


def test_a_small_number_of_a_program_has_no_exponent() -> None:
    assert clean_value(of("decimal", 6), 0.00001) == "0.000010"


def test_an_apostrophe_that_keeps_a_gtin_a_text_is_no_part_of_it() -> None:
    assert clean(of("gtin"), "'4006381333931") == "04006381333931"

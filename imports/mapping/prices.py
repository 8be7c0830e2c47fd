"""A price by its column's rules: currency off, marks read, times a factor, rounded."""

import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal

from catalog.values import NULL_WORDS, PRICE_DECIMAL_PLACES, clean_price, words_beside
from imports.mapping.cells.amounts import (
    LONGEST,
    currency_tokens,
    is_currency,
    plain_number,
    split_amount,
    token,
)
from imports.mapping.rules import ColumnRule

_EXACT = Context(prec=4 * LONGEST, rounding=ROUND_HALF_UP)


def rounded(amount: Decimal, how: str) -> Decimal:
    """Round an amount that is not negative, half up.

    ``how`` is a step (``0.05``: to the nearest multiple), or an ending (``.99``: to the nearest
    price that ends so, and of two that are as near to the higher one). Nothing costs nothing.
    """
    if not amount:
        return amount
    if how.startswith("."):
        ending = Decimal(how)
        if amount <= ending:
            return ending
        return _EXACT.add(_nearest(_EXACT.subtract(amount, ending), Decimal(1)), ending)
    return _nearest(amount, Decimal(how))


def _nearest(amount: Decimal, step: Decimal) -> Decimal:
    steps = _EXACT.divide_int(amount, step)
    rest = _EXACT.subtract(amount, _EXACT.multiply(steps, step))
    if _EXACT.multiply(rest, Decimal(2)) >= step:
        steps = _EXACT.add(steps, Decimal(1))
    return _EXACT.multiply(steps, step)


def price_reader(rule: ColumnRule) -> Callable[[str], str]:
    """A function from a cell that is not blank to a price in plain digits.

    It raises ``ValueError`` with a sentence.
    """
    if not (rule.decimal or rule.currency or rule.factor or rule.round):
        return lambda text: clean_price(text) or ""
    decimal, group = rule.decimal or ".", rule.group if rule.decimal else ""
    allowed = currency_tokens(rule.currency) if rule.currency else frozenset()

    def read(text: str) -> str:
        price = text.strip()
        found = split_amount(price)
        if found is None:
            raise ValueError(_no_price(price))
        if found.currency and found.currency not in allowed:
            raise ValueError(_wrong_currency(price, rule.currency))
        plain = plain_number(found.number, decimal, group)
        if plain is None:
            raise ValueError(_badly_marked(price, decimal))
        return _worked_out(price, plain, rule)

    return read


def _worked_out(price: str, plain: str, rule: ColumnRule) -> str:
    places = len(plain.partition(".")[2])
    if rule.factor is None and rule.round is None and places <= PRICE_DECIMAL_PLACES:
        return clean_price(f"{plain}0" if places == 1 else plain) or ""
    amount = Decimal(plain)
    if rule.factor is not None:
        amount = _EXACT.multiply(amount, rule.factor)
    if rule.round is not None:
        amount = rounded(amount, rule.round)
    amount = amount.normalize(_EXACT)
    if -int(amount.as_tuple().exponent) > PRICE_DECIMAL_PLACES:
        if rule.factor is None:
            clean_price(plain)  # says why, if it can
        times = f" times {rule.factor:f} is {amount:f}, which" if rule.factor else ""
        raise ValueError(
            f"“{price}”{times} has more than two decimals. Choose how to round this column."
        )
    return clean_price(f"{amount:.2f}") or ""


def _no_price(price: str) -> str:
    if price in NULL_WORDS:
        return f"“{price}” is not a price: programs write it where there is none. Leave it blank."
    if price[:1] in "-–−" or price[-1:] == "-":
        return f"“{price[:40]}” is not a price: it is below zero."
    if word := _word_beside(price):
        return _with_a_word(price, word)
    return f"“{price[:40]}” is not a price."


def _word_beside(price: str) -> str:
    """What stands beside a number and is no currency, as “ab” in “ab 5,00 €”."""
    return next((word for word in words_beside(price) if not is_currency(token(word))), "")


def _with_a_word(price: str, word: str) -> str:
    return (
        f"“{price[:40]}” is not a price: “{word}” stands beside the number. Write the number alone "
        "if it is what one product costs."
    )


def _wrong_currency(price: str, currency: str | None) -> str:
    if word := _word_beside(price):
        return _with_a_word(price, word)
    if currency is None:
        return (
            f"“{price}” is not a price: there is a currency beside the number. Name the currency "
            "of this column, or take it off."
        )
    return (
        f"“{price}” is not in {currency}, the currency of this column. A column has one currency: "
        "convert the price, or take the record out."
    )


def _badly_marked(price: str, decimal: str) -> str:
    name = "comma" if decimal == "," else "point"
    return (
        f"“{price}” cannot be read with a decimal {name}: its digits are not grouped so. Write "
        "it like the others of this column."
    )


# --- The majority, at once ------------------------------------------------------------


def quick_price(rule: ColumnRule) -> Callable[[str], str | None]:
    """A function that takes the plain majority of cells as ``price_reader`` does.

    ``None`` for all others: ``price_reader`` has to look at them. Blank cells are others.
    """
    if rule.factor is not None or rule.round is not None:
        read = price_reader(rule)

        def try_reading(text: str) -> str | None:
            try:
                return read(text) if text and not text.isspace() else None
            except ValueError:
                return None

        return try_reading
    if rule.decimal is None:
        decimal, group = ".", ""
    elif rule.decimal == ",":
        decimal, group = ",", "." if rule.group in (None, ".") else ""
    else:
        decimal, group = ".", "," if rule.group in (None, ",") else ""
    # Of ten digits, and never more.
    more = rf"(?:\{group}[0-9]{{3}})"
    groups = rf"|[1-9][0-9]{{0,2}}{more}{{1,2}}|[1-9]{more}{{3}}" if group else ""
    number = rf"((?:[0-9]{{1,10}}{groups})(?:\{decimal}[0-9]{{1,2}})?)"
    if rule.currency:
        signs = "|".join(
            re.escape(sign) for sign in sorted({rule.currency, *_signs(rule.currency)})
        )
        number = rf"(?:{signs})[ \u00a0]?{number}|{number}(?:[ \u00a0]?(?:{signs}))?"
    match = re.compile(number).fullmatch

    def take(text: str) -> str | None:
        found = match(text)
        if found is None:
            return None
        plain = found[found.lastindex or 1]
        if group:
            plain = plain.replace(group, "")
        return plain.replace(decimal, ".")

    return take


def _signs(currency: str) -> list[str]:
    """A currency's signs that are no words."""
    return [sign for sign in currency_tokens(currency) if not sign.isalnum()]

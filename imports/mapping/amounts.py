"""Amounts of money as people write them: marks, groups of digits, currencies.

A text is read only where it is well-formed: nothing here may be a factor off.
"""

import re
from dataclasses import dataclass
from functools import cache

from catalog.values import price_unguarded

# The signs and words of a currency, besides its code.
_SIGNS = {
    "EUR": "€ euro euros",
    "USD": "$ us$ $us",
    "GBP": "£",
    "CHF": "fr sfr fr.",
    "JPY": "¥ 円 ￥",
    "CNY": "¥ 元 rmb ￥",
    "PLN": "zł zl",
    "CZK": "kč kc",
    "HUF": "ft",
    "RON": "lei leu",
    "BGN": "лв",
    "RUB": "₽ руб р rub",
    "UAH": "₴ грн",
    "KZT": "₸",
    "TRY": "₺ tl",
    "SEK": "kr",
    "NOK": "kr",
    "DKK": "kr",
    "ISK": "kr",
    "INR": "₹ rs",
    "KRW": "₩ 원",
    "ILS": "₪",
    "VND": "₫ đ",
    "THB": "฿",
    "PHP": "₱",
    "NGN": "₦",
    "BRL": "r$",
    "CAD": "$ c$ ca$",
    "AUD": "$ a$ au$",
    "NZD": "$ nz$",
    "MXN": "$ mx$ mex$",
    "SGD": "$ s$",
    "HKD": "$ hk$",
    "TWD": "$ nt$",
    "CLP": "$",
    "COP": "$",
    "ARS": "$",
    "ZAR": "r",
    "AED": "dh",
    "SAR": "ر.س",
    "MAD": "dh",
    "GEL": "₾",
    "AZN": "₼",
    "XOF": "fcfa cfa",
    "XAF": "fcfa cfa",
    "BYN": "",
    "EGP": "",
    "IDR": "rp",
    "MYR": "rm",
    "PKR": "",
    "PEN": "",
    "RSD": "",
    "TND": "",
    "UYU": "",
    "VES": "",
}
CURRENCIES = {code: frozenset((code.casefold(), *text.split())) for code, text in _SIGNS.items()}
_KNOWN = frozenset().union(*CURRENCIES.values())
# Units that stand for many: an amount for so many is none for one.
_MANY = {"tsd", "tausend", "hundert", "mille", "thousand", "hundred", "cent", "mil", "тыс", "сто"}

LONGEST = 60  # characters of an amount, however it is written
BLANKS = " \u00a0\u2007\u2009\u202f"
_amount = re.compile(
    rf"([^0-9+\-–−]{{0,12}}?)[{BLANKS}]*"
    rf"((?:(?<![^\W\d_])[.,])?[0-9](?:[0-9.,'’{BLANKS}]*[0-9])?)"
    rf"(?:[.,:/][-–—]{{1,2}})?[{BLANKS}]*([^0-9+\-–−]{{0,20}})"
).fullmatch
_per = re.compile(rf"[{BLANKS}]*(?:/|(?<!\w)(?:per|pro|je|par|por|za|за)(?=[{BLANKS}]))", re.I)
_currency_dots = re.compile(rf"[.{BLANKS}]")


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its marks as written, and the currency beside it (normalised, or blank).

    A unit stays behind the currency: ``€/stk``, also for “€ pro Stk.”.
    """

    number: str
    currency: str


def token(text: str) -> str:
    """A currency's sign or code as it is compared: no case, no dots, no blanks."""
    return _currency_dots.sub("", _per.sub("/", text.strip(), count=1)).casefold()


def split_amount(text: str) -> Amount | None:
    """Cut a text into its number and a currency before or behind it; ``None``: it is neither."""
    text = price_unguarded(text.strip())
    found = _amount(text) if len(text) <= LONGEST else None
    if found is None:
        return None
    before, after = token(found[1]), token(found[3])
    if before and after[:1] == "/":  # € 5.00 / piece
        before, after = "", before + after
    if before and after and before != after:
        return None
    return Amount(found[2], before or after)


def is_currency(word: str) -> bool:
    """Whether a token is a currency that is known, perhaps with a unit behind it."""
    sign, per, unit = word.partition("/")
    return sign in _KNOWN and (not per or (unit.isalpha() and unit not in _MANY))


@cache
def currency_tokens(currency: str) -> frozenset[str]:
    """The tokens that mean a rule's currency: of ``EUR`` also ``€``; of a sign only itself.

    With a unit (``EUR/Stk``), the same with it.
    """
    sign, per, unit = token(currency).partition("/")
    signs = CURRENCIES.get(sign.upper(), frozenset()) | {sign}
    return frozenset(f"{one}/{unit}" for one in signs) if per else signs


def common_currency(tokens: set[str]) -> str | None:
    """The one currency that all of these tokens mean; ``None`` if there is none.

    A sign that several currencies have stays that sign where no code tells which is meant. A unit
    that is behind all of them stays behind it; what is for a unit among others does not count.
    """
    bare = {one for one in tokens if "/" not in one}
    if bare and bare != tokens:
        return common_currency(bare)
    if not bare:
        units = {one.partition("/")[2] for one in tokens}
        common = common_currency({one.partition("/")[0] for one in tokens})
        return f"{common}/{units.pop()}" if common and len(units) == 1 else None
    if len(tokens) == 1:
        only = next(iter(tokens))
        codes = [code for code, signs in CURRENCIES.items() if only in signs]
        return codes[0] if len(codes) == 1 else only
    codes = [code for code, signs in CURRENCIES.items() if tokens <= signs]
    named = [code for code in codes if code.casefold() in tokens]
    chosen = named or codes
    return chosen[0] if len(chosen) == 1 else None


@cache
def _pattern(decimal: str, group: str | None) -> re.Pattern[str]:
    signs = ".,' " if group is None else group
    signs = signs.replace(decimal, "").replace("'", "'’").replace(" ", BLANKS)
    whole = "[0-9]+"
    if signs:
        # Groups of three, one sign throughout; 0.123 is never a hundred and twenty-three.
        whole = rf"[0-9]+|[1-9][0-9]{{0,2}}([{re.escape(signs)}])[0-9]{{3}}(?:\2[0-9]{{3}})*"
    return re.compile(
        rf"(?:({whole})(?:{re.escape(decimal)}([0-9]+))?|{re.escape(decimal)}([0-9]+))"
    )


def plain_number(number: str, decimal: str, group: str | None = None) -> str | None:
    """A number with its marks in plain digits, with a point and without zeros at its end.

    ``None`` where it is not well-formed under these signs.
    """
    found = _pattern(decimal, group).fullmatch(number)
    if found is None:
        return None
    whole = "".join(character for character in found[1] or "0" if character in "0123456789")
    places = (found[found.re.groups - 1] or found[found.re.groups] or "").rstrip("0")
    return f"{whole}.{places}" if places else whole

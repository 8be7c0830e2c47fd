"""Amounts of money as people write them: marks, groups of digits, currencies.

A text is read only where it is well-formed: nothing here may be a factor off.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from catalog.values import all_read, clean_price, prices_unguarded

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
VALUES_SHOWN = 20
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
    return split_amounts([text])[0]


def split_amounts(texts: Iterable[str]) -> list[Amount | None]:
    """The same of many texts."""
    return [_split(text) for text in prices_unguarded([text.strip() for text in texts])]


def _split(text: str) -> Amount | None:
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


# --- What a column's values say ---------------------------------------------------------

# The decimal mark: none seen (whole numbers), or left open by the values ("1,234" alone, or
# cells that contradict each other).
Mark = Literal[".", ",", "", "?"]


@dataclass(frozen=True)
class PriceEvidence:
    """How many of a column's values read as amounts (``reads``), and how they are written.

    ``plain``: all of those read without a rule. ``decimal`` is settled by the values that leave no
    choice; ``open_values`` are such that do, ``mixed`` tells that values contradict each other.
    ``currencies`` are those found; ``currency`` is the one that all mean, for a rule.
    ``places`` is the most decimals seen, zeros at the end left out.
    """

    reads: int
    plain: bool
    decimal: Mark
    mixed: bool = False
    open_values: tuple[str, ...] = ()
    currencies: tuple[str, ...] = ()
    currency: str | None = None
    places: int = 0

    @property
    def looks_like_money(self) -> bool:
        """Whether it is written as amounts are: with a mark or a currency."""
        return bool(self.decimal or self.currencies)


@dataclass
class _Marks:
    settled: Counter[str] = field(default_factory=Counter)
    left_open: list[str] = field(default_factory=list)

    def decimal(self) -> Mark:
        if len(self.settled) == 1:
            return "." if "." in self.settled else ","
        return "?" if self.settled or self.left_open else ""


def mark_of(number: str) -> str | None:
    """The decimal mark of one number: ``.``, ``,``, nothing if it has none, ``?`` if that is open.

    ``None`` where the number is not well-formed under either.
    """
    marks = [character for character in number if character in ".,"]
    if not marks:
        return "" if plain_number(number, ".") is not None else None
    last = marks[-1]
    other = "," if last == "." else "."
    as_decimal = plain_number(number, last) is not None
    as_group = plain_number(number, other) is not None
    if as_decimal and as_group:
        return "?"
    return last if as_decimal else other if as_group else None


def prices_in(values: Iterable[str]) -> PriceEvidence | None:
    """What those of a column's values say that are amounts; ``None`` where none is."""
    return price_evidence([value.strip() for value in values if value.strip()], least=0)


def price_evidence(cells: list[str], least: float = 0.5) -> PriceEvidence | None:
    """The same of values that are not blank; ``None`` where fewer than this share are amounts."""
    marks, currencies, numbers = _Marks(), Counter[str](), []
    for cell, amount in zip(cells, split_amounts(cells), strict=True):
        if amount is None or (amount.currency and not is_currency(amount.currency)):
            continue
        mark = mark_of(amount.number)
        if mark is None:
            continue
        numbers.append(amount.number)
        if amount.currency:
            currencies[amount.currency] += 1
        if mark == "?":
            marks.left_open.append(cell)
        elif mark:
            marks.settled[mark] += 1
    if not numbers or len(numbers) < least * len(cells):
        return None
    decimal = marks.decimal()
    written = [plain_number(number, decimal) for number in numbers if decimal in (".", ",")]
    return PriceEvidence(
        reads=len(numbers),
        plain=all_read(clean_price, cells),
        decimal=decimal,
        mixed=len(marks.settled) > 1,
        open_values=tuple(marks.left_open[:VALUES_SHOWN]),
        currencies=tuple(currencies),
        currency=_currency_of_most(currencies),
        places=max((len((text or "").partition(".")[2]) for text in written), default=0),
    )


def _currency_of_most(currencies: Counter[str]) -> str | None:
    """The currency of all amounts that have one, or of more than half of them.

    The others are refused by their lines.
    """
    if not currencies:
        return None
    if common := common_currency(set(currencies)):
        return common
    most = currencies.most_common(1)[0][0]
    alike = {other for other in currencies if common_currency({most, other})}
    if 2 * sum(currencies[one] for one in alike) > currencies.total():
        return common_currency(alike)
    return None


_plain = re.compile(r"[0-9]+(?:\.[0-9]{1,2}0*)?").fullmatch


def needs_mark(values: Iterable[str], mark: str) -> bool:
    """Whether any value reads under a decimal mark that does not read without."""
    texts = [text for value in values if (text := value.strip()) and not _plain(text)]
    for text, amount in zip(texts, split_amounts(texts), strict=True):
        if amount is None or (_plain(amount.number) and (amount.currency or _is_price(text))):
            continue  # it reads as it stands, but for a currency; 12.– does not
        number = plain_number(amount.number, mark)
        if number is not None and _is_price(number):
            return True
    return False


def _is_price(text: str) -> bool:
    return all_read(clean_price, [text])


def group_in(values: Iterable[str]) -> str:
    """The sign, a blank or an apostrophe, between the thousands of whole numbers."""
    numbers = [amount.number for amount in split_amounts(values) if amount is not None]
    for sign, decimal in ((" ", ","), ("'", ".")):
        for number in numbers:
            if not number.isdecimal() and plain_number(number, decimal, sign) is not None:
                return sign
    return ""

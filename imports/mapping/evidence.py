"""What a column's values could be, and what speaks for it. Nothing here decides."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from catalog.values import (
    NAME_MAX_LENGTH,
    NULL_WORDS,
    SKU_MAX_LENGTH,
    clean_active,
    clean_price,
)
from imports.mapping.amounts import common_currency, is_currency, plain_number, split_amount
from imports.mapping.words import ACTIVE_TABLES, ERROR_WORDS, UNSURE_TABLES

WORDS_SHOWN = 20

_tag = re.compile(r"</?[a-zA-Z][^<>]*>|&(?:[a-zA-Z]{2,8}|#[0-9]{1,6}|#x[0-9a-fA-F]{1,5});").search

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


@dataclass(frozen=True)
class ActiveEvidence:
    """How a column says yes and no.

    ``plain``: all words read without a rule. ``table`` has the words that are known (small
    letters), out of the table at hand ``name``; ``unknown`` those that are not. ``sure``: all are
    known, and mean nothing else as well.
    """

    reads: int
    plain: bool
    name: str
    table: dict[str, str]
    unknown: tuple[str, ...]
    sure: bool


@dataclass(frozen=True)
class Evidence:
    """What speaks for each field; a share is of the values that are not blank (0 to 1)."""

    filled: int
    blank: int
    price: PriceEvidence | None = None
    active: ActiveEvidence | None = None
    unique: float = 0.0
    longest: int = 0
    average_length: float = 0.0
    spaced: float = 0.0  # share of the values with white space inside
    numeric: float = 0.0  # share of plain numbers
    html: float = 0.0  # share with tags or entities
    null_words: tuple[str, ...] = ()
    error_words: tuple[str, ...] = ()

    @property
    def could_be_sku(self) -> bool:
        """Filled throughout, short, nearly all different, and mostly in one piece."""
        return (
            self.filled > 0
            and self.blank == 0
            and self.longest <= SKU_MAX_LENGTH
            and self.average_length <= 40
            and self.unique >= 0.9
            and self.spaced <= 0.2
        )

    @property
    def could_be_name(self) -> bool:
        """Words, not numbers, and short enough for one line."""
        return self.filled > 0 and self.numeric < 0.5 and 2 <= self.average_length <= 120

    @property
    def looks_like_names(self) -> bool:
        """Short texts without HTML that nearly all are different."""
        short = self.average_length <= 60 and self.longest <= NAME_MAX_LENGTH
        return self.could_be_name and short and not self.html and self.unique >= 0.8

    @property
    def could_be_description(self) -> bool:
        """Longer texts, of several words."""
        return self.filled > 0 and self.spaced >= 0.5 and self.average_length >= 20


def look_at(values: Iterable[str]) -> Evidence:
    """Say what sample values of one column could be."""
    cells = [value.strip() for value in values]
    filled = [cell for cell in cells if cell]
    nothing = [cell for cell in filled if cell in NULL_WORDS]
    errors = [cell for cell in filled if cell in ERROR_WORDS]
    said = [cell for cell in filled if cell not in NULL_WORDS and cell not in ERROR_WORDS]
    count = len(said) or 1
    return Evidence(
        filled=len(filled),
        blank=len(cells) - len(filled),
        price=_prices(said),
        active=_flags(said),
        unique=len({cell.casefold() for cell in said}) / count,
        longest=max(map(len, said), default=0),
        average_length=sum(map(len, said)) / count,
        spaced=sum(len(cell.split()) > 1 for cell in said) / count,
        numeric=sum(cell.replace(".", "", 1).isdecimal() for cell in said) / count,
        html=sum(_tag(cell) is not None for cell in said) / count,
        null_words=tuple(dict.fromkeys(nothing)),
        error_words=tuple(dict.fromkeys(errors)),
    )


# --- Price ----------------------------------------------------------------------------


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
    return _prices([value.strip() for value in values if value.strip()], least=0)


def _prices(cells: list[str], least: float = 0.5) -> PriceEvidence | None:
    """``None`` where not even this share of the values are amounts."""
    marks, currencies, numbers = _Marks(), Counter[str](), []
    for cell in cells:
        amount = split_amount(cell)
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
        plain=all(_reads(clean_price, cell) for cell in cells),
        decimal=decimal,
        mixed=len(marks.settled) > 1,
        open_values=tuple(marks.left_open[:WORDS_SHOWN]),
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


def _reads(clean: object, cell: str) -> bool:
    try:
        clean(cell)  # type: ignore[operator]
    except ValueError:
        return False
    return True


# --- Active ---------------------------------------------------------------------------


def _flags(cells: list[str]) -> ActiveEvidence | None:
    """``None`` where no word is known, or where there are too many of them for a flag."""
    words = Counter(cell.casefold() for cell in cells)
    if not words or len(words) > WORDS_SHOWN:
        return None
    name, table = max(
        ACTIVE_TABLES.items(),
        key=lambda item: sum(words[word] for word in words if word in item[1]),
    )
    known = {word: table[word] for word in words if word in table}
    known |= {word: means for word in words if (means := _means_everywhere(word))}
    unknown = tuple(word for word in words if word not in known)
    if not known:
        return None
    return ActiveEvidence(
        reads=sum(words[word] for word in known),
        plain=all(_reads(clean_active, cell) for cell in cells),
        name=name,
        table=known,
        unknown=unknown,
        sure=not unknown and name not in UNSURE_TABLES,
    )


def _means_everywhere(word: str) -> str:
    """What a word means in all tables that have it; blank where they differ, or none is sure.

    A letter alone is one of its own table's.
    """
    tables = (words for name, words in ACTIVE_TABLES.items() if name not in UNSURE_TABLES)
    means = {table[word] for table in tables if word in table and len(word) > 1}
    return means.pop() if len(means) == 1 else ""

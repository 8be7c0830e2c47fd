"""What a column's values could be, and what speaks for it. Nothing here decides."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from catalog.values import NAME_MAX_LENGTH, NULL_WORDS, SKU_MAX_LENGTH, all_read, clean_active
from imports.mapping.cells.amounts import PriceEvidence, price_evidence
from imports.mapping.cells.words import ACTIVE_TABLES, ERROR_WORDS, UNSURE_TABLES

WORDS_SHOWN = 20

_tag = re.compile(r"</?[a-zA-Z][^<>]*>|&(?:[a-zA-Z]{2,8}|#[0-9]{1,6}|#x[0-9a-fA-F]{1,5});").search


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
        price=price_evidence(said),
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
        plain=all_read(clean_active, cells),
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

"""What a product's values may be: one set of rules for files, forms and the API.

Pure Python. Every function takes text as it was typed or read and returns the value to
store, or raises ``ValueError`` with a sentence for the person who has to mend it.
Lengths are in characters (code points), as PostgreSQL counts them. The limits are the
catalogue's contract (docs/csv.md) and stand in the database as constraints as well.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from decimal import Decimal

# In the order in which files, pages and histories show them.
FIELDS = ("sku", "name", "description", "price", "active")

SKU_MAX_LENGTH = 100
NAME_MAX_LENGTH = 255
DESCRIPTION_MAX_LENGTH = 100_000
PRICE_MAX_DIGITS = 12
PRICE_DECIMAL_PLACES = 2

# Zero-width space, non-joiner, joiner; word joiner; byte order mark.
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"
# Soft hyphen; marks, embeddings, overrides and isolates of writing direction; invisible operators
# and deprecated formats: nothing of them is seen, whatever it does to the text around it.
_INVISIBLE = (
    "\u00ad\u061c\u180e\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2061\u2062\u2063\u2064"
    "\u2066\u2067\u2068\u2069\u206a\u206b\u206c\u206d\u206e\u206f"
)
# Spaces that look like a space but do not break, and marks that cannot be seen at all.
# Both come along when a SKU is copied out of a web page or a spreadsheet.
_SKU_LOOKALIKES: dict[int, str | None] = {
    **dict.fromkeys(map(ord, "\u00a0\u2007\u202f"), " "),  # no-break, figure, narrow no-break
    **dict.fromkeys(map(ord, _ZERO_WIDTH + _INVISIBLE), None),
}
# All that str.strip() takes off.
_WHITE = "".join(filter(str.isspace, map(chr, range(0x3001))))
NAME_TRIMMED = _WHITE + _ZERO_WIDTH  # from both ends
# A number that is meant to stay a text: ="00123" for spreadsheets, '00123 in their own files.
_formula_guard = re.compile('="([^"]*)"').fullmatch
# What programs write for a value that is not there.
_NULLS = "NULL null Null (null) (NULL) <null> \\N nan NaN NAN None <NA> NaT nil undefined"
NULL_WORDS = frozenset(_NULLS.split())
# What a cell begins with that a spreadsheet runs as a formula; the wide ones are those of East
# Asian input. Files for spreadsheets have an apostrophe before it, and an import takes one off.
FORMULA_STARTS = "=+-@\t\r\uff1d\uff0b\uff0d\uff20"

_SHOWN_OF_PRICE = 40  # characters
# A word of letters, or a sign (“from”, “~”), on one side of a number at least.
_with_words = re.compile(
    r"(?=.*[^0-9.,'’\s])([^0-9+\-]*)[0-9](?:[0-9.,'’\s]*[0-9])?([^0-9+\-]*)"
).fullmatch
_price = re.compile(r"(0*[0-9]{1,10}(?:\.[0-9]{1,2})?)0*").fullmatch
_many_places = re.compile(r"[0-9]+\.[0-9]{3,}").fullmatch
# What binary arithmetic leaves of two decimals: 19.989999999999998, 4.3500000000000005.
_float_noise = re.compile(r"[0-9]+\.[0-9]{2}[0-9]*?(?:0{5,}|9{5,})[0-9]{0,3}").fullmatch
_ACTIVE = {
    **dict.fromkeys(("true", "yes", "y", "t", "1", "active"), True),
    **dict.fromkeys(("false", "no", "n", "f", "0", "inactive"), False),
}


def clean_sku(text: str) -> str:
    """Trim and normalise a SKU (NFC; no-break spaces, what cannot be seen, guards).

    Upper and lower case stay as they are: only the database decides which SKUs are the
    same without regard to case.
    """
    # What cannot be seen goes first: it may stand between a letter and its accent.
    sku = unicodedata.normalize("NFC", text.translate(_SKU_LOOKALIKES)).strip()
    sku = _without_apostrophe(sku)
    if found := _formula_guard(sku):
        sku = _without_apostrophe(found[1].strip())
    if not sku:
        raise ValueError("The SKU is empty. Every product needs one.")
    if len(sku) > SKU_MAX_LENGTH:
        raise ValueError(
            f"The SKU has {len(sku)} characters; at most {SKU_MAX_LENGTH} are allowed."
        )
    if any(unicodedata.category(character) == "Cc" for character in sku):
        raise ValueError("The SKU contains a line break or another control character.")
    return sku


def _without_apostrophe(sku: str) -> str:
    """Take off what marks a text in a spreadsheet; between two of them it is a quotation."""
    return sku.lstrip("'" + _WHITE) if sku[:1] == "'" != sku[-1:] else sku


def clean_name(text: str) -> str:
    """Trim a name, also of what has no width."""
    name = text.strip(NAME_TRIMMED)
    if not name:
        raise ValueError("The name is empty. Every product needs one.")
    if len(name) > NAME_MAX_LENGTH:
        raise ValueError(
            f"The name has {len(name)} characters; at most {NAME_MAX_LENGTH} are allowed."
        )
    return name


def clean_description(text: str) -> str:
    """Keep a description as it is; one of nothing but white space is empty."""
    if not text or text.isspace():
        return ""
    if len(text) > DESCRIPTION_MAX_LENGTH:
        raise ValueError(
            f"The description has {len(text):,} characters; "
            f"at most {DESCRIPTION_MAX_LENGTH:,} are allowed."
        )
    return text


def clean_price(text: str) -> str | None:
    """Return the price in plain digits, or ``None`` for a blank cell (no price).

    Zeros after the second decimal are no more exact a price, and go.
    """
    price = text.strip()
    if not price:
        return None
    found = _price(price) or _price(_price_unguarded(price))
    if found and (found[1] == found[0] or "." in found[1]):
        return found[1]
    raise ValueError(
        f"“{price[:40]}” is not a price{_why_no_price(price)}. Write it like 1299.00, with at most "
        "two decimals, up to 9999999999.99."
    )


def prices_unguarded(prices: Iterable[str]) -> list[str]:
    """Prices without what kept their cells texts: ``="5.00"``, ``'5.00``."""
    return [_price_unguarded(price) for price in prices]


def _price_unguarded(price: str) -> str:
    if found := _formula_guard(price):
        return found[1].strip()
    return price[1:] if price[:1] == "'" and not price.endswith("'") else price


def formula_text(cell: str) -> str:
    """What a cell says that a formula keeps a text: ``="0012"`` is ``0012``."""
    found = _formula_guard(cell.strip())
    return found[1] if found else cell


def words_beside(price: str) -> list[str]:
    """The words, or signs, that stand before and behind one number; none for anything else."""
    found = _with_words(price) if len(price) <= _SHOWN_OF_PRICE else None
    return [word for text in found.groups() if (word := text.strip(" .,"))] if found else []


def _why_no_price(price: str) -> str:
    """The cause, where it can be told, as the end of a sentence."""
    if len(price) > _SHOWN_OF_PRICE:
        return ""
    if price in NULL_WORDS:
        return ": programs write it where there is none (leave it blank)"
    if price[:1] == "-":
        return ": it is below zero"
    if any(unicodedata.category(character) == "Sc" for character in price):
        return ": there is a currency sign in it"
    if _float_noise(price):
        near = f"{Decimal(price):.2f}"
        return f" but what is left of {near} where a program or a spreadsheet calculates in binary"
    if _many_places(price):
        return ": it has more than two decimals"
    if words := words_beside(price):
        return f": “{words[0]}” stands beside the number"
    return ": it has a decimal comma, or commas between its digits" if "," in price else ""


_DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]{1,2}").fullmatch
# Thousands in groups, all set off by one mark; the decimals, if any, by another one.
_GROUPED = re.compile(
    r"[1-9][0-9]{0,2}(?P<mark>[.,' ])[0-9]{3}(?P<more>(?:(?P=mark)[0-9]{3})*)"
    r"(?P<decimals>(?!(?P=mark))[.,][0-9]{1,2})?"
).fullmatch
_MARKS = str.maketrans({"\u00a0": " ", "\u2007": " ", "\u202f": " ", "\u2019": "'"})


def clean_typed_price(text: str) -> str | None:
    """A price as people write it in a form: ``49,90``, ``1.299,00``, ``1,299.00``, ``1 299``.

    One that can be read in two ways (``1,234``) is refused. Returns what ``clean_price`` does.
    """
    return clean_price(plain_typed(text))


def plain_typed(text: str) -> str:
    """A number as people write it in a form, in plain digits; any other text as it is.

    Raises ``ValueError`` for one that can be read in two ways.
    """
    price = text.strip().translate(_MARKS)
    if _DECIMAL_COMMA(price):
        price = price.replace(",", ".")
    elif found := _GROUPED(price):
        if found["mark"] in ".," and not found["more"] and not found["decimals"]:
            raise ValueError(
                f"“{price}” can be read in two ways, with thousands or with decimals. Write it "
                f"like {re.sub('[^0-9]', '', price)}.00, with at most two decimals."
            )
        decimals = found["decimals"] or ""
        whole = price.removesuffix(decimals)
        price = re.sub("[^0-9]", "", whole) + decimals.replace(",", ".")
    return price


def clean_active(text: str) -> bool | None:
    """Return whether the product is active, or ``None`` for a blank cell (keep as it is)."""
    word = text.strip().lower()
    if not word:
        return None
    try:
        return _ACTIVE[word]
    except KeyError:
        raise ValueError(
            f"“{text.strip()[:40]}” is neither active nor inactive. Write true or false "
            "(yes/no, y/n, t/f, 1/0 and active/inactive work too)."
        ) from None


def all_read(clean: Callable[[str], object], texts: Iterable[str]) -> bool:
    """Whether a cleaner refuses none of these texts."""
    try:
        for text in texts:
            clean(text)
    except ValueError:
        return False
    return True

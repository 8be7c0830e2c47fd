"""What a product's values may be: one set of rules for files, forms and the API.

Pure Python. Every function takes text as it was typed or read and returns the value to
store, or raises ``ValueError`` with a sentence for the person who has to mend it.
Lengths are in characters (code points), as PostgreSQL counts them. The limits are the
catalogue's contract (docs/csv.md) and stand in the database as constraints as well.
"""

import re
import unicodedata

# In the order in which files, pages and histories show them.
FIELDS = ("sku", "name", "description", "price", "active")

SKU_MAX_LENGTH = 100
NAME_MAX_LENGTH = 255
DESCRIPTION_MAX_LENGTH = 100_000
PRICE_MAX_DIGITS = 12
PRICE_DECIMAL_PLACES = 2

# Spaces that look like a space but do not break, and marks that cannot be seen at all.
# Both come along when a SKU is copied out of a web page or a spreadsheet.
_SKU_LOOKALIKES = str.maketrans(
    {
        "\u00a0": " ",  # no-break space
        "\u2007": " ",  # figure space
        "\u202f": " ",  # narrow no-break space
        "\u200b": None,  # zero-width space
        "\u200c": None,  # zero-width non-joiner
        "\u200d": None,  # zero-width joiner
        "\u2060": None,  # word joiner
        "\ufeff": None,  # zero-width no-break space (byte order mark)
    }
)
# What a cell begins with that a spreadsheet runs as a formula; the wide ones are those of East
# Asian input. Files for spreadsheets have an apostrophe before it, and an import takes one off.
FORMULA_STARTS = "=+-@\t\r\uff1d\uff0b\uff0d\uff20"

_price = re.compile(r"0*[0-9]{1,10}(\.[0-9]{1,2})?").fullmatch
_ACTIVE = {
    **dict.fromkeys(("true", "yes", "y", "t", "1", "active"), True),
    **dict.fromkeys(("false", "no", "n", "f", "0", "inactive"), False),
}


def clean_sku(text: str) -> str:
    """Trim and normalise a SKU (NFC; no-break and zero-width spaces).

    Upper and lower case stay as they are: only the database decides which SKUs are the
    same without regard to case.
    """
    # What cannot be seen goes first: it may stand between a letter and its accent.
    sku = unicodedata.normalize("NFC", text.translate(_SKU_LOOKALIKES)).strip()
    if not sku:
        raise ValueError("The SKU is empty. Every product needs one.")
    if len(sku) > SKU_MAX_LENGTH:
        raise ValueError(
            f"The SKU has {len(sku)} characters; at most {SKU_MAX_LENGTH} are allowed."
        )
    if any(unicodedata.category(character) == "Cc" for character in sku):
        raise ValueError("The SKU contains a line break or another control character.")
    return sku


def clean_name(text: str) -> str:
    """Trim a name."""
    name = text.strip()
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
    """Return the price in plain digits, or ``None`` for a blank cell (no price)."""
    price = text.strip()
    if not price:
        return None
    if not _price(price):
        raise ValueError(
            f"“{price[:40]}” is not a price. Write plain digits with at most two decimals, "
            "up to 9999999999.99, like 1299.00."
        )
    return price


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
    price = text.strip().translate(_MARKS)
    if _DECIMAL_COMMA(price):
        price = price.replace(",", ".")
    elif found := _GROUPED(price):
        if found["mark"] in ".," and not found["more"] and not found["decimals"]:
            raise ValueError(
                f"“{price}” can be read in two ways, with thousands or with decimals. Write "
                f"plain digits with at most two decimals, like {re.sub('[^0-9]', '', price)}.00."
            )
        decimals = found["decimals"] or ""
        whole = price.removesuffix(decimals)
        price = re.sub("[^0-9]", "", whole) + decimals.replace(",", ".")
    return clean_price(price)


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

"""What the values of a field of one's own may be: one set of rules for files, forms and the API.

Pure Python. A value is kept as JSON: text as a string, whole numbers as numbers, decimals and
money as strings with all their decimals (``"12.50"``: JSON's own numbers are floats to many), yes
and no as booleans, dates as ``YYYY-MM-DD``, several of a list as a list in the list's order, GTINs
as 14 digits. No value is ``None``.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from catalog.values import (
    DESCRIPTION_MAX_LENGTH,
    FIELDS,
    NAME_TRIMMED,
    clean_active,
    clean_price,
    clean_typed_price,
    plain_typed,
)

KEY_MAX_LENGTH = 40
LABEL_MAX_LENGTH = 100
TEXT_MAX_LENGTH = 1_000  # characters of a text
LINK_MAX_LENGTH = 2_000  # what browsers and proxies take
UNIQUE_MAX_BYTES = 2_600  # of a value that no other product may have: PostgreSQL indexes 2,704
CHOICES_AT_MOST = 500
CHOICE_MAX_LENGTH = 100
MONEY_SCALE = 2
SCALE_AT_MOST = 6
NUMBER_DIGITS = 15  # before the decimals: what a double, and so a spreadsheet, keeps exactly
FIELDS_AT_MOST = 200

SEPARATOR = "|"  # between several of a list, in a file; ";" and line breaks are taken as well

# One underscore between two words: two of them stand before how a filter compares.
_key = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*").fullmatch
_integer = re.compile(rf"[+-]?0*[0-9]{{1,{NUMBER_DIGITS}}}(\.0+)?").fullmatch
# German thousands, or a number that a program wrote with three decimals.
_two_ways = re.compile(r"[1-9][0-9]{0,2}(\.000)+").fullmatch
# A decimal comma that stands for no thousands.
_with_comma = re.compile(r"0+,[0-9]+|[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})").fullmatch
_decimal = re.compile(rf"[+-]?0*[0-9]{{1,{NUMBER_DIGITS}}}(\.[0-9]+)?").fullmatch
_iso_date = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?Z?)?"
).fullmatch
_dotted_date = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})").fullmatch
_short_date = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2}").fullmatch
_slashed_date = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})").fullmatch
_MONTHS = 12
_several = re.compile(r"[|;\n]")
several_links = re.compile(r"\s*https?://[^\s,;|]+[\s,;|]+https?://", re.IGNORECASE).match


@dataclass(frozen=True, slots=True)
class Definition:
    """What one field takes. ``scale`` counts the decimals of a decimal number."""

    key: str
    label: str
    type: str
    choices: tuple[str, ...] = ()
    scale: int = MONEY_SCALE
    required: bool = False
    unique: bool = False


def definition_of(data: Mapping[str, Any]) -> Definition:
    """A definition out of JSON (``dataclasses.asdict``)."""
    return Definition(**{**data, "choices": tuple(data["choices"])})


def clean_key(text: str) -> str:
    """Return a field's key, or raise ``ValueError`` with a sentence."""
    key = text.strip()
    if not _key(key) or len(key) > KEY_MAX_LENGTH:
        raise ValueError(
            f"“{key[:40]}” is no key. Write small letters a to z, digits and single underscores "
            f"between them, a letter first, at most {KEY_MAX_LENGTH} characters, like brand or "
            "pack_size."
        )
    if key in (*FIELDS, "id", "version", "created_at", "updated_at", "fields"):
        raise ValueError(f"“{key}” is a name that every product has already. Choose another.")
    return key


def key_of(label: str) -> str:
    """A key made of a label, for who gives the label alone; ``field`` if nothing is left of it."""
    plain = unicodedata.normalize("NFKD", label.casefold())
    letters = "".join(one for one in plain if not unicodedata.combining(one))
    text = re.sub(r"[^a-z0-9]+", "_", letters).strip("_")
    text = text if text[:1].isalpha() else f"field_{text}"
    return text[:KEY_MAX_LENGTH].rstrip("_")


def bare_name(name: str) -> str:
    """A label or a key without case, blanks, underscores and hyphens: columns do not tell these."""
    return re.sub(r"[\s_-]", "", name.casefold())


# --- From text ------------------------------------------------------------------------


def clean(definition: Definition, text: str) -> Any:
    """Bring a text, as typed or read, into the value to keep; ``None`` for a blank one.

    Raises ``ValueError`` with a sentence for the person who has to mend it.
    """
    text = text.strip(NAME_TRIMMED)
    if not text:
        return None
    value = _CLEANERS[definition.type](definition, text)
    if definition.unique and len(str(value).encode()) > UNIQUE_MAX_BYTES:
        raise ValueError(
            f"The text has {len(text):,} characters, too many to tell whether another product has "
            f"it: at most {UNIQUE_MAX_BYTES:,} bytes are allowed, which are 650 characters of any "
            "script."
        )
    return value


def reads(definition: Definition, text: str) -> bool:
    """Whether a text is a value of a field, or a blank one."""
    try:
        clean(definition, text)
    except ValueError:
        return False
    return True


def clean_value(definition: Definition, value: Any, *, typed: bool = False) -> Any:
    """Like ``clean`` for what a program sends: text, numbers, booleans, lists of texts, null.

    ``typed``: by a person, who writes an amount with a decimal comma.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        if definition.type != "boolean":
            raise ValueError("This has to be a text or a number, not true or false.")
        return value
    if isinstance(value, list) and definition.type == "choices":
        if not all(isinstance(one, str) for one in value):
            raise ValueError("This has to be a list of texts.")
        return _chosen(definition, value)
    if isinstance(value, int | float | Decimal):
        value = format(Decimal(str(value)), "f")  # a float has an exponent, if it is small
    if not isinstance(value, str):
        raise ValueError("This has to be a text.")
    if "\0" in value:
        raise ValueError("The text contains a NUL byte. Type it again.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("The text contains half a character. Type it again.")
    return clean(definition, _as_typed(definition, value) if typed else value)


def _as_typed(definition: Definition, text: str) -> str:
    """An amount or a decimal number in plain digits; a point alone is before the decimals."""
    if definition.type == "money":
        return clean_typed_price(text) or ""
    if definition.type != "decimal" or "," not in text:
        return text
    sign, number = ("-", text.strip()[1:]) if text.strip()[:1] in "-\u2212" else ("", text.strip())
    if _with_comma(number):
        return sign + number.replace(",", ".")
    return sign + plain_typed(number)


def as_text(definition: Definition, value: Any) -> str:
    """A value as files and forms have it; ``clean`` takes it back to the same value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return SEPARATOR.join(map(str, value))
    if definition.type == "gtin":
        return shown_gtin(str(value))
    return str(value)


def in_words(definition: Definition, value: Any) -> str:
    """A value as people read it: numbers with separators, yes and no; blank for none."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if definition.type in ("integer", "decimal", "money") and _decimal(str(value).lstrip("-")):
        return f"{Decimal(value):,f}"
    return as_text(definition, value)


def shown_image(definition: Definition, value: Any) -> str:
    """The address of an image that a page may show: over TLS alone; blank if it is none."""
    text = str(value or "")
    is_image = definition.type == "image" and text.lower().startswith("https://")
    return text if is_image else ""


def shown_gtin(digits: str) -> str:
    """A GTIN of 14 digits as it stands on a pack: of 8, 12, 13 or 14 digits (GS1)."""
    bare = digits.lstrip("0")
    return next((bare.rjust(size, "0") for size in (8, 12, 13) if len(bare) <= size), digits)


# --- One type each --------------------------------------------------------------------


def _text(definition: Definition, text: str) -> str:
    if len(text) > TEXT_MAX_LENGTH:
        raise ValueError(
            f"The text has {len(text):,} characters; at most {TEXT_MAX_LENGTH:,} are allowed."
        )
    return text


def _long_text(definition: Definition, text: str) -> str:
    if len(text) > DESCRIPTION_MAX_LENGTH:
        raise ValueError(
            f"The text has {len(text):,} characters; at most {DESCRIPTION_MAX_LENGTH:,} are "
            "allowed."
        )
    return text


def _whole(definition: Definition, text: str) -> int:
    if _two_ways(text):
        raise ValueError(
            f"“{text[:40]}” can be read in two ways: {text.partition('.')[0]}, or "
            f"{text.replace('.', '')}. Write digits alone."
        )
    if not _integer(text):
        raise ValueError(
            f"“{text[:40]}” is not a whole number. Write digits alone, at most {NUMBER_DIGITS}."
        )
    return int(text.partition(".")[0])


def _number(definition: Definition, text: str) -> str:
    if not _decimal(text):
        raise ValueError(
            f"“{text[:40]}” is not a number. Write plain digits with a point before the decimals, "
            "like 12.5."
        )
    decimals = text.partition(".")[2]
    if decimals[definition.scale :].strip("0"):
        raise ValueError(
            f"“{text[:40]}” has more than {definition.scale} decimals, which are as many as the "
            "field takes. Round it."
        )
    value = Decimal(text).quantize(Decimal(1).scaleb(-definition.scale))
    return format(value or abs(value), "f")  # no minus before zero


def _money(definition: Definition, text: str) -> str:
    return format(Decimal(clean_price(text) or 0), f".{MONEY_SCALE}f")  # no blank comes here


def _yes(definition: Definition, text: str) -> bool:
    try:
        return bool(clean_active(text))
    except ValueError:
        raise ValueError(
            f"“{text[:40]}” is neither yes nor no. Write yes or no (true/false and 1/0 do as well)."
        ) from None


def _date(definition: Definition, text: str) -> str:
    if found := _iso_date(text):
        year, month, day = map(int, found.groups())
    elif found := _dotted_date(text):
        day, month, year = map(int, found.groups())
    elif found := _slashed_date(text):
        one, other, year = map(int, found.groups())
        if one != other and max(one, other) <= _MONTHS:
            raise ValueError(
                f"“{text[:40]}” may mean two days. Write the year first, like 2026-03-02."
            )
        day, month = max(one, other), min(one, other)
    elif _short_date(text):
        raise ValueError(
            f"“{text[:40]}” has a year of two digits. Write all four, like 2026-03-02."
        )
    else:
        raise ValueError(
            f"“{text[:40]}” is not a date. Write it with the year first, like 2026-03-02."
        )
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        raise ValueError(f"“{text[:40]}” is a day that there is not.") from None


def _choice(definition: Definition, text: str) -> str:
    wanted = text.casefold()
    for choice in definition.choices:
        if choice.casefold() == wanted:
            return choice
    some = ", ".join(definition.choices[:10]) + (", …" if len(definition.choices) > 10 else "")
    raise ValueError(f"“{text[:40]}” is not in the list. There are: {some}.")


def _chosen(definition: Definition, texts: list[str]) -> list[str] | None:
    found = {_choice(definition, text) for text in map(str.strip, texts) if text}
    return [choice for choice in definition.choices if choice in found] or None


def words_of(definition: Definition, text: str) -> list[str]:
    """The words of several of a list, as a file has them.

    Commas are between them where nothing else is, and each word is one of the list.
    """
    if "," not in text or _several.search(text):
        return _several.split(text)
    known = {one.casefold() for one in definition.choices}
    words = [word for word in text.split(",") if word.strip()]
    several = text.strip().casefold() not in known
    return words if several and {w.strip().casefold() for w in words} <= known else [text]


def _choices(definition: Definition, text: str) -> list[str] | None:
    return _chosen(definition, words_of(definition, text))


def check_choices(choices: Sequence[str], type: str) -> None:
    """Raise ``ValueError`` with a sentence for what cannot be the choices of a list."""
    if not choices or not all(choices):
        raise ValueError("A list needs at least one choice, and none may be blank.")
    if len(choices) > CHOICES_AT_MOST:
        raise ValueError(f"A list has at most {CHOICES_AT_MOST} choices.")
    if any(len(one) > CHOICE_MAX_LENGTH or "\0" in one for one in choices):
        raise ValueError(f"A choice has at most {CHOICE_MAX_LENGTH} characters.")
    if len({one.casefold() for one in choices}) < len(choices):
        raise ValueError("Two choices are the same but for case.")
    if type == "choices" and any(set(one) & set("|;\n") for one in choices):
        raise ValueError("A choice of several must not have | or ; in it: files separate by them.")


def _link(definition: Definition, text: str) -> str:
    wrong = (
        len(text) > LINK_MAX_LENGTH
        or any(character.isspace() or ord(character) < 32 for character in text)
        or not text.isprintable()
    )
    try:
        parts = urlsplit(text)
        wrong = wrong or parts.scheme not in ("http", "https") or not parts.hostname
    except ValueError:
        wrong = True
    if several_links(text):
        raise ValueError(
            f"“{text[:40]}” are several links, and the field takes one. Write the first alone, or "
            "keep them all in a field of the type text."
        )
    if wrong:
        raise ValueError(
            f"“{text[:40]}” is not a link. Write the whole address, from https:// on, at most "
            f"{LINK_MAX_LENGTH:,} characters."
        )
    return text


def _gtin(definition: Definition, text: str) -> str:
    """GTIN-8, 12, 13 or 14, checked by its last digit (GS1 General Specifications, 7.9)."""
    # Not above: it takes 1 MB of each process, and few meet a GTIN.
    from stdnum import ean

    # An apostrophe keeps it a text in a spreadsheet; what a table program makes of a column of long
    # numbers with blanks among them ends with .0
    digits = re.sub(r"^'|[\s-]|\.0$", "", text)
    if re.fullmatch(r"[0-9]([.,][0-9]+)?[eE][+]?[0-9]+", digits):
        raise ValueError(
            f"“{text[:40]}” is a number that a spreadsheet has rounded: its digits are lost. Take "
            "it from the original again."
        )
    if not digits.isascii() or not digits.isdigit() or not 7 <= len(digits) <= 14:
        raise ValueError(
            f"“{text[:40]}” is not a GTIN. It has 8, 12, 13 or 14 digits, as under the bar code."
        )
    bare = digits.lstrip("0")
    if not bare:
        raise ValueError("A GTIN of zeros is none.")
    size = next(size for size in (8, 12, 13, 14) if len(bare) <= size)
    if not ean.is_valid(bare.rjust(size, "0")):
        raise ValueError(
            f"“{text[:40]}” is not a GTIN: its last digit does not fit the others. A digit is "
            "wrong or missing."
        )
    return bare.rjust(14, "0")


_CLEANERS: dict[str, Callable[[Definition, str], Any]] = {
    "text": _text,
    "long_text": _long_text,
    "integer": _whole,
    "decimal": _number,
    "money": _money,
    "boolean": _yes,
    "date": _date,
    "choice": _choice,
    "choices": _choices,
    "link": _link,
    "image": _link,
    "gtin": _gtin,
}

"""Filters by the fields of one's own: ``fields.KEY`` and what may stand behind it.

``fields.brand=Acme`` is that value, ``__in`` one of several (``Acme|Bolt``), ``__contains`` a part
of a text in any case, ``__gte`` and ``__lte`` from and up to, ``__isblank`` whether there is none.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.db.models.lookups import (
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    IContains,
    In,
    LessThanOrEqual,
)

from catalog import field_values
from catalog.field_values import SEPARATOR, Definition
from catalog.queries.own_fields.fields import definitions
from catalog.queries.own_fields.values import (
    NUMBERS,
    SORTED_CHARACTERS,
    nothing,
    own_key,
    text_of,
)

OWN_PREFIX = "fields."
FILTER_MAX_LENGTH = 1_000  # of a text; a bulk act keeps the ones that it was asked for with
IN_AT_MOST = 100

_RANGES = (*NUMBERS, "date")
_TEXTS = ("text", "long_text", "link", "image", "gtin", "choice")
_YES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def own_conditions(given: Mapping[str, Any]) -> tuple[list[Any], dict[str, str]]:
    """The conditions for filters by own fields, and a sentence for each that cannot be.

    A blank filter is none.
    """
    if not given:
        return [], {}
    known = definitions()
    conditions: list[Any] = []
    errors: dict[str, str] = {}
    for name, text in given.items():
        key, _, how = name.removeprefix(OWN_PREFIX).partition("__")
        if isinstance(text, bool | int):
            text = str(text).lower()
        if key not in known:
            errors[name[:80]] = f"There is no field “{key[:40]}”. There are: {', '.join(known)}."
        elif how not in _CONDITIONS:
            ways = ", ".join(f"fields.{key}__{one}" for one in _CONDITIONS if one)
            errors[name[:80]] = f"There is no filter “{name[:40]}”. There are: {ways}."
        elif not isinstance(text, str):
            errors[name] = f"The filter {name} has to be a text."
        elif len(text) > FILTER_MAX_LENGTH:
            errors[name] = f"The filter {name} has more than {FILTER_MAX_LENGTH:,} characters."
        elif text:
            try:
                conditions.append(_CONDITIONS[how](known[key], text))
                if how == "lte" and not given.get(f"{OWN_PREFIX}{key}__gte"):
                    conditions.append(_has_value(known[key]))  # else the lower bound says so
            except ValueError as error:
                errors[name] = str(error)
    return conditions, errors


def _value(definition: Definition, text: str) -> Any:
    """A filter's value in the form that is stored; raises ``ValueError`` for what it cannot be."""
    value = field_values.clean_value(definition, text)
    if value is None:
        raise ValueError("A filter of blanks is none.")
    return Decimal(value) if definition.type in NUMBERS else value


def _is(definition: Definition, text: str) -> Any:
    if definition.type == "choices":  # all of these are among it
        return Q(**{f"own_fields__{definition.key}__contains": _value(definition, text)})
    value = _value(definition, text)
    if isinstance(value, bool):
        value = "true" if value else "false"
    return _one_of(definition, [value])


def _one_of(definition: Definition, values: list[Any]) -> Any:
    """Whether the value is one of these; the key, which an index may hold, is asked first."""
    if definition.type in NUMBERS:
        return In(own_key(definition), values)
    condition = Q(In(own_key(definition), [value[:SORTED_CHARACTERS] for value in values]))
    if any(len(value) >= SORTED_CHARACTERS for value in values):
        condition &= Q(In(text_of(definition), values))
    return condition


def _is_one_of(definition: Definition, text: str) -> Any:
    texts = _separate(definition, text)
    if not 0 < len(texts) <= IN_AT_MOST:
        raise ValueError(f"Write 1 to {IN_AT_MOST} values with | between them.")
    if definition.type in ("choices", "boolean"):
        return Q(*(_is(definition, one) for one in texts), _connector=Q.OR)
    return _one_of(definition, [_value(definition, one) for one in texts])


def _separate(definition: Definition, text: str) -> list[str]:
    """The values of a filter; of a choice, the separator may be a part."""
    left, texts = text.split(SEPARATOR), []
    known = {one.casefold() for one in definition.choices}
    most = 1 + max((one.count(SEPARATOR) for one in known), default=0)
    while left:
        heads = (SEPARATOR.join(left[:size]) for size in range(most, 0, -1))
        head = next((one for one in heads if one.strip().casefold() in known), left[0])
        texts.append(head)
        left = left[1 + head.count(SEPARATOR) :]
    return [one for one in texts if one.strip()]


def _contains(definition: Definition, text: str) -> Any:
    if definition.type not in _TEXTS:
        raise ValueError(f"{definition.label} is no text that could contain something.")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("The filter contains a NUL byte or half a character.")
    return IContains(text_of(definition), text)


def _range(lookup: Any) -> Callable[[Definition, str], Any]:
    def condition(definition: Definition, text: str) -> Any:
        if definition.type not in _RANGES:
            raise ValueError(f"{definition.label} is neither a number nor a date.")
        return lookup(own_key(definition), _value(definition, text))

    return condition


def _has_value(definition: Definition) -> Any:
    """What has none comes before every bound."""
    return GreaterThan(own_key(definition), nothing(definition))


def _is_blank(definition: Definition, text: str) -> Any:
    blank = _YES.get(text.strip().lower())
    if blank is None:
        raise ValueError("Write true or false.")
    return Exact(own_key(definition), nothing(definition)) if blank else _has_value(definition)


_CONDITIONS: dict[str, Callable[[Definition, str], Any]] = {
    "": _is,
    "in": _is_one_of,
    "contains": _contains,
    "gte": _range(GreaterThanOrEqual),
    "lte": _range(LessThanOrEqual),
    "isblank": _is_blank,
}


_WORDS = {
    "": "",
    "in": " is one of",
    "contains": " contains",
    "gte": " from",
    "lte": " to",
}


def ways_of(definition: Definition) -> dict[str, str]:
    """How a field can be filtered by, with the words for it: what stands behind its key."""
    none = set()
    if definition.type not in _TEXTS:
        none.add("contains")
    if definition.type not in _RANGES:
        none |= {"gte", "lte"}
    return {how: words for how, words in _WORDS.items() if how not in none}


def own_filter_words(name: str, text: str, known: Mapping[str, Definition]) -> tuple[str, str]:
    """What a filter by an own field is called and what it says, as people read it.

    One of a field that there is not, or no longer, is called by its key.
    """
    key, _, how = name.removeprefix(OWN_PREFIX).partition("__")
    definition = known.get(key)
    label = definition.label if definition else key[:100]
    if how == "isblank":
        return label, "none" if _YES.get(text.strip().lower(), True) else "any"
    values = [text]
    if how == "in":
        values = _separate(definition, text) if definition else text.split(SEPARATOR)
    return label + _WORDS.get(how, ""), " or ".join(_shown(definition, one) for one in values)


def _shown(definition: Definition | None, text: str) -> str:
    if definition is None or definition.type in _TEXTS:
        return text
    try:
        return field_values.in_words(definition, field_values.clean_value(definition, text))
    except ValueError:
        return text

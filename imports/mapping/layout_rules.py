"""What the rules in a job's layout (``Layout.as_json``) say, which has them as JSON."""

from collections.abc import Mapping
from typing import Any

from imports.mapping.model import KeyWithin, NoMatch, Rules, may_keep, own_key
from imports.mapping.rules import parse_rules


def layout_keeps(layout: Mapping[str, Any]) -> bool:
    """Whether a record of a file with this layout (``Layout.as_json``) may keep stored values."""
    rules = layout.get("rules")
    return bool(rules) and may_keep(parse_rules(rules))


def layout_key(layout: Mapping[str, Any]) -> tuple[str, NoMatch]:
    """The key of the own field that products of such a file are found by, or blank, and what
    becomes of records without a product."""
    rules = layout.get("rules") or {}
    if "key" not in rules:
        return "", "refuse"
    return own_key(Rules(key=rules["key"])), rules["no_match"]


def layout_key_within(layout: Mapping[str, Any]) -> KeyWithin:
    """Among which products of such a file's are found by that key."""
    within: KeyWithin = (layout.get("rules") or {}).get("key_within", "catalogue")
    return within

"""A field's rules as the matching page edits them, and as chips tell them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from catalog.field_values import Definition
from imports.mapping.dates import WRITTEN as ORDERS
from imports.mapping.own import LISTS, NUMBERS
from imports.mapping.rules import DEFAULT_BLANK
from imports.views.mapping_form import table_as_text

BLANKS = {"keep": "keeps what is stored", "clear": "clears it", "refuse": "is refused"}
OWN_BLANKS = ("clear", "keep", "refuse")
BLANK_CHOICES = {
    "sku": ("refuse",),
    "name": ("refuse", "keep"),
    "description": ("clear", "keep", "refuse"),
    "price": ("clear", "keep", "refuse"),
    "active": ("keep", "refuse"),
}


@dataclass
class Editor:
    """A field's rules as the form has them; ``own`` is the definition of one's own field."""

    name: str
    rule: dict[str, Any]
    blank: Any = None
    words: list[tuple[str, str]] = field(default_factory=list)
    label: str = ""
    joinable: list[tuple[int, str]] = field(default_factory=list)
    own: Definition | None = None
    is_key: bool = False
    asks: bool = False  # how it is written is asked above: nothing to choose here

    @property
    def is_number(self) -> bool:
        return self.own is not None and self.own.type in NUMBERS

    @property
    def is_date(self) -> bool:
        return self.own is not None and self.own.type == "date"

    @property
    def is_list(self) -> bool:
        return self.own is not None and self.own.type in LISTS

    @property
    def is_text(self) -> bool:
        """Whether its columns may be joined and have their HTML taken out."""
        own = self.own is not None and self.own.type in ("text", "long_text")
        return own or self.name in ("name", "description")

    @property
    def orders(self) -> list[tuple[str, str]]:
        return list(ORDERS.items())

    @property
    def blanks(self) -> list[tuple[str, str]]:
        if self.is_key:
            return [("", f"{BLANKS['refuse']}: products are found by it")]
        needed = self.own is not None and self.own.required
        usual = "refuse" if needed else DEFAULT_BLANK.get(self.name, "clear")
        others = [word for word in BLANK_CHOICES.get(self.name, OWN_BLANKS) if word != usual]
        return [("", f"{BLANKS[str(usual)]} (as usual)"), *((w, BLANKS[w]) for w in others)]

    @property
    def joined(self) -> bool:
        return len(self.rule.get("columns", ())) > 1

    @property
    def text_table(self) -> str:
        return table_as_text(self.rule.get("values", {}))

    @property
    def chips(self) -> list[str]:
        return list(_chips(self))


def _chips(editor: Editor) -> Iterator[str]:
    rule = editor.rule
    if editor.joined:
        yield f"joined with “{rule.get('separator', ' ')}”"
    if rule.get("decimal"):
        yield "decimal comma" if rule["decimal"] == "," else "decimal point"
    if rule.get("currency"):
        yield f"in {rule['currency']}"
    if rule.get("date"):
        yield ORDERS[rule["date"]]
    if rule.get("factor"):
        yield f"× {rule['factor']}"
    if rule.get("round"):
        yield f"rounded to {rule['round']}"
    if rule.get("prefix"):
        yield f"prefix “{rule['prefix']}”"
    if values := rule.get("values"):
        few = [f"{word} = {_meaning(editor.name, value)}" for word, value in values.items()]
        yield ", ".join(few[:4]) + (f" and {len(few) - 4} more" if len(few) > 4 else "")
    if (otherwise := rule.get("otherwise")) == "add":
        yield "new words are added"
    elif otherwise is not None:
        yield f"other words: {_outcome(otherwise)}"
    if rule.get("fill_down"):
        yield "filled down"
    if rule.get("clean_html"):
        yield "HTML taken out"
    if editor.blank is not None:
        yield f"blank: {_outcome(editor.blank)}"


def _outcome(outcome: Any) -> str:
    return str(outcome.get("value", "")) if isinstance(outcome, dict) else str(outcome)


def _meaning(name: str, value: Any) -> str:
    if name == "active":
        words = {"true": "active", "false": "inactive", "": "as if blank"}
        return words.get(str(value), str(value))
    return str(value)

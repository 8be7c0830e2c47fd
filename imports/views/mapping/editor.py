"""A field's rules as the matching page edits them, and as chips tell them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.field_values import Definition
from imports.mapping.cells.dates import WRITTEN as ORDERS
from imports.mapping.own import LISTS, NUMBERS
from imports.mapping.rules import DEFAULT_BLANK
from imports.views.mapping.form import table_as_text

BLANKS = {"keep": "keeps what is stored", "clear": "clears it", "refuse": "is refused"}
OTHERS = {"keep": "keep what is stored", "refuse": "are refused", "add": "are added to the list"}
GROUPS = {" ": "blanks", "": "no sign"}  # between thousands, where the sign alone tells nothing
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
        words = BLANK_CHOICES.get(self.name, OWN_BLANKS)
        others = [word for word in words if word != usual or word == self.blank]
        return [("", f"{BLANKS[str(usual)]} (as usual)"), *((w, BLANKS[w]) for w in others)]

    @property
    def within(self) -> str:
        """The column that ends what is filled down, by its name where that is known."""
        column = self.rule.get("within", "")
        named = f"column {column}" if isinstance(column, int) else column
        return dict(self.joinable).get(column, named)

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
    if (group := rule.get("group")) is not None:
        yield f"{GROUPS.get(group, f'“{group}”')} between thousands"
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
        few = [f"{word} = {_meaning(editor, value)}" for word, value in values.items()]
        yield ", ".join(few[:4]) + (f" and {len(few) - 4} more" if len(few) > 4 else "")
    if (otherwise := rule.get("otherwise")) is not None:
        yield f"other words {_outcome(otherwise, OTHERS, 'are')}"
    if rule.get("fill_down"):
        yield "filled down" + (f" in the same {editor.within}" if rule.get("within") else "")
    if rule.get("clean_html"):
        yield "HTML taken out"
    if editor.blank is not None:
        yield f"a blank {_outcome(editor.blank, BLANKS, 'is')}"


def _outcome(outcome: Any, words: Mapping[str, str], verb: str) -> str:
    if isinstance(outcome, dict):
        return f"{verb} “{outcome.get('value', '')}”"
    return words.get(str(outcome), str(outcome))


def _meaning(editor: Editor, value: Any) -> str:
    """What a word of a table stands for; blank is what a blank cell does."""
    words = {"": "as if blank"}
    if editor.name == "active":
        words |= {"true": "active", "false": "inactive"}
    elif editor.own is not None and editor.own.type == "boolean":
        words |= {"true": "yes", "false": "no"}
    return words.get(str(value), str(value))

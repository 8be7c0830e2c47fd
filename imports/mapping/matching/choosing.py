"""Which column a field comes from, by the columns' names, and what has to be asked about that."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from catalog.field_values import several_links
from catalog.values import FIELDS
from imports.mapping.cells.amounts import is_currency, token
from imports.mapping.matching.aliases import CURRENCY_COLUMNS, INVERSE, STOCK, UNIT, keys_of
from imports.mapping.matching.evidence import look_at
from imports.mapping.matching.table import Claim, Rank, Table
from imports.mapping.model import OWN_PREFIX
from imports.mapping.questions import Question

LOOKED_AT = 40  # values of a column whose name says nothing
NAMED = 20  # columns in a sentence


@dataclass
class Choice:
    """The column of a field, and what has to be asked about it."""

    field: str
    claim: Claim | None = None
    questions: list[Question] = dataclasses.field(default_factory=list)

    def ask(self, code: str, column: str, message: str) -> None:
        self.questions.append(Question(code, column, message))


def choose_all(table: Table) -> list[Choice]:
    """The columns that the fields come from, the product's own fields among them."""
    return [choose(table, name) for name in (*FIELDS, *table.memory.own.fields)]


def reasons_of(choices: Sequence[Choice]) -> dict[int, str]:
    """Why columns were chosen, by their places."""
    claims = [choice.claim for choice in choices if choice.claim is not None]
    return {claim.place: _because_of(claim) for claim in claims}


def _because_of(claim: Claim) -> str:
    return {
        Rank.OWN_NAME: "It has the field's own name.",
        Rank.SUPPLIER: "It was chosen before for this supplier.",
        Rank.ALIAS: "It is a usual name for it.",
        Rank.CATALOGUE: "It was chosen before for another file.",
        Rank.WEAK: f"Its name may mean it, or {claim.else_}.",
    }[claim.rank]


def choose(table: Table, name: str) -> Choice:
    """The column that a field comes from, by the best of what speaks for any."""
    claims = sorted(table.claims[name], key=lambda claim: claim.rank)
    best = [claim for claim in claims if claim.rank == claims[0].rank] if claims else []
    choice = Choice(name)
    if name.startswith(OWN_PREFIX) and best and best[0].rank == Rank.ALIAS:
        best = [claim for claim in best if _holds_one_value(table, name, claim.place)]
    if name == "sku" and best and best[0].rank <= Rank.ALIAS and _is_blank(table, best):
        ask_for_sku(table, choice, claims)
    elif best and best[0].rank <= Rank.ALIAS:
        _choose_strong(table, choice, best)
        if name == "price" and choice.claim is not None:
            _ask_for_rivals(table, choice, claims)
            _ask_for_currencies(table, choice)
    elif name.startswith(OWN_PREFIX):
        pass  # what is only alike is suggested
    elif name == "sku":
        ask_for_sku(table, choice, claims)
    elif name == "active":
        _choose_state(table, choice, claims)
    elif name == "price":
        _choose_weak_price(table, choice, claims)
    elif name == "name" and best:
        _ask_for_name(table, choice, [claim for claim in claims if table.filled(claim.place)])
    return choice


def _holds_one_value(table: Table, name: str, place: int) -> bool:
    """Whether a column may be a field of one link: shops write all pictures into one cell."""
    definition = table.memory.own.definition(name)
    if definition is None or definition.type not in ("link", "image"):
        return True
    return not any(map(several_links, table.values(place)))


def _is_blank(table: Table, claims: Sequence[Claim]) -> bool:
    """Whether columns of several records have nothing in them."""
    return len(table.records) > 1 and not any(table.filled(claim.place) for claim in claims)


def _choose_strong(table: Table, choice: Choice, best: list[Claim]) -> None:
    """One of those that mean it; with several, the only one that has values."""
    if len(best) > 1 and best[0].rank != Rank.OWN_NAME:
        best = [claim for claim in best if table.filled(claim.place)] or best[:1]
    choice.claim = best[0]
    if len(best) > 1:
        places = " and ".join(table.named(claim.place) for claim in best)
        speaks = "; ".join(
            f"{table.named(claim.place)} has {table.examples(claim.place)}" for claim in best
        )
        choice.ask(
            "two_columns",
            table.header[best[0].place],
            f"Two columns mean “{table.memory.own.label(choice.field)}”: {places}. Choose one, or "
            f"rename or remove all but one: {speaks}.",
        )


def _ask_for_rivals(table: Table, choice: Choice, claims: list[Claim]) -> None:
    """Ask where another column may be the price as well, and has other values.

    A column named just “price” gives way to none that says itself that it is another kind of it.
    """
    if choice.claim is None or choice.questions:
        return
    place, own = choice.claim.place, choice.claim.rank <= Rank.SUPPLIER
    rivals = [
        claim
        for claim in claims
        if claim.place != place
        and (not own or claim.else_ in ("", UNIT))
        and table.filled(claim.place)
        and _looks_different(table, place, claim.place)
    ]
    if rivals:
        _ask_which_price(table, choice, [choice.claim, *rivals])


def _ask_for_currencies(table: Table, choice: Choice) -> None:
    """Ask where a column beside the price says that its amounts are in several currencies."""
    for place, key in enumerate(keys_of(table.header)):
        if choice.claim is None or key not in CURRENCY_COLUMNS:
            continue
        words = {value.strip() for value in table.values(place)} - {""}
        if len(words) > 1 and all(is_currency(token(word)) for word in words):
            choice.ask(
                "unclear_price",
                table.header[choice.claim.place],
                f"{table.named_first(place)} says that the prices are "
                f"in several currencies: {table.examples(place, 6)}. A price has none in the "
                "catalogue: take the records of one currency only, or say that the price is read "
                "all the same.",
            )


def _looks_different(table: Table, one: int, other: int) -> bool:
    pairs = zip(table.values(one), table.values(other), strict=True)
    return any(b.strip() and a.strip() != b.strip() for a, b in pairs)


def _ask_which_price(table: Table, choice: Choice, claims: Sequence[Claim]) -> None:
    speaks = "; ".join(
        f"{table.named(claim.place)} has {table.examples(claim.place)}"
        + (f" and may be {claim.else_}" if claim.else_ else "")
        for claim in claims
    )
    several = len({claim.place for claim in claims}) > 1
    choice.ask(
        "two_columns" if several else "unclear_price",
        table.header[claims[0].place],
        ("Several columns look like the price" if several else "One column looks like a price")
        + f": {speaks}. Say which one is the price of the product, or that none is.",
    )


def _choose_weak_price(table: Table, choice: Choice, claims: list[Claim]) -> None:
    """A unit price is the price where nothing else looks like one; all others are asked."""
    found = {claim.place: claim for claim in claims if table.filled(claim.place)}
    if not found and claims:
        choice.claim = next((claim for claim in claims if claim.else_ == UNIT), None)
        return
    if len(found) == 1:
        (claim,) = found.values()
        others = [p for p in range(len(table.header)) if p not in found and _is_money(table, p)]
        if claim.else_ == UNIT and not others:
            choice.claim = claim
            return
        found |= {place: Claim(place, Rank.WEAK, "another amount") for place in others}
    if found:
        _ask_which_price(table, choice, list(found.values()))


def _is_money(table: Table, place: int) -> bool:
    """Whether a column that nothing names has amounts with cents or a currency."""
    if any(claim.place == place for claims in table.claims.values() for claim in claims):
        return False
    price = look_at(table.values(place, LOOKED_AT)).price
    return price is not None and price.looks_like_money


def _choose_state(table: Table, choice: Choice, claims: list[Claim]) -> None:
    """A column of states is taken where all its words are known and mean nothing else."""
    states = [claim for claim in claims if claim.else_ != STOCK and table.filled(claim.place)]
    sure = [claim for claim in states if claim.else_ != INVERSE and _is_sure(table, claim.place)]
    if len(states) == 1 and sure:
        choice.claim = sure[0]
        return
    states = [claim for claim in states if not _says_live(table, claim)]
    for claim in states:
        inverse = claim.else_ == INVERSE
        choice.ask(
            "unclear_active",
            table.header[claim.place],
            f"{table.named_first(claim.place)} may say "
            + ("which products are sold no longer" if inverse else "which products are active")
            + f": it has {table.examples(claim.place, 6)}. Say what each of these words means, or "
            "that the column is left out; new products would be active then.",
        )
    if not states and len(sure) == 1:
        choice.claim = sure[0]


def _is_sure(table: Table, place: int) -> bool:
    active = table.evidence(place).active
    return active is not None and active.sure


def _says_live(table: Table, claim: Claim) -> bool:
    """Whether a column of what is sold no longer names no product at all."""
    live = {"", "0", "no", "false", "n", "f", "nein", "falsch", "non", "nee", "nie", "нет"}
    words = {value.strip().casefold() for value in table.values(claim.place)}
    return claim.else_ == INVERSE and words <= live


def ask_for_sku(table: Table, choice: Choice, claims: list[Claim]) -> None:
    found = ", ".join(f"“{name.strip()[:40]}”" for name in table.header[:NAMED])
    more = len(table.header) - NAMED
    best: dict[int, Claim] = {}
    for claim in claims:
        best.setdefault(claim.place, claim)
    perhaps = [claim for claim in best.values() if table.filled(claim.place)]
    blank = [c for c in best.values() if c not in perhaps and c.rank <= Rank.ALIAS]
    speaks = (
        "".join(
            f" {table.named_first(claim.place)} has "
            f"{table.examples(claim.place)}: it may be it{claim.else_ and f', or {claim.else_}'}."
            for claim in perhaps[:3]
        )
        or " Where products have no numbers, the column of their names may be the SKU as well."
    )
    if table.is_headless:
        cells = ", ".join(f"“{cell.strip()[:40]}”" for cell in table.records[0][:NAMED])
        choice.ask(
            "no_header",
            "",
            "The file has no SKU column that a name would tell: no line above the records names "
            f"the columns. The first record: {cells}. Say which column is which, or put a line of "
            "names on top, one of them “sku”.",
        )
        return
    lacks = "The file has no SKU column. Choose the one that has it, or name it “sku” in the file."
    if blank:
        lacks = (
            f"The file has no SKUs: nothing stands in {table.named(blank[0].place)}. Choose the "
            "column that tells the products apart, or fill in the SKUs."
        )
    choice.ask(
        "no_sku",
        table.header[perhaps[0].place] if perhaps else "",
        f"{lacks} Columns found: {found}{f' and {more} more' if more > 0 else ''}.{speaks}",
    )


def _ask_for_name(table: Table, choice: Choice, claims: list[Claim]) -> None:
    if not claims:
        return
    speaks = "; ".join(
        f"{table.named(claim.place)} has {table.examples(claim.place)}" for claim in claims[:4]
    )
    choice.ask(
        "unclear_name",
        table.header[claims[0].place],
        f"No column is surely the product's name: {speaks}. Say which one is, or that none is; "
        "only products that are in the catalogue are updated then.",
    )

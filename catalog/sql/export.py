"""The cells of an export as SQL: the database writes a product's whole line, as fast as it reads.

A product's own fields are taken out of their JSON once (``own``), and what rules make of a value
is made once (``made1`` and so on), however often a cell's SQL names it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql
from xlsxwriter.utility import xl_col_to_name

from catalog.export_columns import NUMBERS, OutputColumn
from catalog.field_values import Definition
from catalog.values import FORMULA_STARTS

EXACT_DIGITS = 15  # that a spreadsheet keeps of a number
CELL_CHARACTERS = 32_767  # that a cell of a workbook holds, in UTF-16

# An import takes one apostrophe off before what starts a formula (imports.readers.csv.cells), so a
# cell that has one itself gets a second one. For a spreadsheet, which would run it as a formula,
# every cell that begins so gets one, except a number. The first letter alone tells most cells.
_STARTS = f"[{re.escape(FORMULA_STARTS)}]"
_GUARDED = f"""CASE WHEN ascii({{value}}) = 39 AND {{value}} ~ '^''+{_STARTS}'
    THEN '''' || {{value}} ELSE {{value}} END"""
_FIRST = ", ".join(str(ord(letter)) for letter in "'" + FORMULA_STARTS)
_GUARDED_FOR_SPREADSHEETS = f"""CASE WHEN ascii({{value}}) IN ({_FIRST})
    AND {{value}} ~ '^''*{_STARTS}' AND {{value}} !~ '^[+-]?[0-9]+([.][0-9]+)?$'
    THEN '''' || {{value}} ELSE {{value}} END"""
# RFC 4180; what begins or ends with a blank is quoted as well.
_QUOTED = """CASE WHEN {value} ~ '[{delimiter}"\\n\\r]|^\\s|\\s$'
    THEN '"' || replace({guarded}, '"', '""') || '"' ELSE {guarded} END"""

_LIST = """(SELECT string_agg(one, '|') FROM jsonb_array_elements_text({value}) AS one)"""
_GTIN = """regexp_replace({value}, '^(000000|00|0)', '')"""
# Of three decimals a third of 0 is left out, and any other gets a 0 behind it: 1.500 as it stands
# may be thousands to whoever reads the file, and to the next import.
_THREE_DECIMALS = """CASE WHEN right({value}, 4) LIKE '.%' THEN
    CASE WHEN right({value}, 1) = '0' THEN left({value}, -1) ELSE {value} || '0' END
    ELSE {value} END"""
_PLAIN_TYPES = (*NUMBERS, "boolean", "date", "gtin")  # nothing to quote or to guard


@dataclass(frozen=True)
class Line:
    """``line`` is the SQL of a product's line; ``joins`` stands behind ``catalog_product``.

    Both are for a statement with parameters: a ``%`` in them is doubled.
    """

    line: str
    joins: str


def _literal(text: str) -> str:
    return sql.Literal(text).as_string()


def _name(key: str) -> str:
    return sql.Identifier(key).as_string()


_FIVE = {"price": "money", "active": "boolean", "description": "long_text"}  # others are texts


def type_of(column: OutputColumn, definitions: Mapping[str, Definition]) -> str:
    """The type of what is written: that of a field, text for what rules make of it."""
    if not column.is_plain:
        return "text"
    return definitions[column.key].type if column.key else _FIVE.get(column.field, "text")


# --- Values ---------------------------------------------------------------------------


class _Values:
    """The SQL of each column's value as text, NULL or blank where there is none.

    ``as_text``: a number is read from the text again, not from a cell that holds a number.
    """

    def __init__(
        self,
        columns: Sequence[OutputColumn],
        definitions: Mapping[str, Definition],
        *,
        as_text: bool = False,
    ) -> None:
        self.definitions = definitions
        self.as_text = as_text
        self.made: list[str] = []
        self.of = [
            (column, self._value(column), type_of(column, definitions)) for column in columns
        ]
        self.keys = dict.fromkeys(column.key for column in columns if column.key)

    def _value(self, column: OutputColumn) -> str:
        if not column.field:
            return _literal(column.constant)
        value = self._stored(column)
        own = self.definitions.get(column.key)
        has_three = own is not None and own.type == "decimal" and own.scale == 3
        if not column.is_plain:
            return self._once(_ruled(column, value, has_three=has_three))
        return (
            self._once(_THREE_DECIMALS.format(value=value)) if has_three and self.as_text else value
        )

    def _stored(self, column: OutputColumn) -> str:
        if column.field == "price":
            return "price::text"
        if column.field == "active":
            return "CASE WHEN active THEN 'true' ELSE 'false' END"
        if not column.key:
            return column.field
        value = f"own.{_name(column.key)}"
        type = self.definitions[column.key].type
        if type == "choices":
            return self._once(_LIST.format(value=value))
        return self._once(_GTIN.format(value=value)) if type == "gtin" else value

    def _once(self, value: str) -> str:
        self.made.append(value)
        return f"made{len(self.made)}.value"

    def joins(self) -> str:
        parts = []
        if self.keys:
            types = {
                key: "jsonb" if self.definitions[key].type == "choices" else "text"
                for key in self.keys
            }
            record = ", ".join(f"{_name(key)} {type}" for key, type in types.items())
            parts.append("CROSS JOIN LATERAL jsonb_to_record(COALESCE(own_fields, '{}'))")
            parts.append(f"AS own({record})")
        for number, value in enumerate(self.made, start=1):
            # OFFSET 0: or each mention would be worked out anew.
            once = f"(SELECT {value} AS value OFFSET 0) AS made{number}"
            parts.append(f"CROSS JOIN LATERAL {once}")
        return " ".join(parts)


def _ruled(column: OutputColumn, value: str, *, has_three: bool) -> str:
    """What a column's rules make of a value that may be NULL or blank.

    ``has_three``: it is a number of three decimals, unless a word stands for it.
    """
    made = value
    if column.at_least is not None:
        # The field may have become a text since.
        made = f"""CASE WHEN {made} ~ '^-?[0-9]+([.][0-9]+)?$'
            THEN CASE WHEN ({made})::numeric >= {column.at_least} THEN 'true' ELSE 'false' END
            ELSE {made} END"""
    if column.values:
        words = " ".join(
            f"WHEN {_literal(word.strip().lower())} THEN {_literal(text)}"
            for word, text in column.values.items()
        )
        others = made if column.otherwise is None else _literal(column.otherwise)
        made = f"CASE lower({made}) {words} ELSE {others} END"
    if has_three:
        made = f"""CASE WHEN ({made}) ~ '^-?[0-9]+[.][0-9]{{3}}$'
            THEN {_THREE_DECIMALS.format(value=f"({made})")} ELSE {made} END"""
    if column.decimal == ",":
        made = f"replace({made}, '.', ',')"
    after = (f" {column.currency}" if column.currency else "") + column.suffix
    if column.prefix or after:
        made = f"{_literal(column.prefix)} || ({made}) || {_literal(after)}"
    return f"CASE WHEN ({value}) <> '' THEN {made} ELSE {_literal(column.blank)} END"


# --- Lines ----------------------------------------------------------------------------


def csv_line(
    columns: Sequence[OutputColumn],
    definitions: Mapping[str, Definition],
    *,
    delimiter: str,
    spreadsheet: bool,
) -> Line:
    """A product's line of a CSV, without its end."""
    values = _Values(columns, definitions, as_text=True)
    guarded = _GUARDED_FOR_SPREADSHEETS if spreadsheet else _GUARDED
    quoted = _QUOTED.replace("{delimiter}", delimiter)  # one of DELIMITERS, inside brackets
    cells = []
    for column, value, type in values.of:
        if type in _PLAIN_TYPES and column.is_plain:
            cell = value
        else:
            value = f"({value})"
            cell = quoted.format(value=value, guarded=guarded.format(value=value))
        cells.append(f"COALESCE({cell}, '')")
    line = f" || {_literal(delimiter)} || ".join(cells)
    return _line(line, values)


def _line(line: str, values: _Values) -> Line:
    return Line(line.replace("%", "%%"), values.joins().replace("%", "%%"))


def sheet_row(
    columns: Sequence[OutputColumn],
    definitions: Mapping[str, Definition],
    *,
    styles: Sequence[int],
) -> Line:
    """A product's row of a worksheet as XML (ECMA-376, 18.3.1.73), but for control characters.

    The row's number is ``n`` of what is read; ``styles`` are the cells' formats in the workbook, by
    column. Blank cells are left out.
    """
    values = _Values(columns, definitions)
    cells = []
    for number, (_, value, type) in enumerate(values.of):
        place = f"""'<c r="{xl_col_to_name(number)}' || n || '" s="{styles[number]}"""
        cells.append(_sheet_cell(f"({value})", type, place))
    line = """'<row r="' || n || '">' || """ + " || ".join(cells) + " || '</row>'"
    return _line(line, values)


def _sheet_cell(value: str, type: str, place: str) -> str:
    escaped = f"""CASE WHEN {value} ~ '[&<>]' THEN
        replace(replace(replace({value}, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')
        ELSE {value} END"""
    guarded = _GUARDED.format(value=f"({escaped})") if type not in _PLAIN_TYPES else escaped
    text = f"""{place}" t="inlineStr"><is><t xml:space="preserve">' ||
        ({guarded}) || '</t></is></c>'"""
    if type == "boolean":
        typed = f"""{place}" t="b"><v>' || ({value} = 'true')::int || '</v></c>'"""
        known = "true"
    elif type in NUMBERS:
        typed = f"""{place}"><v>' || {value} || '</v></c>'"""
        known = f"length({value}) <= {EXACT_DIGITS} OR {_DIGITS.format(value=value)}"
    elif type == "date":
        typed = f"""{place}"><v>' || ({value}::date - date '1899-12-30') || '</v></c>'"""
        known = f"""{value} >= '1900-03-01' COLLATE "C\""""  # days before are told apart wrongly
    else:
        return f"CASE WHEN {value} <> '' THEN {text} ELSE '' END"
    return (
        f"CASE WHEN {value} <> '' THEN CASE WHEN {known} THEN {typed} ELSE {text} END ELSE '' END"
    )


_DIGITS = f"length(translate({{value}}, '-.', '')) <= {EXACT_DIGITS}"


# All characters that UTF-16 has as one unit: what is left of a text without them counts twice.
_NARROW = r"'[\u0001-\uffff]'"


def too_long_for_cells(
    columns: Sequence[OutputColumn], definitions: Mapping[str, Definition], *, where: str
) -> tuple[str, int]:
    """A query for texts that no cell of a workbook holds, and how often it has ``where``.

    It is blank where no column can have such a text. A row is the number of a column, how many
    products have such a text in it, and the SKU of one.
    """
    parts = []
    for number, column in enumerate(columns):
        type = definitions[column.key].type if column.key else column.field
        if type not in ("description", "long_text", "choices"):
            continue
        values = _Values([column], definitions)
        ((_, value, _),) = values.of
        units = f"length({value}) + length(regexp_replace({value}, {_NARROW}, '', 'g'))"
        # The bytes tell of most that they are short enough, and need not be unpacked.
        long = f"CASE WHEN octet_length({value}) > {CELL_CHARACTERS} THEN {units} END"
        read = _line(long, values)
        parts.append(
            f"SELECT {number}, count(*), min(sku) FROM catalog_product {read.joins}"
            f" WHERE ({where}) AND {read.line} > {CELL_CHARACTERS}"
        )
    return " UNION ALL ".join(parts), len(parts)

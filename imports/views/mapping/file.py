"""What the matching page lets people choose of how the file is read: encoding, sheet and so on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imports.mapping.rules import AUTO
from imports.queries.mapping import sheet_name
from imports.views.mapping.form import NONE

ENCODINGS = [
    ("utf-8", "UTF-8"),
    ("utf-16-le", "UTF-16 (little endian)"),
    ("utf-16-be", "UTF-16 (big endian)"),
    ("cp1252", "Windows-1252 (Western European)"),
    ("cp1250", "Windows-1250 (Central European)"),
    ("cp1251", "Windows-1251 (Cyrillic)"),
    ("cp1254", "Windows-1254 (Turkish)"),
    ("iso8859-15", "ISO 8859-15"),
    ("koi8-r", "KOI8-R (Cyrillic)"),
    ("cp932", "Shift-JIS (Japanese)"),
    ("gb18030", "GB18030 (Chinese)"),
    ("mac_roman", "Mac Roman"),
    ("cp437", "DOS, code page 437"),
    ("cp850", "DOS, code page 850"),
]
DELIMITERS = [(",", "comma ,"), (";", "semicolon ;"), ("\t", "tab"), ("|", "pipe |")]
QUOTES = [('"', 'double "'), ("'", "single '"), (NONE, "none")]
HEADER_LINES = 12  # that are offered, and the one that was found


@dataclass(frozen=True)
class FileChoices:
    """``shown`` as ``queries.mapping.preview`` gives it, and the rules that it was read by."""

    shown: Mapping[str, Any]
    read_by: Mapping[str, Any]

    def names(self) -> list[str]:
        names = ["member"] if self.shown.get("members") else []
        names += ["sheet"] if self.shown.get("sheets") else []
        return [*names, "header_line", "delimiter", "quote", "encoding"]

    def rule(self, name: str) -> Any:
        """A rule of the file, a sheet by its name."""
        value = self.read_by.get(name, AUTO)
        return sheet_name(self.shown.get("sheets", ()), value) if name == "sheet" else value

    def choices(self) -> list[dict[str, Any]]:
        labels = {
            "encoding": "Encoding",
            "delimiter": "Delimiter",
            "quote": "Quotes",
            "header_line": "Column names",
            "sheet": "Sheet",
            "member": "File in the archive",
        }
        packed = bool(self.shown.get("sheets"))
        found = []
        for name in self.names():
            if packed and name in ("encoding", "delimiter", "quote"):
                continue  # the table is ours: nothing to choose
            value = self.rule(name)
            value = NONE if name == "quote" and value == "" else str(value)
            found.append(
                {
                    "name": name,
                    "label": labels[name],
                    "value": value,
                    "options": self._options(name, value),
                }
            )
        return found

    def _options(self, name: str, value: str) -> list[tuple[str, str]]:
        if name == "header_line":
            lines = {*range(1, HEADER_LINES + 1), int(value) if value.isdigit() else 1} - {0}
            options = [*((str(n), f"line {n}") for n in sorted(lines)), ("0", "none: numbered")]
        elif name in ("sheet", "member"):
            options = [(text, text) for text in self.shown.get(f"{name}s", ())]
        else:
            options = {"encoding": ENCODINGS, "delimiter": DELIMITERS, "quote": QUOTES}[name]
        if value == AUTO:
            first = {"sheet": "the first that is not empty"}.get(name, "choose …")
            return [("", first), *options]
        known = {option for option, _ in options}
        return options if value in known else [(value, value), *options]

    def rules(self) -> dict[str, Any]:
        """The rules of the file that can be chosen, by name."""
        return {name: self.rule(name) for name in self.names()}

"""The examples of docs/csv.md, read."""

import io
import re
from pathlib import Path

import pytest

from imports.readers.csv import UnreadableFile, inspect, read_batches
from imports.tests.unit.test_reader import cells

DOCS = Path(__file__).parents[3] / "docs" / "csv.md"
_example = re.compile(r"^( *)```csv\n(.*?)^ *```\n((?: *[^\n]+\n)+)", re.M | re.S)


def examples() -> list[tuple[bytes, str]]:
    """Each file with what is said to come of it."""
    found = []
    for indent, block, said in _example.findall(DOCS.read_text(encoding="utf-8")):
        lines = [line.removeprefix(indent) for line in block.splitlines(keepends=True)]
        content = "".join(lines).replace("\\x1a", "\x1a").replace("\\t", "\t")
        found.append((content.encode(), " ".join(said.split())))
    return found


def test_the_docs_have_examples() -> None:
    assert len(examples()) > 12


@pytest.mark.parametrize(("content", "said"), examples())
def test_an_example_of_the_docs_is_true(content: bytes, said: str) -> None:
    file = io.BytesIO(content)
    if said.startswith("Fails: "):
        with pytest.raises(UnreadableFile, match=re.escape(said.removeprefix("Fails: "))):
            inspect(file)
        return
    layout = inspect(file)
    batches = list(read_batches(file, layout))
    products = [cells(row)[1:3] for batch in batches for row in batch.rows]
    parts = dict(part.split(": ", 1) for part in re.split(r"; (?=[a-z ]+: )", said))
    told = [re.findall("`([^`]*)`", product) for product in parts["Read as"].split("; ")]
    assert products == told
    refused = [f"line {p.line} {p.code}" for batch in batches for p in batch.problems]
    assert refused == [part for part in [parts.get("refused")] if part]
    warnings = [*layout.warnings, *(w for batch in batches for w in batch.warnings)]
    unexpected = [w for w in warnings if "catalogue does not know" not in w]
    assert len(unexpected) == ("warned of" in parts)
    assert all(parts["warned of"] in warning for warning in unexpected)

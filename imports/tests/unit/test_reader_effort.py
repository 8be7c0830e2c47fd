"""How often the reader looks at a line: a few times, whatever the file."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imports.readers.csv import inspect, lines, read_batches, records
from imports.readers.csv.lookahead import BROKEN, Lookahead

AT_MOST = 12  # looks at a line, on average; a record may be parsed anew with each of 5 blocks

# What each makes of a number of lines. None but the plain ones need read well.
SHAPES: dict[str, Callable[[int], str]] = {
    "plain": lambda n: "A,b,1\n" * n,
    "an open quote, then nothing but line ends": lambda n: 'A,"open,1\n' + "\n" * n,
    "an open quote, then records too short": lambda n: 'A,"open,1\n' + "B,x\n" * n,
    "an open quote on every line": lambda n: '"a\n' * n,
    "an open quote on every other line": lambda n: 'A,"b,1\nB,c,2\n' * (n // 2),
    "a quote that opens and closes": lambda n: 'a","\n' * n,
    "the same, and good records between": lambda n: 'a","\nB,x,1\n' * (n // 2),
    "the same, and an error at the end": lambda n: 'a","\nB,x,1\n' * (n // 2) + '"x"y\n',
    "text after a quote on every line": lambda n: 'A,"b"c,1\n' * n,
    "broken records over two lines": lambda n: 'A,"b\nc"\n' * (n // 2),
    "broken records over ever more lines": lambda n: "".join(
        'A,"b\n' + "c\n" * length + 'd"\n' for length in range(int((2 * n) ** 0.5))
    ),
    "records hidden by a quote": lambda n: ('A,"b,1\n' + "B,c,2\n" * 20 + 'C,d",3\n') * (n // 22),
    "empty quotes": lambda n: '""\n' * n,
    "three quotes": lambda n: '"""\n' * n,
    "NULs": lambda n: 'A,"\0\n' + '\0,"",\0\n' * n,
    "fields as large as they may be": lambda n: ('A,"' + "b\n" * 500 + '",1\n') * (n // 501),
    "fields that are larger": lambda n: ('A,"' + "b\n" * 3000 + '",1\n') * (n // 3001),
    "lines that are longer than a record": lambda n: ('A,"\n' * 50 + "x" * 5000 + "\n") * (n // 51),
}


class Counted(list[str]):
    """A list that counts how many of its lines are looked at."""

    looks = 0

    def __iter__(self) -> Iterator[str]:
        for line in super().__iter__():
            self.looks += 1
            yield line

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        self.looks += len(found) if isinstance(place, slice) else 1
        return found


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], int]:
    def count(content: bytes) -> int:
        held = Counted()

        class Counting(records._Parser):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args)
                self.lines = held
                self.ahead = Lookahead(held, ",", lines.RECORD_LIMIT)

        monkeypatch.setattr(records, "_Parser", Counting)
        file = io.BytesIO(content)
        for _ in read_batches(file, inspect(file)):
            pass
        return held.looks

    return count


def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 1 kB and records of 4 kB, in the proportion of the real ones."""
    monkeypatch.setattr(lines, "BLOCK_SIZE", 1 << 10)
    for module in (lines, records):
        monkeypatch.setattr(module, "RECORD_LIMIT", 1 << 12)
    monkeypatch.setattr(records, "_FIELD_TOO_LARGE", f"field larger than field limit ({1 << 12})")


@pytest.fixture
def field_limit() -> Iterator[None]:
    before = csv.field_size_limit(1 << 12)
    yield
    csv.field_size_limit(before)


@pytest.mark.parametrize("count", [3_000, 24_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_costs_a_few_looks_at_each_line(
    looks: Callable[[bytes], int], shape: str, count: int
) -> None:
    """All of it is in one block, where any line may be the one that reading goes on at."""
    body = SHAPES[shape](count)
    assert looks(b"sku,name,price\n" + body.encode()) < AT_MOST * (body.count("\n") + 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_holds_over_many_blocks(
    looks: Callable[[bytes], int],
    monkeypatch: pytest.MonkeyPatch,
    field_limit: None,
    shape: str,
) -> None:
    body = SHAPES[shape](20_000)
    small_limits(monkeypatch)
    assert looks(b"sku,name,price\n" + body.encode()) < AT_MOST * (body.count("\n") + 1)


def test_500_columns_cost_no_more(looks: Callable[[bytes], int]) -> None:
    head = "sku" + ",c" * 499 + "\n"
    assert looks((head + '"x\n' * 5_000).encode()) < AT_MOST * 5_000


def test_who_looks_for_a_record_holds_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line may be the start of one: those too far back are given up."""
    content = b"sku,name,price\n" + b'a","\n' * 20_000
    small_limits(monkeypatch)
    file = io.BytesIO(content)
    for batch in read_batches(file, inspect(file)):
        assert file.tell() - batch.checkpoint.offset <= lines.RECORD_LIMIT + 2 * lines.BLOCK_SIZE


pieces = st.lists(st.sampled_from(['"', '""', ",", "a", "b c", "aaaa"]), max_size=6).map("".join)


@settings(deadline=None)
@given(st.lists(pieces, min_size=1, max_size=12), st.integers(3, 12), st.data())
def test_a_look_ahead_tells_what_the_parser_would(
    texts: list[str], field_limit: int, data: st.DataObject
) -> None:
    """Asked in any order that goes up, with lines taken off and added in between."""
    before = csv.field_size_limit(field_limit)
    try:
        whole = [text + "\n" for text in texts]
        held = whole[: data.draw(st.integers(1, len(whole)))]
        ahead = Lookahead(held, ",", field_limit)
        taken = 0
        for index in range(len(whole)):
            if index - taken >= len(held):
                held += whole[taken + len(held) :]
            if data.draw(st.booleans()):
                ahead.forget(index - taken)
                del held[: index - taken]
                taken = index
            if data.draw(st.booleans()):
                found = ahead.end_of(index - taken, len(held))
                assert found == parsed(held[index - taken :], index - taken)
    finally:
        csv.field_size_limit(before)


def parsed(rest: list[str], start: int) -> tuple[int, int] | None:
    """Where the first record of some lines ends, and its fields, as the parser says."""
    reader = csv.reader(rest, strict=True)
    try:
        fields = len(next(reader))
        return start + reader.line_num, fields
    except csv.Error as error:
        if str(error) == "unexpected end of data":
            return None
        return start + reader.line_num, BROKEN

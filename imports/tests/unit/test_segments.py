"""A file that several read at a time: what one reader gives, wherever it is cut."""

import fcntl
import io
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imports.readers.csv import Checkpoint, Layout, inspect, lines, read_batches
from imports.readers.csv import segments as cutting
from imports.readers.csv import shared_reading as sharing
from imports.readers.csv.segments import Piece, Segment, piece_of, read_segment, stitched
from imports.tests.unit.test_reader import MESSY
from imports.tests.unit.test_reader_effort import SHAPES, small_limits

HEAD = "sku,name,price\n"
START = Checkpoint(len(HEAD), 1).as_json()
Found = tuple[bytes, int, list[Any], list[str], dict[str, Any]]


def joined(pieces: list[Piece]) -> Found:
    return (
        b"".join(piece.text for piece in pieces),
        sum(piece.rows for piece in pieces),
        [problem for piece in pieces for problem in piece.problems],
        [warning for piece in pieces for warning in piece.warnings],
        pieces[-1].checkpoint.as_json() if pieces else START,
    )


def by_one(file: BinaryIO, layout: Layout) -> Found:
    return joined([piece_of(batch, file.tell()) for batch in read_batches(file, layout)])


class Read:
    """Readings of the segments of some numbers, as helpers give them."""

    def __init__(self, file: BinaryIO, layout: Layout, which: Callable[[int], bool]) -> None:
        self.file, self.layout, self.which = file, layout, which

    def take(self, segment: Segment, coming: Callable[[], Segment | None]) -> Piece | None:
        if not self.which(segment.number):
            return None
        # Of what is told of the next ones, nothing may be lost.
        for _ in range(segment.number % 3):
            coming()
        piece = read_segment(self.file, self.layout, segment)
        return Piece.load(piece.dump() if piece else b"")


def by_several(file: BinaryIO, layout: Layout, which: Callable[[int], bool]) -> Found:
    start = Checkpoint(layout.offset, layout.line)
    return joined([*stitched(file, layout, start, Read(file, layout, which))])


ALL: dict[str, Callable[[int], bool]] = {
    "all": lambda number: True,
    "every other": lambda number: number % 2 == 0,
    "none": lambda number: False,
}
LONG = "x" * 3_000
FILES = {name: HEAD + shape(700) for name, shape in SHAPES.items()} | {
    "messy": MESSY,
    "nothing": HEAD,
    "one record without a line end": HEAD + "A,b,1",
    "no line end behind the last": HEAD + "A,b,1\n" * 50 + "A,b,2",
    "a quote as the last byte": HEAD + "A,b,1\n" * 50 + 'A,b,"',
    "CR only": (HEAD + "A,b,1\n" * 99).replace("\n", "\r"),
    "CR LF": (HEAD + 'A,"b\n",1\nA,b,2\n' * 99).replace("\n", "\r\n"),
    "all kinds of line ends": HEAD + 'A,b,1\rA,b,2\nA,b,3\r\nA,"b\rc\n",4\n\n' * 40,
    "one field across many cuts": HEAD + 'A,"' + "b,c,1\n" * 200 + '",1\nB,c,2\n',
    "quotes in runs": HEAD + 'A,"",1\nA,"""",1\nA,"""""",1\n' * 60,
    "a line longer than a segment": HEAD + f"A,b,1\nA,{LONG},2\n" * 4,
    "an old text's end": HEAD + "A,b,1\n" * 50 + "A,b,2\n\x1a",
    "the header again and again": (HEAD + "A,b,1\n" * 7) * 9,
    "refused, every one": HEAD + "A\n" * 200,
    "many that only look like two": HEAD.replace("price", "description")
    + 'A,"red, green\nblue, black",text\n' * 60,
    "500 columns": "sku,name" + ",c" * 498 + "\n" + ("A,b" + ",1" * 498 + "\n") * 20,
    "Windows-1252": HEAD + "A,Gr\u00f6\u00dfe,1\n" * 60,
}


@pytest.mark.parametrize("which", ALL)
@pytest.mark.parametrize("name", FILES)
def test_segments_give_what_one_reader_gives(
    monkeypatch: pytest.MonkeyPatch, name: str, which: str
) -> None:
    encoding = "cp1252" if name == "Windows-1252" else "utf-8"
    file = io.BytesIO(FILES[name].encode(encoding))
    layout = inspect(file)
    expected = by_one(file, layout)
    for size in (37, 400, 5_000):
        monkeypatch.setattr(cutting, "SEGMENT_BYTES", size)
        assert by_several(file, layout, ALL[which]) == expected, size


@pytest.mark.parametrize("name", SHAPES)
def test_the_same_holds_where_records_are_too_large(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    small_limits(monkeypatch)
    file = io.BytesIO((HEAD + SHAPES[name](6_000)).encode())
    layout = inspect(file)
    monkeypatch.setattr(cutting, "SEGMENT_BYTES", 3_000)
    assert by_several(file, layout, ALL["all"]) == by_one(file, layout)


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_an_open_quote_at_any_place_is_refused_as_by_one_reader(
    monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    body = ["A,b,1\n"] * 60
    body[place] = 'A,"b,1\n'
    file = io.BytesIO((HEAD + "".join(body)).encode())
    layout = inspect(file)
    expected = by_one(file, layout)
    for size in range(10, 60, 3):
        monkeypatch.setattr(cutting, "SEGMENT_BYTES", size)
        assert by_several(file, layout, ALL["all"]) == expected


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet='ab,"\n\r1.\u00e9', max_size=300),
    st.integers(3, 90),
    st.sets(st.integers(0, 20)),
)
def test_whatever_is_in_it(text: str, size: int, read: Collection[int]) -> None:
    file = io.BytesIO((HEAD + "A,b,1\n" + text).encode())
    layout = inspect(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "SEGMENT_BYTES", size)
        assert by_several(file, layout, read.__contains__) == by_one(file, layout)


def test_a_file_that_misleads_is_read_once_more_and_no_oftener(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    file = Counting((HEAD + 'A,"b\nc,d\ne,f\n",1\n' * 5_000).encode())
    layout = inspect(file)
    monkeypatch.setattr(cutting, "SEGMENT_BYTES", 4_000)
    monkeypatch.setattr(lines, "BLOCK_SIZE", 1_000)
    file.taken = 0
    by_several(file, layout, ALL["all"])
    # To be cut, as helpers read it, and once more; what is begun at a cut is read from its start.
    assert file.taken < 3.1 * len(file.getvalue())


# --- By way of a folder ---------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BinaryIO]:
    """A file of 23 segments, of which one holds a record that goes on behind it."""
    monkeypatch.setattr(cutting, "SEGMENT_BYTES", 1_000)
    monkeypatch.setattr(sharing, "LEAST_BYTES", 10_000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    body = ["A,Lamp,1.00\n"] * 1_800
    body[900] = 'A,"La\nmp",1.00\n'
    path = tmp_path / "x.csv"
    path.write_text(HEAD + "".join(body))
    with path.open("rb") as opened:
        yield opened


def shared(file: BinaryIO, helps: Callable[[str], object]) -> Found:
    layout = inspect(file)
    start = Checkpoint(layout.offset, layout.line)
    assert sharing.may_be_shared(file, layout, start)
    with sharing.shared_reading(file, layout, start) as (name, pieces):
        helps(name)
        return joined([*pieces])


def folders() -> list[Path]:
    return [*Path(tempfile.gettempdir()).glob(f"{sharing.PREFIX}*")]


def test_helpers_find_a_file_without_a_name(file: BinaryIO) -> None:
    expected = by_one(file, inspect(file))
    file.seek(0)
    # As what is read from a bucket is kept: in memory at first, then on the disk.
    with tempfile.SpooledTemporaryFile(max_size=1_000_000) as unnamed:
        unnamed.write(file.read())
        helped: list[int] = []
        opened = cast(BinaryIO, unnamed)
        assert shared(opened, lambda name: helped.append(sharing.help_reading(name))) == expected
    assert helped == [22]


def test_a_file_whose_process_has_ended_is_read_by_no_helper(file: BinaryIO) -> None:
    layout = inspect(file)
    with sharing.shared_reading(file, layout, Checkpoint(layout.offset, layout.line)) as (name, _):
        plan = Path(tempfile.gettempdir(), name, "plan")
        told = json.loads(plan.read_text())
        plan.write_text(json.dumps({**told, "path": "/proc/0/fd/3"}))
        assert sharing.help_reading(name) == 0


def test_helpers_and_the_importer_share_a_file(file: BinaryIO) -> None:
    expected = by_one(file, inspect(file))
    helped: list[int] = []
    assert shared(file, lambda name: helped.append(sharing.help_reading(name))) == expected
    assert helped == [22]
    assert folders() == []


def test_several_helpers_at_once_read_every_segment_once(file: BinaryIO) -> None:
    expected = by_one(file, inspect(file))
    helped: list[int] = []

    def helps(name: str) -> None:
        threads = [
            threading.Thread(target=lambda: helped.append(sharing.help_reading(name)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert shared(file, helps) == expected
    assert sum(helped) == 22


def test_helpers_wait_until_the_importer_has_come_near(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "BACKLOG", 4)
    now = [0.0]  # passes while somebody waits, and only then

    def sleep(seconds: float) -> None:
        now[0] += seconds

    waits = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep, time=time.time)
    monkeypatch.setattr(sharing, "time", waits)
    expected = by_one(file, inspect(file))
    helped: list[int] = []
    assert shared(file, lambda name: helped.append(sharing.help_reading(name))) == expected
    assert helped == [4]


def test_what_a_killed_helper_has_begun_is_read_by_the_importer(file: BinaryIO) -> None:
    expected = by_one(file, inspect(file))

    def helps(name: str) -> None:
        sharing.help_reading(name)
        (folder,) = folders()
        whole = (folder / "3").read_bytes()
        (folder / "3").write_bytes(whole[:-10])
        (folder / "5").write_bytes(b"")
        (folder / "6").write_bytes(b'{"checkp')

    assert shared(file, helps) == expected


def test_a_helper_that_stands_still_holds_nobody_up(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "WAIT_SECONDS", 0.2)
    expected = by_one(file, inspect(file))
    held: list[int] = []

    def helps(name: str) -> None:
        (folder,) = folders()
        held.append(os.open(folder / "4", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        fcntl.flock(held[0], fcntl.LOCK_EX)

    assert shared(file, helps) == expected
    os.close(held[0])


def test_while_a_helper_is_at_a_segment_the_importer_reads_those_behind_it(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "WAIT_SECONDS", 600.0)  # however late the helper's thread comes
    monkeypatch.setattr(sharing, "AHEAD", 4)
    expected = by_one(file, inspect(file))
    read: list[int] = []
    at_it = threading.Event()

    def noted(file: BinaryIO, layout: Layout, segment: Segment) -> Piece | None:
        read.append(segment.number)
        if len(read) == sharing.AHEAD:
            at_it.set()
        return read_segment(file, layout, segment)

    monkeypatch.setattr(sharing, "read_segment", noted)

    def helps(name: str) -> None:
        (folder,) = folders()
        claimed = os.open(folder / "0", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        fcntl.flock(claimed, fcntl.LOCK_EX)

        def finish() -> None:
            at_it.wait()
            with open(file.name, "rb") as own:
                layout = inspect(own)
                start = Checkpoint(layout.offset, layout.line)
                first = next(cutting.segments(own, layout, start))
                piece = read_segment(own, layout, first)
                os.write(claimed, piece.dump() if piece else b"")
            os.close(claimed)

        threading.Thread(target=finish).start()

    assert shared(file, helps) == expected
    assert read == [*range(1, sharing.AHEAD + 1)]


def test_nobody_helps_with_what_is_not_there_or_not_of_this_kind(
    file: BinaryIO, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    names: list[str] = []
    shared(file, names.append)
    for name in (*names, "other", f"{sharing.PREFIX}../other", "../x", "", sharing.PREFIX):
        assert sharing.help_reading(name) == 0


def test_another_file_of_the_same_name_is_not_read(file: BinaryIO, tmp_path: Path) -> None:
    expected = by_one(file, inspect(file))
    helped: list[int] = []

    def helps(name: str) -> None:
        other = tmp_path / "other.csv"
        other.write_text("sku,name,price\nX,Other,1\n" * 1_000)
        other.replace(file.name)
        helped.append(sharing.help_reading(name))

    assert shared(file, helps) == expected
    assert helped == [0]


def test_without_room_for_a_folder_a_file_is_read_alone(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = by_one(file, inspect(file))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    names: list[str] = []
    assert shared(file, names.append) == expected
    assert names == [""]


def test_a_folder_that_is_cleared_away_costs_only_the_help(file: BinaryIO) -> None:
    expected = by_one(file, inspect(file))

    def helps(name: str) -> None:
        sharing.help_reading(name)
        (folder,) = folders()
        shutil.rmtree(folder)

    assert shared(file, helps) == expected


def test_folders_of_killed_importers_go(file: BinaryIO, tmp_path: Path) -> None:
    old, new = (tmp_path / f"{sharing.PREFIX}{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "0").touch()
    past = time.time() - sharing.LEFTOVER_SECONDS - 60
    os.utime(old, (past, past))
    shared(file, lambda name: None)
    assert folders() == [new]


@pytest.mark.parametrize(
    ("encoding", "text"), [("utf-16", HEAD + "A,Lamp,1\n" * 3_000), ("utf-8", HEAD + "A,Lamp,1\n")]
)
def test_short_files_and_those_decoded_from_their_start_are_read_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, text: str
) -> None:
    monkeypatch.setattr(sharing, "LEAST_BYTES", 10_000)
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(encoding))
    with path.open("rb") as opened:
        layout = inspect(opened)
        assert not sharing.may_be_shared(opened, layout, Checkpoint(layout.offset, layout.line))
    memory = io.BytesIO((HEAD + "A,Lamp,1\n" * 3_000).encode())
    layout = inspect(memory)
    assert not sharing.may_be_shared(memory, layout, Checkpoint(layout.offset, layout.line))


def test_a_segment_of_which_hardly_a_record_is_good_is_left_to_who_stitches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cutting, "SEGMENT_BYTES", 64)
    monkeypatch.setattr(cutting, "PROBLEMS_AT_MOST", 3)
    path = tmp_path / "bad.csv"
    path.write_text("sku,name,price\n" + "A,b,free\n" * 100 + "S-1,Lamp,1.00\n" * 100)
    with path.open("rb") as file:
        layout = inspect(file)
        start = Checkpoint(layout.offset, layout.line)
        read = [read_segment(file, layout, one) for one in cutting.segments(file, layout, start)]
        assert None in read
        assert any(read)
        assert by_several(file, layout, lambda number: True) == by_one(file, layout)

"""Encodings: found over the whole file, asked for, or given."""

import io
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imports.readers.csv import (
    Checkpoint,
    UnreadableFile,
    find_dialect,
    inspect,
    lines,
    read_batches,
)
from imports.readers.csv.dialect.encoding import BLOCK, canonical, detect_encoding
from imports.tests.unit.test_reader import cells

TEXTS = {
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "cp1251": "Лампа настольная, чайник жёлтый",
    "cp932": "電気スタンド、表示ソ能カップ",
    "gb18030": "台灯和杯子，一二三四\U00020000",
    "mac_roman": "Crème brûlée für die Küche, façon grand-mère",
    "cp437": "Küche, Café, Straße, Größe",
    "cp850": "Küche, Café, Straße, Größe",
    "utf-16": "尺寸 Größe",
    "utf-16-be": "尺寸 Größe",
    "koi8-r": "Лампа настольная",
    "windows-1254": "ışıklı ağaç",
    "Shift-JIS": "表示ソ能",
    "latin1": "Größe",
    "big5": "功能許蓋",
    "euc-kr": "한국어 상품",
}


def names(content: bytes, **given: Any) -> tuple[list[str], list[str]]:
    """The products' names, and the codes of what was refused."""
    file = io.BytesIO(content)
    dialect = find_dialect(file, **given)
    layout = dialect.layout({"sku": 0, "name": 1}, [])
    batches = list(read_batches(file, layout))
    return (
        [cells(row)[2] for batch in batches for row in batch.rows],
        [problem.code for batch in batches for problem in batch.problems],
    )


@pytest.mark.parametrize("encoding", TEXTS)
def test_a_file_is_read_by_the_encoding_that_is_given(encoding: str) -> None:
    content = f'sku;name\r\nA-1;{TEXTS[encoding]}\r\nB-2;"{TEXTS[encoding]}"\r\n'
    found, refused = names(content.encode(canonical(encoding)), encoding=encoding)
    assert (found, refused) == ([TEXTS[encoding]] * 2, [])


def test_an_encoding_that_is_not_read_is_an_error() -> None:
    for name in ("klingon", "rot13", "utf-7", "hex"):
        with pytest.raises(LookupError):
            find_dialect(io.BytesIO(b"sku\n"), encoding=name)


@pytest.mark.parametrize("encoding", ["cp1250", "cp1251", "cp932", "gb18030", "mac_roman", "cp437"])
def test_what_is_neither_utf_8_nor_windows_1252_is_asked_for(encoding: str) -> None:
    content = f"sku;name\nA-1;{TEXTS[encoding]}\n".encode(encoding)
    dialect = find_dialect(io.BytesIO(content))
    (question,) = dialect.questions
    assert (question.code, question.column) == ("encoding", "")
    assert f"“{encoding}”: A-1;{TEXTS[encoding]}"[:40] in question.message
    assert dialect.header == ["sku", "name"]  # as far as it can be told
    with pytest.raises(UnreadableFile, match="neither UTF-8"):
        inspect(io.BytesIO(content))


ASKED = [
    ("cp866", ["Лампа настольная", "Чашка синяя"]),
    ("koi8-r", ["Лампа настольная", "Чашка синяя"]),
    ("cp1250", ["Asztali lámpa", "Tűzőgép", "Őszi gyűjtő"]),
    ("cp1250", ["Lampă de birou", "Ceaşcă", "Ţeavă"]),
    ("cp850", ["Fuß", "Größe"]),
    ("cp1253", ["Λάμπα γραφείου", "Φλιτζάνι καφέ"]),
    ("cp1254", ["Masa lambası ışık", "Çay bardağı şişe"]),
    ("euc_kr", ["책상 램프", "커피 컵"]),
    ("gb18030", ["灯", "杯"]),
]


@pytest.mark.parametrize(("encoding", "texts"), ASKED)
def test_few_letters_of_elsewhere_are_not_taken_for_windows_1252(
    encoding: str, texts: list[str]
) -> None:
    content = "sku;name\n" + "".join(f"A-{n};{text}\n" for n, text in enumerate(texts))
    (question,) = find_dialect(io.BytesIO(content.encode(encoding))).questions
    assert any(f"“{encoding}”: A-{n};{text}" in question.message for n, text in enumerate(texts))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_found(encoding: str) -> None:
    content = "sku;name\nA-1;Größe 尺寸\n".encode(encoding)
    assert detect_encoding(io.BytesIO(content)).name == encoding
    assert names(content) == (["Größe 尺寸"], [])


@pytest.mark.parametrize(
    "content", [b"PAR1\x15\x04\x15\x10" + b"\0\1\2" * 50, b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff"]
)
def test_nul_bytes_alone_are_no_utf_16(content: bytes) -> None:
    with pytest.raises(UnreadableFile, match="not text"):
        find_dialect(io.BytesIO(content))


@pytest.mark.parametrize(
    "text",
    [
        "Größe – café, ÄÖÜ, Straße",
        "l’été, “crème brûlée”, œuvre, Noël",
        "Málaga, piñata, ¿qué?, 1.ª opción",
        "Smørrebrød, Ærø, blåbær, Škoda",
        "Coração, São Paulo, pão",
        "5 € / m², 10 cm³, ½ l, 20 °C, Lego® ™, «x», n° 5",
        "SAUÐÁRKRÓKUR, Þór",
        "Stühle für Gäste – „neu“, crème brûlée, 6,00 €",
        "½ Rohr 90° ±5 µm, 10×20 cm² »neu«, Nº 5 ¿Qué?, M³-Box™ Pro®",
        "Lego®™",
    ],
)
def test_windows_1252_is_taken_for_what_it_is(text: str) -> None:
    found, refused = names(f"sku;name\nA-1;{text}\n".encode("cp1252"))
    assert (found, refused) == ([text], [])


def test_one_pair_that_would_be_utf_8_does_not_make_it_so() -> None:
    odd = "A-0;CAFÉ®\n".encode("cp1252")
    good = "".join(f"A-{n};Größe für Bären\n" for n in range(1, 2000)).encode("cp1252")
    for content in (odd + good, good + odd, odd + b"A-9;plain\n" * BLOCK + good):
        assert detect_encoding(io.BytesIO(b"sku;name\n" + content)).name == "cp1252"
    assert names(b"sku;name\n" + odd + good)[0][0] == "CAFÉ®"


def test_utf_8_with_damaged_records_stays_utf_8() -> None:
    good = "".join(f"A-{n};Größe\n" for n in range(9)).encode()
    found, refused = names(b"sku;name\n" + good + b"B-1;Gr\xf6\xdfe\n")
    assert (set(found), refused) == ({"Größe"}, ["bad_encoding"])


def test_utf_8_is_settled_without_reading_it_to_the_end() -> None:
    file = io.BytesIO(b"sku,name\n" + "A-1,Größe\n".encode() * BLOCK)
    assert detect_encoding(file).name == "utf-8"
    assert file.tell() == BLOCK


@settings(deadline=None)
@given(st.integers(0, 5), st.sampled_from(["é", "尺", "😀"]))
def test_a_character_may_lie_across_two_blocks(before: int, character: str) -> None:
    content = b"x" * (BLOCK - before) + character.encode() + b"\n"
    assert detect_encoding(io.BytesIO(content)).name == "utf-8"
    assert detect_encoding(io.BytesIO(content + b"caf\xe9 " * 50)).name == "cp1252"


def test_damage_in_a_multi_byte_encoding_refuses_its_record_alone() -> None:
    good = "A-{};表示ソ能\n"
    for damage in (b"\x81", b"\x81\x81\x81", b"\x86\x40"):
        content = good.format(1).encode("cp932") + b"B-1;" + damage + b"\n"
        content += good.format(2).encode("cp932")
        found, refused = names(b"sku;name\n" + content, encoding="shift_jis")
        assert (found, refused) == (["表示ソ能"] * 2, ["bad_encoding"])


@pytest.mark.parametrize("encoding", ["cp932", "gb18030", "cp1251"])
def test_reading_goes_on_from_every_checkpoint(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    text = "sku;name\n" + "".join(f'A-{n};"{TEXTS[encoding]}\n{n}"\n' for n in range(60))
    content = text.encode(encoding)
    expected = names(content, encoding=encoding)[0]
    layout = find_dialect(io.BytesIO(content), encoding=encoding).layout({"sku": 0, "name": 1}, [])
    monkeypatch.setattr(lines, "BLOCK_SIZE", 200)
    found: list[str] = []
    checkpoint: Checkpoint | None = None
    while True:
        batch = next(read_batches(io.BytesIO(content), layout, checkpoint))
        if batch.checkpoint == checkpoint:
            break
        found += [cells(row)[2] for row in batch.rows]
        checkpoint = batch.checkpoint
    assert found == expected


def test_a_mark_counts_where_an_encoding_is_given() -> None:
    for written, said in (("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("utf-8-sig", "cp1252")):
        content = "sku;name\nA-1;Lamp\n".encode(written)
        assert find_dialect(io.BytesIO(content), encoding=said).header == ["sku", "name"]


def test_deciding_keeps_little_in_memory() -> None:
    line = "A-1;Größe für Bären\n".encode("cp1252")
    file = io.BytesIO(line * (30_000_000 // len(line)))
    tracemalloc.start()
    try:
        assert detect_encoding(file).name == "cp1252"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000

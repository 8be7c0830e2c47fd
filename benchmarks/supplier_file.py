"""Seeded supplier files: the same bytes for the same seed and number of rows."""

import csv
import random
from dataclasses import dataclass
from pathlib import Path

HEADER = ["sku", "name", "description", "price", "active"]
WORDS = [
    *("amber", "brush", "cable", "chair", "classic", "compact", "copper", "garden", "holder"),
    *("kitchen", "lamp", "linen", "nordic", "oak", "steel", "studio", "summer", "table"),
    *("travel", "velvet", "winter", "adapter", "basket", "bottle", "filter"),
]
FOREIGN = ("café", "Größe", "尺寸", "Łódź", "señor")


@dataclass(frozen=True)
class SupplierFile:
    """What is in the file: ``rows`` records, of which some repeat a SKU and some are bad."""

    path: Path
    rows: int
    duplicates: int
    bad: int
    size: int


def write_supplier_file(path: Path, rows: int, *, seed: int = 1, dearer: int = 0) -> SupplierFile:
    """Write ``rows`` records of about 140 bytes; each price is ``dearer`` by so many cents.

    2 % repeat an earlier SKU in another case, 30 % have commas in quotes, 1 % a line break in a
    quoted field, 5 % text beyond ASCII, 0.1 % are bad (a price, a flag, a missing field).
    """
    chance = random.Random(seed)
    known: list[str] = []
    duplicates = bad = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in range(rows):
            kind = chance.random()
            if known and kind < 0.02:
                sku = chance.choice(known).lower()
                duplicates += 1
            else:
                # Spread like a supplier's numbers: unique, in no order.
                sku = f"SKU-{number * 7_919 % 10_000_019:08d}-{number % 97:02d}"
                if len(known) < 100_000:
                    known.append(sku)
            name = " ".join(chance.choices(WORDS, k=4)).title()
            description = " ".join(chance.choices(WORDS, k=12))
            form = chance.random()
            if form < 0.30:
                description = description.replace(" ", ", ", 2)
            if form < 0.01:
                description += "\nSecond line, with more"
            elif form < 0.06:
                description += " " + chance.choice(FOREIGN)
            row = [
                sku,
                name,
                description,
                f"{(chance.randrange(1, 10_000_000) + dearer) / 100:.2f}",
                chance.choice(("true", "false")),
            ]
            if 0.5 <= kind < 0.501:
                _spoil(row, chance)
                bad += 1
            writer.writerow(row)
    return SupplierFile(path, rows, duplicates, bad, path.stat().st_size)


def _spoil(row: list[str], chance: random.Random) -> None:
    how = chance.randrange(3)
    if how == 0:
        row[3] = "1,299.00"
    elif how == 1:
        row[4] = "maybe"
    else:
        row.pop()

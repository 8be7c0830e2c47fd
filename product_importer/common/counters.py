"""Counts that only grow, for monitoring, in PostgreSQL.

What happens in a worker cannot be asked of the web process, and rows that are cleared away one
day cannot be counted again. So whoever does the work adds to a counter, in its own transaction.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import connection

SUM = "sum"

# Sorted, so that two statements lock the rows that both add to in the same order.
_ADD = """
INSERT INTO webhooks_tally (key, value)
SELECT key, value FROM unnest(%s::text[], %s::float8[]) AS added (key, value) ORDER BY key
ON CONFLICT (key) DO UPDATE SET value = webhooks_tally.value + excluded.value
"""


def add(
    counts: Mapping[str, float], spread: "Mapping[Histogram, Iterable[float]] | None" = None
) -> None:
    """Add to counters, each named ``figure|label``, and seconds to histograms.

    The rows are locked until the transaction ends, so it is the last thing that one does.
    """
    added = {key: value for key, value in counts.items() if value}
    for histogram, seconds in (spread or {}).items():
        added |= histogram.counts(seconds)
    if added:
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [list(added), [float(value) for value in added.values()]])


@dataclass(frozen=True)
class Histogram:
    """How seconds are spread: a counter for each upper bound, and one for their sum."""

    name: str
    bounds: tuple[float, ...]

    def counts(self, seconds: Iterable[float]) -> dict[str, float]:
        """What to add for these durations."""
        added: Counter[str] = Counter()
        total = 0.0
        for value in seconds:
            place = bisect_left(self.bounds, value)
            bound = f"{self.bounds[place]:g}" if place < len(self.bounds) else "+Inf"
            added[f"{self.name}|{bound}"] += 1
            total += value
        return {**added, f"{self.name}|{SUM}": total}


# A chunk of 10,000 records takes about 0.1 s (docs/performance.md); an attempt at most 15 s.
CHUNK_SECONDS = Histogram("chunk_seconds", (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
ATTEMPT_SECONDS = {
    outcome: Histogram(f"attempt_seconds_{outcome}", (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
    for outcome in ("succeeded", "failed")
}

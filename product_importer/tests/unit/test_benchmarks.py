"""The yardstick: the figures of now beside those that were committed."""

from benchmarks.bench_all import table


def test_figures_stand_beside_those_committed_and_worse_ones_are_marked() -> None:
    before = {"date": "2026-11-27", "figures": {"fresh import / floor": 1.4, "worker, MB": 250.0}}
    now = {"fresh import / floor": 1.8, "worker, MB": 251.0, "new": 3.0}
    head, *lines = table(now, before).splitlines()
    assert head.split() == ["now", "2026-11-27"]
    assert [line.split()[-3:] for line in lines] == [
        ["1.8", "1.4", "!"],
        ["MB", "251.0", "250.0"],
        ["new", "3.0"],
    ]

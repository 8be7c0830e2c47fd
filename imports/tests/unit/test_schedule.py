"""Schedules: words and cron lines, clocks that change, and what is refused."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from imports.schedule import ScheduleError, in_words, next_time, next_times, parse_schedule

BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)

WORDS = {
    "every hour": "11-27 21:00, 11-27 22:00",
    "hourly": "11-27 21:00, 11-27 22:00",
    "Every 15 minutes": "11-27 20:15, 11-27 20:30",
    "every 60 minutes": "11-27 21:00, 11-27 22:00",
    "every 2 hours": "11-27 22:00, 11-28 00:00",
    "every hour at :20": "11-27 20:20, 11-27 21:20",
    "daily at 06:30": "11-28 06:30, 11-29 06:30",
    "every day at 6.30 pm": "11-28 18:30, 11-29 18:30",
    "daily at 6, 12:00 and 18": "11-28 06:00, 11-28 12:00",
    "daily at noon and midnight": "11-28 00:00, 11-28 12:00",
    "daily at 12 am": "11-28 00:00, 11-29 00:00",
    "Mondays at 7:00": "11-30 07:00, 12-07 07:00",
    "on tuesday and Fri at 7:00": "12-01 07:00, 12-04 07:00",
    "weekdays at 06:00": "11-30 06:00, 12-01 06:00",
    "weekends at 06:00": "11-28 06:00, 11-29 06:00",
    "on the 1st at 05:00": "12-01 05:00, 01-01 05:00",
    "on the 1st and 15th at 05:00": "12-01 05:00, 12-15 05:00",
    "on the last day of the month at 05:00": "11-30 05:00, 12-31 05:00",
    "30 6 * * 1-5": "11-30 06:30, 12-01 06:30",
}


@pytest.mark.parametrize("text", WORDS)
def test_a_schedule_says_its_next_times(text: str) -> None:
    times = next_times(text, "UTC", FRIDAY, 2)
    assert ", ".join(f"{time:%m-%d %H:%M}" for time in times) == WORDS[text]


REFUSED = {
    "": "empty",
    "now and then": "no schedule that is known",
    "daily": "At what time",
    "Mondays": "Mondays at 06:30".lower(),
    "daily at 25:00": "no time of day",
    "daily at 13 pm": "no time of day",
    "daily at": "no schedule",
    "on the 32nd at 05:00": "no day",
    "every 7 minutes": "5, 6, 10, 12, 15, 20, 30",
    "every minute": "every 5 minutes",
    "every 0 hours": "does not come",
    "daily at 06:00 and 06:03": "every 5 minutes",
    "* * * * *": "every 5 minutes",
    "59,0 * * * *": "every 5 minutes",
    "0,58 0,23 1,31 * *": "every 5 minutes",
    "* * * * * *": "Leave the seconds out",
    "0 0 30 2 *": "never comes",
    "0 0 31 4,6 *": "never comes",
    "61 * * * *": "minute",
    "0 25 * * *": "hour",
    "@daily": "five fields",
    "0 0": "five fields",
    f"{'9' * 190} * * * *": "minute",
    "x" * 201: "200 characters",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_schedule_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse_schedule(text)
    assert REFUSED[text] in str(refused.value)
    assert str(refused.value)[-1] in ".”"


def local(text: str, day: datetime, count: int) -> list[str]:
    times = next_times(text, "Europe/Berlin", day, count)
    return [f"{time.astimezone(BERLIN):%d %H:%M %Z}" for time in times]


def test_a_time_that_does_not_exist_is_when_the_clocks_go_forward() -> None:
    saturday = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert local("daily at 02:30", saturday, 2) == ["29 03:00 CEST", "30 02:30 CEST"]


def test_times_that_do_not_exist_come_once_together() -> None:
    saturday = datetime(2026, 3, 28, 12, tzinfo=UTC)
    shown = local("daily at 02:00, 02:30 and 03:00", saturday, 2)
    assert shown == ["29 03:00 CEST", "30 02:00 CEST"]


@pytest.mark.parametrize(
    ("schedule", "zone", "expected"),
    [
        ("every 12 hours", "Asia/Beirut", ["28 12:00", "29 01:00", "29 12:00"]),
        ("15 */12 * * *", "Asia/Beirut", ["28 12:15", "29 01:00", "29 12:15"]),
        ("*/20 2 * * *", "Europe/Berlin", ["29 03:00", "30 02:00", "30 02:20"]),
        ("every 2 hours at 30", "Europe/Berlin", ["28 12:30", "28 14:30", "28 16:30"]),
    ],
)
def test_what_comes_every_few_hours_skips_no_time_that_does_not_exist(
    schedule: str, zone: str, expected: list[str]
) -> None:
    """In Beirut there is no midnight when the clocks go forward."""
    saturday = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo(zone)) - timedelta(minutes=1)
    times = next_times(schedule, zone, saturday, 3)
    assert [f"{time.astimezone(ZoneInfo(zone)):%d %H:%M}" for time in times] == expected


def test_a_time_that_comes_twice_counts_once() -> None:
    saturday = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert local("daily at 02:30", saturday, 2) == ["25 02:30 CEST", "26 02:30 CET"]
    first = next_time("daily at 02:30", "Europe/Berlin", saturday)
    assert first
    assert local("daily at 02:30", first, 1) == ["26 02:30 CET"]


def test_what_comes_every_hour_follows_the_time_that_passes() -> None:
    before = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    shown = local("every hour", before, 3)
    assert shown == ["25 02:00 CEST", "25 02:00 CET", "25 03:00 CET"]


def test_a_zone_that_there_is_not_is_refused() -> None:
    for zone in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ScheduleError, match="no time zone"):
            next_times("every hour", zone, FRIDAY, 1)


def test_a_cron_line_is_told_in_words() -> None:
    assert in_words("30 6 * * 1-5") == "At 06:30 on Monday through Friday"
    assert in_words(" Mondays  at 7:00") == "Mondays at 7:00"

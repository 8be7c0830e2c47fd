"""When a feed is due: a schedule in words, or a cron line, in a time zone. Pure Python, no Django.

    every hour                    every 15 minutes              every 2 hours
    daily at 06:30                daily at 06:30 and 18:00      weekdays at 06:00
    Mondays at 7:00               Tuesdays and Fridays at 7 pm  on the 1st at 05:00
    on the last day at 05:00      30 6 * * 1-5

All words become cron lines, which cronsim reckons as Debian's cron does: a time of day that does
not exist, because clocks go forward, is the moment when they do; one that comes twice counts once;
what comes in every hour follows the time that passes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

MAX_LENGTH = 200  # characters of a schedule
ZONE_MAX_LENGTH = 64
LEAST_MINUTES = 5  # between two fetches
# Looked through for two times that are too near. Those of one line come in a pattern of at most
# 24 times an hour, so that what is near in any hour or at any midnight is among the first ones.
LOOKED_THROUGH = 300
FAR = timedelta(days=12 * 366)  # what does not come so long, through three leap years, never does
MAX_TIMES = 24  # of a day, in words

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_DAY_NUMBERS = {
    name: number
    for number, day in enumerate(_DAYS)
    for name in (day, f"{day}s", day[:3], {"tuesday": "tues", "thursday": "thurs"}.get(day, day))
}
_DAY_SETS = {
    "daily": "*",
    "every day": "*",
    "weekdays": "1-5",
    "every weekday": "1-5",
    "on weekdays": "1-5",
    "weekends": "0,6",
    "on weekends": "0,6",
}
_NAMED_TIMES = {"noon": (12, 0), "midnight": (0, 0)}
_LISTED = re.compile(r"\s*(?:,\s*and|,|\band\b|&)\s*")
_TIME = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?\s*(am|pm|a\.m\.|p\.m\.|h|o'clock)?")
_EVERY = re.compile(r"every (?:(\d{1,4}) )?(minute|hour)s?(?: at (?::)?(\d{1,2})(?: past)?)?")
_DAY_OF_MONTH = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")
_ON_DAYS = re.compile(r"(?:monthly )?on the (.+?)(?: day)?(?: of (?:the|every|each) month)?")

EXAMPLES = (
    "every hour",
    "daily at 06:30",
    "weekdays at 06:00",
    "Mondays at 7:00",
    "on the 1st at 05:00",
)
_HOW = "Write for example “every hour”, “daily at 06:30”, “Mondays at 7:00”, or a cron line."


class ScheduleError(ValueError):
    """What is no schedule; the message tells people why, and what to write."""


@dataclass(frozen=True)
class Schedule:
    """Cron lines of which each says some of the times."""

    lines: tuple[str, ...]

    def after(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """The times after a moment (aware), as UTC, each once, without end or until there is none.

        A line ends when nothing comes for 50 years.
        """
        runs = [_times(line, moment, zone) for line in self.lines]
        heads = [next(run, None) for run in runs]
        last = moment
        while times := [head for head in heads if head is not None]:
            first = min(times)
            if first > last:
                yield first
                last = first
            heads = [
                next(run, None) if head is not None and head <= first else head
                for run, head in zip(runs, heads, strict=True)
            ]


def _times(line: str, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Of one line; what falls together at a change of clocks may come several times."""
    for found in CronSim(line, moment.astimezone(zone)):
        yield found.astimezone(UTC)


@lru_cache(maxsize=256)
def parse_schedule(text: str) -> Schedule:
    """A schedule in words, or a cron line of five fields. Raises ``ScheduleError``.

    Also for what never comes, and for what comes more often than every ``LEAST_MINUTES``.
    """
    if len(text) > MAX_LENGTH:
        raise ScheduleError(f"A schedule has {MAX_LENGTH} characters at most.")
    words = " ".join(text.split())
    if not words:
        raise ScheduleError(f"The schedule is empty. {_HOW}")
    lines = _cron_line(words) if _looks_like_cron(words) else _in_words(words.lower())
    schedule = Schedule(tuple(map(_by_the_clock, lines)))
    _check_times(schedule)
    return schedule


def _by_the_clock(line: str) -> str:
    """The same line, with its stars written out unless it comes in every hour.

    cronsim leaves out what starts with a star where clocks go forward: ``0 */12`` would skip a
    midnight that does not exist, and come a day later.
    """
    minute, hour, *days = line.split(" ")
    if hour not in ("*", "*/1"):
        minute, hour = minute.replace("*", "0-59"), hour.replace("*", "0-23")
    return " ".join([minute, hour, *days])


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name, such as ``Europe/Berlin``. Raises ``ScheduleError``."""
    if name not in _zone_names():
        raise ScheduleError(
            f"There is no time zone “{name[:ZONE_MAX_LENGTH]}”. Write one such as Europe/Berlin, "
            "America/New_York or UTC."
        )
    return ZoneInfo(name)


@cache
def _zone_names() -> frozenset[str]:
    """Looked for on the disk, which takes 26 ms; the sweep asks for each feed that is due."""
    return frozenset(available_timezones())


def next_times(text: str, zone: str, after: datetime, count: int) -> list[datetime]:
    """The next times of a schedule after a moment, as UTC. Raises ``ScheduleError``."""
    return list(islice(parse_schedule(text).after(after, zone_of(zone)), count))


def next_time(text: str, zone: str, after: datetime) -> datetime | None:
    """The next one; ``None`` if there is none any more. Raises ``ScheduleError``."""
    return next(iter(next_times(text, zone, after, 1)), None)


def in_words(text: str) -> str:
    """A schedule as people read it: words as they were written, a cron line explained."""
    words = " ".join(text.split())
    if not _looks_like_cron(words):
        return words
    return CronSim(words, datetime(2000, 1, 1, tzinfo=UTC)).explain()


# --- Cron lines -----------------------------------------------------------------------


def _looks_like_cron(words: str) -> bool:
    return words[0] in "*0123456789@"


def _cron_line(words: str) -> tuple[str, ...]:
    fields = words.split()
    if len(fields) == 6:
        raise ScheduleError(
            "A cron line has five fields here: minute, hour, day, month, weekday. Leave the "
            "seconds out."
        )
    if len(fields) != 5:
        raise ScheduleError(
            "A cron line has five fields: minute, hour, day, month, weekday. For 06:30 on "
            "weekdays it is “30 6 * * 1-5”."
        )
    try:
        CronSim(words, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        if _never_comes(fields):
            raise ScheduleError(_NEVER) from error
        name = str(error).removeprefix("Bad ").replace("-", " ")
        raise ScheduleError(f"The cron line has a {name} that there is not. {_HOW}") from error
    except ValueError as error:  # a number of thousands of digits
        raise ScheduleError(f"The cron line cannot be read. {_HOW}") from error
    return (words,)


_NEVER = "This never comes: there is no such day in those months. Choose another day."


def _never_comes(fields: list[str]) -> bool:
    """Whether the day and the month are right, and only not together."""
    try:
        CronSim(" ".join([*fields[:3], "*", fields[4]]), datetime(2000, 1, 1, tzinfo=UTC))
        CronSim(" ".join([*fields[:2], fields[2], "*", "*"]), datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        return False
    return True


def _check_times(schedule: Schedule) -> None:
    """Raise ``ScheduleError`` for what never comes, or too often. By UTC, without any change."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    near = takewhile(lambda time: time < start + FAR, schedule.after(start, ZoneInfo("UTC")))
    times = list(islice(near, LOOKED_THROUGH))
    if not times:
        raise ScheduleError(_NEVER)
    least = timedelta(minutes=LEAST_MINUTES)
    if any(later - earlier < least for earlier, later in pairwise(times)):
        raise ScheduleError(
            f"This comes more often than every {LEAST_MINUTES} minutes, which no supplier needs. "
            f"Write for example “every {LEAST_MINUTES} minutes” or “every hour”."
        )


# --- Words ----------------------------------------------------------------------------


def _in_words(words: str) -> tuple[str, ...]:
    words = {"hourly": "every hour"}.get(words, words).rstrip(".")
    if every := _EVERY.fullmatch(words):
        return (_every(int(every[1] or 1), every[2], every[3]),)
    day, at, times = words.partition(" at ")
    month, week = _days(day.strip())
    if not at:
        raise ScheduleError(f"At what time? Write for example “{words} at 06:30”.")
    clock = [_time(one) for one in _LISTED.split(times)]
    if len(clock) > MAX_TIMES:
        raise ScheduleError(f"These are {len(clock)} times; write {MAX_TIMES} at most.")
    return tuple(f"{minute} {hour} {month} * {week}" for hour, minute in clock)


def _every(count: int, unit: str, past: str | None) -> str:
    whole = 60 if unit == "minute" else 24
    if count < 1 or whole % count or (unit == "minute" and past):
        fitting = [n for n in range(1, whole) if whole % n == 0 and (unit == "hour" or n >= 5)]
        raise ScheduleError(
            f"“Every {count} {unit}s” does not come at the same times each "
            f"{'hour' if unit == 'minute' else 'day'}. Write one of "
            f"{', '.join(map(str, fitting))} {unit}s."
        )
    if unit == "minute":
        return f"*/{count} * * * *" if count < 60 else "0 * * * *"
    minute = int(past or 0)
    if minute > 59:
        raise ScheduleError("An hour has the minutes 0 to 59.")
    return f"{minute} {'*' if count == 1 else f'*/{count}'} * * *"


def _days(words: str) -> tuple[str, str]:
    """The day of the month and the day of the week of a cron line."""
    if words in _DAY_SETS:
        return "*", _DAY_SETS[words]
    if on := _ON_DAYS.fullmatch(words):
        return ",".join(_day_of_month(one) for one in _LISTED.split(on[1])), "*"
    names = re.sub(r"^(every|on|weekly on) ", "", words)
    numbers = [_DAY_NUMBERS.get(one) for one in _LISTED.split(names)]
    if None in numbers:
        raise ScheduleError(f"“{words[:60]}” is no schedule that is known here. {_HOW}")
    return "*", ",".join(map(str, numbers))


def _day_of_month(text: str) -> str:
    if text == "last":
        return "L"
    found = _DAY_OF_MONTH.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= 31:
        raise ScheduleError(f"A month has no day “{text[:40]}”. Write for example “on the 1st”.")
    return str(int(found[1]))


def _time(text: str) -> tuple[int, int]:
    """Hour and minute of a time as people write it."""
    text = text.strip()
    if text in _NAMED_TIMES:
        return _NAMED_TIMES[text]
    found = _TIME.fullmatch(text)
    hour, minute = (int(found[1]), int(found[2] or 0)) if found else (99, 0)
    half = (found[3] or "")[:1] if found else ""
    if half in ("a", "p"):
        hour = hour % 12 + 12 * (half == "p") if 1 <= hour <= 12 else 99
    if hour > 23 or minute > 59:
        raise ScheduleError(f"“{text[:40]}” is no time of day. Write it as 06:30 or 6:30 pm.")
    return hour, minute

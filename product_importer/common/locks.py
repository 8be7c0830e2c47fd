"""Every advisory lock of the project. PostgreSQL knows them by their number alone.

A number keeps its meaning for good: during a deploy, the release before locks by it too.
"""

from enum import IntEnum, unique


@unique
class AdvisoryLock(IntEnum):
    """The whole key, or the first half of it where something with a number of its own is locked."""

    TURN = 7_236_001  # the decision whose turn it is to write to the catalogue
    JOB = 7_236_002  # an import, by its id: the reading of one file
    PUMP = 7_236_003  # a dispatcher, by its number: that it lives
    CLAIM = 7_236_004  # the claims of all dispatchers, one after the other
    PUMP_SLOT = 7_236_005  # a slot, by its place: a dispatcher that claims
    SEARCH_INDEX = 7_236_006  # the beginning and the dropping of the search index
    FEEDS = 7_236_009  # the taking of feeds' runs, one worker after the other
    FIELD_INDEXES = 7_236_010  # the building and dropping of the indexes of fields

"""What differs between two texts, word by word."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

_words = re.compile(r"\s+|\w+|[^\w\s]").findall

MOST_WORDS = 200  # beyond that, comparing takes too long for a page: the whole text differs
AROUND = 6  # words shown around a difference, and not all that stays


def word_diff(before: str, after: str) -> list[tuple[str, str]]:
    """The parts of both texts in order, as ``(kind, text)``: ``same``, ``del`` or ``ins``.

    What stays is cut to a few words around what differs.
    """
    old, new = _words(before), _words(after)
    if not old or not new or len(old) + len(new) > 2 * MOST_WORDS:
        return [(kind, text) for kind, text in (("del", before), ("ins", after)) if text]
    parts = [part for part in _parts(old, new) if part[1]]
    if all(kind != "same" or not text.strip() for kind, text in parts):
        return [("del", before), ("ins", after)]  # nothing in common: in one piece each
    return [
        (kind, _cut(text, first=number == 0, last=number == len(parts) - 1))
        if kind == "same"
        else (kind, text)
        for number, (kind, text) in enumerate(parts)
    ]


def _parts(old: list[str], new: list[str]) -> Iterator[tuple[str, str]]:
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            yield "same", "".join(old[old_from:old_to])
        else:
            yield "del", "".join(old[old_from:old_to])
            yield "ins", "".join(new[new_from:new_to])


def _cut(text: str, *, first: bool, last: bool) -> str:
    words = _words(text)
    if len(words) <= 4 * AROUND:
        return text
    head = "" if first else "".join(words[: 2 * AROUND])
    tail = "" if last else "".join(words[-2 * AROUND :])
    return f"{head} … {tail}"

"""What only a person can settle about a file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """``column`` is its name in the file, blank for the whole file; ``message`` is a sentence."""

    code: str
    column: str
    message: str

"""What a file leaves open: asked of a person, never guessed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """``code`` says what is asked for, ``column`` of which column ("" for the file as a whole)."""

    code: str
    column: str
    message: str

"""What is written in addresses and forms: numbers, and how long a text may be."""

from django.http import HttpRequest

# The number of a row in an address: ASCII digits, no more than a bigint holds.
ROW_NUMBER = "[0-9]{1,18}"
# Of any text from outside that has no stricter bound of its own.
TEXT_MAX_LENGTH = 10_000
# Of a place in a list. The longest is that of a name: 255 characters that JSON and base64 make
# 16 each.
CURSOR_MAX_LENGTH = 4_200


def whole_number(text: str, *, digits: int = 18) -> int | None:
    """The number that up to ``digits`` ASCII digits are; ``None`` for any other text.

    ``int`` takes the digits of every script, underscores among them, and as many as come.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def page_number(request: HttpRequest) -> int:
    """The ``page`` in the address of a list whose pages have numbers; 1 for what is none."""
    return whole_number(request.GET.get("page", "")) or 1

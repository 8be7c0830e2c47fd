"""Number formats that show a code: zeros and fixed signs, as ``00000`` or ``"ART-"0000``."""

import re

# A format of zeros and fixed signs: 00000, 00-0000, "ART-"0000; what stands behind ; is for others.
_ZEROS = re.compile(r'(?:\[\$-[0-9A-Fa-f]+\])?((?:0|"[^";]*"|\\[^;]|[-() ])+)(?:;.*)?')
_ZERO_OR_SIGN = re.compile(r'0|"([^"]*)"|\\(.)|([-() ])')


def in_shape(digits: str, shape: list[str]) -> str:
    """A whole number as a format shows it; digits beyond its zeros stand before the first."""
    zeros = shape.count("0")
    left = digits.rjust(zeros, "0")
    shown, beyond = "", len(left) - zeros + 1
    for part in shape:
        if part == "0":
            shown, left, beyond = shown + left[:beyond], left[beyond:], 1
        else:
            shown += part[1:]
    return shown


def shape_of(code: str) -> list[str]:
    """A format's parts: ``0`` for a digit, and signs behind a mark of ours (``=ART-``).

    Empty for a format that is no such shape: two digits at least.
    """
    found = _ZEROS.fullmatch(code)
    parts = _ZERO_OR_SIGN.finditer(found[1]) if found else ()
    shape = [
        "0" if part[0] == "0" else "=" + "".join(filter(None, part.groups())) for part in parts
    ]
    return shape if shape.count("0") > 1 else []

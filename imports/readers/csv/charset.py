"""Whether text that is not UTF-8 may be Windows-1252, and what it may be if not.

Every byte string is nearly valid in every single-byte encoding, so the evidence is what words look
like: in the languages that Windows-1252 is for, letters with accents stand alone or in pairs among
plain ones, signs such as ``³`` stand at the edge of a word, and a small letter is followed by small
ones.
"""

import re

from imports.mapping.questions import Question

# Codec and the name that people know it by.
SUGGESTED = {
    "cp1250": "Windows-1250 (Central European)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp932": "Shift-JIS (Japanese)",
    "gb18030": "GB18030 (Chinese)",
    "mac_roman": "Mac Roman",
    "cp437": "DOS, code page 437",
    "cp850": "DOS, code page 850",
}
_LOOKED_AT = 1 << 13  # bytes; what only suggests need not read more
_SHOWN = 60  # characters of a line
_MOST_ODD = 0.1  # of the characters beyond ASCII: a damaged one, a name from elsewhere

_word = re.compile(r"[^\W\d_]+").findall
# What Windows-1252 does not define, and signs (no quote, dash, hyphen or dot) between two letters.
_undefined = re.compile("\ufffd").findall
_inside_word = re.compile(
    r"(?<=[^\W\d_])[€‚„…†‡‰‹›˜¡¢£¤¥¦§¨©«¬®¯°±²³¶¸¹»¼½¾¿](?=[^\W\d_])|(?<=[a-zß-ÿ])‚"
).findall
_run = re.compile(r"[À-ÖØ-öø-ÿŠšŽžŒœŸƒˆªº]{3,}").findall
_capital_inside = re.compile(r"(?<=[a-zß-öø-ÿ])[À-ÖØ-ÞŠŽŒŸƒˆ]").findall

# Letters beyond ASCII of languages, where an encoding has them all.
_WESTERN = (
    *("äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúüªº", "àáâãçéêíóôõúüªº", "àèéìîòóù", "áéëèïöóüú"),
    *("æøåéó", "åäöéàü", "áðéíóúýþæö", "àçéèíïòóúü"),
)
_ELSEWHERE = (
    ("cp1250", "áčďéěíňóřšťúůýžľĺŕôä"),
    ("cp1250", "ąćęłńóśźż"),
    ("cp1250", "áéíóöőúüű"),
    ("cp1250", "čćđšž"),
    ("cp1254", "âçğıîöşüû"),
    ("mac_roman", "àâçéèêëîïôùûœ"),
    ("mac_roman", "äöüßé"),
    ("cp850", "àâçéèêëîïôùûäöüß"),
)
_FEW = 8  # letters beyond ASCII from which on it counts in which language they are


def is_western(sample: bytes) -> bool:
    """Whether a sample of lines that are not ASCII is plausible as Windows-1252."""
    text = sample.decode("cp1252", "replace")
    odd = len(_undefined(text)) + len(_inside_word(text)) + len(_capital_inside(text))
    # Test texts and the like: ÄÖÜ, ååå.
    runs = (run for run in _run(text) if not set(run.lower()) <= set("äöüßåæø"))
    odd += sum(map(len, runs))
    beyond = sum(character > "\x7f" for character in text)
    return odd <= beyond * _MOST_ODD and not _is_elsewhere(text, sample)


def _is_elsewhere(text: str, sample: bytes) -> bool:
    """Whether the letters are those of another language in another encoding, and of none here."""
    letters = _beyond_ascii(text)
    if len(letters) < _FEW or max(_share(letters, known) for known in _WESTERN) > 0.7:
        return False
    return any(
        _share(_beyond_ascii(sample.decode(codec, "replace")), known) >= 0.95
        for codec, known in _ELSEWHERE
    )


def _beyond_ascii(text: str) -> list[str]:
    return [c for word in _word(text) for c in word.lower() if c > "\x7f"]


def _share(letters: list[str], known: str) -> float:
    return sum(letter in known for letter in letters) / len(letters) if letters else 0.0


def suggestions(sample: bytes) -> list[str]:
    """Codecs that the sample may be in, the likeliest first; never empty."""
    from charset_normalizer import from_bytes  # 9 MB that few files need

    part = sample[:_LOOKED_AT].rpartition(b"\n")[0] or sample[:_LOOKED_AT]
    found = from_bytes(part, cp_isolation=list(SUGGESTED), threshold=1.0)
    ranked = [match.encoding for match in found]
    return [*ranked, *(codec for codec in SUGGESTED if codec not in ranked)]


def question(sample: bytes) -> Question:
    """Ask for the encoding: each that may be meant, with what a line of the file is in it."""
    lines = sample.replace(b"\r", b"\n").split(b"\n")
    line = max(lines[:200], key=lambda part: sum(byte > 0x7F for byte in part[:_SHOWN]))
    shown = []
    for codec in [*suggestions(sample), "cp1252"]:
        text = " ".join(line.decode(codec, "replace").split())[:_SHOWN]
        name = SUGGESTED.get(codec, "Windows-1252 (Western European)")
        if "\ufffd" not in text:
            shown.append(f"{name}, “{codec}”: {text}")
    return Question(
        "encoding",
        "",
        "The file is neither UTF-8 nor does it read as Windows-1252. Say which encoding it is in, "
        "or save it as “CSV UTF-8”. A line of it under each that may be meant:\n"
        + "\n".join(shown),
    )

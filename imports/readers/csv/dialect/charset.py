"""Whether text that is not UTF-8 may be Windows-1252, and what it may be if not.

Every byte string is nearly valid in every single-byte encoding, so the evidence is what words look
like: in the languages that Windows-1252 is for, letters with accents stand alone or in pairs among
plain ones, signs such as ``³`` stand at the edge of a word, and a small letter is followed by small
ones.
"""

import itertools
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
# Those that are offered only where the text reads well in them: name, and its letters.
_OFFERED = {
    "cp866": ("DOS, code page 866 (Cyrillic)", "а-яё"),
    "koi8-r": ("KOI8-R (Cyrillic)", "а-яё"),
    "cp1253": ("Windows-1253 (Greek)", "α-ωΐ-ώ"),
    "cp1254": ("Windows-1254 (Turkish)", "âçğıîöşüû"),
    "euc_kr": ("EUC-KR (Korean)", "가-힣"),
}
_LOOKED_AT = 1 << 13  # bytes; what only suggests need not read more
_SHOWN = 60  # characters of a line
_MOST_ODD = 0.1  # of the characters beyond ASCII: a damaged one, a name from elsewhere

_word = re.compile(r"[^\W\d_]+").findall
# What Windows-1252 does not define, and what nobody writes in it.
_undefined = re.compile("[\ufffd¨¬¯¸ˆ˜]").findall
# Signs (no apostrophe, dash, hyphen or dot) between two letters.
_inside_word = re.compile(
    r"(?<=[^\W\d_])[€‚„“”…†‡‰‹›˜¡¢£¤¥¦§¨©«¬®¯°±²³¶¸¹»¼½¾¿](?=[^\W\d_])|(?<=[a-zß-ÿ])‚"
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
    ("cp1250", "ăâîşţ"),
    ("cp1254", "âçğıîöşüû"),
    ("mac_roman", "àâçéèêëîïôùûœ"),
    ("mac_roman", "äöüßé"),
    ("cp850", "àâçéèêëîïôùûäöüß"),
)
_FEW = 8  # letters beyond ASCII from which on it counts in which language most of them are
_FEWEST = 4  # of fewer, all of them, and so many at least
# Characters of two bytes, as Chinese and Korean are written in EUC.
_pairs = re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xa9\xb0-\xf7][\xa1-\xfe])+").fullmatch


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
    western = max(_share(letters, known) for known in _WESTERN)
    if western <= 0.7 and (_are_pairs(sample) or _reads_well(sample, "cp866")):
        return True
    if len(letters) < _FEWEST or western == 1 or (western > 0.7 and len(letters) >= _FEW):
        return False
    least = 0.95 if len(letters) >= _FEW else 1
    for codec, known in _ELSEWHERE:
        other = _beyond_ascii(sample.decode(codec, "replace"))
        if _share(other, known) >= least and len(set(other) - set(letters)) > 1:
            return True
    return False


def _are_pairs(sample: bytes) -> bool:
    """Whether all that is not ASCII are characters of two bytes: two of them at least."""
    beyond = sum(byte > 0x7F for byte in sample)
    return beyond >= 4 and _pairs(sample) is not None


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
    ranked += [codec for codec in SUGGESTED if codec not in ranked]
    return [*ranked[:2], *filter(lambda codec: _reads_well(part, codec), _OFFERED), *ranked[2:]]


def _reads_well(part: bytes, codec: str) -> bool:
    """Whether nearly all beyond ASCII are letters of the encoding's own, small ones in words."""
    text = part.decode(codec, "replace")
    beyond = [character for character in text if character > "\x7f"]
    own = re.compile(f"[{_OFFERED[codec][1]}]", re.I).findall(text)
    if len(own) < max(_FEWEST, 0.9 * len(beyond)):
        return False
    pairs = [(a, b) for a, b in itertools.pairwise(text) if a.isalpha() and b.isalpha()]
    odd = sum(a.islower() and b.isupper() for a, b in pairs)
    if codec != "cp1254":  # letters of another script stand among their like
        odd += sum(a.isascii() != b.isascii() for a, b in pairs)
    return odd <= _MOST_ODD * len(beyond)


def question(sample: bytes) -> Question:
    """Ask for the encoding: each that may be meant, with what a line of the file is in it."""
    lines = sample.replace(b"\r", b"\n").split(b"\n")
    line = max(lines[:200], key=lambda part: sum(byte > 0x7F for byte in part[:_SHOWN]))
    shown = []
    names = SUGGESTED | {codec: offered[0] for codec, offered in _OFFERED.items()}
    for codec in [*suggestions(sample), "cp1252"]:
        text = " ".join(line.decode(codec, "replace").split())[:_SHOWN]
        name = names.get(codec, "Windows-1252 (Western European)")
        if "\ufffd" not in text:
            shown.append(f"{name}, “{codec}”: {text}")
    return Question(
        "encoding",
        "",
        "The file is neither UTF-8 nor does it read as Windows-1252. Say which encoding it is in, "
        "or save it as “CSV UTF-8”. A line of it under each that may be meant:\n"
        + "\n".join(shown),
    )

"""From HTML to the text that a browser would show: tags and entities go, blocks become lines."""

import html
import re
from html.parser import HTMLParser

_tag = re.compile(r"</?[a-zA-Z!][^<>]*>").search
_no_tag = re.compile(r"<(?![a-zA-Z/!?][^<>]*>)")
_blanks = re.compile(r"[ \t\r\n\f]+")
_around_lines = re.compile(r" *\n[ \n]*")
_BLOCK_TAGS = """
    address article aside blockquote br dd details div dl dt fieldset figcaption figure footer form
    h1 h2 h3 h4 h5 h6 header hr legend li main nav ol option p pre section summary table tbody tfoot
    thead tr ul
"""
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_CELLS = frozenset(("td", "th"))
_UNSEEN = frozenset(("script", "style", "template", "title", "head"))


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._gap(tag)
        self.unseen += tag in _UNSEEN

    def handle_endtag(self, tag: str) -> None:
        self._gap(tag)
        self.unseen -= tag in _UNSEEN and self.unseen > 0

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._gap(tag)

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.pieces.append(_blanks.sub(" ", data))

    def _gap(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n")
        elif tag in _CELLS:
            self.pieces.append(" ")


def text_of(markup: str) -> str:
    """The text of HTML. Without a tag only entities are read, and line breaks stay."""
    if not _tag(markup):
        return html.unescape(markup) if "&" in markup else markup
    parser = _Text()
    # The parser would look for the end of what is no tag again and again.
    parser.feed(_no_tag.sub("&lt;", _without_comments(markup)))
    parser.close()
    text = _around_lines.sub("\n", "".join(parser.pieces))
    return re.sub(" {2,}", " ", text).strip(" \n")


def _without_comments(markup: str) -> str:
    first, *others = markup.split("<!--")
    kept = [first]
    for piece in others:
        comment, end, after = piece.partition("-->")
        kept.append(after if end else comment)
    return "".join(kept)

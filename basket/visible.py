"""Text from other machines made harmless for a terminal: what would move the cursor or hide text is shown as an escape.

Pure. A peel may publish any bytes; nothing of it may clear a screen, forge a line, or turn the reading direction.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Match

# C0, DEL and C1; the soft hyphen and other invisible format characters; bidi marks, embeddings, overrides and isolates;
# line and paragraph separators; the byte order mark; lone surrogates; tags. The joiners U+200C and U+200D stay: words
# of living scripts and most emoji are spelt with them.
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    """``text`` on one line, each unsafe character as ``\\n``, ``\\x1b``, ``\\u202e``; everything else as it is."""
    return UNSAFE.sub(_escape, text)


def _escape(match: Match[str]) -> str:
    char = match.group()
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Columns that ``text`` takes on a terminal: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.east_asian_width(char) in "WF":
        return 2
    return 0 if unicodedata.category(char) in ("Mn", "Me", "Cf") else 1

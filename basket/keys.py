"""What a key may look like: peel ids, function names, and the ``<peel-id>.<function>`` that joins them. No I/O.

A peel id holds no dot, so the first dot of a key always parts the two.
"""

from __future__ import annotations

import re
from typing import Tuple

from basket.errors import InvalidKeyError

PEEL_ID_MAX = 64
"""Longest peel id, in characters."""

FUNCTION_MAX = 512
"""Longest function name, in characters: NATS cuts the connection of who sends a line of more than 4,096 bytes, and a key
stands in one line twice."""

_PEEL_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*\Z")
_FUNCTION = re.compile(r"[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*\Z")
_NOT_ID = re.compile(r"[^a-zA-Z0-9_-]")

# What a host calls itself before anyone has named it: every such host would write to the same keys.
_NAMELESS = frozenset(
    name + tail
    for name in ("localhost", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback")
    for tail in ("", "_localdomain", "_localdomain4", "_localdomain6", "_local", "-localdomain")
)


def sanitize_peel_id(name: str) -> str:
    """The peel id made from any host name: ``.`` becomes ``_``, every other foreign byte ``-``.

    Raises InvalidKeyError where nothing usable is left, where it is too long, and for ``localhost`` and its kin.
    """
    # Bytes, not characters: the other implementations replace each byte of a UTF-8 sequence.
    as_bytes = name.encode("utf-8", "surrogateescape").decode("latin-1")
    made = _NOT_ID.sub("-", as_bytes.replace(".", "_")).lstrip("-_")
    if not made:
        raise InvalidKeyError(f"no peel id can be made from {name!r}: set [peel] id to a name with letters or digits")
    return check_peel_id(made)


def check_peel_id(peel_id: str) -> str:
    """The id itself if it may stand in a key, with dots turned to ``_``; otherwise InvalidKeyError says what to do."""
    if not isinstance(peel_id, str):
        raise InvalidKeyError(f"a peel id is a string, not {type(peel_id).__name__}")
    plain = peel_id.replace(".", "_")
    if len(plain) > PEEL_ID_MAX:
        raise InvalidKeyError(f"bad peel id {peel_id!r}: {len(plain)} characters, at most {PEEL_ID_MAX} are allowed")
    if not _PEEL_ID.match(plain):
        raise InvalidKeyError(f"bad peel id {peel_id!r}: letters, digits, '-' and '_' are allowed, the first a letter or digit")
    if plain.lower() in _NAMELESS:
        raise InvalidKeyError(
            f"{peel_id!r} cannot be a peel id, since any host may call itself that: give this host a name, or set [peel] id"
        )
    return plain


def is_peel_id(text: str) -> bool:
    """Whether ``text``, as it stands in a key, can be a peel's id."""
    return len(text) <= PEEL_ID_MAX and _PEEL_ID.match(text) is not None


def check_function(name: str) -> str:
    """The function name itself if it may stand in a key; otherwise InvalidKeyError."""
    if not isinstance(name, str):
        raise InvalidKeyError(f"a function name is a string, not {type(name).__name__}")
    if len(name) > FUNCTION_MAX:
        raise InvalidKeyError(
            f"bad function name {name[:40] + '...'!r}: {len(name)} characters, at most {FUNCTION_MAX} are allowed"
        )
    if not _FUNCTION.match(name):
        raise InvalidKeyError(
            f"bad function name {name!r}: it is made of letters, digits, '-', '_', '/' and '=', in parts joined by single dots"
        )
    return name


def join_key(peel_id: str, function: str) -> str:
    """``<peel-id>.<function>``; both are trusted to have been checked."""
    return f"{peel_id}.{function}"


def split_key(key: str) -> Tuple[str, str]:
    """The peel id and the function of a key; the function is empty where the key holds no dot."""
    peel_id, _, function = key.partition(".")
    return peel_id, function

"""This host's full name as ``hostname -f`` finds it, kept while the resolver does not answer."""

from __future__ import annotations

import socket
from typing import Optional, Tuple

from basket import hostname as resolver
from basket.facts.part import text

_last: Tuple[str, str] = ("", "")
"""A host name and the full name that was last found for it; one tuple, so that no thread sees the one without the other."""


def fqdn(*, hostname: Optional[str] = None, timeout: float = resolver.TIMEOUT) -> str:
    """The full name; where the resolver fails or is late, the name it gave last, else the plain host name.

    The last name is kept so that a resolver which comes and goes does not make the fact flap. Any thread; blocks for
    at most ``timeout`` seconds.
    """
    global _last
    name = socket.gethostname() if hostname is None else hostname
    answer = resolver.canonical(name, timeout=timeout)
    if answer:
        _last = (name, answer)
    known, full = _last
    return text(full if known == name else name)

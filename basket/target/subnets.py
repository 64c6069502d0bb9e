"""Networks and the addresses a peel says it has. Addresses are compared as integers: ``ipaddress`` would be twenty
times slower, and reads addresses differently from one Python to the next.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterator, Optional, Tuple

from basket.target.values import walk

_PREFIX = re.compile(r"\d{1,3}", re.ASCII)


def _number(text: str) -> Optional[Tuple[int, int]]:
    """An address as (number of bits, value), or None."""
    import socket

    try:
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        packed = socket.inet_pton(family, text)
    except (OSError, ValueError):
        return None
    return len(packed) * 8, int.from_bytes(packed, "big")


def read(network: str) -> str:
    """The network (or single address) in its shortest form, bits of the host cleared; ValueError says what is wrong."""
    import socket

    bits, value, length = _parse(network)
    value = value >> (bits - length) << (bits - length)
    address = socket.inet_ntop(socket.AF_INET if bits == 32 else socket.AF_INET6, value.to_bytes(bits // 8, "big"))
    return f"{address}/{length}"


def _parse(network: str) -> Tuple[int, int, int]:
    address, slash, prefix = network.partition("/")
    number = _number(address)
    if number is None:
        raise ValueError(f"{address!r} is not an address")
    bits, value = number
    if not slash:
        return bits, value, bits
    if not _PREFIX.fullmatch(prefix) or int(prefix) > bits:
        raise ValueError(f"{prefix!r} is not a prefix length from 0 to {bits}")
    return bits, value, int(prefix)


def membership(network: str) -> Callable[[Any], bool]:
    """A test whether one of the addresses in a fact document lies in the network."""
    bits, value, length = _parse(network)
    shift = bits - length
    wanted = value >> shift
    section = "ipv4" if bits == 32 else "ipv6"

    def inside(facts: Any) -> bool:
        for text in _addresses(facts, section):
            if (":" in text) is (bits == 128):
                number = _number(text)
                if number is not None and number[1] >> shift == wanted:
                    return True
        return False

    return inside


def _addresses(facts: Any, section: str) -> Iterator[str]:
    found = walk(facts, ("network", section))
    for address in (*(found if isinstance(found, (list, tuple)) else (found,)), walk(facts, ("default_ipv4",))):
        if isinstance(address, str):
            # Some collectors write the prefix length or the interface behind the address.
            yield address.partition("/")[0].partition("%")[0]

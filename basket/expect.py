"""What a value must look like: the types of [basket.expect], and the checks behind them. Pure.

==============  ==========================================================================================================
``"ip"``        an IPv4 or IPv6 address, as a string; no zone (``%eth0``), no leading zeros
``"cidr"``      a network with its prefix length, as a string: ``192.0.2.0/24``; no bits set beyond the prefix
``"hostname"``  a host name as in RFC 1123, as a string: labels of letters, digits and ``-``, the last not all digits
``"port"``      1 to 65535, as a number or as a string of digits
``"int"``       a whole number (no string, no boolean)
``"str"``       a string on one line, without control characters
``"/.../"``     a string that the regular expression between the slashes matches as a whole
``["ip"]``      a list, possibly empty, of which every element is one of the types in the brackets
==============  ==========================================================================================================
"""

from __future__ import annotations

import ipaddress
import re
from importlib import import_module
from typing import Any, Callable, Dict, List, Mapping, Optional

LONGEST = 4096
"""Characters of a value that a regular expression is tried on; a longer one fits none."""

PATIENCE = 0.25
"""Seconds for one match: values come from others, and some expressions take for ever on some of them."""

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What may not be printed by accident: line breaks of every kind, and the other control characters (C0, DEL, C1)."""

_PREFIX = re.compile(r"[0-9A-Fa-f:.]+/[0-9]{1,3}\Z")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_DIGITS = re.compile(r"[0-9]{1,5}\Z")
_ZERO_FIRST = re.compile(r"(?:^|\.)0[0-9]")

Check = Callable[[Any], None]
"""Returns where the value is as it should be; else ValueError with the reason, which begins with "is", "has" or "cannot"."""


def shown(value: Any) -> str:
    """A value in a message: short, on one line."""
    text = ascii(value) if isinstance(value, str) else f"of type {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def ip(value: Any) -> str:
    """The address in its usual spelling. ValueError where it is none."""
    text = _text(value, "an IP address")
    try:
        # A zone may hold any text, and leading zeros are octal to some readers.
        if "%" in text or _ZERO_FIRST.search(text):
            raise ValueError
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"is no IP address: {shown(value)}") from None


def cidr(value: Any) -> str:
    """The network in its usual spelling. ValueError where it is none."""
    text = _text(value, "a network such as 192.0.2.0/24")
    if not _PREFIX.match(text) or _ZERO_FIRST.search(text):
        raise ValueError(f"is no network such as 192.0.2.0/24: {shown(value)}")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"is no network such as 192.0.2.0/24: {shown(value)}") from None
    if ipaddress.ip_interface(text).ip != network.network_address:
        raise ValueError(f"is an address in {network}, not a network: {shown(value)}")
    return str(network)


def hostname(value: Any) -> str:
    """The name as it is. ValueError where no host can be called so."""
    text = _text(value, "a host name")
    labels = text.split(".")
    if len(text) > 253 or not all(_LABEL.match(label) for label in labels) or labels[-1].isdigit():
        raise ValueError(f"is no host name: {shown(value)}")
    return text


def port(value: Any) -> int:
    """The number. ValueError where it is no port."""
    number = int(value) if isinstance(value, str) and _DIGITS.match(value) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 65535:
        raise ValueError(f"is no port from 1 to 65535: {shown(value) if not isinstance(value, int) else value}")
    return number


def whole(value: Any) -> int:
    """The number. ValueError where it is no whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"is no whole number: {shown(value)}")
    return value


def line(value: Any) -> str:
    """The string. ValueError where it holds a control character."""
    text = _text(value, "a string")
    if CONTROL.search(text):
        raise ValueError(f"is no string on one line: {shown(value)}")
    return text


KINDS: Mapping[str, Callable[[Any], Any]] = {
    "ip": ip,
    "cidr": cidr,
    "hostname": hostname,
    "port": port,
    "int": whole,
    "str": line,
}


def compiled(wanted: Any) -> Check:
    """The check for what the configuration says: a word, a "/regular expression/", or a list of these. ValueError in words
    to show where it says nothing that is known."""
    if isinstance(wanted, str):
        return _one(wanted)
    if isinstance(wanted, list) and wanted and all(isinstance(item, str) for item in wanted):
        checks = [_one(item) for item in wanted]
        return lambda value: _each(value, checks, " or ".join(wanted))
    raise ValueError('expected what a value must look like, such as "ip", or ["ip"] for a list of them')


def _one(word: str) -> Check:
    if word in KINDS:
        return KINDS[word]
    if len(word) > 2 and word.startswith("/") and word.endswith("/"):
        return _expression(word[1:-1])
    import difflib

    close = difflib.get_close_matches(word.lower(), KINDS, n=1)
    hint = f"; nearest known {close[0]!r}" if close else f"; known: {', '.join(KINDS)}, or a regular expression: '/[a-z]+/'"
    raise ValueError(f"{word!r} is no known type{hint}")


def _expression(pattern: str) -> Check:
    from basket.target import patterns

    try:
        source = patterns.read(pattern).source
    except patterns.PatternError as error:
        at = f" at character {error.index + 1}" if error.index else ""
        raise ValueError(f"/{pattern[:200]}/ cannot be used as a regular expression: {error.problem}{at}") from None
    ready: List[Any] = []

    def check(value: Any) -> None:
        # It alone can be told to give up; and it is not wanted where nobody expects anything by expression.
        regex = import_module("regex")
        text = _text(value, f"a string that /{pattern}/ matches")
        try:
            if not ready:
                ready.append(regex.compile(source, regex.V0))
            fits = len(text) <= LONGEST and ready[0].fullmatch(text, timeout=PATIENCE) is not None
        except regex.error as error:  # some corner of the language that the standard library can read
            raise ValueError(f"cannot be compared with /{pattern}/: {error}") from None
        except (TimeoutError, MemoryError):
            raise ValueError(f"is not matched by /{pattern}/ within {PATIENCE:g} s: {shown(value)}") from None
        if not fits:
            raise ValueError(f"is not matched by /{pattern}/: {shown(value)}")

    return check


def _each(value: Any, checks: List[Check], wanted: str) -> None:
    if not isinstance(value, list):
        raise ValueError(f"is no list of {wanted}: {shown(value)}")
    for index, item in enumerate(value):
        reasons = []
        for check in checks:
            try:
                check(item)
                break
            except ValueError as error:
                reasons.append(str(error))
        else:
            reason = reasons[0] if len(reasons) == 1 else f"is no {wanted}: {shown(item)}"
            raise ValueError(f"has an element, number {index + 1}, that {reason}")


def _text(value: Any, wanted: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is not {wanted}: {shown(value)}")
    return value


class Expectations:
    """The checks of [basket.expect], by function. Any thread."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._checks: Dict[str, Check] = {name: compiled(kind) for name, kind in wanted.items()}

    def reason(self, function: str, value: Any) -> Optional[str]:
        """Why ``value`` is not what is expected of ``function``; None where it is, or nothing is expected."""
        check = self._checks.get(function)
        if check is None:
            return None
        try:
            check(value)
        except ValueError as error:
            return str(error)
        return None

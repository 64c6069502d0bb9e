"""The JSON form of every value that MessagePack can carry. Pure; what it makes is always strictly valid JSON.

==========================  ==================================================================================
MessagePack                 JSON
==========================  ==================================================================================
bytes                       string, base64 (standard alphabet, padded), as Go's encoding/json writes them
time                        string, RFC 3339 in UTC: "2024-05-01T12:00:00Z", with a fraction where there is one;
                            outside the years 1 to 9999 "@" and the seconds since 1970: "@-99999999999.5"
NaN, infinities             strings "NaN", "Infinity", "-Infinity"
map key that is no string   string as in a target: "8", "1.5", "1e+06", "true"; nil is "null", the rest as above.
                            Where that string is a key already, the kind is added: "8 (int)"
extension type              object {"ext": code, "data": base64}
==========================  ==================================================================================
"""

from __future__ import annotations

import base64
import datetime
import json
import math
from typing import Any, Dict, List, Match

from basket.visible import UNSAFE

MAX_DEPTH = 256
"""Deepest nesting printed. We write at most 128; a hostile writer's value must not exhaust the stack."""

# One line of the help texts, kept next to the table above.
STATED = """\
JSON has no bytes, times, NaN or keys that are not strings. They are printed as: bytes base64, times RFC 3339 (UTC),
NaN and infinities "NaN" "Infinity" "-Infinity", keys as strings ("8", "true", "null"), extension types
{"ext": code, "data": base64}."""


class TooDeep(ValueError):
    """Nested deeper than MAX_DEPTH."""


def plain(value: Any, depth: int = 0) -> Any:
    """``value`` in terms of what JSON has. TooDeep where it is nested deeper than MAX_DEPTH."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _not_finite(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, datetime.datetime):
        return rfc3339(value)
    if depth >= MAX_DEPTH:
        raise TooDeep(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return _object(value, depth)
    code = getattr(value, "code", None)
    if isinstance(value, tuple) and code is not None:  # msgpack.ExtType, which is a named tuple
        return {"ext": code, "data": base64.b64encode(value[1]).decode("ascii")}
    if isinstance(value, (list, tuple)):
        made: List[Any] = []
        for item in value:  # no comprehension: it would cost a second stack frame a level
            made.append(plain(item, depth + 1))
        return made
    if hasattr(value, "nanoseconds"):  # msgpack.Timestamp: a time that datetime cannot hold
        return _seconds(value.seconds, value.nanoseconds)
    return str(value)


def _object(value: Dict[Any, Any], depth: int) -> Dict[str, Any]:
    made: Dict[str, Any] = {}
    for key, item in value.items():
        name = key if isinstance(key, str) else key_text(key)
        while not isinstance(key, str) and (name in value or name in made):
            name = f"{name} ({'nil' if key is None else type(key).__name__})"
        made[name] = plain(item, depth + 1)
    return made


def key_text(key: Any) -> str:
    """The string that stands for a map key which is no string."""
    if key is None:
        return "null"
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, float) and math.isfinite(key):
        from basket.target.values import text_of

        return str(text_of(key))
    form = plain(key)
    return form if isinstance(form, str) else json.dumps(form, separators=(",", ":"))


def _not_finite(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def rfc3339(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC, with microseconds only where there are any."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    text = moment.isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def _seconds(seconds: int, nanoseconds: int) -> str:
    total = seconds * 10**9 + nanoseconds
    sign = "-" if total < 0 else ""
    whole, part = divmod(abs(total), 10**9)
    return f"@{sign}{whole}" + (f".{part:09d}".rstrip("0") if part else "")


def dumps(value: Any) -> str:
    """One line of JSON, ASCII only: for programs."""
    return json.dumps(plain(value), ensure_ascii=True, allow_nan=False, separators=(", ", ": "))


def compact(value: Any) -> str:
    """One line of JSON, ASCII only, without blanks: the ``value`` format."""
    return json.dumps(plain(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def readable(value: Any) -> str:
    """One line of JSON for people: letters of every script as they are, unsafe characters escaped. Valid JSON too."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return UNSAFE.sub(_json_escape, text)


def _json_escape(match: Match[str]) -> str:
    return json.dumps(match.group())[1:-1]

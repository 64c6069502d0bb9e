"""Python values to MessagePack bytes and back, the same for every implementation that shares the buckets. No I/O.

Strings travel as str, bytes as bin, aware datetimes as the timestamp extension (-1); see
https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import datetime
from typing import Any, Iterator, List, Tuple

import msgpack

from basket.errors import DecodeError, EncodeError

MAX_DEPTH = 128
"""Deepest nesting written and read. Readers of other languages have their own limits; this stays far below them."""

MAX_BYTES = 64 << 20
"""Largest value read: the most that any NATS server takes in one message."""

_ROOM = 1 << 20
"""Items that arrays may claim to have, together, before anybody looks whether they are there: the decoder takes memory for
them at once."""

_CONTAINERS = frozenset([*range(0x80, 0xA0), *range(0xDC, 0xE0)])
"""What a map or an array begins with."""

_NO_CONTAINERS = bytes(set(range(256)) - _CONTAINERS)

_unpack = msgpack.unpackb

_PLAIN = (type(None), bool, int, float, str, bytes, bytearray, memoryview, datetime.datetime, msgpack.ExtType, msgpack.Timestamp)


def encode(value: Any) -> bytes:
    """MessagePack of ``value``. EncodeError names the part of it that cannot be carried."""
    try:
        packed: bytes = msgpack.packb(value, use_bin_type=True, datetime=True)
        if packed[:1] > b"\x7f":  # a scalar in one byte needs no look at its depth
            _check_depth(value)
        return packed
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, EncodeError):
            raise
        raise EncodeError(_culprit(value) or f"this value cannot be written as MessagePack: {error}") from error


def decode(data: bytes) -> Any:
    """The one value in ``data``. Times come back as aware UTC datetimes, extensions unknown to us as msgpack.ExtType.

    DecodeError for anything else: empty, cut short, trailing bytes, bad UTF-8, nested more than MAX_DEPTH levels deep, larger
    than MAX_BYTES, or claiming items that are not there. What anybody may have written costs no more memory than it is worth.
    """
    if data and data[0] in _CONTAINERS:
        _check_shape(data)
    try:
        return _unpack(data, strict_map_key=False, timestamp=3)
    except (ValueError, OverflowError) as error:
        # A time outside the years 1 to 9999 has no datetime; MessagePack's own type still holds it.
        try:
            return _unpack(data, strict_map_key=False, timestamp=0)
        except Exception:
            raise DecodeError(_reason(data, error)) from error
    except Exception as error:  # unhashable map keys, StackError, FormatError: whatever a hostile writer finds
        raise DecodeError(_reason(data, error)) from error


def _check_shape(data: bytes) -> None:
    """DecodeError for what would cost the decoder, or whoever walks through the result, more than its size tells."""
    if len(data) > MAX_BYTES:
        raise DecodeError(f"{len(data)} bytes, and no value is larger than {MAX_BYTES}")
    # Nearly every value passes by these counts alone, at the speed of C: so few bytes can begin a map or an array.
    maybe_deep = len(data) > MAX_DEPTH and len(data.translate(None, _NO_CONTAINERS)) > MAX_DEPTH
    if maybe_deep or (data.count(b"\xdc") + data.count(b"\xdd")) * len(data) > _ROOM:
        from basket.shape import check_shape

        check_shape(data, MAX_DEPTH)


def _reason(data: bytes, error: Exception) -> str:
    if not data:
        return "empty, so not MessagePack"
    if type(error).__name__ == "ExtraData":
        return f"{len(data)} bytes that hold more than one MessagePack value"
    text = str(error) or "malformed"
    return f"{len(data)} bytes that are not one MessagePack value: {text[:200]}"


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: List[Any] = []
        for item in level:
            if isinstance(item, dict):
                for key in item:
                    if isinstance(key, tuple) and not isinstance(key, msgpack.ExtType):
                        raise EncodeError(_culprit(value))  # it would be packed, and then nobody could read the map
                deeper.extend(item.values())
            elif isinstance(item, (list, tuple)):
                deeper.extend(item)
        if not deeper:
            return
        level = deeper
    raise EncodeError(f"nested more than {MAX_DEPTH} levels deep")


def _children(value: Any, path: str) -> Iterator[Tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"a key of {path}", key
            yield f"{path}[{key!r}]", item
    elif isinstance(value, (list, tuple)) and not isinstance(value, msgpack.ExtType):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item


def _culprit(value: Any) -> str:
    """Where in ``value`` the first thing stands that cannot be carried, as a sentence; empty if it is not found."""
    stack = [("the value", value, 0)]
    while stack:
        path, item, depth = stack.pop()
        if depth > MAX_DEPTH:
            return f"nested more than {MAX_DEPTH} levels deep (or it contains itself)"
        if path.startswith("a key of") and isinstance(item, tuple) and not isinstance(item, msgpack.ExtType):
            return f"{path} is a tuple, which cannot be one"
        if isinstance(item, (dict, list, tuple)):
            children = [(p, c, depth + 1) for p, c in _children(item, path)]
            stack.extend(reversed(children))
        elif not isinstance(item, _PLAIN):
            hint = "; make it a list" if isinstance(item, (set, frozenset)) else ""
            return f"{path} is a {type(item).__name__}, which MessagePack cannot carry{hint}"
        elif isinstance(item, datetime.datetime) and item.tzinfo is None:
            return f"{path} is a datetime without a time zone; make it aware (UTC)"
        elif isinstance(item, int) and not -(2**63) <= item < 2**64:
            return f"{path} is an integer beyond 64 bits"
        elif isinstance(item, str):
            try:
                item.encode("utf-8")
            except UnicodeEncodeError:
                return f"{path} is a string that is not valid Unicode (it holds a lone surrogate)"
    return ""

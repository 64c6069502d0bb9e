"""How deep MessagePack is nested, and whether what it claims to hold is there, found out without decoding it. Pure."""

from __future__ import annotations

from typing import List

from basket.errors import DecodeError

# Code -> bytes of the number that follows, and whether that many bytes (of an extension: one more), items or pairs follow.
_FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_FIXED.update({0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17})
_SIZED = {
    0xC4: (1, 0),
    0xC5: (2, 0),
    0xC6: (4, 0),
    0xC7: (1, 1),
    0xC8: (2, 1),
    0xC9: (4, 1),
    0xD9: (1, 0),
    0xDA: (2, 0),
    0xDB: (4, 0),
}
_COUNTED = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def check_shape(data: bytes, most: int) -> None:
    """DecodeError where ``data`` is nested more than ``most`` levels deep, or has arrays and maps that claim more items than
    there are bytes left. Other faults are left to the decoder."""
    size = len(data)
    place = 0
    owed = 1  # items still to come, of all open arrays and maps together: each takes a byte at least
    open_items: List[int] = []  # of each open array or map, how many of its items are still to come
    while owed and place < size:
        code = data[place]
        place += 1
        owed -= 1
        items = 0
        if code <= 0x7F or code >= 0xE0:
            pass
        elif code <= 0x8F:
            items = (code & 0x0F) * 2
        elif code <= 0x9F:
            items = code & 0x0F
        elif code <= 0xBF:
            place += code & 0x1F
        elif code in _FIXED:
            place += _FIXED[code]
        elif code in _SIZED:
            width, more = _SIZED[code]
            place += width + more + int.from_bytes(data[place : place + width], "big")
        elif code in _COUNTED:
            width, each = _COUNTED[code]
            items = each * int.from_bytes(data[place : place + width], "big")
            place += width
        owed += items
        if owed > size - place:
            raise DecodeError(f"{size} bytes that claim to hold more than that")
        if open_items:
            open_items[-1] -= 1
        if items:
            if len(open_items) >= most:
                raise DecodeError(f"nested more than {most} levels deep")
            open_items.append(items)
        while open_items and not open_items[-1]:
            open_items.pop()

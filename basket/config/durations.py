"""Durations as people write them, to seconds. The only place that reads them, for the file and the command line alike."""

from __future__ import annotations

import math
import re

LONGEST = 3650 * 86400.0
"""Ten years, in seconds: waits beyond this overflow somewhere below us."""

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_ORDER = list(_UNITS)
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|[dhms])")
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?\Z")
_WORDY = re.compile(r"\s*([0-9.]+)\s*([A-Za-z]+)\s*\Z")
_WORDS = {
    "ms": ("msec", "msecs", "millisecond", "milliseconds", "millis"),
    "s": ("sec", "secs", "second", "seconds"),
    "m": ("min", "mins", "minute", "minutes"),
    "h": ("hr", "hrs", "hour", "hours"),
    "d": ("day", "days"),
}


def duration(value: object) -> float:
    """Seconds in ``value``: ``"500ms"``, ``"30s"``, ``"5m"``, ``"1h30m"``, ``"1d"``, or seconds as a number.

    Zero is a duration; whoever needs more than that says so. ValueError tells what is wrong and how to write it.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError('a duration is a string such as "5m", or seconds as a number')
    if isinstance(value, str):
        seconds = _written(value)
    elif value < 0:
        raise ValueError(f"a duration cannot be negative, and {value} is")
    else:
        try:
            seconds = float(value)
        except OverflowError:  # an integer beyond what a float can hold
            seconds = math.inf
    if not seconds <= LONGEST:  # also true of NaN
        raise ValueError("a duration can be ten years at most")
    return seconds


def _written(text: str) -> float:
    if _NUMBER.match(text):
        return float(text)
    total = 0.0
    place = 0
    smallest = -1
    while place < len(text):
        part = _PART.match(text, place)
        # Each unit once, the larger first: "30m1h" is more likely a slip than a wish.
        if part is None or _ORDER.index(part[2]) <= smallest:
            raise ValueError(_complaint(text))
        smallest = _ORDER.index(part[2])
        total += float(part[1]) * _UNITS[part[2]]
        place = part.end()
    if place == 0:
        raise ValueError('a duration cannot be empty; write one such as "5m"')
    return total


def _complaint(text: str) -> str:
    shown = repr(text if len(text) <= 40 else text[:40] + "...")
    if text.strip().startswith("-"):
        return f"a duration cannot be negative, and {shown} is"
    wordy = _WORDY.match(text)
    if wordy:
        word = wordy[2].lower()
        for unit, words in _WORDS.items():
            if word == unit or word in words:
                return f'{shown} is not a duration; write "{wordy[1]}{unit}"'
    squeezed = "".join(text.split()).lower()
    if squeezed != text and _readable(squeezed):
        return f'{shown} is not a duration; write "{squeezed}"'
    return f'{shown} is not a duration; write one such as "500ms", "30s", "5m", "1h30m" or "1d"'


def _readable(text: str) -> bool:
    try:
        _written(text)
    except ValueError:
        return False
    return True

"""What a fact's value is in a comparison: its text as Go prints it, its number, and the tests made of both.

Facts are written by others: a value of a kind that has no text here (a map, bytes, nothing at all) equals nothing, and
nothing in this module raises on one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Callable, Optional, Sequence, Union

from basket.target import globs
from basket.target.allowance import Allowance

Test = Callable[[Any], bool]
"""A test of a fact's value, of whatever kind."""

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[-+]?\d+", re.ASCII)
_LONGEST_NUMBER = 40
_LARGEST_INT_BITS = 256
_LONG_TEXT = 4096
_LONG_LIST = 64


def walk(facts: Any, keys: Sequence[str]) -> Any:
    """The value at the end of a path, or None where the path leads nowhere."""
    for key in keys:
        if not isinstance(facts, Mapping):
            return None
        facts = facts.get(key)
    return facts


def text_of(value: Any) -> Optional[str]:
    """A scalar as Go's ``%v`` prints it (``true``, ``8``, ``1.5``, ``1e+06``); None for what is not text, number or bool."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # No bucket holds larger ones, and turning a huge one into text takes for ever or raises.
        return str(int(value)) if value.bit_length() <= _LARGEST_INT_BITS else None
    if isinstance(value, float):
        return _float_text(value)
    return None


def _float_text(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    sign = "-" if repr(value).startswith("-") else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return sign + "0"
    # The point stands `point` places right of the first digit that counts; both languages print the shortest digits.
    point = len(digits) - len(fraction) + int(exponent or 0)
    digits = digits.rstrip("0")
    if -4 <= point - 1 < 6:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}"
        head, tail = digits[:point].ljust(point, "0"), digits[point:]
        return f"{sign}{head}.{tail}" if tail else sign + head
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'-' if point < 1 else '+'}{abs(point - 1):02d}"


def number_of(text: str) -> Union[int, float, None]:
    """The number that the whole text is, if it is one."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def any_element(test: Callable[[str], bool], allowance: Allowance, what: str) -> Test:
    """A test that a scalar passes by its text, and a list by any of its elements."""

    def passes(value: Any) -> bool:
        if type(value) is str and len(value) <= _LONG_TEXT:
            return test(value)
        if isinstance(value, (list, tuple)):
            begun = allowance.begin()
            for index, element in enumerate(value, 1):
                text = text_of(element)
                if text is not None and test(text):
                    return True
                if not index % _LONG_LIST:
                    allowance.charge(begun, what)
                    begun = allowance.begin()
            allowance.charge(begun, what)
            return False
        text = text_of(value)
        if text is None:
            return False
        if len(text) <= _LONG_TEXT:
            return test(text)
        begun = allowance.begin()
        found = test(text)
        allowance.charge(begun, what)
        return found

    return passes


def equality(value: str) -> Callable[[str], bool]:
    """A test whether a text equals the value, or matches it as a glob, ignoring case."""
    if globs.WILD.search(value):
        matches = globs.compile_glob(value, ignore_case=True)
        return lambda text: matches(text.lower())
    lowered = value.lower()
    return lambda text: text == value or text.lower() == lowered


def ordering(operator: str, value: str) -> Callable[[str], bool]:
    """A test how a text stands to the value: as numbers where both are, else in the order of characters, ignoring case."""
    lowered, number = value.lower(), number_of(value)

    def compare(text: str) -> bool:
        left: Any = None if number is None else number_of(text)
        right: Any = number
        if left is None:
            left, right = text.lower(), lowered
        if operator == ">":
            return bool(left > right)
        if operator == ">=":
            return bool(left >= right)
        if operator == "<":
            return bool(left < right)
        return bool(left <= right)

    return compare


def comparison(operator: str, value: str, allowance: Allowance, what: str) -> Test:
    """The test of a fact's value that ``operator`` and ``value`` ask for."""
    if operator not in ("==", "!="):
        return any_element(ordering(operator, value), allowance, what)
    equal = any_element(equality(value), allowance, what)
    if operator == "!=":
        return lambda fact: (isinstance(fact, (list, tuple)) or text_of(fact) is not None) and not equal(fact)
    if value == "*":  # anything that is there, even a whole section
        return lambda fact: isinstance(fact, Mapping) or equal(fact)
    return equal

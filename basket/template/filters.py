"""The filters a template has beside those of Jinja2: checks, and ways to print what needs quoting. Pure.

``ip``, ``cidr``, ``hostname`` and ``port`` print the value in its usual spelling, or refuse the whole file; ``json`` prints
any value as JSON; ``shell_quote`` prints one word of a shell; ``multiline`` lets text with control characters be printed.
"""

from __future__ import annotations

import datetime
import json as _json
import math
import shlex
from collections.abc import Mapping
from typing import Any, Callable, Dict, Optional

from basket import expect, jsonform
from basket.template.values import freed, refuse_within, text_of


class FilterError(ValueError):
    """A value that a filter refuses; ``value`` is that value, so that its origin can be looked up."""

    def __init__(self, problem: str, value: Any) -> None:
        super().__init__(problem)
        self.value = value


def multiline(value: Any) -> Any:
    """The value, to be printed with its line breaks and other control characters."""
    return freed(value)


def json(value: Any, indent: Optional[int] = None) -> str:
    """JSON, in ASCII, keys sorted: the same value is the same text. What JSON lacks has the form that ``jsonform`` states."""
    text = _json.dumps(jsonform.plain(_freed(value)), ensure_ascii=True, allow_nan=False, sort_keys=True, indent=indent)
    return text.replace("\x7f", "\\u007f")  # the one control character that JSON lets through


def shell_quote(value: Any) -> str:
    """One word for a POSIX shell."""
    refuse_within(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise FilterError(f"is no single word for a shell: {expect.shown(value)}", value)
    return shlex.quote(str(value))


def _checked(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def use(value: Any) -> Any:
        try:
            return check(text_of(value))
        except ValueError as error:
            raise FilterError(str(error), value) from None

    return use


FILTERS: Dict[str, Callable[..., Any]] = {
    "ip": _checked(expect.ip),
    "cidr": _checked(expect.cidr),
    "hostname": _checked(expect.hostname),
    "port": _checked(expect.port),
    "json": json,
    "tojson": json,  # Jinja2's own writes JSON for web pages, with < and & as escapes
    "shell_quote": shell_quote,
    "multiline": multiline,
}


def _freed(value: Any) -> Any:
    """A copy of ``value`` with its text as it is. FilterError for what a file should not hold by accident."""
    value = text_of(value)
    if value is None or isinstance(value, (bool, str, int, bytes, bytearray, datetime.datetime)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FilterError(f"cannot be written as JSON: {value}", value)
        return value
    if isinstance(value, Mapping):
        return {_freed(key): _freed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return (tuple if isinstance(value, tuple) else list)(map(_freed, value))
    raise FilterError(f"cannot be written as JSON: it is {expect.shown(value)}", value)

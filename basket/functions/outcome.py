"""What came out of a function, judged: text that must be UTF-8, JSON, sizes, and reasons fit for one log line. No I/O."""

from __future__ import annotations

from typing import Any

OUTPUT_MAX = 1 << 20
"""Most bytes a command may print, a file may hold, or a Python function may return. NATS takes no larger message either."""

REASON_MAX = 500
"""Longest reason, in characters."""


def harmless(text: str, limit: int = REASON_MAX) -> str:
    """One line without control characters: line breaks become "; ", the rest is shown as an escape."""
    # Cut first, and again after: a hostile megabyte must not be walked, and escapes are longer than what they stand for.
    lines = [line.strip() for line in text[: 4 * limit].splitlines()]
    line = "; ".join(line for line in lines if line)
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii") for char in line
    )
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def describe_exception(error: BaseException) -> str:
    """Type and message on one line."""
    try:
        message = harmless(str(error))
    except Exception:  # a stranger's exception may fail to describe itself
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def size_text(size: int) -> str:
    """A size for people."""
    for unit, factor in (("MiB", 1 << 20), ("kiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} bytes"


def as_text(content: bytes, source: str) -> str:
    """UTF-8 to text. ValueError names the byte that is not."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{source} is not UTF-8 text: byte 0x{content[error.start]:02x} at position {error.start}") from None


def as_json(text: str, source: str) -> Any:
    """The JSON value in ``text``. ValueError says where it ends to be JSON."""
    import json

    if not text.strip():
        raise ValueError(f"{source} is empty where JSON was expected")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"{source} is JSON nested too deep") from None
    except ValueError as error:
        raise ValueError(f"{source} is not JSON: {error}") from None

"""The lines on standard error: how one log record becomes one line, as text or as JSON. What is logged is everybody else's.

Text: ``2026-01-02T03:04:05Z INFO  message key=value other="two words"``.
JSON: ``{"ts": …, "level": "info", "msg": …, "key": …}``, one object a line, plain ASCII.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Dict, Optional, TextIO

from basket.visible import visible

TEXT = "text"
JSON = "json"
FORMATS = (TEXT, JSON)

_ROOT = "basket"
_MARKS = {"DEBUG": "DEBUG", "INFO": "INFO ", "WARNING": "WARN ", "ERROR": "ERROR", "CRITICAL": "ERROR"}
_NEEDS_QUOTES = frozenset(" \"'=\\")


class Log:
    """Where one module logs: a message that stays the same, and fields for what varies. Any thread."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, /, **fields: Any) -> None:
        self._emit(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        self._emit(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        self._emit(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        self._emit(logging.ERROR, message, fields)

    def _emit(self, level: int, message: str, fields: Dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            # The message goes in as an argument: a per cent sign in it is not a format.
            self._logger.log(level, "%s", message, extra={"fields": fields})


def _fields(record: logging.LogRecord) -> Dict[str, Any]:
    fields = dict(getattr(record, "fields", {}))
    if not record.name.startswith(_ROOT):
        fields.setdefault("logger", record.name)
    if record.exc_info and record.exc_info[1] is not None:
        # One line even for an exception: its last frame says where.
        error, trace = record.exc_info[1], record.exc_info[2]
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        fields.setdefault("error", f"{type(error).__name__}: {error}")
        if trace is not None:
            fields.setdefault("at", f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
    return fields


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        parts = [_stamp(record.created), _MARKS.get(record.levelname, record.levelname), visible(record.getMessage())]
        parts += [f"{key}={_quoted(value)}" for key, value in _fields(record).items() if value is not None]
        return " ".join(parts)


def _quoted(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = visible(str(value))
    if text and not _NEEDS_QUOTES.intersection(text):
        return text
    return '"' + text.replace('"', '\\"') + '"'


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: Dict[str, Any] = {"ts": _stamp(record.created), "level": record.levelname.lower(), "msg": record.getMessage()}
        for key, value in _fields(record).items():
            if value is not None:
                entry[f"{key}_" if key in entry else key] = value
        # DEL is the one control character that JSON lets through.
        return json.dumps(entry, default=str).replace("\x7f", "\\u007f")


class _Lines(logging.StreamHandler):  # type: ignore[type-arg]
    """Whoever reads our log may go away, and a full disk may refuse it: neither is a reason to stop working."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def setup(*, form: str = TEXT, verbose: bool = False, stream: Optional[TextIO] = None) -> None:
    """Log to ``stream`` (standard error) from here on; ``verbose`` adds debug lines. May be called again."""
    handler = _Lines(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == JSON else TextFormatter())
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _Lines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    # Of the libraries below us only what is wrong; of ourselves what the reader asked for.
    root.setLevel(logging.WARNING)
    logging.getLogger(_ROOT).setLevel(logging.DEBUG if verbose else logging.INFO)

"""Takes typed values out of parsed TOML, and words the errors: file, line, table, key, what is wrong, the nearest name.

Knows nothing of which settings there are.
"""

from __future__ import annotations

import datetime
import re
from typing import Any, Collection, Dict, Mapping, Optional, Tuple, Union

from basket.config.durations import duration
from basket.config.lines import Path, key_lines, line_of
from basket.errors import ConfigError
from basket.spelling import nearest

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Document:
    """The text being read, for its name and its lines."""

    def __init__(self, text: str, file: Optional[str]) -> None:
        self.text = text
        self.file = file
        self._lines: Optional[Dict[Path, int]] = None

    def problem(self, path: Path, what: str, *, name: Optional[Path] = None) -> ConfigError:
        """The error to raise about the key at ``path``, which is shown as ``name`` where that differs."""
        if self._lines is None:  # only ever needed for an error
            self._lines = key_lines(self.text)
        return ConfigError(f"{shown(name or path)}: {what}", file=self.file, line=line_of(self._lines, path))


def shown(path: Path) -> str:
    """``[table] key``, the way it is looked for in the file. A path of one name is a table."""
    if len(path) == 1:
        return f"[{_key(path[0])}]"
    index = path[1]
    if isinstance(index, int):  # an element of [[table]]; people count from one
        return " ".join([f"[[{_key(path[0])}]] number {index + 1}"] + [_key(part) for part in path[2:]])
    table, last = path[:-1], path[-1]
    if isinstance(last, int):
        table, last = path[:-2], f"{_key(path[-2])}, element {last + 1}"
        return f"[{'.'.join(map(_key, table))}] {last}"
    return f"[{'.'.join(map(_key, table))}] {_key(last)}"


def _key(part: Union[str, int]) -> str:
    if isinstance(part, int):
        return str(part)
    if _PLAIN_KEY.match(part):
        return part
    return '"' + _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", part) + '"'


def kind(value: object) -> str:
    """What ``value`` is, in the words of somebody who writes TOML."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, (datetime.date, datetime.time)):
        return "a date or time"
    return type(value).__name__


def known_names(name: str, known: Collection[str]) -> str:
    """The end of a message about an unknown ``name``: the nearest known one, or all of them where none is near."""
    near = nearest(name, known)
    return f"; nearest known name {near!r}" if near else f"; known here: {', '.join(sorted(known))}" if known else ""


def seconds_between(value: object, low: float, high: Optional[float] = None) -> float:
    """``value`` as a duration from ``low`` to ``high`` seconds; ValueError in words to show."""
    try:
        found = duration(value)
    except ValueError as error:
        plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        raise ValueError(str(error) if plain else f"{error}; not {kind(value)}") from None
    if found < low:
        raise ValueError(f"{found:g}s is too short: at least {low:g}s")
    if high is not None and found > high:
        raise ValueError(f"{found:g}s is too long: at most {high:g}s")
    return found


class Table:
    """One table of the file. Keys outside ``known`` are refused at once, and so is every value of a wrong type.

    ``elsewhere`` maps the names of other tables to their keys, to say where a misplaced key belongs.
    """

    def __init__(
        self,
        document: Document,
        path: Path,
        values: Mapping[str, Any],
        known: Optional[Collection[str]] = None,
        elsewhere: Optional[Mapping[str, Collection[str]]] = None,
    ) -> None:
        self.document = document
        self.path = path
        self.values = values
        for key in values:
            if known is not None and key not in known:
                homes = [name for name, keys in (elsewhere or {}).items() if key in keys]
                hint = f"; it belongs in {' or '.join(homes)}" if homes else known_names(key, known)
                raise self.error(key, ("unknown key" if path else "unknown table") + hint)

    def error(self, key: str, what: str) -> ConfigError:
        """What to raise about ``key`` of this table; about the table itself where ``key`` is empty."""
        return self.document.problem(self.path + (key,) if key else self.path, what)

    def _expected(self, key: str, what: str, example: str = "") -> ConfigError:
        example = f", such as {example}" if example else ""
        return self.error(key, f"expected {what}{example}, not {kind(self.values[key])}")

    def text(self, key: str, example: str = "") -> Optional[str]:
        """A string on one line that says something, or None where the key is missing."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._expected(key, "a string", example)
        if not value.strip():
            raise self.error(key, "is empty; leave it out, or give it a value")
        if _CONTROL.search(value):
            raise self.error(key, "holds a line break or another control character")
        return value

    def file_path(self, key: str) -> Optional[str]:
        """A path, or None. Nothing in it is expanded, so what looks as if it should be is refused."""
        value = self.text(key, '"/etc/zester/a-file"')
        if value is not None and (value.startswith("~") or "${" in value):
            raise self.error(key, f"{value!r}: neither '~' nor '${{...}}' is expanded; write the whole path")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"expected true or false, without quotes, not {kind(value)}")
        return value

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._expected(key, f"a whole number from {low} to {high}, without quotes")
        if not low <= value <= high:
            raise self.error(key, f"{value} is not a whole number from {low} to {high}")
        return value

    def seconds(self, key: str, default: float, low: float, high: Optional[float] = None) -> float:
        """A duration from ``low`` to ``high`` seconds."""
        try:
            return seconds_between(self.values.get(key, default), low, high)
        except ValueError as error:
            raise self.error(key, str(error)) from None

    def strings(self, key: str, example: str) -> Tuple[str, ...]:
        """A list of strings, none of them empty; () where the key is missing."""
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not value:
            got = "an empty one" if value == [] else kind(value)
            raise self.error(key, f"expected a list of strings, such as {example}, not {got}")
        for index, item in enumerate(value):
            if not isinstance(item, str) or not item or "\0" in item:
                got = "one with a NUL byte" if isinstance(item, str) and item else kind(item) if item != "" else "an empty one"
                raise self.document.problem(self.path + (key, index), f"expected a string, not {got}")
        return tuple(value)

    def mapping(self, key: str) -> Dict[str, Any]:
        """The table at ``key`` as it is; {} where it is missing."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            hint = f"; write [{shown(self.path + (key,)).strip('[]')}], not [[...]]" if _tables(value) else ""
            raise self.error(key, f"expected a table, not {kind(value)}{hint}")
        return value

    def table(self, key: str, known: Collection[str], elsewhere: Optional[Mapping[str, Collection[str]]] = None) -> Table:
        """The table at ``key``; an empty one where it is missing."""
        return Table(self.document, self.path + (key,), self.mapping(key), known, elsewhere)


def _tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)

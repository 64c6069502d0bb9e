"""[basket.functions]: finds the functions in what TOML made of the names, and when each of them is due.

What a function may be, and which arguments it takes, is decided in basket.functions.
"""

from __future__ import annotations

from typing import Any, Callable, Collection, Dict, Iterator, List, Mapping, Tuple

from basket.config.lines import Path
from basket.config.reading import Document, kind, seconds_between
from basket.config.sections import Scheduled
from basket.errors import ConfigError, InvalidKeyError
from basket.keys import check_function
from basket.spelling import nearest

SHORTEST = 0.1
"""Seconds between two runs of a function, at least."""


def read_functions(
    document: Document,
    table: Path,
    written: Mapping[str, Any],
    *,
    interval: float,
    timeout: float,
    custom_facts: Mapping[str, Any],
) -> Tuple[Scheduled, ...]:
    """The functions of ``written``, which stands at ``table``, sorted by name. ``interval`` and ``timeout``, in seconds,
    hold for those that name none. Starts one process where there are names that only other packages may know."""
    if not written:
        return ()
    from basket.functions import Plugins, define, foreign  # not wanted by those who only ask

    found = {entry.name: _Function(entry, interval, timeout) for entry in entries(document, table, written, _described)}
    asked = (foreign(name, one.options, custom_facts) for name, one in found.items())
    plugins = Plugins(name for name in asked if name is not None)
    functions: Dict[str, Scheduled] = {}
    for name, one in found.items():
        try:
            function = define(name, one.options, custom_facts=custom_facts, others=found, plugins=plugins)
        except ConfigError as error:
            raise one.entry.error(str(error) + one.meant(), error.key) from error
        functions[name] = Scheduled(function=function, interval=one.interval, timeout=one.timeout)
    return tuple(functions[name] for name in sorted(functions))


def walk(written: Mapping[str, Any], ends: Callable[[str, Path, Collection[str]], bool]) -> Iterator[Tuple[str, Path, Any]]:
    """(name, path, what stands there) of each function.

    TOML makes nested tables of names without quotes. They are followed down to something that is no table, or an empty one,
    or one at which ``ends(name, path, its keys)`` says that the name ends.
    """
    stack: List[Tuple[str, Path, Any]] = [(key, (key,), value) for key, value in reversed(list(written.items()))]
    while stack:
        name, path, value = stack.pop()
        if not isinstance(value, dict) or not value or ends(name, path, value):
            yield name, path, value
        else:
            stack.extend((f"{name}.{key}", path + (key,), deeper) for key, deeper in reversed(list(value.items())))


def _described(name: str, path: Path, keys: Collection[str]) -> bool:
    """Whether a table with these keys is about the function ``name``, and not one more part of a dotted name."""
    from basket.functions import KEYS
    from basket.functions.builtin import BUILTINS

    own = BUILTINS[name].arguments if name in BUILTINS else ()
    # A key with a dot in it was quoted, so it is a whole name, or the end of one.
    return "." in str(path[-1]) or any(key in KEYS or key in own for key in keys)


class Entry:
    """What stands under the name of a function in the file."""

    def __init__(self, document: Document, table: Path, path: Path, name: str, written: Any) -> None:
        self.document = document
        self.path = table + path
        self.shown = table + (name,)
        self.name = name
        self.written = written

    def error(self, what: str, key: str = "") -> ConfigError:
        """Named by its whole name, however that was written; the line is that of ``key`` within it."""
        return self.document.problem(self.path + ((key,) if key else ()), what, name=self.shown)


def entries(
    document: Document, table: Path, written: Mapping[str, Any], ends: Callable[[str, Path, Collection[str]], bool]
) -> Iterator[Entry]:
    """What ``walk`` finds in ``written``, which stands at ``table``; ConfigError for what is no name or stands there twice."""
    seen = set()
    for name, path, value in walk(written, ends):
        # Without quotes the name has become a path of tables; people look for it as one name.
        entry = Entry(document, table, path, name, value)
        try:
            check_function(name)
        except InvalidKeyError as error:
            raise entry.error(str(error)) from None
        if name in seen:
            raise entry.error("stands there twice, with quotes and without")
        seen.add(name)
        yield entry


class _Function:
    """An entry of [basket.functions]: its table without interval and timeout, and these in seconds."""

    def __init__(self, entry: Entry, interval: float, timeout: float) -> None:
        self.entry = entry
        self.options: Dict[str, Any] = {}
        self.interval = interval
        self.timeout = timeout
        written = entry.written
        if isinstance(written, dict):
            self.options.update(written)
            self.interval = self._seconds("interval", interval)
            self.timeout = self._seconds("timeout", timeout)
        elif isinstance(written, (str, int, float)) and not isinstance(written, bool):
            try:
                self.interval = seconds_between(written, SHORTEST)
            except ValueError as error:
                raise entry.error(str(error) + self.meant()) from None
        else:
            hint = self.meant() or ("; a command is written { command = [...] }" if isinstance(written, list) else "")
            raise entry.error(f'expected an interval, such as "5m", or a table, not {kind(written)}{hint}')

    def _seconds(self, key: str, default: float) -> float:
        try:
            return seconds_between(self.options.pop(key, default), SHORTEST)
        except ValueError as error:
            raise self.entry.error(f"{key}: {error}", key) from None

    def meant(self) -> str:
        """A hint where the last part of an unknown name is rather a misspelt key of the table around it."""
        from basket.functions import KEYS

        entry = self.entry
        last = str(entry.path[-1])
        if isinstance(entry.written, dict) or entry.path[-2:-1] == entry.shown[-2:-1]:
            return ""
        near = nearest(last, KEYS)
        return f" (or is {last!r} meant as a key of the table around it; nearest known name {near!r}?)" if near else ""

"""[basket.functions]: finds the functions in what TOML made of the names, and when each of them is due.

What a function may be, and which arguments it takes, is decided in basket.functions.
"""

from __future__ import annotations

from typing import Any, Callable, Collection, Dict, Iterator, List, Mapping, Tuple

from basket.config.lines import Path
from basket.config.reading import Document, kind, nearest, seconds_between
from basket.config.sections import Scheduled
from basket.errors import ConfigError, InvalidKeyError
from basket.keys import check_function

SHORTEST = 0.1
"""Seconds between two runs of a function, at least."""

DEFINING = frozenset(("command", "value", "file", "python", "function", "interval", "timeout", "json", "shell"))
"""Keys by which a nested table is known to describe a function, and not to be one more part of a dotted name."""


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
    hold for those that name none."""
    found: Dict[str, Scheduled] = {}
    for name, path, value in walk(written, _built_in_arguments):
        # Without quotes the name has become a path of tables; people look for it as one name.
        entry = _Entry(document, table, table + path, name)
        if name in found:
            raise entry.error("stands there twice, with quotes and without")
        found[name] = _scheduled(entry, value, interval, timeout, custom_facts)
    return tuple(found[name] for name in sorted(found))


def walk(written: Mapping[str, Any], arguments_of: Callable[[str], Collection[str]]) -> Iterator[Tuple[str, Path, Any]]:
    """(name, path, what stands there) of each function. ``arguments_of``: the arguments of a built-in function.

    TOML makes nested tables of names without quotes. A key with a dot in it was quoted, so it is a whole name (or the end
    of one); else tables are followed down to one that describes a function, or to something that is no table.
    """
    stack: List[Tuple[str, Path, Any]] = [(key, (key,), value) for key, value in reversed(list(written.items()))]
    while stack:
        name, path, value = stack.pop()
        leaf = not isinstance(value, dict) or not value or "." in str(path[-1])
        if leaf or not DEFINING.isdisjoint(value) or not set(arguments_of(name)).isdisjoint(value):
            yield name, path, value
        else:
            stack.extend((f"{name}.{key}", path + (key,), deeper) for key, deeper in reversed(list(value.items())))


def _built_in_arguments(name: str) -> Collection[str]:
    from basket.functions import catalogue  # the registry is not wanted by those who only ask

    return next((builtin.arguments for builtin in catalogue(plugins=False) if builtin.name == name), ())


class _Entry:
    """One function as it stands in the file."""

    def __init__(self, document: Document, table: Path, path: Path, name: str) -> None:
        self.document = document
        self.path = path
        self.shown = table + (name,)
        self.name = name

    def error(self, what: str, key: str = "") -> ConfigError:
        """Named by its whole name, however that was written; the line is that of ``key`` within it."""
        return self.document.problem(self.path + ((key,) if key else ()), what, name=self.shown)

    def seconds(self, key: str, value: object) -> float:
        try:
            return seconds_between(value, SHORTEST)
        except ValueError as error:
            raise self.error(f"{key}: {error}" if key else str(error), key) from None


def _scheduled(entry: _Entry, written: Any, interval: float, timeout: float, custom_facts: Mapping[str, Any]) -> Scheduled:
    from basket.functions import define

    try:
        check_function(entry.name)
    except InvalidKeyError as error:
        raise entry.error(str(error)) from None
    options: Dict[str, Any] = {}
    if isinstance(written, dict):
        options.update(written)
        interval = entry.seconds("interval", options.pop("interval", interval))
        timeout = entry.seconds("timeout", options.pop("timeout", timeout))
    elif isinstance(written, (str, int, float)) and not isinstance(written, bool):
        interval = entry.seconds("", written)
    else:
        hint = "; a command is written { command = [...] }" if isinstance(written, list) else ""
        raise entry.error(f'expected an interval, such as "5m", or a table, not {kind(written)}{hint}')
    try:
        function = define(entry.name, options, custom_facts=custom_facts)
    except ConfigError as error:
        problem = str(error) if isinstance(written, dict) else str(error) + _meant(entry)
        raise entry.error(problem, _culprit(str(error), options)) from error
    return Scheduled(function=function, interval=interval, timeout=timeout)


def _culprit(message: str, options: Mapping[str, Any]) -> str:
    """The option that ``message`` is about, as far as its words tell; only used to find the line."""
    quoted = [key for key in options if f"'{key}'" in message or f'"{key}"' in message]
    return quoted[0] if len(quoted) == 1 else ""


def _meant(entry: _Entry) -> str:
    """A hint where the last part of an unknown name is rather a misspelt key of the table around it."""
    last = entry.path[-1]
    if not isinstance(last, str) or entry.path[-2:-1] == entry.shown[-2:-1]:
        return ""
    hint = nearest(last, DEFINING)
    return f" (or is {last!r} meant as a key of the table around it{hint}?)" if "nearest" in hint else ""

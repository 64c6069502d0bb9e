"""Python functions of others, called in a process of their own so that a hanging one can be ended."""

from __future__ import annotations

import sys
from typing import Any, Collection, Dict, Iterable, List, Mapping, Optional

from basket.functions.outcome import harmless

# The child takes over our import path before it imports anything, so nothing in its working directory gets in between.
_START = "import sys; sys.path[:] = sys.argv[2:]; from basket.functions.child import main; main(int(sys.argv[1]))"

DESCRIBE_TIMEOUT = 10.0
"""Seconds that importing plugins may take when a configuration is read."""


class PythonError(Exception):
    """Why it failed, on one line."""


def call(what: str, arguments: Mapping[str, Any], *, timeout: float) -> Any:
    """What ``module:callable`` returns. PythonError otherwise."""
    return _ask({"do": "call", "what": what, "arguments": dict(arguments)}, timeout)


class Plugins:
    """Entry points of our group by their names. All of ``names`` are looked for at once, when the first of them is wanted."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.known: List[str] = []  # every name there is, once one was looked for
        self._wanted = set(names)
        self._found: Dict[str, Optional[Dict[str, Any]]] = {}

    def find(self, name: str) -> Optional[Dict[str, Any]]:
        """That entry point with its signature, None where there is none. PythonError where it cannot be looked at."""
        wanted, self._wanted = self._wanted | {name}, set()
        if name not in self._found:
            try:
                self._look(wanted)
            except PythonError:
                if len(wanted) == 1:
                    raise
                # One of them hangs, or ends the process: each is looked for alone, so that the error names the right one.
                self._look({name})
        row = self._found[name]
        if row is not None and "error" in row:
            raise PythonError(row["error"])
        return row

    def _look(self, names: Collection[str]) -> None:
        answer = _ask({"do": "find", "names": sorted(names)}, DESCRIBE_TIMEOUT)
        self.known = answer["names"]
        self._found.update({name: answer["found"].get(name) for name in names})


def all_plugins(*, load: bool) -> List[Dict[str, Any]]:
    """Every entry point of our group; with ``load`` each is imported for its summary and arguments. PythonError otherwise."""
    found: List[Dict[str, Any]] = _ask({"do": "all", "load": load}, DESCRIBE_TIMEOUT)
    return found


def _ask(request: Mapping[str, Any], timeout: float) -> Any:
    from basket.codec import decode, encode  # loaded by those who call one, not by those who just know the names
    from basket.functions.command import explain, last_line
    from basket.functions.process import execute

    if not sys.executable:
        raise PythonError("this Python does not know its own executable, so it cannot run functions")
    path = [entry for entry in sys.path if isinstance(entry, str)]
    try:
        outcome = execute([sys.executable, "-c", _START, "{channel}", *path], timeout=timeout, request=encode(dict(request)))
    except (OSError, ValueError) as error:
        raise PythonError(f"cannot start {sys.executable}: {harmless(str(error))}") from None
    if outcome.ended or outcome.reply is None:
        raise PythonError(explain(outcome, timeout) or "ended without a result" + last_line(outcome.errors))
    answer = decode(outcome.reply)
    if "error" in answer:
        raise PythonError(answer["error"])
    return decode(answer["value"])

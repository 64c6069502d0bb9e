"""Python functions of others, called in a process of their own so that a hanging one can be ended."""

from __future__ import annotations

import sys
from typing import Any, Dict, List, Mapping, Sequence

from basket.codec import decode, encode
from basket.functions.outcome import harmless

# The child takes over our import path before it imports anything, so nothing in its working directory gets in between.
_START = "import sys; sys.path[:] = sys.argv[2:]; from basket.functions.child import main; main(int(sys.argv[1]))"

DESCRIBE_TIMEOUT = 10.0
"""Seconds that importing a plugin may take when a configuration is read."""


class PythonError(Exception):
    """Why it failed, on one line."""


def call(what: str, arguments: Mapping[str, Any], *, timeout: float, search_path: Sequence[str] = ()) -> Any:
    """What ``module:callable`` returns. PythonError otherwise."""
    return _ask({"do": "call", "what": what, "arguments": dict(arguments)}, timeout, search_path)


def find_plugin(name: str) -> Dict[str, Any]:
    """The entry point of that name with its signature, or {"names": [...]} of those there are. PythonError otherwise."""
    found: Dict[str, Any] = _ask({"do": "find", "name": name}, DESCRIBE_TIMEOUT, ())
    return found


def all_plugins(*, load: bool) -> List[Dict[str, Any]]:
    """Every entry point of our group; with ``load`` each is imported for its summary and arguments. PythonError otherwise."""
    found: List[Dict[str, Any]] = _ask({"do": "all", "load": load}, DESCRIBE_TIMEOUT, ())
    return found


def _ask(request: Mapping[str, Any], timeout: float, search_path: Sequence[str]) -> Any:
    from basket.functions.command import explain, last_line
    from basket.functions.process import execute

    if not sys.executable:
        raise PythonError("this Python does not know its own executable, so it cannot run functions")
    path = [entry for entry in sys.path if isinstance(entry, str)] + list(search_path)
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

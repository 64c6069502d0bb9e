"""One function computed now, whatever its kind; every way to fail becomes a FunctionError with a reason of one line."""

from __future__ import annotations

import sys
from typing import Any, Mapping

from basket.errors import BasketError, FunctionError
from basket.functions.function import Function
from basket.functions.outcome import as_json, describe_exception, harmless


def run(
    function: Function,
    *,
    timeout: float,
    custom_facts: Mapping[str, Any] = {},
) -> Any:
    """The value of ``function`` now. FunctionError where it fails, or is not done after ``timeout`` seconds.

    Blocks until then, any thread, any number at once. Commands and Python functions are ended at their timeout with
    all their children.
    """
    from basket.codec import encode
    from basket.functions.command import CommandError
    from basket.functions.python import PythonError
    from basket.functions.watched import Late

    try:
        value = _compute(function, timeout, custom_facts)
        if function.kind in ("command", "file") and function.arguments.get("json"):
            encode(value)  # JSON can hold numbers and strings that MessagePack cannot
        return value
    except FunctionError:
        raise
    except (BasketError, CommandError, PythonError, Late, LookupError, ValueError) as error:
        # Written for people already. A bare KeyError or IndexError is not: it is a bug, and needs its type.
        plain = type(error) not in (KeyError, IndexError) and not isinstance(error, UnicodeError)
        reason = harmless(str(error)) if plain else ""
        raise FunctionError(function.name, reason or describe_exception(error)) from error
    except OSError as error:
        raise FunctionError(function.name, _os_reason(error)) from error
    except Exception as error:
        raise FunctionError(function.name, describe_exception(error)) from error


def stop_all() -> None:
    """End every process group that ``run`` still has open, and wait until they are gone: SIGTERM, SIGKILL a second later,
    or at once when called again meanwhile. Any thread. A ``run`` called after this is not touched.
    """
    # Not loaded, or another thread is just loading it: then nothing has been started.
    end = getattr(sys.modules.get("basket.functions.group"), "stop_all", None)
    if end is not None:
        end()


def _compute(function: Function, timeout: float, custom_facts: Mapping[str, Any]) -> Any:
    kind, what, arguments = function.kind, function.what, function.arguments
    if kind == "value":
        return what
    if kind == "command":
        from basket.functions.command import output_of

        text = output_of(what, timeout=timeout)
        return as_json(text, "what it printed") if arguments.get("json") else text
    if kind in ("python", "plugin"):
        from basket.functions import python

        return python.call(what, arguments, timeout=timeout)

    from basket.functions.watched import watched

    if kind == "file":
        from basket.functions.reading import read_file

        text = watched(function.name, lambda: read_file(what), timeout=timeout).strip()
        return as_json(text, what) if arguments.get("json") else text
    if kind == "builtin":
        from basket.functions import builtin

        return watched(function.name, lambda: builtin.call(what, arguments), timeout=timeout)
    from basket import facts

    return watched(function.name, lambda: facts.lookup(what, custom_facts), timeout=timeout)


def _os_reason(error: OSError) -> str:
    text = error.strerror or str(error) or type(error).__name__
    return harmless(f"{error.filename}: {text}" if error.filename else text)

"""The commands that go with a template: ``check`` on the staged file, ``reload`` after. Run to their end, or ended as a group."""

from __future__ import annotations

from typing import Sequence

from basket.errors import CommandFailedError
from basket.logs import Log

_log = Log("basket.template")

PLACE = "{path}"
"""Stands for the file's path in a word of a command."""

_SHOWN = 2000
"""Characters of a command's output in the log."""


def filled(command: Sequence[str], path: str) -> Sequence[str]:
    """The command with ``path`` in place of ``{path}``."""
    return tuple(word.replace(PLACE, path) for word in command)


def run(step: str, command: Sequence[str], *, about: str, timeout: float) -> None:
    """Run it, at most ``timeout`` seconds: then it is ended, with all it started. CommandFailedError where it fails.

    What it printed goes to the log. ``step`` is "check" or "reload", ``about`` the destination. Blocks; any thread.
    """
    from basket.functions.command import explain, not_started
    from basket.functions.outcome import harmless
    from basket.functions.process import execute

    shown = " ".join(command)
    try:
        outcome = execute(list(command), timeout=timeout)
    except OSError as error:
        raise _failed(step, about, not_started(list(command), error)) from None
    except ValueError as error:  # a NUL byte in a path
        raise _failed(step, about, f"cannot start it: {error}") from None
    said = harmless((outcome.output + b"\n" + outcome.errors).decode("utf-8", "replace"), _SHOWN)
    problem = explain(outcome, timeout)
    if problem:
        _log.error(f"{step} failed", destination=about, command=shown, reason=problem, output=said or None)
        raise _failed(step, about, problem)
    _log.info(f"{step} done", destination=about, command=shown, output=said or None)


def _failed(step: str, about: str, reason: str) -> CommandFailedError:
    return CommandFailedError(f"{about}: the {step} command failed: {reason}", step=step, reason=reason)

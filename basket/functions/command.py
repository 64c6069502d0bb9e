"""Commands: from their outcome to a value, or to the reason why there is none."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING, Sequence, Union

from basket.functions.outcome import OUTPUT_MAX, as_text, harmless, size_text

if TYPE_CHECKING:
    from basket.functions.process import Outcome


class CommandError(Exception):
    """Why it failed, on one line."""


def output_of(command: Union[str, Sequence[str]], *, timeout: float) -> str:
    """What it printed, without white space at the ends. CommandError otherwise; ValueError where that is no text."""
    from basket.functions.process import execute

    try:
        outcome = execute(command, timeout=timeout)
    except OSError as error:
        raise CommandError(not_started(command, error)) from None
    problem = explain(outcome, timeout)
    if problem:
        raise CommandError(problem)
    return as_text(outcome.output, "what it printed").strip()


def explain(outcome: Outcome, timeout: float) -> str:
    """Why this outcome is a failure; empty where it is none."""
    said = last_line(outcome.errors)
    if outcome.ended == "timeout":
        return f"still running after {timeout:g} s, so it was ended{said}"
    if outcome.ended == "stopped":
        return "ended, since the agent is stopping"
    if outcome.ended == "output":
        return f"printed more than {size_text(OUTPUT_MAX)}, so it was ended"
    if outcome.ended == "stuck":
        return f"still running after {timeout:g} s, and cannot be ended: it waits in the kernel"
    if outcome.status < 0:
        return f"killed by {_signal_name(-outcome.status)}{said}"
    if outcome.status > 0:
        return f"exit status {outcome.status}{said}"
    return ""


def last_line(errors: bytes) -> str:
    """The last line on standard error, to stand behind a reason; empty where there is none."""
    lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    return f": {harmless(lines[-1], 300)}" if lines else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def not_started(command: Union[str, Sequence[str]], error: OSError) -> str:
    """Why this command could not be started."""
    program = "/bin/sh" if isinstance(command, str) else command[0]
    found = program if "/" in program else shutil.which(program)
    shown = harmless(program, 200)
    if isinstance(error, FileNotFoundError):
        if found and os.path.exists(found):
            return f"cannot start {shown}: the interpreter that its first line names does not exist"
        return f"command not found: {shown}"
    if isinstance(error, PermissionError):
        what = "is a directory" if os.path.isdir(program) else "is not executable, or may not be executed by this user"
        return f"{shown} {what}"
    return f"cannot start {shown}: {harmless(error.strerror or str(error))}"

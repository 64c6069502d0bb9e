"""Which error ends the command with which status, and how it is told: one line, no traceback, what to do next.

====  =========================================================================================
0     at least one value
1     reached, but nothing there (or the function that was run failed)
2     wrong usage, configuration, target, template or value
3     NATS unreachable, timed out, refused; or the outcome of a write is unknown
4     the check or reload command of a template failed
70    a bug of ours: please report it
74    standard output cannot be written
130   Ctrl-C
====  =========================================================================================
"""

from __future__ import annotations

import sys
import traceback
from typing import List, Tuple, Type

from basket import errors
from basket.cli.output import OutputError, message
from basket.visible import visible, width

OK = 0
NOTHING = 1
USAGE = 2
SERVER = 3
COMMAND = 4
BUG = 70
OUTPUT = 74
INTERRUPTED = 130

# The first row that fits. What is not here is wrong usage: the caller has to change something.
CODES: Tuple[Tuple[Type[BaseException], int], ...] = (
    (errors.MissingError, NOTHING),
    (errors.FunctionError, NOTHING),
    (errors.DecodeError, NOTHING),
    (errors.TooFewError, NOTHING),
    (errors.RefusedValuesError, NOTHING),
    (errors.CommandFailedError, COMMAND),
    (errors.ServerError, SERVER),
    (errors.OutcomeUnknownError, SERVER),
    (errors.ClosedError, SERVER),
    (errors.BasketError, USAGE),
    (OutputError, OUTPUT),
    (KeyboardInterrupt, INTERRUPTED),
)

# What to do next, where the error itself says only what happened: the library does not know of options and commands.
ADVICE: Tuple[Tuple[Type[BaseException], str], ...] = (
    (errors.UnreachableError, "is it running, and is the address right (--server, or url under [nats])?"),
    (errors.AuthError, "see user, password, token, credentials and nkey_seed under [nats], or the user part of --server"),
    (errors.PermissionDeniedError, "whoever runs the NATS server has to allow it"),
    (errors.BasketTimeoutError, "try again, or wait longer with --timeout"),
)


class UsageError(errors.BasketError):
    """The arguments do not go together, or one of them cannot be used."""


def code(error: BaseException) -> int:
    """The exit status for ``error``; 70 for one that nobody expected."""
    if isinstance(error, errors.PublishError):
        return max((code(each) for each in error.failed.values()), default=SERVER)
    for kind, status in CODES:
        if isinstance(error, kind):
            return status
    return BUG


def tell(error: BaseException, *, verbose: bool = False) -> int:
    """Say on standard error what went wrong, and return the exit status."""
    status = code(error)
    if verbose and not isinstance(error, KeyboardInterrupt):
        traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        pass
    elif isinstance(error, errors.TargetError):
        message(*caret(error))
    elif status == BUG:
        again = "" if verbose else "; run it again with -v for the whole story"
        message(f"unexpected {type(error).__name__}: {error}. This is a bug in zester-basket, please report it{again}")
    else:
        message("; ".join([str(error), *(advice for kind, advice in ADVICE if isinstance(error, kind))]))
    return status


def caret(error: errors.TargetError) -> List[str]:
    """The problem, the expression, and a caret under the place."""
    expected = f"; expected {error.expected}" if error.expected else ""
    if not error.expression.strip():
        return [f"bad target: {error.problem}{expected}"]
    before = visible(error.expression[: error.position])
    return [f"bad target: {error.problem}{expected}", f"  {visible(error.expression)}", "  " + " " * width(before) + "^"]

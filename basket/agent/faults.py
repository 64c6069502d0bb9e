"""What a failure means to the agent: whether it passes by itself, and its reason in one line. Pure."""

from __future__ import annotations

from basket.errors import (
    BasketError,
    ClosedError,
    FunctionError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ServerError,
    UnreachableError,
)


def passing(error: BaseException) -> bool:
    """Whether the same write may well work later: trouble of the connection or the server, not of the value or the grants."""
    if isinstance(error, PermissionDeniedError):
        return False
    return isinstance(error, (ServerError, OutcomeUnknownError, ClosedError))


def cut_off(error: BaseException) -> bool:
    """Whether there was no connection to try it on; the connection itself tells of that."""
    return isinstance(error, (UnreachableError, ClosedError))


def reason(error: BaseException) -> str:
    """Why, in one line, for the log."""
    if isinstance(error, FunctionError):
        return error.reason
    text = str(error)
    if isinstance(error, BasketError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

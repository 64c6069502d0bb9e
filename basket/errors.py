"""Every exception this package raises, drawn as one tree. Imports nothing of ours, so any room may use it.

BasketError
├── ConfigError                 the configuration file or an argument to connect() is wrong
├── TargetError (ValueError)    a target expression cannot be read; carries the position
├── InvalidKeyError (ValueError)  a peel id or function name that cannot be a key
├── MissingError (KeyError)     one value was asked for by name and is not there
├── EncodeError (TypeError)     a value that MessagePack cannot carry
├── DecodeError (ValueError)    bytes in a bucket that are not one MessagePack value
├── ValueTooLargeError (ValueError)  larger than the server accepts
├── FunctionError               a configured function failed, or ran past its timeout
├── PublishError                publish_many: some were written, the named ones were not
├── TemplateError               a template has a mistake, or cannot be rendered; carries file and line
│   ├── UnprintableError        it prints a value with a line break or another control character in it
│   ├── RefusedValuesError      there are values, but none that can be decoded and is what was expected
│   └── TooFewError             fewer entries than its min, or a basket that looks wiped
├── DestinationError            the file that a template is to become cannot be written
├── CommandFailedError          the check or reload command of a template failed
├── OutcomeUnknownError         a write was sent and its acknowledgement never came
├── ClosedError                 this Basket has been closed
├── WrongThreadError            a blocking call made on the thread that must never block
└── ServerError                 NATS answered, or failed to: everything a retry later may cure
    ├── UnreachableError (ConnectionError)  no connection
    ├── BasketTimeoutError (TimeoutError)   connected, but no answer before the deadline
    ├── JetStreamError          the server has no JetStream, or its API refused the request
    │   └── BucketMissingError  the bucket is not there and could not be made
    ├── AuthError               the server refused these credentials; retrying cannot help
    └── PermissionDeniedError   the credentials are good but not for this subject
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type


class BasketError(Exception):
    """Root of everything raised by this package. Errors can be pickled: a pool's worker process may raise any of them."""

    def __reduce__(self) -> Tuple[Any, ...]:
        # The usual way calls the class with the finished message, which is not what these constructors take.
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: Type[BasketError], args: Tuple[Any, ...], state: Dict[str, Any]) -> BasketError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(BasketError):
    """A setting is wrong. The message names file, table, key and (where known) the line; ``key`` is the one to blame, if any."""

    def __init__(self, message: str, *, file: Optional[str] = None, line: Optional[int] = None, key: str = "") -> None:
        where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(where + message)
        self.file = file
        self.line = line
        self.key = key


class TargetError(BasketError, ValueError):
    """A target expression that cannot be read, or that cost too much to match.

    ``position`` counts characters from 0 into ``expression``; ``expected`` says what should stand there.
    """

    def __init__(self, problem: str, *, expression: str, position: int = 0, expected: str = "") -> None:
        hint = f"; expected {expected}" if expected else ""
        super().__init__(f"bad target {expression!r}, at character {position + 1}: {problem}{hint}")
        self.problem = problem
        self.expression = expression
        self.position = position
        self.expected = expected


class InvalidKeyError(BasketError, ValueError):
    """A peel id or function name that cannot stand in a key."""


class MissingError(BasketError, KeyError):
    """The value asked for by name is not there. Also a KeyError, so ``except KeyError`` works."""

    def __str__(self) -> str:  # KeyError would print the message in quotes
        return str(self.args[0]) if self.args else ""


class EncodeError(BasketError, TypeError):
    """A value that MessagePack cannot carry; the message says where in it the culprit stands."""


class DecodeError(BasketError, ValueError):
    """Bytes that are not exactly one well-formed MessagePack value."""


class ValueTooLargeError(BasketError, ValueError):
    """Encoded, the value is larger than the server accepts. ``size`` and ``limit`` are in bytes."""

    def __init__(self, message: str, *, size: int, limit: int) -> None:
        super().__init__(message)
        self.size = size
        self.limit = limit


class FunctionError(BasketError):
    """A function failed, or ran past its timeout. ``function`` is its name, ``reason`` one line."""

    def __init__(self, function: str, reason: str) -> None:
        super().__init__(f"{function}: {reason}")
        self.function = function
        self.reason = reason


_FEW = 5


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")


class PublishError(BasketError):
    """Some of ``publish_many``, or of the deletions of ``flush``, failed. ``failed``: function -> error; ``published``:
    function -> revision of what was done."""

    def __init__(self, failed: Mapping[str, BasketError], published: Mapping[str, int], *, done: str = "published") -> None:
        reasons: Dict[str, List[str]] = {}
        for name, error in failed.items():
            reasons.setdefault(str(error), []).append(name)
        # One reason is often that of all of them, and there may be thousands.
        told = [f"{_few(names)}: {reason}" for reason, names in list(reasons.items())[:_FEW]]
        told += [f"and {len(reasons) - _FEW} more reasons"] if len(reasons) > _FEW else []
        named = "; ".join(told)
        total = len(failed) + len(published)
        super().__init__(f"{len(failed)} of {total} values were not {done}: {named}")
        self.failed = dict(failed)
        self.published = dict(published)


class TemplateError(BasketError):
    """A template that cannot be rendered. ``file`` and ``line`` say where in it, as far as that is known."""

    def __init__(self, problem: str, *, file: Optional[str] = None, line: Optional[int] = None) -> None:
        where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(where + problem)
        self.problem = problem
        self.file = file
        self.line = line


class UnprintableError(TemplateError):
    """A value with a line break or another control character was to be printed. The message names peel and function."""


class RefusedValuesError(TemplateError):
    """Values were found, but none of them can be decoded and looks as it must. The message names the peels."""


class TooFewError(TemplateError):
    """A template got fewer entries than its ``min``, or nothing from a basket that looks wiped."""


class DestinationError(BasketError):
    """The file that a template is to become cannot be written; what was there is as it was."""


class CommandFailedError(BasketError):
    """The check or reload command of a template failed. ``step`` is "check" or "reload", ``reason`` one line."""

    def __init__(self, message: str, *, step: str, reason: str) -> None:
        super().__init__(message)
        self.step = step
        self.reason = reason


class OutcomeUnknownError(BasketError):
    """A write was sent, its acknowledgement never came: it may or may not be stored. Writing again is harmless."""


class ClosedError(BasketError):
    """Used after close()."""


class WrongThreadError(BasketError):
    """A blocking call on the loop's own thread would wait for itself for ever, so it raises instead."""


class ServerError(BasketError):
    """The server could not be asked, or refused."""


class UnreachableError(ServerError, ConnectionError):
    """There is no connection to any of the servers. Also a ConnectionError."""


class BasketTimeoutError(ServerError, TimeoutError):
    """Connected, but the answer did not come before the deadline. Also a TimeoutError."""


class JetStreamError(ServerError):
    """JetStream is not enabled, or its API answered with an error. ``code`` is its error code, or None."""

    def __init__(self, message: str, *, code: Optional[int] = None) -> None:
        super().__init__(message)
        self.code = code


class BucketMissingError(JetStreamError):
    """The bucket does not exist on this server and could not be made."""


class AuthError(ServerError):
    """The server refused these credentials. Kept apart from UnreachableError so that nobody retries a bad password."""


class PermissionDeniedError(ServerError):
    """The credentials may not use this subject. ``subject`` names it."""

    def __init__(self, message: str, *, subject: str = "") -> None:
        super().__init__(message)
        self.subject = subject

"""SIGINT, SIGTERM and SIGHUP as one exception, raised only where nothing would be left behind.

Python raises from a signal handler between any two lines. Between the start of a process and the line that remembers
it, that would leave the process running; so the one who starts processes holds signals back meanwhile.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType
from typing import Any, Dict, Iterator, Optional

_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """One of the signals came. Not an Exception: nothing on the way to the end may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """While entered, in the main thread, the signals raise Interrupted; elsewhere it changes nothing."""

    def __init__(self) -> None:
        self._before: Dict[int, Any] = {}
        self._held = False
        self._pending: Optional[int] = None

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in _CAUGHT:
                self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _came(self, number: int, frame: Optional[FrameType]) -> None:
        if self._held:
            self._pending = number
        else:
            raise Interrupted(number)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keep a signal back until the block has ended; it is raised then."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._pending is not None:
            number, self._pending = self._pending, None
            raise Interrupted(number)

    def ignore(self) -> None:
        """From here on a signal does nothing: what cleans up must not be interrupted by an impatient second Ctrl-C."""
        self._held = True

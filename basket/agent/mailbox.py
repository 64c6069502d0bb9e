"""How the other threads and the signal handlers reach the agent's main thread, which owns all of the agent's state.

A condition would not do: a signal handler runs inside the main thread, possibly while that very thread holds the
condition's lock. Appending to a deque and writing a byte to a pipe can be done at any moment. And ``poll`` counts its
timeout by the monotonic clock on every Python, where lock waits of older ones follow the wall clock when it is set back.
"""

from __future__ import annotations

import math
import os
import select
from collections import deque
from typing import Any, Deque, List, Optional


class Mailbox:
    """``post`` from anywhere, a signal handler included; ``take`` on the main thread only."""

    def __init__(self) -> None:
        self._waiting: Deque[Any] = deque()
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)
        self._poll = select.poll()
        self._poll.register(self._read, select.POLLIN)

    def post(self, letter: Any) -> None:
        """Leave ``letter`` and wake the reader."""
        self._waiting.append(letter)
        try:
            os.write(self._write, b"\0")
        except BlockingIOError:
            pass  # the pipe is full, so the reader is going to wake anyway

    def take(self, timeout: Optional[float]) -> List[Any]:
        """Every letter that is there; where there is none, wait for the first one up to ``timeout`` seconds."""
        if not self._waiting:
            # Rounded up, or the last fraction of a millisecond would be spent in a busy loop.
            self._poll.poll(None if timeout is None else max(0, min(math.ceil(timeout * 1000), 2**31 - 1)))
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            pass
        letters = []
        while self._waiting:
            letters.append(self._waiting.popleft())
        return letters

    def __del__(self) -> None:
        # Not closed before nobody can post any more: a late worker would write into whatever file got the number next.
        os.close(self._write)
        os.close(self._read)

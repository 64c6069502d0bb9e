"""Process groups and the list of those that are open: signalled from any thread, ended together, reaped by their owner."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from typing import Set

GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL."""

BURIAL = 2.0
"""Seconds a killed process may take to vanish; one that waits for a dead disk takes for ever."""

POLL = 0.02
"""Seconds between two looks at a process where the kernel cannot announce its end."""


class Group:
    """One process group, from before its start to its burial. ``stop`` and ``signal`` may be called from any thread."""

    process: subprocess.Popen[bytes]

    def __init__(self) -> None:
        self.stopped = False
        self.done = threading.Event()
        self._lock = threading.RLock()
        self._running = False
        self._missed = 0

    def begin(self, process: subprocess.Popen[bytes]) -> None:
        """It has started. A signal that came meanwhile is sent now."""
        with self._lock:
            self.process = process
            self._running = True
            if self._missed:
                self.signal(self._missed)

    def signal(self, number: int) -> None:
        with self._lock:
            # Until the leader is reaped its number cannot be given to anybody else, so this hits nobody else.
            if not self._running:
                self._missed = number
            else:
                try:
                    os.killpg(self.process.pid, number)
                except (ProcessLookupError, PermissionError):  # all gone; or all that is left runs under another user
                    pass

    def stop(self) -> None:
        """Politely the first time, for good the second."""
        number = signal.SIGKILL if self.stopped else signal.SIGTERM
        self.stopped = True  # first, since its owner looks for the reason as soon as the signal has struck
        self.signal(number)

    def exited(self) -> bool:
        """Whether the leader has come to its end; it stays a zombie, its number taken."""
        try:
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody has set SIGCHLD to be ignored, and the kernel reaped it
            return True

    def bury(self) -> bool:
        """Kill what is left, then reap the leader. False where it does not die."""
        self.signal(signal.SIGKILL)
        deadline = time.monotonic() + BURIAL
        while not self.exited():
            if time.monotonic() > deadline:
                break
            self.done.wait(POLL)
        with self._lock:
            self._running = False
            return self.process.poll() is not None


_lock = threading.RLock()
_open: Set[Group] = set()


def _forget() -> None:
    # A forked child must not signal the groups of its parent, nor wait for a lock that a thread of the parent held.
    global _lock
    _lock = threading.RLock()
    _open.clear()


os.register_at_fork(after_in_child=_forget)


def opened() -> Group:
    """A new group, known to ``stop_all`` before its process starts: it must not miss one that it cannot see yet."""
    group = Group()
    with _lock:
        _open.add(group)
    return group


def closed(group: Group) -> None:
    """Its process is gone, or never came to be."""
    with _lock:
        _open.discard(group)
    group.done.set()


def stop_all(grace: float = GRACE) -> None:
    """End every group that is open or about to start, from any thread: SIGTERM, then SIGKILL after ``grace`` seconds, or
    at once when called a second time meanwhile. Returns when they are gone. What is opened after this call is not
    touched, so stop handing out work first.
    """
    with _lock:
        groups = list(_open)
    for group in groups:
        group.stop()
    deadline = time.monotonic() + grace
    for group in groups:
        if not group.done.wait(max(0.0, deadline - time.monotonic())):
            group.signal(signal.SIGKILL)
    for group in groups:
        group.done.wait(BURIAL)

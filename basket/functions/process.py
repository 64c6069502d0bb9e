"""A child process with everything it starts: started apart, read within bounds, ended as one group.

Each process leads a session and group of its own, so that whatever it starts can be ended with it. The group is ended
when its leader is done, too: what a function leaves running would pile up at every interval. (What must live on calls
``setsid`` itself.) No judgement here: the caller gets bytes and a status.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Union

from basket.functions.group import BURIAL, GRACE, POLL, Group, closed, opened
from basket.functions.streams import Streams


@dataclass(frozen=True)
class Outcome:
    """How it went. ``ended`` is why it was ended from here: "" (it was not), "timeout", "stopped", "output", "stuck"."""

    status: int
    output: bytes
    errors: bytes
    reply: Optional[bytes]
    ended: str


def execute(
    command: Union[str, Sequence[str]],
    *,
    timeout: float,
    grace: float = GRACE,
    request: Optional[bytes] = None,
) -> Outcome:
    """Run ``command`` (a string: with the shell) to its end or for ``timeout`` seconds. OSError where it cannot start.

    With ``request`` the child gets a socket whose number replaces ``{channel}`` in the command; it reads one message
    there (eight bytes of length, then the bytes) and answers with one, which becomes ``Outcome.reply``; what it prints
    counts as errors then.
    """
    group = opened()

    def work() -> Outcome:
        try:
            return _execute(group, command, timeout, grace, request)
        finally:
            closed(group)

    if threading.current_thread() is threading.main_thread():
        return _uninterrupted(group, work)
    return work()


def _uninterrupted(group: Group, work: Callable[[], Outcome]) -> Outcome:
    """Ctrl-C strikes the main thread only. Were it to strike between a start and the note of its process id, that process
    would be nobody's; so it starts on another thread, and the main one just waits.
    """
    outcomes: List[Outcome] = []
    errors: List[BaseException] = []

    def keep() -> None:
        try:
            outcomes.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=keep, name="basket-process", daemon=True)
    try:
        thread.start()
        thread.join()
    except BaseException:
        group.stopped = True
        group.signal(signal.SIGKILL)
        group.done.wait(BURIAL)
        raise
    if errors:
        raise errors[0]
    return outcomes[0]


def _execute(group: Group, command: Union[str, Sequence[str]], timeout: float, grace: float, request: Optional[bytes]) -> Outcome:
    ours: Optional[socket.socket] = None
    theirs: Optional[socket.socket] = None
    if request is not None:
        ours, theirs = socket.socketpair()
        command = [str(theirs.fileno()) if word == "{channel}" else word for word in command]
    try:
        process = subprocess.Popen(
            command,
            shell=isinstance(command, str),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if request is None else subprocess.STDOUT,
            close_fds=True,
            pass_fds=() if theirs is None else (theirs.fileno(),),
            start_new_session=True,
        )
    except BaseException:
        if ours is not None:
            ours.close()
        raise
    finally:
        if theirs is not None:
            theirs.close()
    group.begin(process)
    streams = Streams(process, ours, request)
    try:
        ended = _follow(group, streams, timeout, grace)
    finally:
        gone = group.bury()
        streams.drain()
        streams.close()
    if not gone:
        ended = ended or "stuck"
    elif group.stopped:
        ended = "stopped"
    elif streams.overflowed:
        ended = "output"
    return Outcome(process.returncode or 0, bytes(streams.output), bytes(streams.errors), streams.reply(), ended)


def _follow(group: Group, streams: Streams, timeout: float, grace: float) -> str:
    """Serve the streams until the leader is done, or was ended. Gives the reason if it was."""
    deadline = time.monotonic() + timeout
    ended = ""
    killed = answered = False
    with _Watch(group, streams) as watch:
        while True:
            # After SIGTERM the leader may go first; the others keep the grace as long as they hold a stream.
            if group.exited() and (not ended or killed or not streams.busy()):
                return ended
            if streams.overflowed and not ended:
                ended, deadline = "output", time.monotonic() + grace
                group.signal(signal.SIGTERM)
            if not answered and not ended and streams.reply() is not None:
                answered, deadline = True, min(deadline, time.monotonic() + grace)  # it has said all it had to say
            left = deadline - time.monotonic()
            if left > 0:
                watch.serve(left)
            elif killed or answered:
                return ended
            elif ended:
                killed, deadline = True, time.monotonic() + BURIAL
                group.signal(signal.SIGKILL)
            else:
                ended, deadline = "timeout", time.monotonic() + grace
                group.signal(signal.SIGTERM)


class _Watch:
    """Waits for the streams and for the leader's end at once."""

    def __init__(self, group: Group, streams: Streams) -> None:
        self._group = group
        self._streams = streams
        self._selector = selectors.DefaultSelector()
        self._pidfd = -1

    def __enter__(self) -> _Watch:
        for file in self._streams.open:
            writes = selectors.EVENT_WRITE if file is self._streams.channel else 0
            self._selector.register(file, selectors.EVENT_READ | writes)
        try:
            self._pidfd = os.pidfd_open(self._group.process.pid)  # type: ignore[attr-defined,unused-ignore]
            self._selector.register(self._pidfd, selectors.EVENT_READ)
        except (AttributeError, OSError):  # before Python 3.9 or Linux 5.3, or forbidden: look now and then
            self._pidfd = -1
        return self

    def serve(self, timeout: float) -> None:
        for key, events in self._selector.select(timeout if self._pidfd >= 0 else min(timeout, POLL)):
            file = key.fileobj
            if file == self._pidfd:
                # Ready from now on: it would turn the loop into a spin while others still hold the streams.
                self._selector.unregister(file)
                continue
            if events & selectors.EVENT_WRITE:
                self._streams.send()
                if not self._streams.unsent:
                    self._selector.modify(file, selectors.EVENT_READ)
            if events & selectors.EVENT_READ and self._streams.receive(file) is None:
                self._selector.unregister(file)

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)

"""What comes back to a request: how a thread waits for it, and how its headers and errors are read.

A waiter is filled on the loop's thread and waited for on the caller's. It ends once: answered, dropped with the
connection, or failed.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from basket.bus.wire import Headers
from basket.errors import BasketError


class Reply(NamedTuple):
    """One message as it came."""

    headers: Headers
    data: bytes

    @property
    def status(self) -> int:
        """The status code of a message without a body of its own (404, 503, ...), else 0."""
        return status(self.headers)

    def json(self) -> Dict[str, Any]:
        """The body of a JetStream API answer; an empty dict where it is none."""
        try:
            body = json.loads(self.data)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


def status(headers: Headers) -> int:
    """The inline status of a header block, 0 where there is none.

    What was read from a stream has none either, whatever its writer put there: the server names the stream in it, and
    otherwise one peel's value could pass for the end of everybody's.
    """
    if not headers:
        return 0
    if isinstance(headers, bytes):
        code: Any = headers[9:12] if headers[8:9] == b" " else b""
    else:
        code = headers.get("Status", "")
    if not code or not code.isdigit() or header(headers, "Nats-Stream") is not None:
        return 0
    return int(code)


def header(headers: Headers, name: str) -> Optional[str]:
    """One header; of several with that name the last, since the server appends its own behind those of the writer."""
    if not headers:
        return None
    if not isinstance(headers, bytes):
        return headers.get(name)
    mark = b"\r\n" + name.encode() + b":"
    start = headers.rfind(mark)
    if start < 0:
        return None
    start += len(mark)
    return headers[start : headers.find(b"\r\n", start)].strip().decode("utf-8", "replace")


class Waiter:
    """A thread's place to wait for one message. ``fill`` and ``fail`` on the loop's thread, ``wait`` on the caller's."""

    __slots__ = ("_lock", "asked_again", "dropped", "error", "left", "reply", "sent", "subject", "token")

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.token = b""
        self.reply: Optional[Reply] = None
        self.error: Optional[BasketError] = None
        self.sent = False
        """Whether it may have reached a server: a write that was never sent can simply be sent again."""
        self.left = False
        """Whether the asker has gone, at the deadline or by Ctrl-C."""
        self.dropped = False
        self.asked_again = False
        """Whether the question went out more than once, so that further answers may come."""
        # A bare lock, taken now and released by the answer: the cheapest wait there is, and Ctrl-C interrupts it.
        self._lock = threading.Lock()
        self._lock.acquire()

    @property
    def heard(self) -> int:
        """How many messages have come."""
        return 0

    @property
    def repeatable(self) -> bool:
        """Whether asking again cannot spoil what has come."""
        return True

    def fill(self, index: bytes, headers: Headers, data: bytes) -> bool:
        """Take a message; True when that was the last one awaited."""
        self.reply = Reply(headers, data)
        self._end()
        return True

    def fill_run(self, index: bytes, messages: Sequence[Tuple[Headers, bytes]]) -> bool:
        """The same for several messages in order."""
        return any(self.fill(index, headers, data) for headers, data in messages)

    def fail(self, error: BasketError) -> None:
        self.error = error
        self._end()

    def drop(self) -> None:
        """The connection it waited on is gone."""
        self.dropped = True
        self._end()

    def _end(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:  # ended twice: the first end counts
            pass

    def wait(self, deadline: float) -> bool:
        """True once it ended, False at the deadline (``time.monotonic()``)."""
        # Under a millisecond would turn into "do not wait at all" for a call that comes in late.
        return self._lock.acquire(timeout=max(0.001, min(deadline - time.monotonic(), threading.TIMEOUT_MAX)))


Take = Callable[[Headers, bytes], Any]
"""Called with headers and data of one message, on the thread that waits."""

PART = 1000
"""Messages of a batch after which the one who waits begins to take them in."""


class BatchWaiter(Waiter):
    """Waits for a series of messages that a status line ends. ``taken`` holds what ``take`` made of each, on the waiting
    thread and while the rest is still coming; ``end`` the closing status."""

    __slots__ = ("_take", "_told", "end", "end_headers", "ended", "messages", "single", "taken")

    def __init__(self, subject: str, take: Take) -> None:
        super().__init__(subject)
        self._take = take
        self._told = 0
        self.ended = False
        self.taken: List[Any] = []
        self.messages: List[Tuple[Headers, bytes]] = []
        self.end = 0
        self.end_headers: Headers = None
        self.single = False
        """A server that knows no batches answered with one message, which nothing would ever follow."""

    @property
    def heard(self) -> int:
        return len(self.messages)

    @property
    def repeatable(self) -> bool:
        return not self.messages

    def fill(self, index: bytes, headers: Headers, data: bytes) -> bool:
        if not data:
            code = status(headers)
            if code:
                self.end = code
                self.end_headers = headers
                self._end()
                return True
        self.messages.append((headers, data))
        if len(self.messages) == 1 and header(headers, "Nats-Num-Pending") is None:
            self.single = True
            self._end()
            return True
        return False

    def fill_run(self, index: bytes, messages: Sequence[Tuple[Headers, bytes]]) -> bool:
        if self.fill(index, *messages[0]):
            return True
        self.messages.extend(messages[1:-1])  # only the last can be the closing status
        if len(messages) > 1 and self.fill(index, *messages[-1]):
            return True
        if len(self.messages) - self._told >= PART:
            self._told = len(self.messages)
            super()._end()  # wakes who waits, to take what is here
        return False

    def _end(self) -> None:
        self.ended = True
        super()._end()

    def wait(self, deadline: float) -> bool:
        while super().wait(deadline):
            ended = self.ended  # before the look: what came before the end is here then
            take = self._take
            self.taken.extend([take(headers, data) for headers, data in self.messages[len(self.taken) :]])
            if ended:
                return True
        return False


class ManyWaiter(Waiter):
    """Waits for the answers to many requests, each known by its index. ``replies`` maps index to answer."""

    __slots__ = ("count", "errors", "replies", "subjects")

    def __init__(self, subjects: List[str]) -> None:
        super().__init__("")
        self.subjects = subjects
        self.count = len(subjects)
        self.replies: Dict[int, Reply] = {}
        self.errors: Dict[int, BasketError] = {}

    @property
    def heard(self) -> int:
        return len(self.replies) + len(self.errors)

    def fill(self, index: bytes, headers: Headers, data: bytes) -> bool:
        # The first answer counts: where a write was asked for twice, the second is refused because of the first.
        self.replies.setdefault(int(index or 0), Reply(headers, data))
        return self._check()

    def fail_one(self, index: int, error: BasketError) -> bool:
        """One of them was refused; True when that was the last one awaited."""
        self.errors[index] = error
        return self._check()

    def _check(self) -> bool:
        if len(self.replies) + len(self.errors) < self.count:
            return False
        self._end()
        return True


class LoopWaiter(Waiter):
    """The same for work that runs on the loop itself: ``future`` is done once it ended."""

    __slots__ = ("future",)

    def __init__(self, subject: str, future: asyncio.Future[None]) -> None:
        super().__init__(subject)
        self.future = future

    def _end(self) -> None:
        if not self.future.done():
            self.future.set_result(None)

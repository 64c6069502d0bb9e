"""How a thread waits for what comes back to a request, and who waits for what.

A waiter is filled on the loop's thread and waited for on the caller's. It ends once: answered, dropped with the
connection, or failed.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from basket.bus import translate
from basket.bus.headers import Headers, Reply, header, status
from basket.bus.wire import Receiver, RunReceiver
from basket.errors import BasketError


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

    def address(self) -> str:
        """Where the next question wants its answer, below our inbox."""
        return self.token.decode()

    def fill(self, index: bytes, headers: Headers, data: bytes) -> bool:
        """Take a message; True when that was the last one awaited. ``index``: what stands behind the token in its subject."""
        self.reply = Reply(headers, data)
        self._end()
        return True

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
"""Called with headers and data of one message, on the loop's thread; None for one that counts for nothing."""

TakeRun = Callable[[bytes, int, bytes, List[Any]], int]
"""The same for a run of messages (see ``parsing.RunTaker``): adds what it makes of each to the list."""


Gather = Callable[[List[Any]], None]
"""Called on the thread that waits with what has come since the last time."""

PART = 2000
"""Messages of a batch after which the one who waits begins to gather them, while the server still sends the rest."""


class BatchWaiter(Waiter):
    """Waits for a series of messages that a status line ends. ``taken`` holds what ``take`` made of each, in order; all of it
    has gone through ``gather`` when the wait ends. ``end`` is the closing status."""

    __slots__ = (
        "_asked",
        "_gather",
        "_gathered",
        "_series",
        "_take",
        "_take_run",
        "_told",
        "end",
        "end_headers",
        "ended",
        "single",
        "taken",
    )

    def __init__(self, subject: str, take: Take, take_run: TakeRun, gather: Gather) -> None:
        super().__init__(subject)
        self._take = take
        self._take_run = take_run
        self._gather = gather
        self._gathered = self._told = 0
        self._asked = 0
        self._series: Optional[bytes] = None  # of several answers to a question asked again, the one that began first
        self.ended = False
        self.taken: List[Any] = []
        self.end = 0
        self.end_headers: Headers = None
        self.single = False
        """A server that knows no batches answered with one message, which nothing would ever follow."""

    @property
    def heard(self) -> int:
        return len(self.taken)

    @property
    def repeatable(self) -> bool:
        return not self.taken

    def address(self) -> str:
        self._asked += 1
        return f"{super().address()}.{self._asked}"

    def _is_other(self, index: bytes) -> bool:
        if self._series is None:
            self._series = index
        return index != self._series

    def fill(self, index: bytes, headers: Headers, data: bytes) -> bool:
        if self._is_other(index):
            return False
        if not data:
            code = status(headers)
            if code:
                self.end = code
                self.end_headers = headers
                self._end()
                return True
        self.single = not self.taken and header(headers, "Nats-Num-Pending") is None
        made = self._take(headers, data)
        if made is not None:
            self.taken.append(made)
        if self.single:
            self._end()
        return self.single

    def fill_run(self, index: bytes, chunk: bytes, at: int, common: bytes) -> int:
        """Take what begins at ``at`` as far as ``take_run`` knows it; the place behind that."""
        if self._is_other(index):
            return at
        reached = self._take_run(chunk, at, common, self.taken)
        if len(self.taken) - self._told >= PART:
            self._told = len(self.taken)
            super()._end()  # wakes who waits
        return reached

    def _end(self) -> None:
        self.ended = True
        super()._end()

    def wait(self, deadline: float) -> bool:
        while super().wait(deadline):
            ended = self.ended  # before the look: what came before the end is here then
            part = self.taken[self._gathered :]
            self._gathered += len(part)
            self._gather(part)
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


class Pending:
    """Who waits for which answer: by the token that stands in the subject of the answer. On the loop's thread, but for
    ``new_token`` and ``forget``."""

    def __init__(self) -> None:
        self._waiters: Dict[bytes, Waiter] = {}
        self._tokens = itertools.count(1)

    def __len__(self) -> int:
        return len(self._waiters)

    def new_token(self) -> bytes:
        """One that no other waiter has. Any thread."""
        return b"%d" % next(self._tokens)

    def register(self, waiter: Waiter) -> bool:
        """Expect its answer; False where whoever asked has left already, and must not find later that it was sent."""
        self._waiters[waiter.token] = waiter
        waiter.sent = True  # before the look: the other side leaves first, and then looks whether it was sent
        if waiter.left:
            self.forget(waiter)
        return not waiter.left

    def expects(self, waiter: Waiter) -> bool:
        """Whether anybody still waits for it."""
        return waiter.token in self._waiters

    def forget(self, waiter: Waiter) -> None:
        """Nobody waits for it any more. Any thread."""
        self._waiters.pop(waiter.token, None)

    def receivers(self, skip: int) -> Tuple[Receiver, RunReceiver]:
        """Who takes the messages of an inbox whose subjects have their token at ``skip``."""

        def receive(subject: bytes, reply: bytes, headers: Headers, data: bytes) -> None:
            token, _, index = subject[skip:].partition(b".")
            waiter = self._waiters.get(token)
            if waiter is not None and waiter.fill(index, headers, data):
                self._waiters.pop(token, None)

        def receive_run(subject: bytes, chunk: bytes, at: int, common: bytes) -> int:
            token, _, index = subject[skip:].partition(b".")
            waiter = self._waiters.get(token)
            return waiter.fill_run(index, chunk, at, common) if isinstance(waiter, BatchWaiter) else at

        return receive, receive_run

    def refused(self, action: str, subject: str) -> None:
        """The server does not let us: told to the call that it concerns. ``subject`` in lower case, as the server names it."""
        if action != "publish":
            return
        for waiter in list(self._waiters.values()):
            if isinstance(waiter, ManyWaiter):
                for index, asked in enumerate(waiter.subjects):
                    if asked.lower() == subject and waiter.fail_one(index, translate.denied(action, asked)):
                        self.forget(waiter)
            elif waiter.subject.lower() == subject:
                self.forget(waiter)
                waiter.fail(translate.denied(action, waiter.subject))

    def drop_all(self) -> None:
        """The connection they wait on is gone."""
        waiters, self._waiters = self._waiters, {}
        for waiter in list(waiters.values()):  # some may be forgotten meanwhile
            waiter.drop()

    def fail_all(self, error: Callable[[], BasketError]) -> None:
        """End them all, each with an error of its own."""
        waiters, self._waiters = self._waiters, {}
        for waiter in list(waiters.values()):
            waiter.fail(error())

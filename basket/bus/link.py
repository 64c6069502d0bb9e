"""The blocking request on a connection to NATS. Knows subjects and bytes, not buckets."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, TypeVar

from basket.bus import loop as loops
from basket.bus import translate
from basket.bus.connection import RETRY_FIRST, RETRY_MOST, Connection
from basket.bus.headers import Reply
from basket.bus.waiters import BatchWaiter, LoopWaiter, ManyWaiter, Waiter
from basket.bus.wire import Outgoing
from basket.errors import ClosedError, OutcomeUnknownError, ServerError, UnreachableError

log = logging.getLogger("basket.bus")

ASK_AGAIN, ASK_AGAIN_MOST = 2.0, 4.0
"""Seconds without a word after which a question is asked once more: it may be lost while the connection stays, where a cluster
is changing leaders or a leaf node has lost its hub."""

SENT_AT_ONCE = 1 << 16
"""Bytes of a long series that go out in one write."""

W = TypeVar("W", bound=Waiter)

ManyHeaders = Optional[Sequence[Optional[Dict[str, str]]]]
"""Of many requests the headers of each."""


class Link(Connection):
    """A connection that can be asked: every request waits for its answer, over reconnections too, until its deadline."""

    def request(
        self, subject: str, data: bytes = b"", *, deadline: float, headers: Optional[Dict[str, str]] = None, write: bool = False
    ) -> Reply:
        """Ask and wait for the one answer, until ``deadline`` (``time.monotonic()``).

        When the connection goes while waiting, the question is asked again on the next one: all we ask may be asked twice.
        Raises UnreachableError, BasketTimeoutError (a ``write``: OutcomeUnknownError), PermissionDeniedError, ClosedError.
        """
        waiter = self._ask(lambda: Waiter(subject), lambda w: (self._send, w, subject, data, headers), deadline, write)
        assert waiter.reply is not None
        return waiter.reply

    def batch(self, make: Callable[[], BatchWaiter], data: bytes, *, deadline: float) -> BatchWaiter:
        """Ask what is answered by a series of messages, and wait for its end: with a waiter made anew for every connection
        on which it is asked. Errors as ``request``."""
        return self._ask(make, lambda waiter: (self._send, waiter, waiter.subject, data, None), deadline, False)

    def request_many(
        self,
        subjects: List[str],
        bodies: Sequence[bytes],
        *,
        deadline: float,
        headers: ManyHeaders = None,
        write: bool = False,
    ) -> ManyWaiter:
        """Many questions at once, answers by index in ``replies``, refusals in ``errors``. Raises as ``request``."""

        def start(waiter: ManyWaiter) -> Tuple[Any, ...]:
            return (self._spawn_many, waiter, bodies, headers)

        return self._ask(lambda: ManyWaiter(subjects), start, deadline, write)

    def _spawn_many(self, waiter: ManyWaiter, bodies: Sequence[bytes], headers: ManyHeaders) -> None:
        client = self.client
        if client is None:
            waiter.drop()
        else:
            client.loop_task(self._send_many(waiter, bodies, headers))

    def _ask(self, make: Callable[[], W], start: Callable[[W], Tuple[Any, ...]], deadline: float, write: bool) -> W:
        begun = time.monotonic()
        sent = False
        pause = RETRY_FIRST
        while True:
            if pause > RETRY_FIRST:
                self.pause(min(deadline, time.monotonic() + pause))
            try:
                thread = self.ready(deadline)
            except ServerError as error:
                if not (write and sent):
                    raise
                raise OutcomeUnknownError(
                    "the connection was lost before the acknowledgement came: the value may or may not be stored; "
                    f"writing it again is harmless ({error})"
                ) from error
            waiter = make()
            waiter.token = self.pending.new_token()
            answered = False
            try:
                try:
                    thread.call(*start(waiter))
                except RuntimeError:  # the loop ended between the check and the call
                    raise self.refusal(deadline) from None
                answered = self._patiently(waiter, thread, start, deadline)
            finally:
                if not answered or waiter.asked_again:  # a timeout or Ctrl-C: nobody waits for it any more
                    waiter.left = True
                    self.pending.forget(waiter)
            if waiter.error is not None:
                raise self.refusal(deadline) if isinstance(waiter.error, ClosedError) else waiter.error
            if answered and not waiter.dropped:
                return waiter
            if not answered:
                self._suspect(thread)
                if write and (sent or waiter.sent):
                    raise OutcomeUnknownError(
                        f"no acknowledgement within {deadline - begun:.3g} s: the value may or may not be stored; "
                        "writing it again is harmless"
                    )
                raise translate.no_answer(waiter.subject or "many", deadline - begun)
            if sent:  # lost with it a second time: perhaps the question itself is what the server cannot stand
                pause = min(pause * 2, RETRY_MOST)
            sent = sent or waiter.sent

    def _patiently(self, waiter: W, thread: loops.LoopThread, start: Callable[[W], Tuple[Any, ...]], deadline: float) -> bool:
        """Wait for the answer, and ask again where nothing at all is heard; False at the deadline."""
        patience = ASK_AGAIN
        while True:
            heard = waiter.heard
            if waiter.wait(min(deadline, time.monotonic() + patience)):
                return True
            if time.monotonic() >= deadline:
                return False
            self._suspect(thread)
            if waiter.heard == heard and waiter.repeatable:
                waiter.asked_again = True
                try:
                    thread.call(*start(waiter))
                except RuntimeError:  # closed: that ends the wait
                    pass
            patience = min(patience * 2, ASK_AGAIN_MOST)

    def _suspect(self, thread: loops.LoopThread) -> None:
        try:
            thread.call(self.suspect)
        except RuntimeError:
            pass

    async def ask(self, subject: str, data: bytes, timeout: float) -> Reply:
        """``request`` for work on the loop's thread: one try, on the connection of this moment."""
        waiter = LoopWaiter(subject, asyncio.get_running_loop().create_future())
        waiter.token = self.pending.new_token()
        self._send(waiter, subject, data, None)
        try:
            await asyncio.wait_for(waiter.future, timeout)
        except asyncio.TimeoutError:
            raise translate.no_answer(subject, timeout) from None
        finally:
            self.pending.forget(waiter)
        if waiter.error is not None:
            raise waiter.error
        if waiter.reply is None:
            raise UnreachableError("the connection to NATS was lost")
        return waiter.reply

    # -- sending (on the loop) ------------------------------------------------------------------------------------------

    def _send(self, waiter: Waiter, subject: str, data: bytes, headers: Optional[Dict[str, str]]) -> None:
        client = self.client
        if client is None:
            waiter.drop()
            return
        if self.pending.register(waiter):
            client.send(subject, f"{client.inbox}.{waiter.address()}", data, headers)

    async def _send_many(self, waiter: ManyWaiter, bodies: Sequence[bytes], headers: ManyHeaders) -> None:
        client = self.client
        if client is None:
            waiter.drop()
            return
        if not self.pending.register(waiter):
            return
        reply = f"{client.inbox}.{waiter.address()}."
        try:
            messages: List[Outgoing] = []
            size = 0
            for index, (subject, data) in enumerate(zip(waiter.subjects, bodies)):
                if index in waiter.replies or index in waiter.errors:  # it is asked again for the sake of others
                    continue
                messages.append((subject, f"{reply}{index}", data, headers[index] if headers else None))
                size += len(data) + 100
                if size > SENT_AT_ONCE:
                    client.send_all(messages)
                    await client.settle()
                    if not self.pending.expects(waiter):  # whoever waited has given up
                        return
                    messages, size = [], 0
            client.send_all(messages)
        except Exception as error:
            log.debug("sending: %s", error)  # the connection's end drops the waiter
            self.broken(client)
            await client.end(0.1)

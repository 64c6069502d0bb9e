"""One connection to NATS, kept alive over losses and forks, and the subscriptions that live on it.

States: **connected**; **suspended** (lost, being rebuilt: reads wait for it until their deadline); **closed**.
A lost connection is never repaired but replaced: fresh client, fresh credentials, subscriptions made anew, so there is one
way to become connected and every rebuild starts from what the files hold now.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import logging
import random
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from basket.bus import loop as loops
from basket.bus import translate
from basket.bus.dialling import Dialler
from basket.bus.settings import Settings
from basket.bus.waiters import Pending
from basket.bus.wire import Receiver, WireClient
from basket.errors import AuthError, BasketError, ClosedError, PermissionDeniedError, UnreachableError

log = logging.getLogger("basket.bus")

CONNECTED, SUSPENDED, CLOSED = "connected", "suspended", "closed"

RETRY_FIRST, RETRY_MOST = 0.05, 0.8
"""Seconds between attempts to reconnect, doubled each time, with jitter: a fleet finds its server within a second."""

REFUSED_FIRST, RETRY_REFUSED = 1.0, 30.0
"""The same where the credentials were refused: nobody hammers a server with a bad password."""

PROBE_TIMEOUT = 2.0
"""Seconds for the ping that follows a request without answer; without a pong the connection counts as dead."""

CLOSE_TIMEOUT = 2.0


class Subscription(NamedTuple):
    """A standing wish for messages, renewed with every new connection."""

    subject: str
    receiver: Receiver
    queue: str


class Connection:
    """``open`` it, use it from any thread, ``close`` it. What is asked through it is ``Link``'s business."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.epoch = 0
        """Grows with every connection, over forks too: what was learnt on one need not hold on the next."""
        self._generation = loops.generation
        self._reset()
        self._state = CLOSED

    def _reset(self) -> None:
        """Everything that belongs to one process: at the start, and again in the child of a fork."""
        self.pending = Pending()
        """Who waits for an answer."""
        self._dialler = Dialler(self.settings, self.pending.receivers, self.pending.refused, self.broken)
        self._thread: Optional[loops.LoopThread] = None
        self._client: Optional[WireClient] = None
        self._changed = threading.Condition()
        self._state = SUSPENDED
        self._last_error: Optional[BasketError] = None
        self._standing: List[Subscription] = []
        self._rebuilding: Optional[asyncio.Task[None]] = None
        self._probing = False
        self._listeners: List[Callable[[], None]] = []
        self._losses: Dict[str, Callable[[], None]] = {}
        self.connections = 0
        """How many connections this process has made so far."""
        self.max_payload = 1 << 20
        self.server_version: Tuple[int, ...] = ()

    # -- life ---------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``connected``, ``suspended`` or ``closed``."""
        return self._state

    @property
    def inbox(self) -> str:
        """The subject below which replies come in: ``_INBOX_<peel>.…`` where it is private to the peel. Empty without a
        connection."""
        client = self._client
        return "" if client is None else client.inbox

    @property
    def last_error(self) -> Optional[BasketError]:
        """Why the last attempt to connect failed; None while connected."""
        return self._last_error

    def open(self, timeout: float) -> None:
        """Connect, or raise: each server is tried once, so that one that is down is told at once. ``timeout`` in seconds."""
        if self._state != CLOSED:
            return
        self._reset()
        self._generation = loops.generation
        self._thread = loops.acquire()
        loops.close_at_exit(self)
        try:
            self._thread.run(lambda: self._dial(time.monotonic() + timeout), timeout + 1)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End everything, bounded in time; waiting calls raise ClosedError. Any thread, any number of times."""
        if self._generation != loops.generation:
            # In the child of a fork that never used it: the connection is the parent's, and so may be a lock held there.
            self._state = CLOSED
            return
        with self._changed:
            if self._state == CLOSED and self._thread is None:
                return
            self._state = CLOSED
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is None:
            return
        try:
            if threading.get_ident() == thread.ident:
                thread.loop.create_task(self._shut())  # cannot wait for itself; the loop's end waits for its tasks
            else:
                thread.run(self._shut, CLOSE_TIMEOUT)
        except (BasketError, RuntimeError) as error:
            log.debug("closing: %s", error)
        finally:
            loops.release(thread)

    async def _shut(self) -> None:
        if self._rebuilding is not None:
            self._rebuilding.cancel()
        client, self._client = self._client, None
        self.pending.fail_all(lambda: ClosedError("this Basket was closed while the call was waiting"))
        self._tell_inboxes()
        self._tell()
        if client is not None:
            await client.end(CLOSE_TIMEOUT / 2)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener()`` on the loop's thread whenever the connection is made or lost. It must not block."""
        self._listeners.append(listener)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            try:
                listener()
            except Exception:
                log.exception("a listener failed")

    def _tell_inboxes(self) -> None:
        losses, self._losses = self._losses, {}
        for lost in losses.values():
            lost()

    @property
    def client(self) -> Optional[WireClient]:
        """The connection of this moment, for work on the loop's thread; None while there is none."""
        return self._client

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Run ``function(*args)`` on the loop's thread, soon; ClosedError once closed."""
        thread = self._thread
        try:
            if thread is not None:
                thread.call(function, *args)
                return
        except RuntimeError:
            pass
        raise ClosedError("this Basket is closed")

    def pause(self, until: float) -> None:
        """Do nothing until then (``time.monotonic()``), or until it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._state == CLOSED, max(0.0, until - time.monotonic()))

    # -- becoming connected (on the loop) --------------------------------------------------------------------------------

    async def _dial(self, deadline: float) -> None:
        self._take(await self._dialler.dial(deadline))

    def _take(self, client: WireClient) -> None:
        """This client is the connection from now on."""
        if self._state == CLOSED:  # while it was being made: nobody else will end it
            client.loop_task(client.end(CLOSE_TIMEOUT / 2))
            return
        self._client = client
        self.connections += 1
        self.epoch += 1
        self.max_payload = client.max_payload
        self.server_version = client.version
        for wish in self._standing:
            client.loop_task(client.receive(wish.subject, wish.receiver, wish.queue))
        with self._changed:
            if self._state == CLOSED:
                return
            self._state = SUSPENDED if client.is_closed else CONNECTED
            self._last_error = None
            self._changed.notify_all()
        if client.is_closed:  # it went down again while we were still greeting it
            self.broken(client)
            return
        self._tell()

    def broken(self, client: WireClient) -> None:
        """This client's connection is gone. On the loop's thread."""
        if client is not self._client:
            return
        self._client = None
        with self._changed:
            if self._state == CLOSED:
                return
            self._state = SUSPENDED
            self._last_error = UnreachableError("the connection to NATS was lost")
            self._changed.notify_all()
        log.info("connection lost, reconnecting")
        self.pending.drop_all()
        self._tell_inboxes()
        self._tell()
        self._begin()

    def _begin(self) -> None:
        self._rebuilding = asyncio.ensure_future(self._rebuild())

    async def _rebuild(self) -> None:
        delay = RETRY_FIRST
        while self._state != CLOSED:
            try:
                await self._dial(time.monotonic() + 5.0)
                log.info("connected again")
                return
            except BasketError as error:
                if str(error) != str(self._last_error):
                    log.warning("%s; trying on", error)
                self._last_error = error
                with self._changed:
                    self._changed.notify_all()
                most = RETRY_MOST
                if isinstance(error, (AuthError, PermissionDeniedError)):
                    delay, most = max(delay, REFUSED_FIRST), RETRY_REFUSED
            await asyncio.sleep(min(delay, most) * random.uniform(0.5, 1.0))
            delay = min(delay * 2, most)

    async def _probe(self) -> None:
        """A request went unanswered: is anybody there at all?"""
        client = self._client
        begun = time.monotonic()
        try:
            if client is not None:
                await client.flush(timeout=PROBE_TIMEOUT)
        except Exception:
            assert client is not None
            if client.heard > begun and not client.is_closed:
                return  # a slow line, and the pong stands behind all that is on its way
            log.info("the server does not answer a ping, replacing the connection")
            self.broken(client)
            await client.end(0.1)
        finally:
            self._probing = False

    # -- for whoever asks (any thread) -----------------------------------------------------------------------------------

    def ready(self, deadline: float) -> loops.LoopThread:
        """The loop's thread, once connected; raises at the deadline, when closed, and on the loop's own thread."""
        if self._generation != loops.generation:
            self._reborn()
        thread = self._thread
        if thread is None:
            raise self.refusal(deadline)
        thread.refuse_own_thread()
        if self._state == CONNECTED:
            return thread
        with self._changed:
            while self._state == SUSPENDED:
                if isinstance(self._last_error, (AuthError, PermissionDeniedError)):
                    raise copy.copy(self._last_error)  # several threads may wait, and each adds its own traceback
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise UnreachableError(str(self._last_error or "no connection to NATS"))
        if self._state == CLOSED:
            raise self.refusal(deadline)
        return thread

    def refusal(self, deadline: float) -> ClosedError:
        """What a call on a closed link raises; in a daemon thread at the interpreter's exit only at its deadline. Nobody waits
        for that thread, and its traceback would be the last that one reads of a script that ended well."""
        if loops.exiting and threading.current_thread().daemon:
            threading.Event().wait(max(0.0, deadline - time.monotonic()))
        return ClosedError("this Basket is closed")

    def suspect(self) -> None:
        """An answer stayed away: see whether the server is there at all. On the loop's thread."""
        if not self._probing and self._client is not None:
            self._probing = True
            self._client.loop_task(self._probe())

    def _reborn(self) -> None:
        """In the child of a fork: the first call makes a connection of the child's own."""
        with loops.fork_lock():
            if self._generation == loops.generation:
                return
            state = CLOSED if self._state == CLOSED else SUSPENDED
            loops.keep_untouched((self._client, self._thread, self.pending, self._changed))
            self._reset()
            self._state = state
            if state != CLOSED:
                # As after a loss: made in the background, and a server that is down now does not end it for good.
                self._thread = loops.acquire()
                loops.close_at_exit(self)
                self._thread.call(self._begin)
            self._generation = loops.generation  # at the very end: other threads of the child wait for it

    # -- subscriptions ----------------------------------------------------------------------------------------------

    def open_inbox(self, receiver: Receiver, *, deadline: float, lost: Callable[[], None]) -> Tuple[str, Callable[[], None]]:
        """A subject of our own on which ``receiver`` gets every message of this connection, and what ends it. ``lost()`` is
        called, on the loop's thread, when the connection goes or is closed: nothing will come any more."""
        while True:
            thread = self.ready(deadline)
            client = self._client
            if client is None:  # lost a moment ago
                continue
            receive = functools.partial(self._receive_at_inbox, client, receiver, lost)
            try:
                subject, subscription = thread.run(receive, max(0.05, deadline - time.monotonic()))
            except BaseException as error:
                if isinstance(error, ClosedError):
                    raise self.refusal(deadline) from None
                if isinstance(error, BasketError) or not isinstance(error, Exception):
                    raise
                if client is self._client and not client.is_closed:
                    raise UnreachableError(f"subscribing failed: {error}") from error
                continue
            return subject, functools.partial(self._close_inbox, thread, client, subject, subscription)

    async def _receive_at_inbox(self, client: WireClient, receiver: Receiver, lost: Callable[[], None]) -> Tuple[str, Any]:
        subject: str = client.new_inbox()
        self._losses[subject] = lost
        try:
            return subject, await client.receive(subject, receiver)
        except BaseException:
            self._losses.pop(subject, None)
            raise

    def _close_inbox(self, thread: loops.LoopThread, client: WireClient, subject: str, subscription: Any) -> None:
        self._losses.pop(subject, None)
        try:
            thread.call(client.leave, subscription)
        except RuntimeError:
            pass

    def subscribe(self, subject: str, receiver: Receiver, queue: str = "", *, deadline: float) -> None:
        """Have ``receiver`` called on the loop's thread for every message, over reconnections too. Returns once the server
        knows of it."""
        wish = Subscription(subject, receiver, queue)
        refusal = ("subscription", subject.lower())
        thread = self.ready(deadline)

        async def add() -> None:
            self._standing.append(wish)
            client = self._client
            if client is None:  # the next connection brings it
                return
            client.refused.discard(refusal)  # of a former try: the server may have been told otherwise since
            try:
                await client.receive(subject, receiver, queue)
                await client.flush(timeout=max(0.05, deadline - time.monotonic()))
            except Exception as error:
                raise UnreachableError(f"subscribing failed: {error}") from error
            if refusal in client.refused:
                raise translate.denied("subscription", subject)

        try:
            thread.run(add, max(0.05, deadline - time.monotonic()))
        except BaseException:
            try:
                self.unsubscribe(receiver)
            except ClosedError:
                pass
            raise

    def unsubscribe(self, receiver: Receiver) -> None:
        """End what ``subscribe`` began with this receiver."""

        def remove() -> None:
            self._standing = [wish for wish in self._standing if wish.receiver != receiver]
            if self._client is not None:
                self._client.leave_receiver(receiver)

        self.call(remove)

    def send(self, subject: str, data: bytes, headers: Optional[Mapping[str, str]] = None) -> None:
        """Send without waiting for anything; nothing is sent while suspended. Any thread."""
        thread = self._thread
        if thread is None:
            return

        def out() -> None:
            if self._client is not None:
                self._client.send(subject, "", data, dict(headers) if headers else None)

        try:
            thread.call(out)
        except RuntimeError:
            pass

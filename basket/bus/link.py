"""One connection to NATS, kept alive, and the blocking request on it. Knows subjects and bytes, not buckets.

States: **connected**; **suspended** (lost, being rebuilt: reads wait for it until their deadline); **closed**.
A lost connection is never repaired but replaced: fresh client, fresh credentials, subscriptions made anew, so there is one
way to become connected and every rebuild starts from what the files hold now.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import random
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar
from urllib.parse import unquote

from basket.addresses import redacted
from basket.bus import loop as loops
from basket.bus import translate
from basket.bus.replies import BatchWaiter, LoopWaiter, ManyWaiter, Reply, Take, Waiter
from basket.bus.settings import Settings
from basket.bus.wire import Headers, Outgoing, Receiver, RunReceiver, WireClient
from basket.errors import (
    AuthError,
    BasketError,
    ClosedError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ServerError,
    UnreachableError,
)

log = logging.getLogger("basket.bus")

CONNECTED, SUSPENDED, CLOSED = "connected", "suspended", "closed"

RETRY_FIRST, RETRY_MOST = 0.05, 0.8
"""Seconds between attempts to reconnect, doubled each time, with jitter: a fleet finds its server within a second."""

REFUSED_FIRST, RETRY_REFUSED = 1.0, 30.0
"""The same where the credentials were refused: nobody hammers a server with a bad password."""

PROBE_TIMEOUT = 2.0
"""Seconds for the ping that follows a request without answer; without a pong the connection counts as dead."""

ASK_AGAIN, ASK_AGAIN_MOST = 2.0, 4.0
"""Seconds without a word after which a question is asked once more: it may be lost while the connection stays, where a cluster
is changing leaders or a leaf node has lost its hub."""

CLOSE_TIMEOUT = 2.0

SENT_AT_ONCE = 1 << 16
"""Bytes of a long series that go out in one write."""

W = TypeVar("W", bound=Waiter)

ManyHeaders = Optional[Sequence[Optional[Dict[str, str]]]]
"""Of many requests the headers of each."""


class Subscription(NamedTuple):
    """A standing wish for messages, renewed with every new connection."""

    subject: str
    receiver: Receiver
    queue: str


class Link:
    """Make it, ``open`` it, use it from any thread, ``close`` it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._generation = loops.generation
        self._reset()
        self._state = CLOSED

    def _reset(self) -> None:
        """Everything that belongs to one process: at the start, and again in the child of a fork."""
        self._thread: Optional[loops.LoopThread] = None
        self._client: Optional[WireClient] = None
        self._changed = threading.Condition()
        self._state = SUSPENDED
        self._last_error: Optional[BasketError] = None
        self._waiters: Dict[bytes, Waiter] = {}
        self._tokens = itertools.count(1)
        self._inbox = ""
        self._inbox_prefix = self.settings.inbox
        self._standing: List[Subscription] = []
        self._discovered: List[str] = []
        self._rebuilding: Optional[asyncio.Task[None]] = None
        self._probing = False
        self._listeners: List[Callable[[], None]] = []
        self._losses: Dict[str, Callable[[], None]] = {}
        self.connections = 0
        """How many connections were made so far."""
        self.max_payload = 1 << 20
        self.server_version: Tuple[int, ...] = ()

    # -- life ---------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``connected``, ``suspended`` or ``closed``."""
        return self._state

    @property
    def inbox(self) -> str:
        """The subject below which replies come in: ``_INBOX_<peel>.…`` where it is private to the peel."""
        return self._inbox

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
            self._thread.run(lambda: self._first(time.monotonic() + timeout), timeout + 1)
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
        for waiter in list(self._waiters.values()):
            waiter.fail(ClosedError("this Basket was closed while the call was waiting"))
        self._waiters.clear()
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
    def generation(self) -> int:
        """Which process this is, counted in forks: what was made under another number is not ours to use."""
        return loops.generation

    def ready(self, deadline: float) -> None:
        """Wait until connected; raises at the deadline, when closed, and on the loop's own thread."""
        self._ready(deadline)

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

    async def ask(self, subject: str, data: bytes, timeout: float) -> Reply:
        """``request`` for work on the loop's thread: one try, on the connection of this moment."""
        waiter = LoopWaiter(subject, asyncio.get_running_loop().create_future())
        waiter.token = b"%d" % next(self._tokens)
        self._send(waiter, subject, data, None)
        try:
            await asyncio.wait_for(waiter.future, timeout)
        except asyncio.TimeoutError:
            raise translate.no_answer(subject, timeout) from None
        finally:
            self._waiters.pop(waiter.token, None)
        if waiter.error is not None:
            raise waiter.error
        if waiter.reply is None:
            raise UnreachableError("the connection to NATS was lost")
        return waiter.reply

    # -- becoming connected (on the loop) --------------------------------------------------------------------------------

    async def _first(self, deadline: float) -> None:
        self._take(await self._open_any(deadline))

    async def _open_any(self, deadline: float) -> WireClient:
        """A client connected to one of the servers, each tried once; the most telling error otherwise."""
        addresses = list(dict.fromkeys([*self.settings.urls, *self._discovered]))
        first, rest = addresses[:1], addresses[1:]
        random.shuffle(rest)  # the first one named is preferred, the others share the load of its absence
        worst: Optional[BasketError] = None
        for index, url in enumerate(first + rest):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            share = left / (len(addresses) - index)
            try:
                return await self._open(url, min(share, 3.0) if len(addresses) > 1 else share)
            except Exception as error:
                ours = translate.connection_error(error, url)
                # A refusal says more than silence does.
                if worst is None or isinstance(worst, UnreachableError):
                    worst = ours
        raise worst or UnreachableError("no time left to connect")

    async def _open(self, url: str, timeout: float) -> WireClient:
        client = WireClient()
        failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def on_error(error: Exception) -> None:
            self._error(client, error)
            if translate.violation(str(error)) is None and not failed.done():  # a violation is looked at with the inbox
                failed.set_exception(error)

        async def on_closed() -> None:
            if not failed.done():  # nats-py would have us wait for a pong on a connection that is gone
                failed.set_exception(ConnectionResetError("the connection was closed while it was being made"))
            self._lost(client)

        async def connect() -> str:
            await self._start(client, url, timeout, on_error, on_closed)
            return await self._make_inbox(client, timeout)

        connecting = asyncio.ensure_future(connect())
        try:
            # nats-py goes on trying for ever by itself, and tells its error callback what failed: the first error ends it.
            await asyncio.wait({connecting, failed}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                self._inbox = connecting.result()
                return client
            if failed.done():
                failed.result()
            raise asyncio.TimeoutError()
        except BaseException:
            connecting.cancel()
            try:
                await asyncio.wait({connecting})
                if not connecting.cancelled():
                    connecting.exception()
            finally:  # the end of the loop may cut this short too
                await client.end(CLOSE_TIMEOUT / 2)
            raise
        finally:
            if not failed.done():
                failed.cancel()
            elif not failed.cancelled():
                failed.exception()

    async def _start(self, client: WireClient, url: str, timeout: float, on_error: Any, on_closed: Any) -> None:
        s = self.settings
        address, user, password = translate.split_url(url)
        if not user and s.urls:
            _, user, password = translate.split_url(s.urls[0])  # a discovered address carries no user
        user, password = unquote(user or ""), unquote(password or "")
        known, token = s.secrets()
        if user and not password:  # nats://token@host
            user, token = "", user
        s.check_credentials()
        context = s.tls_context()
        if context is not None and not address.startswith("ws"):
            client.encrypted_only = redacted(url)
        await client.connect(
            address,
            name=s.name,
            error_cb=on_error,
            closed_cb=on_closed,
            allow_reconnect=False,
            max_reconnect_attempts=-1,
            connect_timeout=timeout,
            ping_interval=s.ping_interval,
            max_outstanding_pings=2,
            inbox_prefix=self._inbox_prefix,
            user=s.user or user or None,
            password=known or password or None,
            token=token,
            user_credentials=s.credentials,
            nkeys_seed=s.nkey_seed,
            tls=context,
            tls_handshake_first=s.tls_first,
        )

    async def _make_inbox(self, client: WireClient, timeout: float) -> str:
        """Subscribe to where replies come in, and see that the server lets us."""
        inbox: str = client.new_inbox()
        one, runs = self._incoming(len(inbox) + 1)
        await client.receive(f"{inbox}.>", one, runs=runs)
        await client.flush(timeout=max(timeout, 0.1))
        if client.refused is not None and client.refused[0] == "subscription":
            if self._inbox_prefix == "_INBOX":
                raise translate.denied("subscription", f"{inbox}.>")
            # Credentials made for another implementation may know the shared prefix only.
            log.warning("the server refuses the private inbox %s.>, falling back to _INBOX.>", self._inbox_prefix)
            self._inbox_prefix = "_INBOX"
            client.refused = None
            client.use_inbox_prefix("_INBOX")
            return await self._make_inbox(client, timeout)
        return inbox

    def _take(self, client: WireClient) -> None:
        """This client is the connection from now on."""
        if self._state == CLOSED:  # while it was being made: nobody else will end it
            client.loop_task(client.end(CLOSE_TIMEOUT / 2))
            return
        self._client = client
        self.connections += 1
        self.max_payload = client.max_payload
        self.server_version = client.version
        self._discovered = client.discovered
        for wish in self._standing:
            client.loop_task(client.receive(wish.subject, wish.receiver, wish.queue))
        with self._changed:
            if self._state == CLOSED:
                return
            self._state = SUSPENDED if client.is_closed else CONNECTED
            self._last_error = None
            self._changed.notify_all()
        if client.is_closed:  # it went down again while we were still greeting it
            self._lost(client)
            return
        self._tell()

    def _lost(self, client: WireClient) -> None:
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
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters.values():
            waiter.drop()
        self._tell_inboxes()
        self._tell()
        self._begin()

    def _begin(self) -> None:
        self._rebuilding = asyncio.ensure_future(self._rebuild())

    async def _rebuild(self) -> None:
        delay = RETRY_FIRST
        while self._state != CLOSED:
            try:
                self._take(await self._open_any(time.monotonic() + 5.0))
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

    def _error(self, client: WireClient, error: Exception) -> None:
        """What the server complained about, told to the call that it concerns."""
        found = translate.violation(str(error))
        if found is None:
            log.debug("nats: %s", error)
            return
        client.refused = found
        action, subject = found
        for token, waiter in list(self._waiters.items()):
            if isinstance(waiter, ManyWaiter):
                for index, asked in enumerate(waiter.subjects):
                    if asked.lower() == subject and waiter.fail_one(index, translate.denied(action, asked)):
                        self._waiters.pop(token, None)
            elif action == "publish" and waiter.subject.lower() == subject:
                self._waiters.pop(token, None)
                waiter.fail(translate.denied(action, waiter.subject))

    # -- messages in and out (on the loop) -------------------------------------------------------------------------------

    def _incoming(self, skip: int) -> Tuple[Receiver, RunReceiver]:
        def receive(subject: bytes, reply: bytes, headers: Headers, data: bytes) -> None:
            token, _, index = subject[skip:].partition(b".")
            waiter = self._waiters.get(token)
            if waiter is not None and waiter.fill(index, headers, data):
                self._waiters.pop(token, None)

        def receive_run(subject: bytes, messages: Sequence[Tuple[Headers, bytes]]) -> None:
            token, _, index = subject[skip:].partition(b".")
            waiter = self._waiters.get(token)
            if waiter is not None and waiter.fill_run(index, messages):
                self._waiters.pop(token, None)

        return receive, receive_run

    def _send(self, waiter: Waiter, subject: str, data: bytes, headers: Optional[Dict[str, str]]) -> None:
        client = self._client
        if client is None:
            waiter.drop()
            return
        if self._register(waiter):
            client.send(subject, f"{self._inbox}.{waiter.token.decode()}", data, headers)

    def _register(self, waiter: Waiter) -> bool:
        """Expect its answer; False where whoever asked has left already, and must not find later that it was sent."""
        self._waiters[waiter.token] = waiter
        waiter.sent = True  # before the look: the other side leaves first, and then looks whether it was sent
        if waiter.left:
            self._waiters.pop(waiter.token, None)
        return not waiter.left

    async def _send_many(self, waiter: ManyWaiter, bodies: Sequence[bytes], headers: ManyHeaders) -> None:
        client = self._client
        if client is None:
            waiter.drop()
            return
        if not self._register(waiter):
            return
        reply = f"{self._inbox}.{waiter.token.decode()}."
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
                    if waiter.token not in self._waiters:  # whoever waited has given up
                        return
                    messages, size = [], 0
            client.send_all(messages)
        except Exception as error:
            log.debug("sending: %s", error)  # the connection's end drops the waiter
            self._lost(client)
            await client.end(0.1)

    async def _probe(self) -> None:
        """A request went unanswered: is anybody there at all?"""
        client = self._client
        try:
            if client is not None:
                await client.flush(timeout=PROBE_TIMEOUT)
        except Exception:
            log.info("the server does not answer a ping, replacing the connection")
            assert client is not None
            self._lost(client)
            await client.end(0.1)
        finally:
            self._probing = False

    # -- asking (on the caller's thread) ------------------------------------------------------------------------------------

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

    def batch(self, subject: str, data: bytes, *, deadline: float, take: Take) -> BatchWaiter:
        """Ask what is answered by a series of messages, and wait for its end. Errors as ``request``."""
        return self._ask(lambda: BatchWaiter(subject, take), lambda w: (self._send, w, subject, data, None), deadline, False)

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
        client = self._client
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
                with self._changed:  # which close() ends at once
                    self._changed.wait_for(lambda: self._state == CLOSED, max(0.0, min(pause, deadline - time.monotonic())))
            try:
                thread = self._ready(deadline)
            except ServerError as error:
                if not (write and sent):
                    raise
                raise OutcomeUnknownError(
                    "the connection was lost before the acknowledgement came: the value may or may not be stored; "
                    f"writing it again is harmless ({error})"
                ) from error
            waiter = make()
            waiter.token = b"%d" % next(self._tokens)
            answered = False
            try:
                try:
                    thread.call(*start(waiter))
                except RuntimeError:  # the loop ended between the check and the call
                    raise self._refusal(deadline) from None
                answered = self._patiently(waiter, thread, start, deadline)
            finally:
                if not answered or waiter.asked_again:  # a timeout or Ctrl-C: nobody waits for it any more
                    waiter.left = True
                    self._waiters.pop(waiter.token, None)
            if waiter.error is not None:
                raise self._refusal(deadline) if isinstance(waiter.error, ClosedError) else waiter.error
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

    def _ready(self, deadline: float) -> loops.LoopThread:
        """The loop's thread, once connected; raises at the deadline, when closed, and on the loop's own thread."""
        if self._generation != loops.generation:
            self._reborn()
        thread = self._thread
        if thread is None:
            raise self._refusal(deadline)
        thread.refuse_own_thread()
        if self._state == CONNECTED:
            return thread
        with self._changed:
            while self._state == SUSPENDED:
                if isinstance(self._last_error, (AuthError, PermissionDeniedError)):
                    raise type(self._last_error)(str(self._last_error))
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise UnreachableError(str(self._last_error or "no connection to NATS"))
        if self._state == CLOSED:
            raise self._refusal(deadline)
        return thread

    def _refusal(self, deadline: float) -> ClosedError:
        """What a call on a closed link raises; in a daemon thread at the interpreter's exit only at its deadline. Nobody waits
        for that thread, and its traceback would be the last that one reads of a script that ended well."""
        if loops.exiting and threading.current_thread().daemon:
            threading.Event().wait(max(0.0, deadline - time.monotonic()))
        return ClosedError("this Basket is closed")

    def _suspect(self, thread: loops.LoopThread) -> None:
        try:
            thread.call(self.suspect)
        except RuntimeError:
            pass

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
            loops.keep_untouched((self._client, self._thread, self._waiters, self._changed))
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
            thread = self._ready(deadline)
            client = self._client
            if client is None:  # lost a moment ago
                continue
            subject: str = client.new_inbox()
            self._losses[subject] = lost
            try:
                receive = functools.partial(client.receive, subject, receiver)
                subscription = thread.run(receive, max(0.05, deadline - time.monotonic()))
            except BaseException as error:
                self._losses.pop(subject, None)
                if isinstance(error, ClosedError):
                    raise self._refusal(deadline) from None
                if isinstance(error, BasketError) or not isinstance(error, Exception):
                    raise
                if client is self._client and not client.is_closed:
                    raise UnreachableError(f"subscribing failed: {error}") from error
                continue
            return subject, functools.partial(self._close_inbox, thread, client, subject, subscription)

    def _close_inbox(self, thread: loops.LoopThread, client: WireClient, subject: str, subscription: Any) -> None:
        self._losses.pop(subject, None)
        try:
            thread.call(client.leave, subscription)
        except RuntimeError:
            pass

    def subscribe(self, subject: str, receiver: Receiver, queue: str = "", *, deadline: float) -> None:
        """Have ``receiver`` called on the loop's thread for every message, over reconnections too. Returns once the server
        knows of it; where this raises, ``unsubscribe`` takes the wish back."""
        wish = Subscription(subject, receiver, queue)
        thread = self._ready(deadline)

        async def add() -> None:
            self._standing.append(wish)
            client = self._client
            if client is None:  # the next connection brings it
                return
            try:
                await client.receive(subject, receiver, queue)
                await client.flush(timeout=max(0.05, deadline - time.monotonic()))
            except Exception as error:
                raise UnreachableError(f"subscribing failed: {error}") from error
            if client.refused == ("subscription", subject.lower()):
                raise translate.denied("subscription", subject)

        thread.run(add, max(0.05, deadline - time.monotonic()))

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

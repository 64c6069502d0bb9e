"""nats-py's client with a short way in and out. The only place that touches what nats-py calls private.

A message costs nats-py about 12 us: headers into a dict, a Msg object, a queue, a task. Ours go from the parser straight to
a receiver, and out straight to the transport. Where this nats-py is not built as expected, the public ways are taken:
same results, slower.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import time
from typing import Any, Callable, Coroutine, Dict, List, Optional, Sequence, Set, Tuple

from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from basket.bus import parsing
from basket.bus.headers import Headers
from basket.errors import UnreachableError

log = logging.getLogger("basket.bus")

Receiver = Callable[[bytes, bytes, Headers, bytes], None]
"""Called on the loop's thread with subject, reply subject, headers and data. Must not block."""

Outgoing = Tuple[str, str, bytes, Optional[Dict[str, str]]]
"""Subject, reply subject, data, headers."""

RunReceiver = parsing.RunTaker
"""Asked first where several messages came with one subject, without a reply subject, in one go."""


def _is_as_expected() -> bool:
    process = getattr(Client, "_process_msg", None)
    if process is None or not inspect.iscoroutinefunction(process):
        return False
    names = list(inspect.signature(process).parameters)
    return names == ["self", "sid", "subject", "reply", "data", "headers"]


SHORT_WAY = _is_as_expected()
"""False where nats-py changed inside, and in tests that prove the public way."""


READ_AT_ONCE = 1 << 18
"""Bytes taken from the socket at once, where nats-py takes an eighth: every piece ends in a message that has to wait for the
next, and that is what costs."""


class _LargeReads(TcpTransport):  # type: ignore[misc]
    heard = 0.0

    async def connect(self, uri: Any, buffer_size: int, connect_timeout: int) -> None:
        await super().connect(uri, READ_AT_ONCE, connect_timeout)

    async def read(self, buffer_size: int) -> Any:
        data = await super().read(READ_AT_ONCE)
        self.heard = time.monotonic()
        return data

    def __bool__(self) -> bool:
        return True  # nats-py would make one of its own otherwise


class WireClient(Client):  # type: ignore[misc]
    """One connection. All methods on the loop's thread."""

    _pending: List[bytes]
    _pending_data_size: int

    def __init__(self) -> None:
        super().__init__()
        self._receivers: Dict[int, Receiver] = {}
        self._run_receivers: Dict[int, RunReceiver] = {}
        self._subscriptions: List[Tuple[Any, Receiver]] = []
        self._tasks: Set[asyncio.Task[Any]] = set()  # the loop itself holds tasks only weakly
        self._publishing: Set[asyncio.Task[Any]] = set()
        self._short_way = SHORT_WAY
        if SHORT_WAY and parsing.is_as_expected() and isinstance(getattr(self, "_ps", None), Parser):
            self._ps = parsing.BurstParser(self, self._receivers, self._run_receivers)
        self.encrypted_only = ""
        """The server's address where TLS was asked for: should it offer none, it is told nothing, least of all a password."""
        self.refused: Set[Tuple[str, str]] = set()
        """What the server forbids: ("publish" or "subscription", subject in lower case)."""
        self.inbox = ""
        """The subject below which replies come in."""

    @property
    def version(self) -> Tuple[int, ...]:
        """The server's version, e.g. (2, 11, 3); empty where it did not say."""
        found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", str(self._server_info.get("version", "")))
        return tuple(int(part) for part in found.groups()) if found else ()

    @property
    def heard(self) -> float:
        """When anything last came (``time.monotonic()``); 0 where that is not known."""
        return getattr(self._transport, "heard", 0.0)

    @property
    def asks_who(self) -> bool:
        """Whether the server wants to know who connects."""
        return bool(self._server_info.get("auth_required"))

    @property
    def discovered(self) -> List[str]:
        """Addresses of further servers that this one told us of."""
        return [uri.geturl() for uri in self.discovered_servers]

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken on the connection."""
        writer = getattr(self._transport, "_io_writer", None)
        return writer is not None and writer.get_extra_info("ssl_object") is not None

    async def connect(self, servers: Any = "", **options: Any) -> None:
        """As nats-py's."""
        if self._short_way and not str(servers).startswith("ws"):
            self._transport = _LargeReads()
        await super().connect(servers, **options)

    def _connect_command(self) -> bytes:
        # Called once it is settled whether TLS is spoken, right before the credentials go out.
        if self.encrypted_only and not self.is_encrypted:
            raise UnreachableError(f"{self.encrypted_only} does not speak TLS, though tls:// or a TLS setting asks for it")
        command: bytes = super()._connect_command()
        return command

    def use_inbox_prefix(self, prefix: str) -> None:
        """What ``new_inbox`` starts with from now on."""
        self._inbox_prefix = bytearray(prefix.encode())

    def loop_task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``work`` beside; its failure concerns nobody but the connection, which reports its own end."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def leave(self, subscription: Any) -> None:
        """End a subscription that ``receive`` made."""
        self._subscriptions = [(one, to) for one, to in self._subscriptions if one is not subscription]
        if not self.is_closed:
            self.loop_task(subscription.unsubscribe())

    def leave_receiver(self, receiver: Receiver) -> None:
        """End every subscription that hands its messages to ``receiver``."""
        for subscription in [one for one, to in self._subscriptions if to == receiver]:
            self.leave(subscription)

    async def end(self, timeout: float) -> None:
        """Close within ``timeout`` seconds, by cutting the connection where the server does not take what is left."""
        try:
            await asyncio.wait_for(self.close(), timeout)
        except Exception:
            pass
        finally:  # also where the end of the loop cuts this short
            writer = getattr(self._transport, "_io_writer", None)
            if writer is not None:
                writer.transport.abort()

    async def receive(self, subject: str, receiver: Receiver, queue: str = "", runs: Optional[RunReceiver] = None) -> Any:
        """Subscribe; every message goes to ``receiver``, but for those that ``runs`` takes. Gives nats-py's
        subscription, whose ``unsubscribe`` ends it."""

        async def public_way(message: Any) -> None:
            receiver(message.subject.encode(), message.reply.encode(), message.headers, message.data)

        subscription = await self.subscribe(subject, queue=queue, cb=public_way)
        self._subscriptions.append((subscription, receiver))
        if self._short_way:
            self._receivers[subscription._id] = receiver
            if runs is not None:
                self._run_receivers[subscription._id] = runs
        return subscription

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Optional[bytes]) -> None:
        receiver = self._receivers.get(sid)
        if receiver is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            try:
                receiver(bytes(subject), bytes(reply), headers, data)
            except Exception:  # it would end nats-py's reading for good, with the connection seeming alive
                log.exception("a receiver failed")

    async def _process_pong(self) -> None:
        try:
            await super()._process_pong()
        except asyncio.InvalidStateError:  # it comes after its time, and nats-py would end its reading over it
            self._pings_outstanding = 0

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._receivers.pop(sid, None)
        self._run_receivers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    def send(self, subject: str, reply: str, data: bytes, headers: Optional[Dict[str, str]] = None) -> None:
        """Write one message out at once. The subject and the headers are ours and known to be well formed."""
        if self._writes_directly:
            self._transport.write(_frame(subject, reply, data, headers))
        else:
            self._publishing.add(self.loop_task(self.publish(subject, data, reply=reply, headers=headers)))

    def send_all(self, messages: Sequence[Outgoing]) -> None:
        """The same for several, in one write: the server, too, takes them in one go, for a fraction of its effort."""
        if self._writes_directly:
            self._transport.write(b"".join([_frame(*message) for message in messages]))
        else:
            for message in messages:
                self.send(*message)

    @property
    def _writes_directly(self) -> bool:
        return self._short_way and isinstance(self._transport, TcpTransport) and self.is_connected and not self._pending

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._publishing.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: whoever waits for the answer learns of the loss from the connection itself

    async def flush(self, timeout: float = 10) -> None:
        """Until the server has seen everything sent before. Raises nats-py's FlushTimeoutError."""
        if self._pending and self._transport is not None:
            # nats-py writes its ping ahead of what still waits to be sent: the pong would say nothing about that.
            self._transport.writelines(self._pending)
            self._pending = []
            self._pending_data_size = 0
        await super().flush(timeout)

    async def settle(self) -> None:
        """Wait until what was sent is on its way, so that a long series does not pile up in memory."""
        if self._publishing:
            await asyncio.wait(list(self._publishing))
        if self._transport is not None:
            await self._transport.drain()


def _frame(subject: str, reply: str, data: bytes, headers: Optional[Dict[str, str]]) -> bytes:
    """One message as it goes over the wire."""
    to = f"{subject} {reply}" if reply else subject
    if not headers:
        return b"".join((f"PUB {to} {len(data)}\r\n".encode(), data, b"\r\n"))
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    return b"".join((f"HPUB {to} {len(head)} {len(head) + len(data)}\r\n".encode(), head, data, b"\r\n"))

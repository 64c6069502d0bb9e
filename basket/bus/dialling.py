"""Becoming connected: a client on one of the servers, greeted and with an inbox for replies, or the most telling error.

Runs on the loop's thread. A client is used once: whoever loses it dials anew, with what the credential files hold by then.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Any, Callable, List, Optional, Tuple
from urllib.parse import unquote

from basket.addresses import redacted
from basket.bus import translate
from basket.bus.settings import Settings
from basket.bus.wire import Receiver, RunReceiver, WireClient
from basket.errors import BasketError, UnreachableError

log = logging.getLogger("basket.bus")

END_TIMEOUT = 1.0
"""Seconds for which a client is given time to say goodbye."""


class Dialler:
    """``receivers`` gives who takes the messages of an inbox, told where in a subject their token begins; ``refused(action,
    subject)`` is called for what the server forbids, ``lost(client)`` when a client's connection has ended."""

    def __init__(
        self,
        settings: Settings,
        receivers: Callable[[int], Tuple[Receiver, RunReceiver]],
        refused: Callable[[str, str], None],
        lost: Callable[[WireClient], None],
    ) -> None:
        self._settings = settings
        self._receivers = receivers
        self._refused = refused
        self._lost = lost
        self._inbox_prefix = settings.inbox
        self._discovered: List[str] = []

    async def dial(self, deadline: float) -> WireClient:
        """A client connected to one of the servers, each tried once; the most telling error otherwise."""
        addresses = list(dict.fromkeys([*self._settings.urls, *self._discovered]))
        first, rest = addresses[:1], addresses[1:]
        random.shuffle(rest)  # the first one named is preferred, the others share the load of its absence
        worst: Optional[BasketError] = None
        for index, url in enumerate(first + rest):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            share = left / (len(addresses) - index)
            try:
                client = await self._open(url, min(share, 3.0) if len(addresses) > 1 else share)
                self._discovered = client.discovered
                return client
            except Exception as error:
                ours = translate.connection_error(error, url)
                # A refusal says more than silence does.
                if worst is None or isinstance(worst, UnreachableError):
                    worst = ours
        raise worst or UnreachableError("no time left to connect")

    async def _open(self, url: str, timeout: float) -> WireClient:
        client = WireClient()
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def on_error(error: Exception) -> None:
            violation = translate.violation(str(error))
            if violation is not None:  # looked at by whoever subscribes
                client.refused.add(violation)
                self._refused(*violation)
                return
            log.debug("nats: %s", error)
            if not failed.done():
                failed.set_exception(error)

        async def on_closed() -> None:
            if not failed.done():  # nats-py would have us wait for a pong on a connection that is gone
                failed.set_exception(ConnectionResetError("the connection was closed while it was being made"))
            self._lost(client)

        async def connect() -> None:
            await self._start(client, url, timeout, on_error, on_closed)
            await self._make_inbox(client, timeout)

        connecting = asyncio.ensure_future(connect())
        try:
            # nats-py goes on trying for ever by itself, and tells its error callback what failed: the first error ends it.
            await asyncio.wait({connecting, failed}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                connecting.result()
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
                await client.end(END_TIMEOUT)
            raise
        finally:
            if not failed.done():
                failed.cancel()
            elif not failed.cancelled():
                failed.exception()

    async def _start(self, client: WireClient, url: str, timeout: float, on_error: Any, on_closed: Any) -> None:
        s = self._settings
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

    async def _make_inbox(self, client: WireClient, timeout: float) -> None:
        """Subscribe to where replies come in, and see that the server lets us."""
        inbox: str = client.new_inbox()
        one, runs = self._receivers(len(inbox) + 1)
        await client.receive(f"{inbox}.>", one, runs=runs)
        await client.flush(timeout=max(timeout, 0.1))
        if ("subscription", f"{inbox}.>".lower()) in client.refused:
            if self._inbox_prefix == "_INBOX":
                raise translate.denied("subscription", f"{inbox}.>")
            # Credentials made for another implementation may know the shared prefix only.
            log.warning("the server refuses the private inbox %s.>, falling back to _INBOX.>", self._inbox_prefix)
            self._inbox_prefix = "_INBOX"
            client.use_inbox_prefix("_INBOX")
            await self._make_inbox(client, timeout)
            return
        client.inbox = inbox

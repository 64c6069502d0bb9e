"""The target resolution service, asked where somebody offers it, so that facts need not be fetched. ``answering`` offers it.

Request on ``zester.target.resolve``, MessagePack ``{expr, type?, want_facts?}``, answer ``{peels, facts?, err?}``. Only
expressions of the grammar that every implementation shares are sent: a server that does not know a form would answer with
an empty list.
"""

from __future__ import annotations

import time
from typing import Callable, FrozenSet, Optional

from basket.bus.connection import CLOSED, CONNECTED
from basket.bus.headers import NO_RESPONDERS
from basket.bus.link import Link
from basket.codec import decode, encode
from basket.errors import BasketError, DecodeError
from basket.keys import is_peel_id
from basket.logs import Log
from basket.names import RESOLVE
from basket.target import Target, shared_expression

PATIENCE = 0.5
"""Seconds to wait for a service that is there but does not answer, before the facts are read instead."""

AVOIDED = 30.0
"""Seconds for which such a service, or one we may not ask, is left alone."""

_log = Log(__name__)


class Resolver:
    """The asking side. Any thread."""

    def __init__(self, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._avoid_until = float("-inf")

    def ask(self, tree: Target, *, deadline: float) -> Optional[FrozenSet[str]]:
        """The ids that the service gives, None where it is not there, not able or not willing: then read the facts."""
        shared = shared_expression(tree)
        if shared is None or self._clock() < self._avoid_until:
            return None
        data = encode({"expr": shared[0], "type": shared[1]})
        try:
            reply = self._link.request(RESOLVE, data, deadline=min(deadline, time.monotonic() + PATIENCE))
            if reply.status == NO_RESPONDERS:
                return None
            answer = decode(reply.data)
        except DecodeError as error:
            _log.debug("the resolve service answered with junk", reason=str(error))
            return None
        except BasketError as error:
            if self._link.state == CLOSED:
                raise
            if self._link.state == CONNECTED:  # otherwise it is not the service's fault
                self._avoid_until = self._clock() + AVOIDED
            _log.debug("the resolve service is left alone for a while", reason=str(error))
            return None
        peels = answer.get("peels") if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or answer.get("err") or (peels is not None and not isinstance(peels, list)):
            _log.debug("the resolve service declined", reason=str(answer)[:200])
            return None
        # What others send becomes part of subjects: nothing but ids may pass.
        return frozenset(told for told in peels or () if isinstance(told, str) and is_peel_id(told))

"""The target resolution service, offered: requests of others answered from a live copy of the facts.

What is asked and answered stands in ``resolve``, the asking side.
"""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from basket.bus.feed import Feed
from basket.bus.headers import Headers
from basket.bus.link import Link
from basket.codec import decode, encode
from basket.errors import BasketError, DecodeError
from basket.live.outcomes import Document, Outcomes
from basket.logs import Log
from basket.names import RESOLVE, RESOLVERS
from basket.target import Target, parse

WAITING = 256
"""Requests that may wait while others are answered; beyond that callers, getting no answer, help themselves."""

_log = Log(__name__)


class ResolveService:
    """The answering side, from a live copy of the facts, on the thread ``basket-resolver``. Several share the work."""

    def __init__(self, link: Link, facts: Feed, document: Document, groups: Callable[[], Mapping[str, str]]) -> None:
        self._link = link
        self._facts = facts
        self._document = document
        self._groups = groups
        self._outcomes = Outcomes(facts.table_of, document)
        self._requests: queue.Queue[Optional[Tuple[str, bytes]]] = queue.Queue(WAITING)
        self._thread: Optional[threading.Thread] = None
        self._starting, self._ending = threading.Lock(), threading.Lock()

    def start(self, deadline: float) -> ResolveService:
        """Fetch the facts, then offer the service. May be called twice."""
        with self._starting:
            self._start(deadline)
        return self

    def _start(self, deadline: float) -> None:
        if self._thread is None:
            self._facts.want(["*"])
            try:
                self._facts.wait(deadline)
            except BaseException:
                self._facts.release(["*"])
                raise
            self._thread = threading.Thread(target=self._serve, name="basket-resolver", daemon=True)
            self._thread.start()
            try:
                self._link.subscribe(RESOLVE, self._receive, RESOLVERS, deadline=deadline)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Withdraw it. May be called twice."""
        with self._ending:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            self._link.unsubscribe(self._receive)
            self._facts.release(["*"])
        except BasketError:
            pass  # the connection is closed already
        try:
            self._requests.put_nowait(None)
        except queue.Full:  # it is awake, then, and looks whether it is still wanted
            pass
        if thread is not threading.current_thread():
            thread.join(2.0)

    def _receive(self, subject: bytes, reply: bytes, headers: Headers, data: bytes) -> None:  # on the loop's thread
        # We may do what the asker may not: an answer must not become a value of somebody else, or a command to the server.
        if reply and not reply.startswith((b"$", RESOLVE.encode())):
            try:
                self._requests.put_nowait((reply.decode(), data))
            except queue.Full:
                pass

    def _serve(self) -> None:
        while self._thread is threading.current_thread():
            request = self._requests.get()
            if request is None:
                continue
            reply, data = request
            try:
                self._link.send(reply, self._fitting(self.answer(data)))
            except Exception as error:
                _log.warning("a resolve request failed", reason=str(error))

    def _fitting(self, answer: Dict[str, Any]) -> bytes:
        data = encode(answer)
        if len(data) > self._link.max_payload:
            return encode({"peels": [], "err": f"the answer of {len(data)} bytes is larger than the server takes"})
        return data

    def answer(self, data: bytes) -> Dict[str, Any]:
        """The answer to one request, as it goes out; ``err`` where it could not be answered, and the caller helps itself."""
        try:
            request = decode(data)
            if not isinstance(request, dict) or not isinstance(request.get("expr"), str):
                return {"peels": [], "err": "a request is a map with a string 'expr'"}
            if not self._facts.current:
                return {"peels": [], "err": "the facts are not at hand at the moment"}
            tree = _read(request["expr"], request.get("type"), self._groups())
            facts = self._facts.table
            # A list may name peels that are not there.
            peels = sorted(peel_id for peel_id in self._outcomes.matching(tree, lambda: list(facts)) if peel_id in facts)
        except BasketError as error:
            return {"peels": [], "err": str(error)}
        answer: Dict[str, Any] = {"peels": peels}
        if request.get("want_facts"):
            answer["facts"] = {peel_id: self._document(self._facts.table.get(peel_id)) for peel_id in peels}
        return answer


_PREFIXES = {"pcre": "E@", "fact": "G@", "list": "L@"}


def _read(expression: str, kind: Any, groups: Mapping[str, str]) -> Target:
    if kind in (None, "", "glob", "compound"):
        return parse(expression, groups)
    prefix = _PREFIXES.get(str(kind))
    if prefix is None:
        raise DecodeError(f"targets of type {str(kind)[:40]!r} are not known here")
    return parse(expression if expression.startswith(prefix) else prefix + expression, groups)

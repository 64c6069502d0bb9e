"""This host's full name as ``hostname -f`` finds it, with a bound on how long the resolver may take."""

from __future__ import annotations

import socket
import threading
from typing import Callable, Dict, Optional

from basket.facts.part import text

TIMEOUT = 2.0
"""Seconds to wait for the resolver. Its own patience is often ten seconds and more."""


class _Question:
    """One look-up under way on a thread of its own. A hanging resolver keeps that one thread, never a second."""

    def __init__(self, hostname: str, resolve: Callable[[str], str]) -> None:
        self.hostname = hostname
        self.answer: Optional[str] = None
        self.done = threading.Event()
        self._resolve = resolve
        threading.Thread(target=self._ask, name="basket-fqdn", daemon=True).start()

    def _ask(self) -> None:
        try:
            self.answer = self._resolve(self.hostname)
        except (OSError, UnicodeError):
            pass
        finally:
            self.done.set()


_lock = threading.Lock()
_open: Optional[_Question] = None
_known: Dict[str, str] = {}


def _canonical(hostname: str) -> str:
    answers = socket.getaddrinfo(hostname, None, 0, socket.SOCK_STREAM, 0, socket.AI_CANONNAME)
    return str(answers[0][3]) if answers else ""


def fqdn(*, hostname: Optional[str] = None, resolve: Callable[[str], str] = _canonical, timeout: float = TIMEOUT) -> str:
    """The full name; where the resolver fails or is late, the name it gave last, else the plain host name.

    The last name is kept so that a resolver which comes and goes does not make the fact flap. Any thread; blocks for
    at most ``timeout`` seconds.
    """
    global _open
    name = socket.gethostname() if hostname is None else hostname
    with _lock:
        question = _open
        if question is None or question.done.is_set() or question.hostname != name:
            question = _open = _Question(name, resolve)
    question.done.wait(timeout)
    answer = question.answer
    with _lock:
        if answer:
            _known.clear()  # a renamed host needs its old name no more
            _known[name] = answer.rstrip(".")
        return text(_known.get(name, name))

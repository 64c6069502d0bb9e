"""What the resolver calls a host in full, with a bound on how long it may take. Imports nothing of ours.

The resolver answers from /etc/hosts at once, and from a broken DNS after half a minute; it cannot be interrupted. So it is
asked on a daemon thread, which keeps nobody from exiting, and as long as one question hangs there is never a second.
"""

from __future__ import annotations

import re
import socket
import threading
from typing import Optional

TIMEOUT = 2.0
"""Seconds to wait for the resolver."""

# /etc/hosts may have this host behind "localhost" on the same line: its own name is the better one then.
_NAMELESS = re.compile(r"(?:ip6-)?(?:localhost|loopback)[46]?(?:\.local(?:domain[46]?)?)?\Z", re.IGNORECASE)


class _Question(threading.Thread):
    def __init__(self, name: str) -> None:
        super().__init__(name="basket-hostname", daemon=True)
        self.about = name
        self.answer: Optional[str] = None

    def run(self) -> None:
        try:
            answers = socket.getaddrinfo(self.about, None, 0, socket.SOCK_DGRAM, 0, socket.AI_CANONNAME)
            found = answers[0][3].rstrip(".")
        except socket.gaierror as error:
            self.answer = None if error.errno == socket.EAI_AGAIN else ""
        except (OSError, UnicodeError):
            self.answer = ""
        else:
            self.answer = "" if _NAMELESS.match(found) else found


_lock = threading.Lock()
_open: Optional[_Question] = None


def canonical(name: str, *, timeout: float = TIMEOUT) -> Optional[str]:
    """What ``hostname -f`` prints on a host called ``name``; "" where the resolver knows no such name, or only localhost.

    None where no answer came within ``timeout`` seconds, or the resolver could not ask. Any thread; blocks until then.
    """
    global _open
    with _lock:
        question = _open
        if question is None or not question.is_alive():  # not alive in the child of a fork, too
            question = _open = _Question(name)
            question.start()
    question.join(timeout)
    return question.answer if question.about == name else None

"""What this host is: facts collected with psutil and the standard library, under the names every implementation shares.

``collect()`` gives the whole document, ``lookup()`` one dotted fact, ``stable()`` what change detection compares, and
``KNOWN`` every path the collectors can give. Nothing here speaks to NATS or remembers what was published.

What cannot be read on this host is left out, never guessed: a document without ``default_ipv4`` comes from a host
without a route. Every value can be carried by MessagePack, and lists and strings have a largest size.
All functions may be called from any thread; they block for milliseconds, apart from ``network.fqdn``, which asks the
resolver and waits at most two seconds for it.
"""

from __future__ import annotations

from basket.facts.document import KNOWN, collect, lookup
from basket.facts.volatile import stable

__all__ = ["KNOWN", "collect", "lookup", "stable"]

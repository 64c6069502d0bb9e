"""How NATS is spoken to: the loop thread, the connection, buckets, bulk reads. The only asyncio of this package.

Everything above it sees blocking calls that take a deadline on ``time.monotonic()`` and raise our own errors. It knows
subjects, keys and bytes; what a fact, a target or a template is, it does not.
"""

from __future__ import annotations

import logging

# A library says nothing on stderr by itself; who wants to hear it sets up logging for "basket".
logging.getLogger("basket").addHandler(logging.NullHandler())

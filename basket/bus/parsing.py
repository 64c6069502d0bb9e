"""nats-py's parser with a short way for messages that are ours: a chunk read from the socket is taken apart in one go.

nats-py tries up to seven patterns for each message and moves the rest of its buffer twice, 5 us in all. Everything that is
not a whole message to one of our receivers is left to it: other commands, and what reaches over the end of a chunk.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, Callable, Dict, Optional

from nats.protocol.parser import AWAITING_CONTROL_LINE, CRLF_SIZE, Parser

Taker = Callable[[bytes, bytes, Optional[bytes], bytes], None]
"""Called with subject, reply subject, headers (None where there are none) and data. Must not raise."""

# MSG subject sid [reply] size, HMSG subject sid [reply] size-of-headers size; written by the server with single spaces.
_MESSAGE = re.compile(rb"(?:MSG|H(MSG)) ([^ \r]+) (\d+) (?:([^ \r]*[^\d \r][^ \r]*) )?(?:(\d+) )?(\d+)\r\n")


def is_as_expected() -> bool:
    """Whether this nats-py's parser keeps what is left over the way that BurstParser relies on."""
    parser = Parser()
    state = {"buf": bytearray, "state": int, "needed": int}
    return (
        all(type(getattr(parser, name, None)) is kind for name, kind in state.items())
        and inspect.iscoroutinefunction(Parser.parse)
        and list(inspect.signature(Parser.parse).parameters) == ["self", "data"]
    )


class BurstParser(Parser):  # type: ignore[misc]
    """``takers``: by the number of the subscription, who gets its messages. Looked up anew for each one."""

    def __init__(self, client: Any, takers: Dict[int, Taker]) -> None:
        super().__init__(client)
        self._takers = takers

    async def parse(self, data: bytes = b"") -> None:
        """Take in what was read from the socket."""
        if self.buf and self.state != AWAITING_CONTROL_LINE:
            missing = self.needed + CRLF_SIZE - len(self.buf)
            await super().parse(data[:missing])
            data = data[missing:]
        elif self.buf:
            data = bytes(self.buf) + data
            self.buf.clear()
        if data:
            taken = self._take(data)
            if taken < len(data):
                await super().parse(data[taken:] if taken else data)

    def _take(self, data: bytes) -> int:
        """Hand out the whole messages at the start of ``data``, as far as they are ours; how many bytes that were."""
        at, size, takers, read = 0, len(data), self._takers, _MESSAGE.match
        while True:
            found = read(data, at)
            if found is None:
                return at
            headed, subject, sid, reply, head, total = found.groups()
            taker = takers.get(int(sid))
            begin = found.end()
            end = begin + int(total)
            if taker is None or end + CRLF_SIZE > size:
                return at
            if headed:
                body = begin + int(head)
                taker(subject, reply or b"", data[begin:body], data[body:end])
            else:
                taker(subject, reply or b"", None, data[begin:end])
            at = end + CRLF_SIZE

"""nats-py's parser with a short way for messages that are ours: a chunk read from the socket is taken apart in one go.

nats-py tries up to seven patterns for each message and moves the rest of its buffer twice, 5 us in all. Everything that is
not a whole message to one of our receivers is left to it: other commands, and what reaches over the end of a chunk.
"""

from __future__ import annotations

import inspect
import logging
import re
from typing import Any, Callable, Mapping, Optional

from nats.protocol.parser import AWAITING_CONTROL_LINE, CRLF_SIZE, Parser

log = logging.getLogger("basket.bus")

Taker = Callable[[bytes, bytes, Optional[bytes], bytes], None]
"""Called with subject, reply subject, headers (None where there are none) and data."""

RunTaker = Callable[[bytes, bytes, int, bytes], int]
"""Called with the subject of several messages, the chunk they came in, the place where the first begins, and what the first
line of each begins with. Takes as many as it likes, only whole ones, and gives the place behind the last."""

# As the server writes them, with single spaces.
_PLAIN = re.compile(rb"MSG ([^ \r]+) (\d+) (?:([^ \r]+) )?(\d+)\r\n")
_HEADED = re.compile(rb"HMSG ([^ \r]+) (\d+) (?:([^ \r]+) )?(\d+) (\d+)\r\n")


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
    """``takers``: by the number of the subscription, who gets its messages; ``run_takers``: who is asked first where several
    came with the same subject, and may take many in one go. Both are looked up anew each time."""

    def __init__(self, client: Any, takers: Mapping[int, Taker], run_takers: Mapping[int, RunTaker]) -> None:
        super().__init__(client)
        self._takers = takers
        self._run_takers = run_takers

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
        at, size = 0, len(data)
        while True:
            headed = data.startswith(b"H", at)
            found = (_HEADED if headed else _PLAIN).match(data, at)
            if found is None:
                return at
            sid = int(found[2])
            taker = self._takers.get(sid)
            begin = found.end()
            end = begin + int(found[5 if headed else 4])
            if taker is None or end + CRLF_SIZE > size:
                return at
            begun, at = at, end + CRLF_SIZE
            try:
                # Those of a batch have all but the sizes in common, and come by the thousand.
                common = data[begun : found.start(4)]
                if headed and not found[3] and sid in self._run_takers and data.startswith(common, at):
                    reached = self._run_takers[sid](found[1], data, begun, common)
                    if reached > begun:
                        at = reached
                        continue
                body = begin + int(found[4]) if headed else begin
                taker(found[1], found[3] or b"", data[begin:body] or None, data[body:end])
            except Exception:  # it would end nats-py's reading for good, with the connection seeming alive
                log.exception("a receiver failed")

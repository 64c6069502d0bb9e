"""The headers of a message as they came, and what the server says in them. Pure."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, NamedTuple, Optional, Union

NOT_FOUND, NO_RESPONDERS = 404, 503
"""Inline status: no such message; nobody listens to what was asked."""

Headers = Union[bytes, Mapping[str, str], None]
"""As they came off the wire (the short way) or as nats-py parsed them (the public way)."""


class Reply(NamedTuple):
    """One message as it came."""

    headers: Headers
    data: bytes

    @property
    def status(self) -> int:
        """The status code of a message without a body of its own (404, 503, ...), else 0."""
        return status(self.headers)

    def json(self) -> Dict[str, Any]:
        """The body of a JetStream API answer; an empty dict where it is none."""
        try:
            body = json.loads(self.data)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


def status(headers: Headers) -> int:
    """The inline status of a header block, 0 where there is none.

    What was read from a stream has none either, whatever its writer put there: the server numbers it, and otherwise one peel's
    value could pass for the end of everybody's. (Not the header before that: a block that its writer left without its end
    swallows the first that the server appends.)
    """
    if not headers:
        return 0
    if isinstance(headers, bytes):
        code: Any = headers[9:12] if headers[8:9] == b" " else b""
    else:
        code = headers.get("Status", "")
    if not code or not code.isdigit() or header(headers, "Nats-Sequence") is not None:
        return 0
    return int(code)


def header(headers: Headers, name: str) -> Optional[str]:
    """One header; of several with that name the last, since the server appends its own behind those of the writer."""
    if not headers:
        return None
    if not isinstance(headers, bytes):
        return headers.get(name)
    mark = b"\r\n" + name.encode() + b":"
    start = headers.rfind(mark)
    if start < 0:
        return None
    start += len(mark)
    return headers[start : headers.find(b"\r\n", start)].strip().decode("utf-8", "replace")

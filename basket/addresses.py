"""Addresses of NATS servers: whether one can be used, and how to show one without the password in it."""

from __future__ import annotations

import re
from typing import Sequence
from urllib.parse import urlsplit

SCHEMES = ("nats", "tls", "ws", "wss")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HIDDEN = "***"


def redacted(url: str) -> str:
    """``url`` with its password or token, and anything after ``?`` or ``#``, replaced by ``***``.

    Made for messages, so it takes what is not a proper address as well, and then hides rather too much than too little.
    """
    scheme = _SCHEME.match(url)
    start = scheme.end() if scheme else 0
    rest = url[start:]
    # The last @ parts secret and host, even where somebody left an @, a / or a ? of the password as it is.
    secret, at, host = rest.rpartition("@")
    host = re.sub(r"([?#]).*", rf"\1{_HIDDEN}", host, flags=re.DOTALL)
    if not at:
        return url[:start] + host
    user, colon, _ = secret.partition(":")
    # Without a colon it is a token; with a stray delimiter before the colon it is no user name that we can trust.
    shown = f"{user}:{_HIDDEN}" if colon and not re.search(r"[/?#@\s]", user) else _HIDDEN
    return f"{url[:start]}{shown}@{host}"


def has_secret(url: str) -> bool:
    """Whether ``url`` says who is calling, so that nothing else may."""
    return "@" in urlsplit(url).netloc


def check_url(url: str) -> str:
    """``url`` itself if a client can connect to it, otherwise ValueError. The message never shows a password."""
    shown = repr(redacted(url))
    if not url:
        raise ValueError("the address of a server cannot be empty")
    if re.search(r"[\x00-\x20\x7f-\xa0]", url):
        raise ValueError(f"{shown} holds a blank or a control character")
    if "${" in url:
        raise ValueError(f"{shown} holds '${{', and nothing is expanded here; write the address itself")
    if url.count("://") > 1:
        raise ValueError(f'{shown} is more than one address; write several as a list: ["nats://a:4222", "nats://b:4222"]')
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise ValueError(f"{shown} has no scheme; write {'nats://' + redacted(url)!r}")
    if scheme[1] not in SCHEMES:
        raise ValueError(f"{shown} starts with {scheme[1]!r}; a server is reached through nats://, tls://, ws:// or wss://")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError as error:
        # Only our own words: those of urllib may quote the part that holds a password.
        raise ValueError(f"{shown} is not an address; the form is nats://host:port, the port from 1 to 65535") from error
    if not host:
        raise ValueError(f"{shown} names no host; the form is nats://host:4222")
    if port == 0:
        raise ValueError(f"{shown} has port 0, which nobody listens on; NATS usually listens on 4222")
    if re.search(r"[*,;|<>'\"\\^`{}]", host):
        raise ValueError(f"{shown} names a host with characters that no host name has")
    websocket = parts.scheme in ("ws", "wss")
    if parts.query or parts.fragment or (parts.path not in ("", "/") and not websocket):
        raise ValueError(f"{shown} has something after the port; the form is {parts.scheme}://host:port")
    return url


def check_together(urls: Sequence[str], *, encrypted: bool) -> None:
    """ValueError where ``urls`` cannot serve one connection; ``encrypted``: TLS settings stand beside them."""
    schemes = {urlsplit(url).scheme for url in urls}
    if schemes & {"ws", "wss"} and schemes & {"nats", "tls"}:
        raise ValueError("ws:// or wss:// and nats:// or tls:// cannot be mixed in one list")
    if encrypted and "ws" in schemes:
        raise ValueError("ws:// is never encrypted, and yet TLS is configured; write wss://")

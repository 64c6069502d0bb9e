"""Foreign errors into ours, in one place: nats-py's exceptions, the server's -ERR lines, JetStream's error answers."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Dict, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from basket.addresses import check_url, redacted
from basket.bus.headers import NO_RESPONDERS, Reply
from basket.errors import (
    AuthError,
    BasketError,
    BasketTimeoutError,
    BucketMissingError,
    ConfigError,
    JetStreamError,
    PermissionDeniedError,
    UnreachableError,
    ValueTooLargeError,
)

STREAM_NOT_FOUND = 10059
MESSAGE_TOO_LARGE = 10054
NO_MESSAGE = 10037
NAME_IN_USE = 10058
NOT_CREATED = 10049
NOT_ENABLED = (10039, 10076)
"""JetStream not enabled for the account; JetStream not enabled on the server."""

_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"', re.IGNORECASE)
_REFUSED = re.compile(
    r"authorization (?:violation|failed)|authentication (?:expired|revoked|timeout)|unauthorized", re.IGNORECASE
)


def violation(text: str) -> Optional[Tuple[str, str]]:
    """("publish" or "subscription", subject in lower case) of a permission violation, None for anything else."""
    found = _VIOLATION.search(text)
    return (found.group(1).lower(), found.group(2).lower()) if found else None


def denied(action: str, subject: str) -> PermissionDeniedError:
    """These credentials may not publish to, or subscribe to, ``subject``."""
    verb = "publish to" if action == "publish" else "subscribe to"
    return PermissionDeniedError(f"the server does not let these credentials {verb} {subject}", subject=subject)


def connection_error(error: BaseException, url: str) -> BasketError:
    """Why connecting to ``url`` failed, as one of our errors with the reason in words."""
    where = redacted(url)
    if isinstance(error, BasketError):
        return error
    text = str(error).replace("nats: ", "", 1).strip("'\" ")
    if _REFUSED.search(text):
        return AuthError(f"{where} refused these credentials: {text}")
    if isinstance(error, ImportError):
        return ConfigError("credentials and nkey seeds need the nkeys package: pip install 'zester-basket[nkeys]'")
    if type(error).__module__.split(".")[0] in ("nkeys", "binascii") or "nkeys:" in text:
        return ConfigError(f"the nkey seed, or the one in the credentials file, is none: {text}")
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(f"no NATS server reachable at {where}: connection refused")
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return UnreachableError(f"no NATS server reachable at {where}: no answer in time")
    filename = getattr(error, "filename", None)
    if isinstance(error, OSError) and filename:
        return ConfigError(f"cannot read {filename}: {error.strerror}")
    if isinstance(error, OSError) and type(error).__module__ == "ssl":
        return UnreachableError(f"no TLS connection to {where}: {text}")
    if isinstance(error, OSError) and error.strerror and "[Errno" in text:
        text = error.strerror
    if "expecting INFO" in text:
        text = "what listens there is not a NATS server"
    return UnreachableError(f"no NATS server reachable at {where}: {text or type(error).__name__}")


def api_error(body: Mapping[str, Any], what: str) -> Optional[JetStreamError]:
    """The error in a JetStream answer, as one of ours; None where it holds none."""
    error = body.get("error")
    if not isinstance(error, Mapping):
        return None
    code = error.get("err_code")
    text = str(error.get("description", "unknown error"))
    if code in NOT_ENABLED:
        return JetStreamError(f"JetStream is not enabled for this account or server ({text})", code=code)
    return JetStreamError(f"{what}: {text}", code=code)


def checked(reply: Reply, bucket: str) -> Dict[str, Any]:
    """A JetStream answer about a bucket; raises the error that it holds, BucketMissingError where there is none."""
    if reply.status == NO_RESPONDERS:
        raise no_jetstream()
    answer = reply.json()
    error = api_error(answer, f"bucket {bucket!r}")
    if error is None:
        return answer
    if error.code == STREAM_NOT_FOUND:
        raise BucketMissingError(
            f"bucket {bucket!r} does not exist on this server: start an agent, or publish something", code=error.code
        )
    raise error


def no_jetstream() -> JetStreamError:
    """Nobody answers JetStream's API."""
    return JetStreamError(
        "this NATS server has no JetStream: start it with --jetstream (in its configuration: jetstream {}), "
        "and see that it is enabled for this account"
    )


def too_large(what: str, size: int, limit: int) -> ValueTooLargeError:
    """``what`` needs ``size`` bytes where the server takes ``limit``."""
    return ValueTooLargeError(
        f"{what} is {size} bytes, the server takes at most {limit}: share less, or raise max_payload there",
        size=size,
        limit=limit,
    )


def no_answer(subject: str, timeout: float) -> BasketTimeoutError:
    """Connected, yet nothing came back."""
    return BasketTimeoutError(f"no answer from the server within {timeout:.3g} s (asked {subject})")


def split_url(url: str) -> Tuple[str, Optional[str], Optional[str]]:
    """An address without its user part, then user and password (a user alone is a token)."""
    try:
        parts = urlsplit(check_url(url if "://" in url else f"nats://{url}"))
    except ValueError as error:
        raise ConfigError(f"bad server address: {error}") from error
    host, port = parts.hostname or "", parts.port
    if ":" in host:
        host = f"[{host}]"
    address = f"{parts.scheme}://{host}" + (f":{port}" if port else "" if parts.scheme in ("ws", "wss") else ":4222")
    return address, parts.username, parts.password

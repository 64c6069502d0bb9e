"""Foreign errors into ours: a user must learn what is wrong in words, and never read a password in a message."""

from __future__ import annotations

import asyncio
import errno
import ssl

import pytest
from nats import errors as nats_errors

from basket.bus import translate
from basket.errors import (
    AuthError,
    ConfigError,
    JetStreamError,
    PermissionDeniedError,
    UnreachableError,
)

URL = "nats://bob:s3cret@10.0.0.1:4222"


@pytest.mark.parametrize(
    "error,kind,says",
    [
        (nats_errors.Error("nats: 'Authorization Violation'"), AuthError, "refused these credentials"),
        (nats_errors.AuthorizationError(), AuthError, "refused these credentials"),
        (nats_errors.Error("nats: 'User Authentication Expired'"), AuthError, "Expired"),
        (nats_errors.Error("nats: 'Authentication Timeout'"), AuthError, "Timeout"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), UnreachableError, "connection refused"),
        (asyncio.TimeoutError(), UnreachableError, "no answer in time"),
        (nats_errors.TimeoutError(), UnreachableError, "no answer in time"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), UnreachableError, "No route to host"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/a.creds"), ConfigError, "/x/a.creds"),
        (ssl.SSLError(1, "certificate verify failed"), UnreachableError, "TLS"),
        (ImportError("nkeys"), ConfigError, "nkeys"),
        (
            nats_errors.Error("nats: empty response from server when expecting INFO message"),
            UnreachableError,
            "what listens there is not a NATS server",
        ),
        (ValueError(), UnreachableError, "ValueError"),
    ],
    ids=lambda x: str(x)[:40],
)
def test_why_connecting_failed(error, kind, says):
    made = translate.connection_error(error, URL)
    assert isinstance(made, kind)
    assert says in str(made)
    assert "s3cret" not in str(made)


def test_our_own_errors_pass_unchanged():
    error = ConfigError("x")
    assert translate.connection_error(error, URL) is error


@pytest.mark.parametrize(
    "line,found",
    [
        ('nats: permissions violation for publish to "$kv.basket.a.b"', ("publish", "$kv.basket.a.b")),
        ("nats: 'Permissions Violation for Subscription to \"_INBOX.x.>\"'", ("subscription", "_inbox.x.>")),
        ('Permissions Violation for Subscription to "a.>" using queue "q"', ("subscription", "a.>")),
        ("nats: 'Stale Connection'", None),
        ("", None),
    ],
)
def test_violations_are_recognised(line, found):
    assert translate.violation(line) == found


def test_a_denied_subject_is_named():
    error = translate.denied("publish", "$KV.basket.a.b")
    assert isinstance(error, PermissionDeniedError)
    assert error.subject == "$KV.basket.a.b"
    assert "$KV.basket.a.b" in str(error)


@pytest.mark.parametrize(
    "body,code",
    [
        ({"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}, 10059),
        ({"error": {"code": 503, "err_code": 10076, "description": "JetStream not enabled"}}, 10076),
        ({"error": {}}, None),
    ],
)
def test_errors_of_the_api(body, code):
    error = translate.api_error(body, "bucket 'basket'")
    assert isinstance(error, JetStreamError)
    assert error.code == code


@pytest.mark.parametrize("body", [{}, {"error": None}, {"error": "x"}, {"seq": 1}])
def test_no_error_of_the_api(body):
    assert translate.api_error(body, "x") is None


@pytest.mark.parametrize(
    "url,parts",
    [
        ("nats://h", ("nats://h:4222", None, None)),
        ("h", ("nats://h:4222", None, None)),
        ("h:99", ("nats://h:99", None, None)),
        ("nats://bob:pw@h:1", ("nats://h:1", "bob", "pw")),
        ("tls://tok@h", ("tls://h:4222", "tok", None)),
        ("nats://[::1]:4333", ("nats://[::1]:4333", None, None)),
        ("ws://h", ("ws://h", None, None)),
        ("wss://h:443", ("wss://h:443", None, None)),
    ],
)
def test_addresses(url, parts):
    assert translate.split_url(url) == parts


@pytest.mark.parametrize(
    "url", ["http://h", "nats://", "nats://h:port", "nats://h:99999", "", "nats://bob:s3cret@", "x://bob:s3cret@h"]
)
def test_bad_addresses_are_refused_without_telling_the_password(url):
    with pytest.raises(ConfigError, match="bad server address") as caught:
        translate.split_url(url)
    assert "s3cret" not in str(caught.value)

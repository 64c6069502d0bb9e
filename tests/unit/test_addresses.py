"""An address is either usable, or refused with the right form; and no message ever shows the password in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basket.addresses import check_url, redacted
from basket.config import NatsSection

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "nats://127.0.0.1:4222",
        "nats://nats-1",
        "nats://nats-1:4222/",
        "tls://nats.example.com:4443",
        "ws://nats-1:8080/nats",
        "wss://nats-1",
        "nats://[::1]:4222",
        "nats://user:p%40ss@nats-1:4222",
        "nats://token@nats-1:4222",
        "nats://bücher.example:4222",
        "nats://under_score:4222",
    ],
)
def test_usable(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("", "cannot be empty"),
        ("nats-1", "write 'nats://nats-1'"),
        ("nats-1:4222", "write 'nats://nats-1:4222'"),
        ("http://nats-1", "nats://, tls://, ws:// or wss://"),
        ("NATS://nats-1", "nats://, tls://, ws:// or wss://"),
        ("nats://", "no host"),
        ("nats://:4222", "no host"),
        ("nats://user:hunter2@", "no host"),
        ("nats://nats-1:0", "port 0"),
        ("nats://nats-1:70000", "from 1 to 65535"),
        ("nats://nats-1:http", "from 1 to 65535"),
        ("nats://[::1:4222", "form is"),
        ("nats://nats 1", "blank"),
        ("nats://nats-1\n", "blank"),
        ("nats://nats-1\0", "control"),
        ("nats://${HOST}:4222", "nothing is expanded"),
        ("nats://a:1,nats://b:2", "as a list"),
        ("nats://a:1,b:2", "from 1 to 65535"),
        ("nats://a,b", "no host name has"),
        ("nats://*", "no host name has"),
        ("nats://nats-1/path", "something after the port"),
        ("nats://nats-1?x=y", "something after the port"),
        ("nats://user:hunter2/x@nats-1", "form is"),
        ("nats://hunter2/x@nats-1", "after the port"),
        ("user:hunter2@nats-1", "no scheme"),
        ("http://user:hunter2@nats-1", "http"),
        ("nats://user:hunter2@nats-1:port", "form is"),
        ("nats://user:hunter2 x@nats-1", "blank"),
    ],
)
def test_refused_with_advice_and_without_the_password(url: str, advice: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_url(url)
    assert advice in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://nats-1:4222", "nats://nats-1:4222"),
        ("nats://user:hunter2@nats-1:4222", "nats://user:***@nats-1:4222"),
        ("nats://hunter2@nats-1:4222", "nats://***@nats-1:4222"),
        ("nats://user:a@hunter2@nats-1", "nats://user:***@nats-1"),
        ("nats://user:a/hunter2?#@nats-1", "nats://user:***@nats-1"),
        ("nats://hunter2/a:b@nats-1", "nats://***@nats-1"),
        ("user:hunter2@nats-1", "user:***@nats-1"),
        ("wss://nats-1/x?token=hunter2", "wss://nats-1/x?***"),
        ("nats://user:@nats-1", "nats://user:***@nats-1"),
        ("", ""),
    ],
)
def test_redacted(url: str, shown: str) -> None:
    assert redacted(url) == shown


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_redacted_never_shows_what_stands_between_colon_and_at(before: str, after: str, host: str) -> None:
    assert SECRET not in redacted(f"nats://user:{before}{SECRET}{after}@{host}")
    assert SECRET not in redacted(f"nats://{SECRET}@{host}")


def test_the_repr_of_the_settings_shows_no_secret() -> None:
    """They end up in logs and in tracebacks."""
    section = NatsSection(url=(f"nats://u:{SECRET}@a", f"nats://{SECRET}@b"), user="u", password=SECRET, token=SECRET)
    assert SECRET not in repr(section)
    assert "password='***'" in repr(section)
    assert "password" not in repr(NatsSection(user="u"))

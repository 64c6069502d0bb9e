"""Mistakes that a script or a configuration makes, each told as what it is instead of passing for something else."""

from __future__ import annotations

import logging
import threading

import pytest

import basket
from basket import config


def test_a_credentials_file_that_is_missing_or_none_is_told_even_by_a_server_that_asks_nobody(shared_server, tmp_path):
    """nats-py reads it only where the server asks: the mistake would show on another day, on another server."""
    junk = tmp_path / "junk.creds"
    junk.write_text("junk")
    with pytest.raises(basket.ConfigError, match=r"cannot read .*nowhere\.creds"):
        basket.connect(shared_server.url, peel_id="a", credentials=str(tmp_path / "nowhere.creds"))
    with pytest.raises(basket.ConfigError, match="is no credentials file"):
        basket.connect(shared_server.url, peel_id="a", credentials=str(junk))


def test_a_junk_seed_is_a_mistake_here_and_not_an_unreachable_server(shared_server, tmp_path):
    seed = tmp_path / "seed"
    seed.write_text("junk")
    with pytest.raises(basket.ConfigError, match="seed"):
        basket.connect(shared_server.url, peel_id="a", nkey_seed=str(seed))


@pytest.mark.parametrize("nothing", ["", [], " , "])
def test_no_address_is_not_the_default_address(nothing):
    """An unset variable in a script must not lead it to another server."""
    with pytest.raises(basket.ConfigError, match="no server address"):
        basket.connect(nothing, peel_id="a")


@pytest.mark.parametrize("alone", [{"user": "x"}, {"password": "x"}])
def test_half_a_login_is_refused(shared_server, alone):
    with pytest.raises(basket.ConfigError, match="go together"):
        basket.connect(shared_server.url, peel_id="a", **alone)


def test_the_configuration_may_be_a_path_object(shared_server, tmp_path):
    file = tmp_path / "basket.toml"
    file.write_text(f'[peel]\nid = "path-01"\n[nats]\nurl = "{shared_server.url}"\n')
    with basket.connect(config=file) as b:
        assert b.peel_id == "path-01"


def test_a_name_too_long_for_the_protocol_is_refused_before_it_is_sent(basket_for, shared_server, unique):
    """The server cuts the connection of who sends so long a line; asked again, it would do so for ever."""
    b = basket_for(shared_server, unique)
    before = b.connections
    for call in (lambda: b.publish("x" * 4096, 1), lambda: b.value(unique, "x" * 4096), lambda: b.get("*", "x" * 4096)):
        with pytest.raises(basket.InvalidKeyError, match="4096 characters"):
            call()
    assert b.connections == before
    b.publish("x" * 512, 1)
    assert b.value(unique, "x" * 512) == 1


def test_a_callback_that_fails_is_seen_without_any_logging_set_up(basket_for, shared_server, unique, monkeypatch):
    b = basket_for(shared_server, unique)
    with pytest.raises(TypeError, match="callback"):
        b.watch("*", "a", callback=3)
    seen, told = [], threading.Event()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(threading, "excepthook", lambda args: (seen.append(args.exc_type), told.set()))
    b.publish(unique, 1)
    with b.watch(unique, unique, callback=lambda change: 1 / 0):
        assert told.wait(5)
    assert seen == [ZeroDivisionError]


def test_a_custom_fact_cannot_hide_what_is_collected():
    with pytest.raises(basket.ConfigError, match="os would hide all facts"):
        config.parse('[facts]\ncustom = { os = "mine" }\n')
    assert config.parse("[facts]\ncustom = { os = { mine = 1 } }\n").facts.custom == {"os": {"mine": 1}}


def test_a_peel_that_is_gone_can_be_forgotten_whole(basket_for, shared_server, unique):
    gone, other = basket_for(shared_server, f"{unique}-gone"), basket_for(shared_server, f"{unique}-op")
    gone.publish("a", 1)
    gone.publish_facts({"role": unique})
    assert other.peels(f"role:{unique}") == [gone.peel_id]
    assert other.flush(gone.peel_id) == 1
    assert other.delete_facts(gone.peel_id) is True
    assert other.delete_facts(gone.peel_id) is False
    assert other.peels(f"role:{unique}") == [] and other.peels(gone.peel_id) == []

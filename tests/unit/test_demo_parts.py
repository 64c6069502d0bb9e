"""The demo without its processes: names, configuration files, and signals that leave nothing behind."""

from __future__ import annotations

import os
import signal

import pytest

from basket import config
from basket.demo import peels
from basket.demo.signals import Interrupted, Signals


@pytest.mark.parametrize(
    ("name", "peel_id"),
    [
        ("pine", "pine"),
        ("build.example.org", "build_example_org"),
        ("localhost", "this-host"),
        ("localhost.localdomain", "this-host"),
        ("", "this-host"),
        ("x" * 65, "this-host"),
        ("web-01", "this-host"),
    ],
)
def test_this_host_has_a_name_that_can_be_a_key(name, peel_id):
    """In a container the host is often called localhost, which may not be a peel id; the demo must run there too."""
    assert peels.this_host(lambda: name) == peel_id


def test_the_configuration_files_mean_what_the_story_says():
    state = '/tmp/with "quotes" and ż'
    web = config.parse(peels.peel_config(peels.OTHERS[0], "nats://127.0.0.1:4222", state, "/tmp/release"))
    assert (web.peel.id, web.peel.state) == ("web-01", state)
    assert web.nats.url == ("nats://127.0.0.1:4222",)
    assert web.facts.custom == {"role": "webserver"}
    functions = {one.function.name: one for one in web.basket.functions}
    assert functions["service.address"].function.what == "192.0.2.11:8080"
    assert functions["custom.release"].interval == 0.2
    host = config.parse(peels.host_config("pine", "nats://127.0.0.1:4222", state))
    assert "network.ip_addrs" in {one.function.name for one in host.basket.functions}
    assert config.parse(peels.asker_config("pine", "nats://127.0.0.1:4222", state)).peel.id == "pine"


def test_a_signal_ends_the_demo():
    with Signals(), pytest.raises(Interrupted) as raised:
        os.kill(os.getpid(), signal.SIGTERM)
    assert raised.value.number == signal.SIGTERM


def test_a_signal_waits_until_a_started_process_is_remembered():
    """Otherwise Ctrl-C at the wrong moment would leave a server running."""
    started = []
    with Signals() as signals, pytest.raises(Interrupted), signals.hold():
        os.kill(os.getpid(), signal.SIGINT)
        started.append("process")
    assert started == ["process"]


def test_cleaning_up_is_not_interrupted_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        signals.ignore()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before

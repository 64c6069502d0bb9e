"""The health endpoints as a monitoring system meets them, over a real socket."""

from __future__ import annotations

import json
import socket
import sys
import threading
import urllib.error
import urllib.request

import pytest

import basket.agent
from basket.agent import http
from basket.agent.http import Health
from basket.agent.vitals import Vitals


@pytest.fixture
def vitals():
    made = Vitals()
    made.state = lambda: "connected"
    return made


@pytest.fixture
def health(vitals):
    one = Health(("127.0.0.1", 0), vitals.snapshot)
    one.start()
    yield one
    one.stop()


def ask(health, path, method="GET"):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(health.url + path, method=method), timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_healthy_and_ready(health):
    status, body = ask(health, "/healthz")
    assert status == 200 and json.loads(body)["healthy"] is True
    status, body = ask(health, "/readyz?verbose=1")
    assert status == 200 and json.loads(body)["nats"] == "connected"


def test_not_ready_is_503(health, vitals):
    """Load balancers look at the status alone."""
    vitals.state = lambda: "suspended"
    status, body = ask(health, "/readyz")
    assert status == 503 and json.loads(body)["ready"] is False


def test_metrics(health):
    pytest.importorskip("prometheus_client")
    status, body = ask(health, "/metrics")
    assert status == 200 and b"zester_basket_connected 1.0" in body


def test_metrics_without_their_library_say_what_to_install(health, monkeypatch):
    monkeypatch.setitem(sys.modules, "basket.agent.metrics", None)
    monkeypatch.delattr(basket.agent, "metrics", raising=False)
    status, body = ask(health, "/metrics")
    assert status == 501 and b"zester-basket[metrics]" in body
    assert ask(health, "/healthz")[0] == 200


def test_anything_else_is_not_found_and_cannot_be_written_to(health):
    assert ask(health, "/../etc/passwd")[0] == 404
    assert ask(health, "/healthz", "POST")[0] == 501
    assert ask(health, "/healthz", "HEAD") == (200, b"")


def test_silent_clients_do_not_take_the_last_answer(health, monkeypatch):
    """Whoever connects and says nothing must not make the agent look dead."""
    idle = [socket.create_connection(("127.0.0.1", int(health.url.rpartition(":")[2]))) for _ in range(http.AT_ONCE - 1)]
    try:
        assert ask(health, "/healthz")[0] == 200
    finally:
        for one in idle:
            one.close()


def test_a_stopped_one_leaves_no_thread_and_gives_its_port_back(vitals):
    before = {thread.name for thread in threading.enumerate()}
    one = Health(("127.0.0.1", 0), vitals.snapshot)
    one.start()
    assert "basket-http" in {thread.name for thread in threading.enumerate()}
    port = int(one.url.rpartition(":")[2])
    one.stop()
    one.stop()
    assert "basket-http" not in {thread.name for thread in threading.enumerate()} - before
    again = Health(("127.0.0.1", port), vitals.snapshot)
    again.start()
    again.stop()


def test_a_taken_port_is_told(vitals, health):
    with pytest.raises(OSError):
        Health(("127.0.0.1", int(health.url.rpartition(":")[2])), vitals.snapshot).start()


def test_ipv6(vitals):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    one = Health(("::1", 0), vitals.snapshot)
    try:
        one.start()
    except OSError:
        pytest.skip("no IPv6 loopback here")
    try:
        assert ask(one, "/healthz")[0] == 200
    finally:
        one.stop()

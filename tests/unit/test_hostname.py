"""What the resolver calls this host: bounded in time, never a second question beside one that hangs, never localhost."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from basket import hostname
from basket.facts import fqdn as fact
from basket.identity import full_host_name


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(hostname, "_open", None)
    monkeypatch.setattr(fact, "_last", ("", ""))
    monkeypatch.setattr(socket, "gethostname", lambda: "web01")


@pytest.fixture
def resolver(monkeypatch):
    def set_to(answer):
        def getaddrinfo(name, *_):
            if isinstance(answer, Exception):
                raise answer
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, answer(name) if callable(answer) else answer, ("192.0.2.1", 0))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return set_to


@pytest.fixture
def hanging(resolver):
    """A resolver that hangs until the end of the test, and the names it was asked for."""
    release, asked = threading.Event(), []

    def hang(name):
        asked.append(name)
        release.wait(20)
        return ""

    resolver(hang)
    yield asked
    release.set()


@pytest.mark.parametrize(
    ("answer", "found", "full"),
    [
        ("web01.example.org", "web01.example.org", "web01.example.org"),
        ("web01.example.org.", "web01.example.org", "web01.example.org"),
        ("", "", "web01"),
        ("localhost", "", "web01"),
        ("Localhost.localdomain", "", "web01"),
        ("ip6-localhost", "", "web01"),
        ("localhost.example.org", "localhost.example.org", "localhost.example.org"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "", "web01"),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), None, "web01"),
        (UnicodeError("label too long"), "", "web01"),
    ],
)
def test_the_fact_and_the_id_come_from_one_answer(resolver, answer, found, full):
    resolver(answer)
    assert hostname.canonical("web01") == found
    assert fact.fqdn() == full
    assert full_host_name() == (full, found is not None)


def test_a_name_too_long_for_an_id_is_a_fact_all_the_same(resolver):
    resolver("a." * 40 + "example.org")
    assert fact.fqdn() == "a." * 40 + "example.org"
    assert full_host_name() == ("web01", True)


def test_a_hanging_resolver_holds_up_nobody_and_is_asked_once(hanging):
    began = time.monotonic()
    assert fact.fqdn(timeout=0.05) == "web01"
    assert full_host_name(limit=0.05) == ("web01", False)
    assert hostname.canonical("renamed", timeout=0.05) is None
    assert time.monotonic() - began < 2
    assert hanging == ["web01"], "each further look would leave one more hanging thread"
    assert [thread.name for thread in threading.enumerate()].count("basket-hostname") == 1


def test_the_name_given_last_stays_while_the_resolver_fails(resolver):
    resolver("web01.example.org")
    assert fact.fqdn() == "web01.example.org"
    resolver(socket.gaierror(socket.EAI_AGAIN, "try again"))
    assert fact.fqdn() == "web01.example.org"
    assert fact.fqdn(hostname="renamed") == "renamed"


def test_the_child_of_a_fork_does_not_wait_for_the_parents_question(hanging, resolver):
    assert hostname.canonical("web01", timeout=0.05) is None
    resolver("web01.example.org")
    child = os.fork()
    if child == 0:
        os._exit(0 if hostname.canonical("web01", timeout=20) == "web01.example.org" else 1)
    assert os.waitpid(child, 0)[1] == 0

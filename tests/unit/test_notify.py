"""What systemd is told: a unit of Type=notify waits for it, and a watchdog kills an agent that says nothing."""

from __future__ import annotations

import os
import socket

import pytest

from basket.agent.notify import Notify


@pytest.fixture
def systemd(tmp_path):
    """The receiving end: (address, what was said)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        path = str(tmp_path / "notify")
        one.bind(path)
        one.settimeout(2.0)
        yield path, lambda: one.recv(4096).decode()


def test_it_says_that_it_has_started(systemd):
    address, said = systemd
    Notify({"NOTIFY_SOCKET": address}).ready("connecting")
    assert said() == "READY=1\nSTATUS=connecting"


def test_a_reload_carries_the_time_that_notify_reload_units_compare(systemd):
    address, said = systemd
    Notify({"NOTIFY_SOCKET": address}, clock=lambda: 12.5).reloading()
    assert said() == "RELOADING=1\nMONOTONIC_USEC=12500000"


def test_an_abstract_address_begins_with_an_at_sign():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        name = f"zester-basket-test-{os.getpid()}"
        one.bind("\0" + name)
        one.settimeout(2.0)
        Notify({"NOTIFY_SOCKET": "@" + name}).stopping()
        assert one.recv(100) == b"STOPPING=1"


def test_children_cannot_speak_in_our_name(systemd):
    environ = {"NOTIFY_SOCKET": systemd[0], "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    Notify(environ)
    assert environ == {"PATH": "/bin"}


def test_the_watchdog_is_fed_only_where_it_is_ours(systemd):
    address, said = systemd
    ours = Notify({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())})
    assert ours.watchdog == 30.0
    ours.alive()
    assert said() == "WATCHDOG=1"
    assert Notify({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}).watchdog == 0.0
    assert Notify({"WATCHDOG_USEC": "30000000"}).watchdog == 0.0
    assert Notify({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "soon"}).watchdog == 0.0


def test_a_status_with_a_line_break_cannot_add_an_assignment(systemd):
    address, said = systemd
    Notify({"NOTIFY_SOCKET": address}).status("lost\nMAINPID=1")
    assert said() == "STATUS=lost MAINPID=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nonexistent/notify"}])
def test_without_systemd_nothing_happens(environ):
    """An agent run by hand, or one whose systemd has gone, works on."""
    one = Notify(environ)
    one.ready("x")
    one.alive()
    one.stopping()

"""The built-in functions on this host, checked against what the system's own tools say."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import threading
import time

import pytest

from basket import codec
from basket.errors import FunctionError
from basket.facts import network
from basket.facts.network import Interface
from basket.functions import define, run
from basket.functions import load as load_functions
from basket.functions.builtin import BUILTINS


def value(name, timeout=5.0, **options):
    return run(define(name, options), timeout=timeout)


def reason(name, timeout=5.0, **options):
    with pytest.raises(FunctionError) as caught:
        value(name, timeout, **options)
    assert caught.value.function == name
    assert "\n" not in caught.value.reason
    return caught.value.reason


def interface(name, *addresses, loopback=False):
    flags = ("up", "loopback") if loopback else ("up",)
    return Interface(name, "", True, flags, tuple(ipaddress.ip_interface(address) for address in addresses))


@pytest.fixture
def two_cards(monkeypatch):
    known = [
        interface("lo", "127.0.0.1/8", "::1/128", loopback=True),
        interface("eth0", "198.51.100.5/24", "fe80::5/64"),
        interface("eth1", "192.0.2.8/24", "192.0.2.9/24", "2001:db8::9/64"),
        interface("eth2"),
    ]
    monkeypatch.setattr(network, "interfaces", lambda: known)
    monkeypatch.setattr(network, "default_ipv4", lambda: "192.0.2.9")


@pytest.mark.parametrize("name", [name for name in BUILTINS if name != "ssh.host_keys"])
def test_each_gives_something_that_can_be_published(name):
    codec.encode(value(name))


def test_ip_addrs_is_one_string():
    ipaddress.IPv4Address(value("network.ip_addrs"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "192.0.2.9"),
        ({"interface": "eth0"}, "198.51.100.5"),
        ({"interface": "eth1"}, "192.0.2.9"),
        ({"interface": "lo"}, "127.0.0.1"),
        ({"cidr": "198.51.100.0/24"}, "198.51.100.5"),
        ({"cidr": "192.0.2.0/24"}, "192.0.2.9"),
        ({"cidr": "192.0.2.8/32"}, "192.0.2.8"),
        ({"cidr": "2001:db8::/32"}, "2001:db8::9"),
        ({"cidr": "127.0.0.0/8"}, "127.0.0.1"),
        ({"list": True}, ["198.51.100.5", "192.0.2.8", "192.0.2.9"]),
        ({"list": True, "interface": "eth1"}, ["192.0.2.8", "192.0.2.9"]),
        ({"list": True, "interface": "eth1", "cidr": "192.0.2.8/32"}, ["192.0.2.8"]),
        ({"list": True, "cidr": "203.0.113.0/24"}, []),
        ({"list": False}, "192.0.2.9"),
    ],
)
def test_ip_addrs_by_interface_and_network(two_cards, options, expected):
    assert value("network.ip_addrs", **options) == expected


def test_lists_by_interface_and_network(two_cards):
    assert value("network.ipv4") == ["198.51.100.5", "192.0.2.8", "192.0.2.9"]
    assert value("network.ipv4", cidr="192.0.2.9/32") == ["192.0.2.9"]
    assert value("network.ipv6", interface="eth1") == ["2001:db8::9"]
    assert value("network.ipv6", interface="eth0") == []


def test_an_address_that_is_not_there_is_a_failure_not_another_address(two_cards):
    assert "no address that fits cidr 203.0.113.0/24" in reason("network.ip_addrs", cidr="203.0.113.0/24")
    assert "no address that fits interface eth2" in reason("network.ip_addrs", interface="eth2")
    assert "no interface 'eth9'; it has lo, eth0, eth1, eth2" in reason("network.ip_addrs", interface="eth9")
    assert "no interface" in reason("network.ipv4", interface="eth9")


def test_disk_usage_is_what_df_says():
    shown = value("disk.usage")
    df = subprocess.run(["df", "--output=pcent", "/"], stdout=subprocess.PIPE, check=True).stdout.split()[-1].decode()
    assert abs(int(shown["/"].rstrip("%")) - int(df.rstrip("%"))) <= 1


@pytest.mark.parametrize(
    ("used", "free", "shown"), [(0, 100, "0%"), (1, 10**9, "1%"), (45, 55, "45%"), (7, 0, "100%"), (0, 0, "0%")]
)
def test_percentages_are_rounded_up(used, free, shown):
    assert load_functions.percent(used, free) == shown


def test_disk_usage_of_named_mounts(tmp_path):
    assert set(value("disk.usage", mounts=["/"])) == {"/"}
    assert "nothing is mounted at" in reason("disk.usage", mounts=[str(tmp_path)])


def test_images_are_not_reported_as_full_disks(monkeypatch):
    rows = [
        {"mountpoint": "/", "fstype": "ext4", "used": 1, "free": 1},
        {"mountpoint": "/snap/x", "fstype": "squashfs", "used": 1, "free": 0},
    ]
    monkeypatch.setattr(load_functions, "mounts", lambda: rows)
    assert value("disk.usage") == {"/": "50%"}


def test_load_and_memory_have_their_stated_forms():
    assert len(value("system.load")) == 3
    assert value("memory.usage").endswith("%")
    assert isinstance(value("system.uptime"), int)


def test_host_keys_are_the_public_ones_only(tmp_path):
    (tmp_path / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAAC3 root@web\n")
    (tmp_path / "ssh_host_ecdsa_key.pub").write_text("ecdsa-sha2-nistp256 AAAAE2 root@web\n")
    (tmp_path / "ssh_host_bad_key.pub").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n")
    (tmp_path / "ssh_host_rsa_key").write_text("ssh-rsa private\n")
    assert value("ssh.host_keys", directory=str(tmp_path)) == [
        "ecdsa-sha2-nistp256 AAAAE2 root@web",
        "ssh-ed25519 AAAAC3 root@web",
    ]


def test_no_host_keys_is_said(tmp_path):
    assert f"in {tmp_path}" in reason("ssh.host_keys", directory=str(tmp_path))


def test_dotted_and_custom_facts_are_functions():
    assert run(define("os.kernel", {}), timeout=5) == os.uname().release
    custom = {"rack": {"row": 7}}
    assert run(define("x", {"function": "rack.row"}, custom_facts=custom), timeout=5, custom_facts=custom) == 7


def test_a_fact_this_host_lacks_is_a_failure(monkeypatch):
    monkeypatch.setattr(network, "default_ipv4", lambda: None)
    assert "no route" in reason("default_ipv4")


def test_a_hanging_disk_delays_only_until_the_timeout_and_is_not_asked_twice(monkeypatch):
    release = threading.Event()
    asked = []

    def dead_disk():
        asked.append(1)
        release.wait(20)
        return []

    monkeypatch.setattr(load_functions, "mounts", dead_disk)
    try:
        began = time.monotonic()
        assert "no result after 0.05 s" in reason("disk.usage", 0.05)
        assert "still hanging" in reason("disk.usage", 0.05)
        assert time.monotonic() - began < 2
        assert len(asked) == 1, "hanging threads would pile up"
        assert value("system.load"), "another function must not wait for it"
    finally:
        release.set()


def test_once_the_disk_is_back_the_function_works_again(monkeypatch):
    release, back = threading.Event(), threading.Event()

    def slow():
        release.wait(20)
        back.set()
        return []

    monkeypatch.setattr(load_functions, "mounts", slow)
    function = define("custom.slow_disk", {"function": "disk.usage"})
    with pytest.raises(FunctionError):
        run(function, timeout=0.05)
    release.set()
    assert back.wait(5)
    deadline = time.monotonic() + 5
    while True:
        try:
            assert run(function, timeout=5) == {}
            break
        except FunctionError:
            assert time.monotonic() < deadline


def test_a_bug_in_a_look_is_reported_with_its_type(monkeypatch):
    def broken():
        raise KeyError("fstype")

    monkeypatch.setattr(load_functions, "mounts", broken)
    assert reason("disk.usage") == "KeyError: 'fstype'"

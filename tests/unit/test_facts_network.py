"""Addresses and names: which address of a host others are told."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from basket.facts import network
from basket.facts.network import Interface


def interface(name, *addresses, up=True, loopback=False):
    flags = (("up",) if up else ()) + (("loopback",) if loopback else ())
    return Interface(name, "", up, flags, tuple(ipaddress.ip_interface(address) for address in addresses))


LO = interface("lo", "127.0.0.1/8", "::1/128", loopback=True)


@pytest.fixture
def no_route(monkeypatch):
    monkeypatch.setattr(network, "default_ipv4", lambda: None)


def have(monkeypatch, *interfaces):
    monkeypatch.setattr(network, "interfaces", lambda: list(interfaces))


def test_the_default_routes_source_address_wins(monkeypatch):
    have(monkeypatch, LO, interface("docker0", "172.17.0.1/16"), interface("eth0", "192.0.2.9/24"))
    monkeypatch.setattr(network, "default_ipv4", lambda: "192.0.2.9")
    assert network.primary_ipv4() == "192.0.2.9"


def test_without_a_route_the_first_usable_address_is_primary(monkeypatch, no_route):
    vip = interface("lo", "127.0.0.1/8", "203.0.113.7/32", loopback=True)
    down = interface("eth0", "192.0.2.1/24", up=False)
    have(monkeypatch, vip, down, interface("eth1", "169.254.3.4/16", "192.0.2.8/24"))
    assert network.primary_ipv4() == "192.0.2.8"


def test_a_link_local_address_is_better_than_none(monkeypatch, no_route):
    have(monkeypatch, LO, interface("eth0", "169.254.3.4/16"))
    assert network.primary_ipv4() == "169.254.3.4"


def test_loopback_is_primary_only_on_a_host_with_nothing_else(monkeypatch, no_route):
    have(monkeypatch, LO, interface("eth0", "fe80::1/64"))
    assert network.primary_ipv4() == "127.0.0.1"
    have(monkeypatch, LO, interface("eth0", "2001:db8::1/64"))
    with pytest.raises(LookupError, match=r"network\.ipv6"):
        network.primary_ipv4()


def test_lists_leave_out_what_others_cannot_use():
    known = [
        interface("lo", "127.0.0.1/8", "203.0.113.7/32", "::1/128", loopback=True),
        interface("eth0", "192.0.2.2/24", "fd00::2/64", "fe80::1/64", "169.254.1.1/16", "192.0.2.2/24"),
        interface("eth1", "198.51.100.1/24", up=False),
    ]
    assert network.addresses(4, known) == ["192.0.2.2", "203.0.113.7"]
    assert network.addresses(6, known) == ["fd00::2"]


def test_the_kernel_is_asked_without_sending_a_packet():
    found = network.default_ipv4()
    assert found is None or found in [str(a.ip) for one in network.interfaces() for a in one.addresses]


class Refusing:
    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def connect(self, _):
        raise OSError(101, "Network is unreachable")


def test_no_route_is_no_address(monkeypatch):
    monkeypatch.setattr(network.socket, "socket", Refusing)
    assert network.default_ipv4() is None


def test_an_interface_that_the_sandbox_hides_still_has_its_addresses(monkeypatch):
    import psutil

    def forbidden():
        raise PermissionError(13, "no")

    monkeypatch.setattr(psutil, "net_if_stats", forbidden)
    found = {one.name: one for one in network.interfaces()}
    assert found["lo"].up and found["lo"].addresses


class Address:
    def __init__(self, family, address, netmask=None):
        self.family, self.address, self.netmask = family, address, netmask


def test_addresses_and_macs_are_printed_as_go_prints_them(monkeypatch):
    import psutil

    link = psutil.AF_LINK
    monkeypatch.setattr(psutil, "net_if_stats", dict)
    monkeypatch.setattr(
        psutil,
        "net_if_addrs",
        lambda: {
            "tun0": [
                Address(socket.AF_INET, "10.8.0.2", "255.255.255.255"),
                Address(socket.AF_INET, "nonsense"),
                Address(socket.AF_INET6, "fe80::1%tun0", "ffff:ffff:ffff:ffff::"),
                Address(socket.AF_INET6, "2001:db8::1"),
                Address(link, "0A:08:00:02"),
            ],
            "eth0": [Address(link, "02:FC:00:00:00:01")],
            "lo": [Address(link, "00:00:00:00:00:00")],
        },
    )
    described = {one["name"]: one for one in network.describe(network.interfaces())}
    assert described["tun0"]["addrs"] == ["10.8.0.2/32", "fe80::1/64", "2001:db8::1/128"]
    assert [described[name]["mac"] for name in ("tun0", "eth0", "lo")] == ["", "02:fc:00:00:00:01", ""]


def test_a_host_with_thousands_of_interfaces_stays_bounded(monkeypatch):
    import psutil

    many = {f"veth{i}": [Address(socket.AF_INET, "10.0.0.1", "255.0.0.0")] * 100 for i in range(1000)}
    monkeypatch.setattr(psutil, "net_if_stats", dict)
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: many)
    found = network.interfaces()
    assert len(found) == network.INTERFACES_MAX
    assert max(len(one.addresses) for one in found) == network.ADDRESSES_MAX

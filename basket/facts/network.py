"""The ``network`` section, and ``default_ipv4``: names, interfaces and addresses of this host.

``network.ipv4`` and ``network.ipv6`` hold the addresses of interfaces that are up, without loopback and link-local ones,
since those mean nothing to another machine; ``network.interfaces`` holds them all.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple, Union

from basket.facts.fqdn import fqdn
from basket.facts.part import Part, text

if TYPE_CHECKING:
    import ipaddress

    Address = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]

INTERFACES_MAX = 256
"""Most interfaces in one document; a container host may have thousands."""

ADDRESSES_MAX = 64
"""Most addresses of one interface."""

FAR_AWAY = "192.0.2.1"
"""The address (of no machine anywhere) towards which the kernel is asked for its source address."""

# psutil's words to Go's, in Go's order.
_FLAGS = {
    "up": "up",
    "broadcast": "broadcast",
    "loopback": "loopback",
    "pointopoint": "pointtopoint",
    "multicast": "multicast",
    "running": "running",
}


@dataclass(frozen=True)
class Interface:
    """One network interface as the kernel describes it now."""

    name: str
    mac: str
    up: bool
    flags: Tuple[str, ...]
    addresses: Tuple[Address, ...]

    @property
    def loopback(self) -> bool:
        return "loopback" in self.flags or self.name == "lo"


def hostname() -> str:
    """What this host calls itself, without asking anybody."""
    return text(socket.gethostname())


def default_ipv4() -> Optional[str]:
    """The source address the kernel would use towards the world, or None without a route. No packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((FAR_AWAY, 9))
            found: str = probe.getsockname()[0]
        except OSError:
            return None
    return None if found == "0.0.0.0" or found.startswith("127.") else found


def interfaces() -> List[Interface]:
    """All interfaces in the kernel's order, at most ``INTERFACES_MAX``."""
    import psutil

    try:
        states = psutil.net_if_stats()
    except OSError:  # a sandbox may forbid it; then whatever has an address counts as up
        states = {}
    order = {name: index for index, name in socket.if_nameindex()}
    known = psutil.net_if_addrs()
    found = []
    for name in sorted(known, key=lambda name: (order.get(name, 1 << 31), name))[:INTERFACES_MAX]:
        addresses = known[name]
        state = states.get(name)
        words = set((getattr(state, "flags", "") or "").split(","))
        found.append(
            Interface(
                name=text(name),
                mac=_mac(addresses),
                up=state.isup if state is not None else True,
                flags=tuple(go for word, go in _FLAGS.items() if word in words),
                addresses=_addresses(addresses),
            )
        )
    return found


def _mac(addresses: Any) -> str:
    """In Go's form: lower case with colons, empty for loopback and for tunnels (whose address is an IP's bytes)."""
    import psutil

    for entry in addresses:
        if entry.family == psutil.AF_LINK and entry.address:
            mac: str = entry.address.replace("-", ":").lower()
            if mac.strip("0:") and mac.count(":") not in (3, 15):
                return text(mac)
    return ""


def _addresses(entries: Any) -> Tuple[Address, ...]:
    import ipaddress

    found: List[Address] = []
    for entry in entries:
        if len(found) == ADDRESSES_MAX:
            break
        if entry.family not in (socket.AF_INET, socket.AF_INET6):
            continue
        try:
            address = ipaddress.ip_address(entry.address.partition("%")[0])
            length: int = address.max_prefixlen
            if entry.netmask:
                length = bin(int(ipaddress.ip_address(entry.netmask.partition("%")[0]))).count("1")
            found.append(ipaddress.ip_interface(f"{address}/{length}"))
        except ValueError:
            continue
    return tuple(found)


def addresses(version: int, known: Optional[List[Interface]] = None, *, link_local: bool = False) -> List[str]:
    """Addresses of one IP version that another machine could use, each once.

    Those on the loopback interface (shared service addresses, often) come after all others.
    """
    found: Dict[str, None] = {}
    for interface in sorted(interfaces() if known is None else known, key=lambda interface: interface.loopback):
        for address in interface.addresses if interface.up else ():
            ip = address.ip
            if ip.version != version or ip.is_loopback or ip.is_unspecified or ip.is_multicast:
                continue
            if link_local or not ip.is_link_local:
                found[str(ip)] = None
    return list(found)


def primary_ipv4() -> str:
    """The one IPv4 address to reach this host at.

    The source address of the default route; without such a route the first usable address in the kernel's order, then
    a link-local one. 127.0.0.1 is the answer only for a host that has no other address of either version: whoever
    reads it then can only be on this very host. LookupError on a host that has IPv6 alone.
    """
    chosen = default_ipv4()
    if chosen is not None:
        return chosen
    known = interfaces()
    usable = addresses(4, known) or addresses(4, known, link_local=True)
    if usable:
        return usable[0]
    if addresses(6, known):
        raise LookupError("this host has no IPv4 address; network.ipv6 has its IPv6 ones")
    return "127.0.0.1"


def describe(known: List[Interface]) -> List[Dict[str, Any]]:
    """``network.interfaces`` as it is published: addresses with their prefix length, as Go prints them."""
    return [
        {
            "name": interface.name,
            "mac": interface.mac,
            "flags": list(interface.flags),
            "addrs": [str(address) for address in interface.addresses],
        }
        for interface in known
    ]


def _hostname() -> Mapping[str, Any]:
    return {"hostname": hostname()}


def _fqdn() -> Mapping[str, Any]:
    return {"fqdn": fqdn()}


def _interfaces() -> Mapping[str, Any]:
    known = interfaces()
    return {"ipv4": addresses(4, known), "ipv6": addresses(6, known), "interfaces": describe(known)}


PARTS = (
    Part(("hostname",), _hostname),
    Part(("fqdn",), _fqdn),
    Part(("ipv4", "ipv6", "interfaces"), _interfaces),
)

"""The built-in functions: their names, arguments and where each is written. Loads none of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from basket.functions.argument import Argument, absolute_path, absolute_paths, flag, interface_name, network


@dataclass(frozen=True)
class Builtin:
    """A function that has a name of its own, for people: summary, and what each argument does.

    ``source`` is "built-in", or the name of the distribution that adds it.
    """

    name: str
    summary: str
    arguments: Mapping[str, str]
    source: str = "built-in"


@dataclass(frozen=True)
class Entry:
    """A row of the registry. ``home`` is "module:callable"; it is called with the mapping of checked arguments."""

    summary: str
    home: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)


_INTERFACE = Argument("only addresses of this interface", interface_name)
_CIDR = Argument('only addresses in this network, such as "192.0.2.0/24"', network)

BUILTINS: Mapping[str, Entry] = {
    "network.ip_addrs": Entry(
        "the primary IPv4 address, one string: the one the default route uses, else the first usable one",
        "basket.functions.addressing:ip_addrs",
        {
            "interface": _INTERFACE,
            "cidr": Argument("the first address in this network (IPv4 or IPv6)", network),
            "list": Argument("true: all addresses that fit, as a list", flag),
        },
    ),
    "network.ipv4": Entry(
        "all IPv4 addresses of interfaces that are up, without loopback and link-local ones",
        "basket.functions.addressing:ipv4",
        {"interface": _INTERFACE, "cidr": _CIDR},
    ),
    "network.ipv6": Entry(
        "all IPv6 addresses of interfaces that are up, without loopback and link-local ones",
        "basket.functions.addressing:ipv6",
        {"interface": _INTERFACE, "cidr": _CIDR},
    ),
    "network.hostname": Entry("what this host calls itself", "basket.functions.addressing:hostname"),
    "network.fqdn": Entry("the full name of this host, as `hostname -f` finds it", "basket.functions.addressing:fqdn"),
    "network.interfaces": Entry(
        "the network interfaces: a list of {name, mac, flags, addrs}", "basket.functions.addressing:interfaces"
    ),
    "disk.usage": Entry(
        'how full each mounted file system is: {"/": "45%"}, rounded up as df does',
        "basket.functions.load:disk_usage",
        {"mounts": Argument("only these mount points; one that is not mounted is an error", absolute_paths)},
    ),
    "memory.usage": Entry('how much of the memory is in use, such as "45%"', "basket.functions.load:memory_usage"),
    "system.load": Entry("the load averages of 1, 5 and 15 minutes, a list", "basket.functions.load:system_load"),
    "system.uptime": Entry("seconds since this host started", "basket.functions.load:system_uptime"),
    "ssh.host_keys": Entry(
        "the public SSH host keys, a list of lines",
        "basket.functions.host_keys:host_keys",
        {"directory": Argument("where they lie, /etc/ssh unless given", absolute_path)},
    ),
}


def call(name: str, arguments: Mapping[str, Any]) -> Any:
    """The value of a built-in function now. Raises whatever it raises."""
    import importlib

    module, _, attribute = BUILTINS[name].home.partition(":")
    return getattr(importlib.import_module(module), attribute)(arguments)

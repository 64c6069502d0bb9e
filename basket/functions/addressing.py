"""The ``network.*`` built-in functions."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Union

from basket.facts import network
from basket.facts.fqdn import fqdn as full_name


def ip_addrs(arguments: Mapping[str, Any]) -> Union[str, List[str]]:
    if arguments.get("list"):
        return _fitting(arguments, (4, 6) if "cidr" in arguments else (4,))
    primary = network.default_ipv4()
    if "interface" not in arguments and "cidr" not in arguments:
        return primary if primary is not None else network.primary_ipv4()
    fitting = _fitting(arguments, (4, 6) if "cidr" in arguments else (4,))
    if not fitting:
        wanted = [f"{name} {arguments[name]}" for name in ("interface", "cidr") if name in arguments]
        raise LookupError(f"this host has no address that fits {' and '.join(wanted)}")
    return primary if primary in fitting and primary is not None else fitting[0]


def ipv4(arguments: Mapping[str, Any]) -> List[str]:
    return _fitting(arguments, (4,))


def ipv6(arguments: Mapping[str, Any]) -> List[str]:
    return _fitting(arguments, (6,))


def hostname(arguments: Mapping[str, Any]) -> str:
    return network.hostname()


def fqdn(arguments: Mapping[str, Any]) -> str:
    return full_name()


def interfaces(arguments: Mapping[str, Any]) -> List[Dict[str, Any]]:
    return network.describe(network.interfaces())


def _fitting(arguments: Mapping[str, Any], versions: Any) -> List[str]:
    """Addresses that fit ``interface`` and ``cidr``. A named network decides alone, so it may be a link-local or loopback one."""
    import ipaddress

    known = network.interfaces()
    interface = arguments.get("interface")
    if interface is not None:
        names = [one.name for one in known]
        known = [one for one in known if one.name == interface]
        if not known:
            raise LookupError(f"this host has no interface {interface!r}; it has {', '.join(names[:20])}")
    if interface is None and "cidr" not in arguments:
        return [address for version in versions for address in network.addresses(version, known)]
    within = ipaddress.ip_network(arguments["cidr"]) if "cidr" in arguments else None
    found: Dict[str, None] = {}
    for one in known:
        for address in one.addresses if one.up else ():
            fits = not address.ip.is_link_local if within is None else address.ip in within
            if fits and address.version in versions:
                found[str(address.ip)] = None
    return list(found)

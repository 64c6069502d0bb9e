"""Salt's grains by our names. Where a grain has no fact of the same meaning, it is not here."""

from __future__ import annotations

from typing import Mapping, Optional, Tuple

FACTS: Mapping[str, Tuple[str, str]] = {
    "cpu_model": ("cpu.model", ""),
    "cpuarch": ("os.kernel_arch", ""),
    "fqdn": ("network.fqdn", ""),
    "fqdn_ip4": ("network.ipv4", "the addresses of the interfaces, not those that the name resolves to"),
    "fqdn_ip6": ("network.ipv6", "the addresses of the interfaces, not those that the name resolves to"),
    "host": ("network.hostname", ""),
    "ip4_interfaces": ("network.interfaces", "a list of {name, mac, flags, addrs}"),
    "ip6_interfaces": ("network.interfaces", "a list of {name, mac, flags, addrs}"),
    "ip_interfaces": ("network.interfaces", "a list of {name, mac, flags, addrs}"),
    "hwaddr_interfaces": ("network.interfaces", "a list of {name, mac, flags, addrs}"),
    "ipv4": ("network.ipv4", "without the loopback address"),
    "ipv6": ("network.ipv6", "without loopback and link-local addresses"),
    "kernel": ("os.name", "in small letters: linux"),
    "kernelrelease": ("os.kernel", ""),
    "localhost": ("network.hostname", ""),
    "mem_total": ("memory.total", "in bytes, not MB"),
    "nodename": ("network.hostname", ""),
    "num_cpus": ("cpu.count", ""),
    "os": ("os.platform", "in small letters: ubuntu"),
    "os_family": ("os.family", "in small letters: debian"),
    "osarch": ("os.arch", "amd64, arm64, 386 or arm"),
    "osrelease": ("os.platform_version", ""),
    "swap_total": ("memory.swap_total", "in bytes, not MB"),
}
"""Grain -> (fact, what is different about it)."""


def fact(grain: str, own: Mapping[str, object]) -> Optional[Tuple[str, str]]:
    """The fact for ``grain`` (``a:b`` for a nested one) and what differs; ``own``: the grains that become custom facts."""
    path = grain.replace(":", ".")
    if path.split(".")[0] in own:
        return path, ""
    return FACTS.get(grain)

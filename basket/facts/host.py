"""The ``os`` section: kernel, distribution, time since start."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Dict, Mapping, Tuple

from basket.facts.part import Part, text

_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
_OS_RELEASE_MAX = 65536

# What uname says on one side, what Go says on the other.
_ARCH = {
    "x86_64": "amd64",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "aarch64": "arm64",
    "armv5tel": "arm",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "ppc64": "ppc64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "mips": "mips",
    "mips64": "mips64",
    "loongarch64": "loong64",
}

# Distribution (the ID of os-release) to family, in the words of Go's gopsutil.
_FAMILIES: Dict[str, Tuple[str, ...]] = {
    "debian": ("debian", "ubuntu", "linuxmint", "raspbian", "devuan", "kali", "pop", "proxmox"),
    "fedora": ("fedora",),
    "rhel": ("rhel", "centos", "redhat", "rocky", "almalinux", "ol", "oracle", "amzn", "amazon", "scientific", "cloudlinux"),
    "suse": ("suse", "opensuse", "opensuse-leap", "opensuse-tumbleweed", "sles", "sled", "sle-micro"),
    "arch": ("arch", "archarm", "manjaro"),
    "alpine": ("alpine",),
    "gentoo": ("gentoo",),
    "slackware": ("slackware",),
}
_FAMILY = {platform: family for family, platforms in _FAMILIES.items() for platform in platforms}


def arch(machine: str) -> str:
    """Go's word for what uname calls the machine; an unknown one stays as it is."""
    return _ARCH.get(machine, machine)


def family(platform: str, like: str) -> str:
    """The family of a distribution: its own where known, else that of the first known one it says it is like."""
    for word in (platform, *like.split()):
        if word in _FAMILY:
            return _FAMILY[word]
    return platform


def parse_os_release(content: str) -> Dict[str, str]:
    """The assignments of an os-release file, which are shell without expansion."""
    found: Dict[str, str] = {}
    for line in content.splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith("#"):
            continue
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[key] = value.replace('\\"', '"').replace("\\$", "$").replace("\\`", "`").replace("\\\\", "\\")
    return found


def _uname() -> Mapping[str, Any]:
    uname = os.uname()
    return {
        "name": "linux" if sys.platform.startswith("linux") else sys.platform,
        "arch": arch(uname.machine),
        "kernel": text(uname.release),
        "kernel_arch": text(uname.machine),
    }


def _distribution() -> Mapping[str, Any]:
    for path in _OS_RELEASE:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                release = parse_os_release(file.read(_OS_RELEASE_MAX))
        except OSError:
            continue
        platform = text(release.get("ID", "linux").lower())
        found = {"platform": platform, "family": text(family(platform, release.get("ID_LIKE", "").lower()))}
        if release.get("VERSION_ID"):  # rolling distributions have none
            found["platform_version"] = text(release["VERSION_ID"])
        return found
    name = "linux" if sys.platform.startswith("linux") else sys.platform
    return {"platform": name, "family": name}


def uptime() -> int:
    """Seconds since this host started, time asleep included; a step of the wall clock does not change it."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))


def _started() -> Mapping[str, Any]:
    import psutil

    return {"uptime": uptime(), "boot_time": int(psutil.boot_time())}


PARTS = (
    Part(("name", "arch", "kernel", "kernel_arch"), _uname),
    Part(("family", "platform", "platform_version"), _distribution),
    Part(("uptime", "boot_time"), _started),
)

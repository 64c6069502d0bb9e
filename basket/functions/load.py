"""The ``disk.usage``, ``memory.usage`` and ``system.*`` built-in functions: how busy this host is."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping

from basket.facts.disk import mounts
from basket.facts.host import uptime

# Images: always full, by what they are.
_ALWAYS_FULL = frozenset(("squashfs", "iso9660", "erofs", "cramfs", "udf"))


def percent(used: int, free: int) -> str:
    """Rounded up, as df does: a file system is not shown as empty, or as less than full, when it is not."""
    total = used + free
    return f"{-(-100 * used // total)}%" if total else "0%"


def disk_usage(arguments: Mapping[str, Any]) -> Dict[str, str]:
    wanted = arguments.get("mounts")
    if wanted is None:
        shown = [mount for mount in mounts() if mount["fstype"] not in _ALWAYS_FULL]
        return {mount["mountpoint"]: percent(mount["used"], mount["free"]) for mount in shown}
    import psutil

    found = {}
    for path in wanted:
        # Without this, a file system that failed to mount would show the numbers of the one below it.
        if not os.path.ismount(path):
            raise LookupError(f"nothing is mounted at {path}")
        usage = psutil.disk_usage(path)
        found[path] = percent(usage.used, usage.free)
    return found


def memory_usage(arguments: Mapping[str, Any]) -> str:
    import psutil

    return f"{psutil.virtual_memory().percent:.0f}%"


def system_load(arguments: Mapping[str, Any]) -> List[float]:
    return [round(average, 2) for average in os.getloadavg()]


def system_uptime(arguments: Mapping[str, Any]) -> int:
    return uptime()

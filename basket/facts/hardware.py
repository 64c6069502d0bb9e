"""The ``cpu`` and ``memory`` sections."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from basket.facts.part import Part, text

_MAX_FREQUENCY = "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"
_CPUINFO = "/proc/cpuinfo"
_CPUINFO_LINES = 64  # the first processor's block; a large host repeats it hundreds of times


def _counts() -> Mapping[str, Any]:
    import psutil

    logical = psutil.cpu_count() or 1
    found = {"count": logical, "logical_count": logical}
    physical = psutil.cpu_count(logical=False)
    if physical:  # some virtual machines and ARM boards do not say
        found["physical_count"] = physical
    return found


def parse_cpuinfo(content: str) -> Dict[str, Any]:
    """Model, vendor and MHz of the first processor, as far as the kernel names them."""
    words: Dict[str, str] = {}
    for line in content.splitlines():
        key, _, value = line.partition(":")
        words.setdefault(key.strip(), value.strip())
    found: Dict[str, Any] = {}
    if words.get("model name"):
        found["model"] = text(" ".join(words["model name"].split()))
    if words.get("vendor_id"):
        found["vendor"] = text(words["vendor_id"])
    try:
        found["mhz"] = float(words["cpu MHz"])
    except (KeyError, ValueError):
        pass
    return found


def _processor() -> Mapping[str, Any]:
    with open(_CPUINFO, encoding="utf-8", errors="replace") as file:
        found = parse_cpuinfo("".join(line for _, line in zip(range(_CPUINFO_LINES), file)))
    try:
        # The highest frequency where it is known, since the present one is another at every look.
        with open(_MAX_FREQUENCY, encoding="ascii") as file:
            found["mhz"] = int(file.read()) / 1000.0
    except (OSError, ValueError):
        pass
    return found


def _memory() -> Mapping[str, Any]:
    import psutil

    now = psutil.virtual_memory()
    return {
        "total": now.total,
        "available": now.available,
        "used": now.used,
        "used_percent": float(now.percent),
        "free": now.free,
    }


def _swap() -> Mapping[str, Any]:
    import warnings

    import psutil

    with warnings.catch_warnings():  # psutil warns on stderr where a container hides /proc/vmstat
        warnings.simplefilter("ignore")
        now = psutil.swap_memory()
    return {"swap_total": now.total, "swap_used": now.used, "swap_free": now.free}


CPU = (Part(("count", "logical_count", "physical_count"), _counts), Part(("model", "vendor", "mhz"), _processor))
MEMORY = (
    Part(("total", "available", "used", "used_percent", "free"), _memory),
    Part(("swap_total", "swap_used", "swap_free"), _swap),
)

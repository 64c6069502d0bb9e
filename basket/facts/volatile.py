"""Which facts are another at every look, so that they alone never cause a write."""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, Mapping

# boot_time is computed from the wall clock, which time synchronisation moves; mhz follows the load on some machines.
_CHANGING: Mapping[str, FrozenSet[str]] = {
    "os": frozenset(("uptime", "boot_time")),
    "cpu": frozenset(("mhz",)),
    "memory": frozenset(("available", "used", "used_percent", "free", "swap_used", "swap_free")),
}
_CHANGING_IN_MOUNT = frozenset(("used", "free", "used_percent"))


def stable(document: Mapping[str, Any]) -> Dict[str, Any]:
    """The document without the values that change at every look. The one given is left as it is."""
    kept: Dict[str, Any] = dict(document)
    for section, changing in _CHANGING.items():
        if isinstance(kept.get(section), dict):
            kept[section] = {leaf: value for leaf, value in kept[section].items() if leaf not in changing}
    disk = kept.get("disk")
    if isinstance(disk, dict) and isinstance(disk.get("mounts"), list):
        kept["disk"] = {**disk, "mounts": [_stable_mount(mount) for mount in disk["mounts"]]}
    return kept


def _stable_mount(mount: Any) -> Any:
    if not isinstance(mount, dict):
        return mount
    return {leaf: value for leaf, value in mount.items() if leaf not in _CHANGING_IN_MOUNT}

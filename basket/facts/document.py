"""The facts document put together from its sections, and one fact taken from it without collecting the rest."""

from __future__ import annotations

import datetime
import logging
from typing import Any, Dict, List, Mapping, Optional, Tuple

from basket.errors import MissingError
from basket.facts import disk, hardware, host, network
from basket.facts.part import Part

_log = logging.getLogger("basket.facts")

_SECTIONS: Mapping[str, Tuple[Part, ...]] = {
    "os": host.PARTS,
    "network": network.PARTS,
    "cpu": hardware.CPU,
    "memory": hardware.MEMORY,
    "disk": disk.PARTS,
}
_DEFAULT_IPV4 = "default_ipv4"

KNOWN: Tuple[str, ...] = (
    *(
        path
        for section, parts in _SECTIONS.items()
        for path in (section, *(f"{section}.{leaf}" for part in parts for leaf in part.leaves))
    ),
    _DEFAULT_IPV4,
)
"""Every dotted path the collectors can give, sections included; a host may lack some (a virtual CPU has no model)."""


def collect(custom: Mapping[str, Any] = {}) -> Dict[str, Any]:
    """The whole document, with ``custom`` merged into it at the root: maps join, and a custom value wins.

    What fails to be collected is left out and logged at debug level. Blocks while it reads, any thread.
    """
    document: Dict[str, Any] = {}
    for section, parts in _SECTIONS.items():
        found = _read(section, parts, [])
        if found:
            document[section] = found
    address = network.default_ipv4()
    if address is not None:
        document[_DEFAULT_IPV4] = address
    return _merged(document, custom)


def lookup(path: str, custom: Mapping[str, Any] = {}) -> Any:
    """One fact (or a section) by its dotted path; only what it needs is read. MissingError where it is not there."""
    steps = path.split(".")
    own = _walk(_plain(custom), steps)
    if own is not None and not isinstance(own, dict):
        return own
    section = steps[0]
    failures: List[str] = []
    document: Dict[str, Any] = {}
    if section == _DEFAULT_IPV4:
        address = network.default_ipv4()
        if address is not None:
            document[section] = address
        else:
            failures.append("this host has no route to the world")
    elif section in _SECTIONS:
        parts = _SECTIONS[section]
        needed = parts if len(steps) == 1 else tuple(part for part in parts if steps[1] in part.leaves)
        document[section] = _read(section, needed, failures)
    found = _walk(_merged(document, custom), steps)
    if found is None or (found == {} and own is None):
        raise MissingError(f"no fact {path!r} on this host" + "".join(f": {failure}" for failure in failures[:1]))
    return found


def _read(section: str, parts: Tuple[Part, ...], failures: List[str]) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for part in parts:
        try:
            found.update(part.read())
        except Exception as error:  # the kernel, a sandbox or psutil: nothing of it may cost the other facts
            reason = f"{type(error).__name__}: {error}"
            failures.append(reason)
            _log.debug("facts left out: %s.%s: %s", section, f", {section}.".join(part.leaves), reason)
    return found


def _walk(document: Mapping[str, Any], steps: List[str]) -> Optional[Any]:
    value: Any = document
    for step in steps:
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    return value


def _merged(base: Dict[str, Any], above: Mapping[str, Any]) -> Dict[str, Any]:
    merged = dict(base)
    for key, value in above.items():
        mine = merged.get(key)
        merged[key] = _merged(mine, value) if isinstance(mine, dict) and isinstance(value, Mapping) else _plain(value)
    return merged


def _plain(value: Any) -> Any:
    """TOML's dates and times without a zone have no MessagePack form; as text they can at least be matched."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo is not None else value.isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value

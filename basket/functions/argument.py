"""What an argument of a built-in function may be. Each check gives the value back or raises ValueError saying what is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable


@dataclass(frozen=True)
class Argument:
    """One keyword argument: what it does, for people, and what it may be."""

    description: str
    check: Callable[[Any], Any]


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"needs true or false, not {value!r}")
    return value


def interface_name(value: Any) -> str:
    if not isinstance(value, str) or not value or "/" in value or not value.isprintable() or " " in value:
        raise ValueError(f'needs the name of a network interface, such as "eth0", not {value!r}')
    return value


def network(value: Any) -> str:
    import ipaddress

    if not isinstance(value, str):
        raise ValueError(f'needs a network such as "192.0.2.0/24", not {value!r}')
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        try:
            meant = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f'needs a network such as "192.0.2.0/24", not {value!r}: {error}') from None
        raise ValueError(f'{value!r} has host bits set; the network is "{meant}"') from None


def absolute_path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError(f"needs an absolute path, not {value!r}")
    return value


def absolute_paths(value: Any) -> Any:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f'needs a list of absolute paths, such as ["/", "/home"], not {value!r}')
    return [absolute_path(item) for item in value]

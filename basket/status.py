"""How things stand, as ``Basket.status`` tells it. Immutable, no I/O."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

from basket.errors import BasketError


class MirrorStatus(NamedTuple):
    """``functions``: those covered, None for all; ``current``: whether it is complete and its connection up; ``values`` and
    ``peels`` it holds; ``reads``: how many times everything had to be read anew."""

    functions: Optional[Tuple[str, ...]]
    current: bool
    values: int
    peels: int
    reads: int


class Status(NamedTuple):
    """``state``: connected, suspended or closed; ``error``: why it is suspended; ``connections`` made so far;
    ``mirror``: None without one."""

    state: str
    error: Optional[BasketError]
    connections: int
    server_version: str
    mirror: Optional[MirrorStatus]

"""What the collectors have in common: a part of a section, and strings made fit for a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping, Tuple

TEXT_MAX = 256
"""Longest name or word, in characters."""

PATH_MAX = 1024
"""Longest path, in characters."""


@dataclass(frozen=True)
class Part:
    """Some facts of one section that are read together. ``read`` may give fewer than it names, and may raise."""

    leaves: Tuple[str, ...]
    read: Callable[[], Mapping[str, Any]]


def text(value: str, limit: int = TEXT_MAX) -> str:
    """``value`` as valid Unicode of at most ``limit`` characters: file systems and host names may hold any bytes."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")[:limit]

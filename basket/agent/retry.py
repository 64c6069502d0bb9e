"""How long to wait before the next attempt: doubled each time up to a bound, with jitter. Pure."""

from __future__ import annotations

from typing import Callable


class Backoff:
    """``first`` and ``most`` in seconds; ``random`` gives numbers from 0 to 1. ``refused``: how many times longer to wait where
    the server does not let us, for nobody hammers it with a bad password."""

    def __init__(self, first: float, most: float, random: Callable[[], float], *, refused: float = 8.0) -> None:
        self._first = first
        self._most = most
        self._random = random
        self._refused = refused
        self._next = first

    def next(self, *, refused: bool = False) -> float:
        """Seconds to wait now: between a half of the whole and the whole, so that a fleet does not come back in step."""
        whole, self._next = self._next, min(self._next * 2, self._most)
        return whole * (0.5 + 0.5 * self._random()) * (self._refused if refused else 1.0)

    def reset(self) -> None:
        """It worked: the next failure starts from ``first`` again."""
        self._next = self._first

"""When one template is due: after nothing has changed for a while, and not much later than the first change. Pure, no clock."""

from __future__ import annotations

import math
from typing import Optional


class Due:
    """The changes that have not been rendered yet. All times are seconds of one clock.

    ``quiet``: without a further change before it is due; ``most``: after the first change it is due anyway.
    """

    def __init__(self, quiet: float, most: float) -> None:
        self._quiet = quiet
        self._most = most
        self._first: Optional[float] = None
        self._last = 0.0
        self._not_before = -math.inf
        self._again: Optional[float] = None

    def changed(self, now: float) -> None:
        """Something that the file depends on has changed."""
        self._last = now
        if self._first is None:
            self._first = now

    def soon(self, at: float) -> None:
        """Try again then, even where nothing changes."""
        self._again = at if self._again is None else min(at, self._again)

    def settle(self, until: float) -> None:
        """Whatever changes, not before ``until``: what is there now is on its way to being whole again."""
        self._not_before = max(self._not_before, until)

    def at(self) -> Optional[float]:
        """When it is due; None while nothing has changed."""
        times = [] if self._again is None else [self._again]
        if self._first is not None:
            times.append(min(self._last + self._quiet, self._first + self._most))
        return max(min(times), self._not_before) if times else None

    def take(self) -> None:
        """It is being rendered: what changes from here on is for the next time."""
        self._first = self._again = None

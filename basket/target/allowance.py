"""How long a matcher may spend on texts and patterns whose cost nobody can foresee. Holds the clock, and no pattern."""

from __future__ import annotations

from typing import Callable, Tuple

from basket.errors import TargetError

FREE = 0.0001
"""Seconds of each use that cost nothing: an ordinary pattern must never use up the allowance of a matcher that lives for
months, and ten thousand peels at this price still take only a second."""


class Allowance:
    """``budget`` seconds, for the life of a matcher. Any thread; a race between two can only give a little too much."""

    def __init__(self, budget: float, expression: str, clock: Callable[[], float]) -> None:
        self.budget = budget
        self.left = budget
        self.guards = False
        """Whether some pattern may ever draw on it."""
        self._clock = clock
        self._expression = expression

    def begin(self) -> Tuple[float, float]:
        """To be handed to ``charge`` when what begins now has ended."""
        return self._clock(), self.left

    def charge(self, begun: Tuple[float, float], what: str) -> None:
        """Takes the time since ``begin``, less what was charged meanwhile; TargetError where nothing is left."""
        since, before = begun
        spent = self._clock() - since - (before - self.left) - FREE
        if spent > 0:
            self.left -= spent
        if self.left <= 0:
            raise self.exhausted(what)

    def exhausted(self, what: str) -> TargetError:
        """The error for a matcher that has used up its time on ``what``."""
        self.left = 0.0
        return self.error(
            f"took too long: {what} needed more than {self.budget:g} s on what peels published",
            expected="a pattern with fewer ways to match the same text, such as no repeat inside a repeat",
        )

    def error(self, problem: str, *, expected: str = "") -> TargetError:
        """An error about the expression that the matcher was made from."""
        return TargetError(problem, expression=self._expression, expected=expected)

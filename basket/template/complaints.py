"""What is told of a template that cannot be written: mistakes at once, what may pass by itself after a while; each once."""

from __future__ import annotations

from typing import FrozenSet, Optional, Tuple

from basket.errors import BasketError, ClosedError, ServerError, TooFewError
from basket.logs import Log
from basket.template.asking import Dropped

PATIENCE = 10.0
"""Seconds of waiting after which it is said for what."""

_log = Log("basket.template")


def waits(error: BasketError) -> bool:
    """Whether it is something to wait for, rather than something to mend."""
    return isinstance(error, (ServerError, ClosedError, TooFewError))


class Complaints:
    """Of one destination. All times are seconds of one clock."""

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._since: Optional[float] = None
        self._reason = ""
        self._told: Optional[str] = None
        self._dropped: FrozenSet[Dropped] = frozenset()

    def failed(self, error: BasketError, now: float) -> None:
        """It could not be brought up to date."""
        self.waiting(str(error), now)
        if not waits(error) and self._told != self._reason:
            self._told = self._reason
            _log.error("cannot be brought up to date, stays as it is", destination=self._destination, reason=self._reason)

    def waiting(self, reason: str, now: float) -> None:
        """It waits, for this reason."""
        if self._since is None:
            self._since = now
        self._reason = reason

    def worked(self) -> None:
        """It is up to date."""
        if self._told is not None:
            _log.info("up to date again", destination=self._destination)
        self._since, self._reason, self._told = None, "", None

    def dropped(self, values: Tuple[Dropped, ...]) -> None:
        """These values were left out."""
        for one in values:
            if one not in self._dropped:
                _log.warning(
                    "value left out", destination=self._destination, peel=one.peel_id, function=one.function, reason=one.reason
                )
        self._dropped = frozenset(values)

    def tell(self, now: float) -> None:
        """Say what it has been waiting for, if that has been long enough and was not said."""
        at = self.tells_at()
        if at is not None and now >= at:
            self._told = self._reason
            _log.warning("waiting, stays as it is", destination=self._destination, waits_for=self._reason)

    def tells_at(self) -> Optional[float]:
        """When ``tell`` has something to say; None for not at all."""
        return None if self._since is None or self._told == self._reason else self._since + PATIENCE

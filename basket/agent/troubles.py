"""What is wrong at the moment, so that each trouble is told once, again when its reason changes, and when it is over."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from basket.agent.faults import cut_off, reason


class Troubles:
    """Trouble by subject (a function's name, for example). For one thread."""

    def __init__(self) -> None:
        self._reasons: Dict[str, str] = {}

    def failed(
        self, subject: str, reason: str, tell: Callable[..., None], message: str, *, key: Optional[str] = None, **fields: Any
    ) -> bool:
        """Log ``message`` with ``tell`` unless this subject has failed for the same reason before; True if it was logged.

        ``key`` is what tells one reason from another, where the text varies from time to time.
        """
        if self._reasons.get(subject) == (key or reason):
            return False
        self._reasons[subject] = key or reason
        tell(message, **fields, reason=reason)
        return True

    def hindered(self, subject: str, error: BaseException, tell: Callable[..., None], message: str) -> None:
        """As ``failed``, of something asked of NATS: each kind of error once; that there is no connection, not at all."""
        if not cut_off(error):
            self.failed(subject, reason(error), tell, message, key=type(error).__name__)

    def worked(self, subject: str, tell: Callable[..., None], message: str, **fields: Any) -> bool:
        """The subject is well; logged where it was not. True if it was logged."""
        if self._reasons.pop(subject, None) is None:
            return False
        tell(message, **fields)
        return True

    def forget(self, subject: str) -> None:
        """Nobody wants to hear of this subject any more, or it is told anew at its next failure."""
        self._reasons.pop(subject, None)

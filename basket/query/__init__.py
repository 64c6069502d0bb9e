"""Queries answered: which peels a target selects, what they publish, who of them is alive.

``Source`` is what can answer them: ``selecting.Selector`` asks the server, ``basket.live.mirror.Mirror`` its own memory.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Protocol

from basket.codec import decode
from basket.entry import Entry
from basket.errors import DecodeError

if TYPE_CHECKING:
    from basket.bus.record import Record
    from basket.target import Target

Entries = Dict[str, Dict[str, Entry]]
"""Function -> peel id -> entry."""

Alive = Callable[[str], Optional[bool]]
"""Tells of a peel whether its heartbeat is alive; None where nobody may know."""


class Source(Protocol):
    """Any thread; every method until ``deadline`` on ``time.monotonic()``, with the errors of the bus. ``stale_ok``: what was
    known before the connection was lost will do, but for who is alive."""

    def entries(self, tree: Target, functions: List[str], *, deadline: float, alive: bool, stale_ok: bool) -> Entries:
        """These functions' values on the peels that match; ``alive``: they are worth nothing without knowing for sure who is
        alive."""

    def value(self, peel_id: str, function: str, *, deadline: float, stale_ok: bool) -> Optional[Record]:
        """One stored value."""

    def functions_of(self, peel_id: str, *, deadline: float) -> List[str]:
        """What one peel publishes, sorted."""

    def facts_of(self, peel_id: str, *, deadline: float) -> Optional[Record]:
        """One peel's stored facts."""

    def peels(self, tree: Target, *, deadline: float) -> FrozenSet[str]:
        """The ids that a target selects among all that have facts or publish anything."""

    def now(self, *, deadline: float) -> datetime.datetime:
        """The time by the server's clock."""


def document(record: Optional[Record]) -> Mapping[str, Any]:
    """A peel's facts; broken ones are no facts, so that the peel matches nothing by fact and breaks nothing."""
    if record is None:
        return {}
    try:
        facts = decode(record.data)
    except DecodeError as error:
        from basket.logs import Log

        Log(__name__).debug("facts that cannot be read match nothing", subject=record.subject, reason=str(error))
        return {}
    return facts if isinstance(facts, dict) else {}

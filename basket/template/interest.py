"""What rendered files depend on, watched: values by target and function, and the templates' own files.

A watch first delivers what is there. What a rendering has seen already, by its revision, is no news; so a new watch causes
another rendering only where something came in between, and nothing is missed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Collection, Dict, Mapping, Optional, Set, Tuple

from basket.errors import BasketError
from basket.logs import Log

if TYPE_CHECKING:
    from basket.agent.reload import FileWatch
    from basket.client import Basket
    from basket.watch import Change, Watch

_log = Log("basket.template")

Pair = Tuple[str, str]
"""Target and function."""

Seen = Mapping[str, int]
"""Revisions by peel."""


def news(change: Change, seen: Optional[Seen]) -> bool:
    """Whether a rendering that saw ``seen`` (None: that saw nothing of this pair) did not know of this change."""
    if seen is None:
        return True
    known = seen.get(change.peel_id)
    return known is not None if change.kind == "delete" else known != change.revision


class Interest:
    """For one thread, but that ``values`` and ``files`` are called on others: ``values(pair, change)`` on threads named
    ``basket-callbacks-...``, ``files()`` on ``basket-reload``. Neither may block."""

    def __init__(self, values: Callable[[Pair, Change], None], files: Callable[[], None]) -> None:
        self._values = values
        self._files = files
        self._watches: Dict[Pair, Watch] = {}
        self._paths: Set[str] = set()
        self._file_watch: Optional[FileWatch] = None

    def follow(self, basket: Basket, pairs: Collection[Pair]) -> bool:
        """Watch these and no others; False where some cannot be watched now."""
        for pair in [pair for pair, watch in self._watches.items() if pair not in pairs or watch.ended]:
            self._watches.pop(pair).stop()
        complete = True
        for pair in pairs:
            if pair in self._watches:
                continue
            try:
                self._watches[pair] = basket.watch(*pair, callback=partial(self._values, pair))
            except (BasketError, ValueError) as error:
                _log.debug("cannot be watched", target=pair[0], function=pair[1], reason=str(error))
                # Of a target that cannot be read, no later attempt will come to more.
                complete = complete and isinstance(error, ValueError)
        return complete

    def forget(self) -> None:
        """Watch no values any more: the connection they came over is going to be replaced."""
        watches, self._watches = list(self._watches.values()), {}
        for watch in watches:
            watch.stop()

    def read(self, paths: Collection[str]) -> bool:
        """Watch these files and no others; True if that is a change. What stands in them now counts as known."""
        if set(paths) == self._paths:
            return False
        from basket.agent.reload import FileWatch

        self._paths = set(paths)
        old, self._file_watch = self._file_watch, None
        if self._paths:
            self._file_watch = FileWatch(sorted(self._paths), self._files)
            self._file_watch.start()
        if old is not None:
            old.stop()
        return True

    def stop(self) -> None:
        """End it all."""
        self.forget()
        old, self._file_watch = self._file_watch, None
        self._paths = set()
        if old is not None:
            old.stop()


def pairs_of(asked: Collection[Any]) -> Set[Pair]:
    """What to watch for these queries."""
    return {(query.target, query.function) for query in asked}

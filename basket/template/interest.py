"""What rendered files depend on, watched: values by target and function, and the templates' own files.

A watch tells of nothing that went before it began: neither it nor the watch of a file knows what a rendering has seen. So
whoever depends on what ``follow`` began to watch is rendered once more, and nothing is missed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Collection, Dict, Optional, Set, Tuple

from basket.errors import BasketError
from basket.logs import Log

if TYPE_CHECKING:
    from basket.client import Basket
    from basket.entry import Change
    from basket.files.watching import FileWatch
    from basket.live.watch import Watch

_log = Log("basket.template")

Pair = Tuple[str, str]
"""Target and function."""


class Interest:
    """For one thread, but that ``values`` and ``files`` are called on others: ``values(pair)`` on threads named
    ``basket-callbacks-...``, ``files()`` on ``basket-files``. Neither may block."""

    def __init__(self, values: Callable[[Pair], None], files: Callable[[], None]) -> None:
        self._values = values
        self._files = files
        self._watches: Dict[Pair, Watch] = {}
        self._paths: Set[str] = set()
        self._file_watch: Optional[FileWatch] = None

    def follow(self, basket: Basket, pairs: Collection[Pair]) -> Tuple[Set[Pair], bool]:
        """Watch these and no others. Those that it has begun to watch, and False where some cannot be watched now."""
        for pair in [pair for pair, watch in self._watches.items() if pair not in pairs or watch.ended]:
            self._watches.pop(pair).stop()
        begun: Set[Pair] = set()
        complete = True
        for pair in pairs:
            if pair in self._watches:
                continue
            try:
                self._watches[pair] = basket.watch(*pair, callback=partial(self._changed, pair))
                begun.add(pair)
            except (BasketError, ValueError) as error:
                _log.debug("cannot be watched", target=pair[0], function=pair[1], reason=str(error))
                # Of a target that cannot be read, no later attempt will come to more.
                complete = complete and isinstance(error, ValueError)
        return begun, complete

    def _changed(self, pair: Pair, _: Change) -> None:
        self._values(pair)

    def forget(self) -> None:
        """Watch no values any more: the connection they came over is going to be replaced."""
        watches, self._watches = list(self._watches.values()), {}
        for watch in watches:
            watch.stop()

    def read(self, paths: Collection[str]) -> bool:
        """Watch these files and no others; True if that is a change. What stands in them now counts as known."""
        if set(paths) == self._paths:
            return False
        from basket.files.watching import FileWatch

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

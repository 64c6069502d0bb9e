"""What this peel has to say and what NATS is known to hold of it: which values still have to be written or deleted. Pure.

A value counts as written only once its put was acknowledged, so nothing is forgotten over an outage, and of each key only
the newest value waits. One delivery is under way at a time, which is what keeps an older value from arriving after a newer.
"""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, Mapping, NamedTuple, Optional, Set


class Value(NamedTuple):
    """A value and its encoding; the encoding is what is compared."""

    value: Any
    encoded: bytes


class Delivery(NamedTuple):
    """What one delivery writes and which keys it deletes."""

    values: Mapping[str, Value]
    retired: FrozenSet[str]


class _Held(NamedTuple):
    encoded: bytes
    revision: int


class Outbox:
    """The functions of one peel by name. For one thread."""

    def __init__(self) -> None:
        self._current: Dict[str, Value] = {}
        self._held: Dict[str, _Held] = {}
        self._waiting: Dict[str, None] = {}  # a set that keeps its order
        self._retired: Set[str] = set()
        self._away: Optional[Delivery] = None

    def offer(self, name: str, value: Value) -> bool:
        """The newest value of ``name``. False where NATS holds exactly this already."""
        self._retired.discard(name)
        self._current[name] = value
        if self._is_held(name) and not self._is_away(name):
            self._waiting.pop(name, None)
            return False
        self._waiting[name] = None
        return True

    def retire(self, name: str) -> None:
        """``name`` is no longer ours to publish: its key goes."""
        self._current.pop(name, None)
        self._waiting.pop(name, None)
        self._retired.add(name)

    def forget(self, name: str) -> bool:
        """What NATS holds of ``name`` is not what we wrote: write it again. True where there is something to write."""
        self._held.pop(name, None)
        if name in self._current:
            self._waiting[name] = None
            return True
        return False

    def forget_all(self) -> None:
        """Another server, or another peel id: nothing of ours is there."""
        self._held.clear()
        self._waiting = dict.fromkeys(self._current)

    def held(self) -> Dict[str, int]:
        """Function -> revision of everything that is known to be written, is still ours, and is not being written anew."""
        return {n: held.revision for n, held in self._held.items() if n in self._current and not self._is_away(n)}

    def __len__(self) -> int:
        """How many values and deletions wait."""
        return len(self._waiting) + len(self._retired)

    def take(self) -> Optional[Delivery]:
        """Everything that waits, as one delivery; None where nothing waits or one is under way."""
        if self._away is not None or not (self._waiting or self._retired):
            return None
        values = {name: self._current[name] for name in self._waiting}
        self._away = Delivery(values, frozenset(self._retired))
        self._waiting = {}
        self._retired = set()
        return self._away

    def settle(self, delivery: Delivery, revisions: Mapping[str, int], again: FrozenSet[str]) -> None:
        """The delivery has ended: ``revisions`` were acknowledged, ``again`` has to be tried once more.

        A value in neither was refused for good; its function waits for its next value. A delivery that is not the one under
        way (see ``recall``) is ignored.
        """
        if delivery is not self._away:
            return
        self._away = None
        for name, value in delivery.values.items():
            if name in revisions:
                self._held[name] = _Held(value.encoded, revisions[name])
                if name not in self._current:
                    self._retired.add(name)  # retired while its put was on the way
                elif self._is_held(name):
                    self._waiting.pop(name, None)  # offered again meanwhile, unchanged
            else:
                self._held.pop(name, None)  # it may be written or not
                if name in again and name in self._current:
                    self._waiting[name] = None
        for name in delivery.retired:
            self._held.pop(name, None)  # deleted, or perhaps deleted
            if name in self._current:
                self._waiting[name] = None  # configured again while its deletion was on the way
            elif name in again:
                self._retired.add(name)

    def recall(self) -> None:
        """Take back the delivery under way: its connection is given up, whatever became of it."""
        if self._away is not None:
            self.settle(self._away, {}, frozenset(self._away.values) | self._away.retired)

    def _is_held(self, name: str) -> bool:
        held = self._held.get(name)
        current = self._current.get(name)
        return held is not None and current is not None and held.encoded == current.encoded

    def _is_away(self, name: str) -> bool:
        return self._away is not None and (name in self._away.values or name in self._away.retired)

"""Which peels of a live copy of the facts a target selects, remembered for each peel until its facts change."""

from __future__ import annotations

import threading
from typing import Callable, Collection, Dict, FrozenSet, Iterable, Mapping, Optional, Set, Tuple

from basket.bus.record import Record
from basket.errors import TargetError
from basket.target import Matcher, Target, exact_ids, matcher, matches_factless

REMEMBERED = 32
"""Targets whose outcomes are remembered: two numbers a peel each."""

Document = Callable[[Optional[Record]], Mapping[str, object]]


class Outcomes:
    """``table`` gives the facts as they are now (peel id -> record), ``document`` decodes one. Any thread."""

    def __init__(self, table: Callable[[], Mapping[str, Record]], document: Document) -> None:
        self._table = table
        self._document = document
        self._lock = threading.Lock()
        # By the tree, not as printed: a named group may mean something else today.
        self._remembered: Dict[Target, Tuple[Matcher, Dict[str, Tuple[object, bool]]]] = {}

    def matching(self, tree: Target, known: Callable[[], Iterable[str]]) -> FrozenSet[str]:
        """The ids that ``tree`` selects among the peels with facts and, where a peel without facts may match, ``known()``; where
        it names all that it may select, among those, whether they are there or not."""
        match, outcomes = self._recall(tree)
        try:
            return self._matching(tree, match, outcomes, known)
        except TargetError:  # this matcher has used up its time for good; the next query gets a new one
            self._forget(tree)
            raise

    def _matching(
        self, tree: Target, match: Matcher, outcomes: Dict[str, Tuple[object, bool]], known: Callable[[], Iterable[str]]
    ) -> FrozenSet[str]:
        facts = self._table()
        among: Collection[str]
        named = exact_ids(tree)
        if named is not None:
            among = named
        else:
            among = list(known()) if matches_factless(tree) else list(facts)
        matched: Set[str] = set()
        for peel_id in among:
            record = facts.get(peel_id)
            # Not the revision: a bucket made anew counts from 1 again.
            written = None if record is None else record.stamp
            outcome = outcomes.get(peel_id)
            if outcome is None or outcome[0] != written:
                outcome = (written, match(peel_id, self._document(record)))
                outcomes[peel_id] = outcome
            if outcome[1]:
                matched.add(peel_id)
        if len(outcomes) > 2 * len(among) + 1000:  # mostly peels that are gone
            outcomes.clear()
        return frozenset(matched)

    def _forget(self, tree: Target) -> None:
        with self._lock:
            self._remembered.pop(tree, None)

    def _recall(self, tree: Target) -> Tuple[Matcher, Dict[str, Tuple[object, bool]]]:
        with self._lock:
            kept = self._remembered.pop(tree, None) or (matcher(tree), {})
            self._remembered[tree] = kept  # the one used last stands last
            while len(self._remembered) > REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        return kept

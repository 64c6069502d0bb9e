"""Which peels of a live copy of the facts a target selects, remembered for each peel until its facts change."""

from __future__ import annotations

import threading
from typing import Callable, Dict, FrozenSet, Iterable, Mapping, Optional, Set, Tuple

from basket.bus.record import Record
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
        self._remembered: Dict[str, Tuple[Matcher, Dict[str, Tuple[int, bool]]]] = {}

    def matching(self, tree: Target, known: Callable[[], Iterable[str]]) -> FrozenSet[str]:
        """The ids that ``tree`` selects among the peels with facts and, where a peel without facts may match, ``known()``."""
        match, outcomes = self._recall(tree)
        facts = self._table()
        among: Iterable[str]
        named = exact_ids(tree)
        if named is not None:
            among = named
        else:
            among = known() if matches_factless(tree) else list(facts)
        matched: Set[str] = set()
        for peel_id in among:
            record = facts.get(peel_id)
            revision = 0 if record is None else record.revision
            outcome = outcomes.get(peel_id)
            if outcome is None or outcome[0] != revision:
                outcome = (revision, match(peel_id, self._document(record)))
                outcomes[peel_id] = outcome
            if outcome[1]:
                matched.add(peel_id)
        if len(outcomes) > 2 * len(facts) + 1000:  # mostly peels that are gone
            outcomes.clear()
        return frozenset(matched)

    def _recall(self, tree: Target) -> Tuple[Matcher, Dict[str, Tuple[int, bool]]]:
        name = str(tree)
        with self._lock:
            kept = self._remembered.pop(name, None) or (matcher(tree), {})
            self._remembered[name] = kept  # the one used last stands last
            while len(self._remembered) > REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        return kept

"""Queries answered by the server, in as few exchanges as possible."""

from __future__ import annotations

import datetime
import time
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Set, TypeVar

from basket.bus import bulk
from basket.bus.bucket import Bucket
from basket.bus.record import Plain, Record, moment
from basket.entry import Entry, Peel, entry
from basket.keys import is_peel_id, join_key, split_key
from basket.query import Alive, Entries, document
from basket.query.presence import FEW, Presence
from basket.query.resolve import Resolver
from basket.target import Matcher, Target, exact_ids, matcher, matches_factless, needs_facts

FETCH_BY_NAME = 1000
"""Up to so many peels, known by id, have their values asked for by key; beyond that the function's values of all are read."""

T = TypeVar("T")

_NO_FACTS: Mapping[str, Any] = {}


class Selector:
    """A ``Source``."""

    def __init__(self, values: Bucket, facts: Bucket, presence: Presence, resolver: Resolver) -> None:
        self._values = values
        self._facts = facts
        self._presence = presence
        self._resolver = resolver

    # -- as a Source ----------------------------------------------------------------------------------------------------

    def entries(self, tree: Target, functions: List[str], *, deadline: float, alive: bool, stale_ok: bool = False) -> Entries:
        """As Source."""
        named = exact_ids(tree)
        if needs_facts(tree):
            named = self.matching(tree, deadline=deadline)
            among = named
            matches: Matcher = lambda peel_id, facts: peel_id in among  # noqa: E731
        else:
            matches = matcher(tree)
            if named is not None and len(named) * len(functions) <= FEW:
                return self._few([peel_id for peel_id in named if matches(peel_id, {})], functions, deadline, alive)
        if named is None or len(named) > FETCH_BY_NAME:
            online = self._presence.listed(deadline=deadline, fresh=alive)
            return {name: self._of_function(name, matches, online, deadline) for name in functions}
        keys = [join_key(peel_id, name) for name in functions for peel_id in named if matches(peel_id, {})]
        stored = bulk.read_keys(self._values, keys, bulk.as_stored, deadline=deadline) if keys else {}
        publishing = list({split_key(key)[0] for key in stored})
        return _by_function(functions, stored, self._presence.of(publishing, deadline=deadline, fresh=alive))

    def _few(self, peel_ids: List[str], functions: List[str], deadline: float, insist: bool) -> Entries:
        """Values and heartbeats in one exchange: for a single value a second one would double the time."""
        wanted = [(self._values, join_key(peel_id, name)) for peel_id in peel_ids for name in functions]
        records, online = self._presence.beside(wanted, peel_ids, deadline=deadline, insist=insist)
        skip = len(self._values.spec.prefix)
        return _by_function(functions, {record.subject[skip:]: record for record in records}, online)

    def _of_function(self, name: str, matches: Matcher, online: Alive, deadline: float) -> Dict[str, Entry]:
        start, end = len(self._values.spec.prefix), -len(name) - 1

        def make(records: Sequence[Plain]) -> Dict[str, Optional[Entry]]:
            return {
                peel_id: None if record[4] else entry(record, peel_id, name, online(peel_id))
                for record in records
                for peel_id in (record[0][start:end],)
                if matches(peel_id, _NO_FACTS)
            }

        return bulk.read_parts(self._values, f"*.{name}", make, deadline=deadline)

    def value(self, peel_id: str, function: str, *, deadline: float, stale_ok: bool = False) -> Optional[Record]:
        """As Source."""
        return self._values.get(join_key(peel_id, function), deadline=deadline)

    def functions_of(self, peel_id: str, *, deadline: float) -> List[str]:
        """As Source."""
        return sorted(split_key(key)[1] for key in bulk.read(self._values, f"{peel_id}.>", bulk.as_stored, deadline=deadline))

    def facts_of(self, peel_id: str, *, deadline: float) -> Optional[Record]:
        """As Source."""
        return self._facts.get(peel_id, deadline=deadline)

    def peels(self, tree: Target, *, deadline: float) -> FrozenSet[str]:
        """As Source."""
        if needs_facts(tree):
            matched = self.matching(tree, deadline=deadline)
            if exact_ids(tree) is not None and matches_factless(tree):  # one may be named that is not there
                matched &= self.known(deadline=deadline)
            return matched
        match = matcher(tree)
        return frozenset(peel_id for peel_id in self.known(deadline=deadline) if match(peel_id, {}))

    def now(self, *, deadline: float) -> datetime.datetime:
        """As Source."""
        return datetime.datetime.fromtimestamp(time.time() + self._values.clock_ahead(deadline=deadline), datetime.timezone.utc)

    # -- more than a Source knows -----------------------------------------------------------------------------------------

    def matching(self, tree: Target, *, deadline: float) -> FrozenSet[str]:
        """The ids that a target with facts in it selects."""
        named = exact_ids(tree)
        if named is None and not matches_factless(tree):
            told = self._resolver.ask(tree, deadline=deadline)
            if told is not None:
                return told
        match = matcher(tree)
        outcomes = self._of_facts(named, lambda peel_id, record: match(peel_id, document(record)), deadline)
        matched = {peel_id for peel_id, matches in outcomes.items() if matches}
        if matches_factless(tree):
            others = named if named is not None else self.known(set(outcomes), deadline=deadline)
            matched.update(peel_id for peel_id in others if peel_id not in outcomes and match(peel_id, {}))
        return frozenset(matched)

    def described(self, tree: Target, *, deadline: float) -> List[Peel]:
        """What is known of each peel that matches, sorted by id."""
        match = matcher(tree)
        facts = self._of_facts(None, bulk.as_stored, deadline)
        beats = self._presence.last_seen(deadline=deadline)
        peels: List[Peel] = []
        for peel_id in sorted(self.known(set(facts), deadline=deadline)):
            record = facts.get(peel_id)
            told = document(record)
            if match(peel_id, told):
                online = None if beats is None else peel_id in beats
                seen = beats[peel_id] if beats and online else moment(record.stamp) if record is not None else None
                system = told.get("os")
                name = system.get("name") if isinstance(system, dict) else None
                peels.append(Peel(peel_id, name if isinstance(name, str) else None, online, seen))
        return peels

    def _of_facts(self, peel_ids: Optional[FrozenSet[str]], each: bulk.Each[T], deadline: float) -> Dict[str, T]:
        if peel_ids is not None:
            return bulk.read_keys(self._facts, sorted(peel_ids), each, deadline=deadline)
        return bulk.read(self._facts, "*", each, deadline=deadline)

    def known(self, with_facts: Optional[Set[str]] = None, *, deadline: float) -> Set[str]:
        """Every peel that has facts or publishes something now; keys that were deleted do not count."""
        if with_facts is None:
            with_facts = set(bulk.live_keys(self._facts, ["*"], self._facts.subjects("*", deadline=deadline), deadline=deadline))
        keys = self._values.subjects(">", deadline=deadline)
        # All of their keys may be markers of deletion. What no peel can be called is somebody else's, and no pattern either.
        unsure = {peel_id for peel_id in {split_key(key)[0] for key in keys} - with_facts if is_peel_id(peel_id)}
        patterns = [f"{peel_id}.>" for peel_id in sorted(unsure)] if len(unsure) <= FETCH_BY_NAME else [">"]
        theirs = [key for key in keys if split_key(key)[0] in unsure and split_key(key)[1]]
        live = [key for key in bulk.live_keys(self._values, patterns, theirs, deadline=deadline) if split_key(key)[0] in unsure]
        return with_facts | {split_key(key)[0] for key in live}


def _by_function(functions: List[str], stored: Dict[str, Record], online: Alive) -> Entries:
    found: Entries = {name: {} for name in functions}
    for key, record in stored.items():
        peel_id, name = split_key(key)
        found[name][peel_id] = entry(record, peel_id, name, online(peel_id))
    return found

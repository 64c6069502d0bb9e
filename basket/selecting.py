"""Which peels a target selects and which records that means, asked of the server in as few exchanges as possible."""

from __future__ import annotations

from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Set, TypeVar

from basket.bus import bulk
from basket.bus.bucket import Bucket
from basket.bus.record import Record
from basket.codec import decode
from basket.errors import DecodeError
from basket.keys import is_peel_id, join_key, split_key
from basket.resolve import Resolver
from basket.target import Target, exact_ids, matcher, matches_factless, needs_facts

FETCH_BY_NAME = 1000
"""Up to so many peels, known by id, have their values asked for by key; beyond that the function's values of all are read."""

T = TypeVar("T")

Records = Dict[str, Dict[str, Record]]
"""Function -> peel id -> stored value."""


class Selector:
    """All methods block until ``deadline`` on ``time.monotonic()``. Any thread."""

    def __init__(self, values: Bucket, facts: Bucket, resolver: Resolver) -> None:
        self._values = values
        self._facts = facts
        self._resolver = resolver

    def records(self, tree: Target, functions: List[str], *, deadline: float) -> Records:
        """The stored values of these functions on the peels that match."""
        named = exact_ids(tree)
        if needs_facts(tree):
            named = self.matching(tree, deadline=deadline)
            matches: Callable[[str], bool] = named.__contains__
        else:
            match = matcher(tree)
            matches = lambda peel_id: match(peel_id, {})  # noqa: E731
        if named is not None and len(named) <= FETCH_BY_NAME:
            keys = [join_key(peel_id, name) for name in functions for peel_id in named if matches(peel_id)]
            found: Records = {name: {} for name in functions}
            stored = bulk.read_keys(self._values, keys, bulk.as_stored, deadline=deadline) if keys else {}
            for key, record in stored.items():
                peel_id, name = split_key(key)
                found[name][peel_id] = record
            return found
        return {name: self._of_function(name, matches, deadline) for name in functions}

    def _of_function(self, name: str, matches: Callable[[str], bool], deadline: float) -> Dict[str, Record]:
        end = -len(name) - 1

        def meant(key: str, record: Record) -> Optional[Record]:
            return record if matches(key[:end]) else None

        return {key[:end]: record for key, record in bulk.read(self._values, f"*.{name}", meant, deadline=deadline).items()}

    def matching(self, tree: Target, *, deadline: float) -> FrozenSet[str]:
        """The ids that a target with facts in it selects."""
        named = exact_ids(tree)
        if named is None and not matches_factless(tree):
            told = self._resolver.ask(tree, deadline=deadline)
            if told is not None:
                return told
        match = matcher(tree)
        outcomes = self._facts_of(named, lambda peel_id, record: match(peel_id, document(record)), deadline)
        matched = {peel_id for peel_id, matches in outcomes.items() if matches}
        if matches_factless(tree):
            others = named if named is not None else self.known(set(outcomes), deadline=deadline)
            matched.update(peel_id for peel_id in others if peel_id not in outcomes and match(peel_id, {}))
        return frozenset(matched)

    def facts(self, *, deadline: float) -> Dict[str, Record]:
        """The stored facts of all peels, in one exchange."""
        return self._facts_of(None, bulk.as_stored, deadline)

    def _facts_of(self, peel_ids: Optional[FrozenSet[str]], each: bulk.Each[T], deadline: float) -> Dict[str, T]:
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

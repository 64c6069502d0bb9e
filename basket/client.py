"""The blocking facade: publish and ask, from any thread. Decides what is read; how, is the bus's business."""

from __future__ import annotations

import datetime
import time
from types import TracebackType
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Sequence, Set, Type, Union, overload

from basket.bus import bulk
from basket.bus.bucket import Bucket, BucketSpec
from basket.bus.link import CLOSED, Link
from basket.bus.record import Record, moment
from basket.bus.settings import Settings
from basket.codec import decode, encode
from basket.entry import Entry, Peel, entry
from basket.errors import BasketError, DecodeError, MissingError, PublishError
from basket.keys import check_function, check_peel_id, join_key, split_key
from basket.presence import Presence, heartbeat
from basket.target import Target, conjunction, exact_ids, matcher, needs_facts, parse

_UTC = datetime.timezone.utc
_NO_DEFAULT: Any = object()

FETCH_BY_NAME = 1000
"""Up to so many peels, known by id, have their values asked for by key; beyond that the function's values of all are read."""


class Basket:
    """A connection to the basket, as ``connect`` gives it. Every method may be called from any number of threads, blocks
    until its answer or its deadline (``timeout`` seconds, the one of ``connect`` where None), and raises a BasketError:
    an error is never turned into an empty answer. Ctrl-C ends a waiting call at once.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        peel_id: Union[str, Callable[[], str]],
        timeout: float = 5.0,
        groups: Optional[Mapping[str, str]] = None,
        scope: Union[str, Callable[[], str]] = "",
        replicas: int = 1,
    ) -> None:
        self.timeout = timeout
        self.groups: Mapping[str, str] = groups or {}
        self._peel_id = peel_id
        self._scope_text = scope
        self._scope: Optional[Target] = None
        self._scope_read = False
        self._link = Link(settings)
        self._basket = Bucket(self._link, BucketSpec("basket", "Peel-to-peel data sharing", replicas=replicas))
        self._facts = Bucket(self._link, BucketSpec("facts", "Peel fact data (system information)", history=5, replicas=replicas))
        beats = BucketSpec("peel-heartbeat", "Peel liveness heartbeats", ttl=30.0, replicas=replicas)
        self._heartbeats = Bucket(self._link, beats)
        self._presence = Presence(self._heartbeats)

    # -- life -----------------------------------------------------------------------------------------------------------

    def open(self, timeout: Optional[float] = None) -> Basket:
        """Connect, or raise. ``connect`` has done it already."""
        self._link.open(self.timeout if timeout is None else timeout)
        return self

    def close(self) -> None:
        """End the connection; waiting calls raise ClosedError. Bounded in time, from anywhere, any number of times."""
        self._link.close()

    def __enter__(self) -> Basket:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._link.state == CLOSED

    @property
    def state(self) -> str:
        """``connected``; ``suspended`` while a lost connection is being rebuilt; ``closed``."""
        return self._link.state

    @property
    def connections(self) -> int:
        """How many connections were made so far: it grows with every reconnection."""
        return self._link.connections

    def on_connected(self, listener: Callable[[], None]) -> None:
        """Call ``listener()`` after each reconnection, on the loop's thread, which it must not block."""
        self._link.on_connected(listener)

    @property
    def peel_id(self) -> str:
        """Who we are: the id under which ``publish`` writes. InvalidKeyError where this host has no usable name."""
        if callable(self._peel_id):
            self._peel_id = self._peel_id()
        return self._peel_id

    @property
    def scope(self) -> Optional[Target]:
        """The configured scope as a tree, with this peel's facts filled in; None where there is none."""
        if not self._scope_read:
            text = self._scope_text() if callable(self._scope_text) else self._scope_text
            self._scope = parse(text, self.groups) if text.strip() else None
            self._scope_read = True
        return self._scope

    def rescope(self, scope: Union[str, Callable[[], str]], groups: Mapping[str, str]) -> None:
        """Take another scope and other named groups from the next query on: the configuration or the facts changed."""
        self._scope_text, self.groups, self._scope_read = scope, groups, False

    # -- writing ----------------------------------------------------------------------------------------------------------

    def publish(self, function: str, value: Any, *, timeout: Optional[float] = None) -> int:
        """Store ``value`` under this peel's id; its revision, once JetStream has acknowledged it.

        EncodeError, ValueTooLargeError, InvalidKeyError before anything is sent; OutcomeUnknownError where it was sent and
        no acknowledgement came: it may be stored, and publishing again is harmless.
        """
        key = join_key(self.peel_id, check_function(function))
        return self._basket.put(key, encode(value), deadline=self._deadline(timeout))

    def publish_many(self, values: Mapping[str, Any], *, timeout: Optional[float] = None) -> Dict[str, int]:
        """Store several values, all on their way at once; function -> revision. PublishError names those that failed,
        the others are stored."""
        failed: Dict[str, BasketError] = {}
        packed: Dict[str, bytes] = {}
        for function, value in values.items():
            try:
                packed[join_key(self.peel_id, check_function(function))] = encode(value)
            except BasketError as error:
                failed[function] = error
        revisions, refused = self._basket.put_many(packed, deadline=self._deadline(timeout)) if packed else ({}, {})
        failed.update({split_key(key)[1]: error for key, error in refused.items()})
        published = {split_key(key)[1]: revision for key, revision in revisions.items()}
        if failed:
            raise PublishError(failed, published)
        return {function: published[function] for function in values}

    def delete(self, function: str, *, peel_id: Optional[str] = None, timeout: Optional[float] = None) -> bool:
        """Remove a value of ours, or of another peel where the server lets us; True if it was there."""
        key = join_key(self._someone(peel_id), check_function(function))
        return self._basket.delete(key, deadline=self._deadline(timeout))

    def flush(self, peel_id: Optional[str] = None, *, timeout: Optional[float] = None) -> int:
        """Remove every value of ours, or of another peel; how many there were. PublishError names what could not be."""
        deadline = self._deadline(timeout)
        owner = self._someone(peel_id)
        keys = [self._key(record) for record in bulk.read(self._basket, [f"{owner}.>"], deadline=deadline)]
        removed, failed = self._basket.delete_many(keys, deadline=deadline) if keys else ({}, {})
        if failed:
            by_name = {split_key(key)[1]: error for key, error in failed.items()}
            raise PublishError(by_name, {split_key(key)[1]: revision for key, revision in removed.items()})
        return len(removed)

    def publish_facts(self, document: Mapping[str, Any], *, timeout: Optional[float] = None) -> int:
        """Store this peel's facts; the revision."""
        return self._facts.put(self.peel_id, encode(document), deadline=self._deadline(timeout))

    def beat(self, *, timeout: Optional[float] = None) -> int:
        """Write this peel's heartbeat: it counts as online until half a minute after the last one."""
        data = heartbeat(datetime.datetime.now(_UTC))
        return self._heartbeats.put(self.peel_id, data, deadline=self._deadline(timeout))

    # -- asking -----------------------------------------------------------------------------------------------------------

    @overload
    def get(  # type: ignore[overload-overlap]
        self,
        target: str,
        function: str,
        *,
        scope: Optional[str] = None,
        max_age: Optional[float] = None,
        online_only: bool = False,
        timeout: Optional[float] = None,
    ) -> List[Entry]: ...

    @overload
    def get(
        self,
        target: str,
        function: Sequence[str],
        *,
        scope: Optional[str] = None,
        max_age: Optional[float] = None,
        online_only: bool = False,
        timeout: Optional[float] = None,
    ) -> Dict[str, List[Entry]]: ...

    def get(
        self,
        target: str,
        function: Union[str, Sequence[str]],
        *,
        scope: Optional[str] = None,
        max_age: Optional[float] = None,
        online_only: bool = False,
        timeout: Optional[float] = None,
    ) -> Union[List[Entry], Dict[str, List[Entry]]]:
        """The values of ``function`` on the peels that ``target`` selects, sorted by peel id; for a list of functions a
        dict of such lists.

        The configured scope is and-ed with the target; ``scope=""`` turns it off, another string takes its place.
        ``online_only`` leaves out peels without a live heartbeat. ``max_age`` (seconds) leaves out values that were written
        longer ago, by the server's clock, **unless their peel is alive**: an unchanged value is not written again, so while
        its peel lives it is current however old.
        """
        functions = [function] if isinstance(function, str) else list(function)
        for name in functions:
            check_function(name)
        if max_age is not None and not max_age >= 0:
            raise ValueError(f"max_age is a number of seconds, 0 or more, not {max_age!r}")
        deadline = self._deadline(timeout)
        found = self._select(self._tree(target, scope), functions, deadline)
        online = self._presence.of(
            sorted({peel_id for records in found.values() for peel_id in records}),
            deadline=deadline,
            fresh=online_only or max_age is not None,
        )
        oldest = self._server_time(deadline) - datetime.timedelta(seconds=max_age) if max_age is not None else None
        answer = {
            name: [
                entry(record, join_key(peel_id, name), alive)
                for peel_id, record, alive in ((p, records[p], online(p)) for p in sorted(records))
                if (alive or not online_only) and (oldest is None or alive or moment(record.stamp) >= oldest)
            ]
            for name, records in found.items()
        }
        return answer[function] if isinstance(function, str) else answer

    def value(self, peel_id: str, function: str, default: Any = _NO_DEFAULT, *, timeout: Optional[float] = None) -> Any:
        """One value of one peel; ``default`` where there is none, MissingError (a KeyError) without a default.
        DecodeError where what is stored cannot be read."""
        key = join_key(check_peel_id(peel_id), check_function(function))
        record = self._basket.get(key, deadline=self._deadline(timeout))
        if record is not None:
            return decode(record.data)
        if default is _NO_DEFAULT:
            raise MissingError(f"peel {peel_id!r} publishes no {function!r}")
        return default

    def functions(self, peel_id: str, *, timeout: Optional[float] = None) -> List[str]:
        """The functions that a peel publishes, sorted."""
        owner = check_peel_id(peel_id)
        records = bulk.read(self._basket, [f"{owner}.>"], deadline=self._deadline(timeout))
        return sorted(split_key(self._key(record))[1] for record in records)

    def peels(self, target: str = "*", *, scope: Optional[str] = None, timeout: Optional[float] = None) -> List[str]:
        """The ids, sorted, of the peels that ``target`` selects among all that have facts or publish anything."""
        deadline = self._deadline(timeout)
        tree = self._tree(target, scope)
        if needs_facts(tree):
            return sorted(self._matching(tree, deadline))
        match = matcher(tree)
        return sorted(peel_id for peel_id in self._known(deadline) if match(peel_id, {}))

    def peel_info(self, target: str = "*", *, scope: Optional[str] = None, timeout: Optional[float] = None) -> List[Peel]:
        """What is known of each peel that ``target`` selects, sorted by id."""
        deadline = self._deadline(timeout)
        match = matcher(self._tree(target, scope))
        facts = {self._peel_of(record): record for record in bulk.read(self._facts, ["*"], deadline=deadline)}
        beats = self._presence.last_seen(deadline=deadline)
        peels: List[Peel] = []
        for peel_id in sorted(self._known(deadline, set(facts))):
            record = facts.get(peel_id)
            document = _document(record)
            if match(peel_id, document):
                seen = beats.get(peel_id) or (moment(record.stamp) if record is not None else None)
                peels.append(Peel(peel_id, _os_name(document), peel_id in beats, seen))
        return peels

    def facts(self, peel_id: str, *, timeout: Optional[float] = None) -> Dict[str, Any]:
        """The facts that a peel has published; MissingError where it has none."""
        record = self._facts.get(check_peel_id(peel_id), deadline=self._deadline(timeout))
        if record is None:
            raise MissingError(f"peel {peel_id!r} has published no facts")
        document = decode(record.data)
        if not isinstance(document, dict):
            raise DecodeError(f"the facts of {peel_id!r} are a {type(document).__name__}, not a map")
        return document

    # -- selecting --------------------------------------------------------------------------------------------------------

    def _tree(self, target: str, scope: Optional[str]) -> Target:
        tree = parse(target, self.groups)
        narrow = self.scope if scope is None else parse(scope, self.groups) if scope.strip() else None
        return tree if narrow is None else conjunction(tree, narrow)

    def _select(self, tree: Target, functions: List[str], deadline: float) -> Dict[str, Dict[str, Record]]:
        """For each function the records of the peels that match, by peel id."""
        named = exact_ids(tree)
        if needs_facts(tree):
            named = self._matching(tree, deadline)
            matches: Callable[[str], bool] = named.__contains__
        else:
            match = matcher(tree)
            matches = lambda peel_id: match(peel_id, {})  # noqa: E731
        if named is not None and len(named) <= FETCH_BY_NAME:
            keys = [join_key(peel_id, name) for name in functions for peel_id in named if matches(peel_id)]
            records = bulk.read_keys(self._basket, keys, deadline=deadline) if keys else []
        else:
            records = bulk.read(self._basket, [f"*.{name}" for name in functions], deadline=deadline)
        found: Dict[str, Dict[str, Record]] = {name: {} for name in functions}
        skip = len(self._basket.spec.prefix)
        for record in records:
            peel_id, _, name = record.subject[skip:].partition(".")
            if name in found and matches(peel_id):
                found[name][peel_id] = record
        return found

    def _matching(self, tree: Target, deadline: float) -> FrozenSet[str]:
        """The ids that a tree with facts in it selects."""
        named = exact_ids(tree)
        if named is not None:
            records = bulk.read_keys(self._facts, sorted(named), deadline=deadline)
        else:
            records = bulk.read(self._facts, ["*"], deadline=deadline)
        match = matcher(tree)
        documents = {self._peel_of(record): record for record in records}
        matched = {peel_id for peel_id, record in documents.items() if match(peel_id, _document(record))}
        # A peel without facts may still match, by its id in an `or`, or under a `not`.
        others = named if named is not None else self._known(deadline, set(documents))
        matched.update(peel_id for peel_id in others if peel_id not in documents and match(peel_id, {}))
        return frozenset(matched)

    def _known(self, deadline: float, with_facts: Optional[Set[str]] = None) -> Set[str]:
        """Every peel that has facts or publishes something now; keys that were deleted do not count."""
        if with_facts is None:
            with_facts = set(bulk.live_keys(self._facts, ["*"], deadline=deadline))
        named = {split_key(key)[0] for key in self._basket.subjects(">", deadline=deadline)}
        unsure = sorted(named - with_facts)  # all of their keys may be markers of deletion
        patterns = [f"{peel_id}.>" for peel_id in unsure] if len(unsure) <= FETCH_BY_NAME else [">"]
        live = bulk.live_keys(self._basket, patterns, deadline=deadline)
        return with_facts | {split_key(key)[0] for key in live}

    # -- small things -------------------------------------------------------------------------------------------------------

    def _deadline(self, timeout: Optional[float]) -> float:
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def _someone(self, peel_id: Optional[str]) -> str:
        return self.peel_id if peel_id is None else check_peel_id(peel_id)

    def _key(self, record: Record) -> str:
        return record.subject[len(self._basket.spec.prefix) :]

    def _peel_of(self, record: Record) -> str:
        return record.subject[len(self._facts.spec.prefix) :]

    def _server_time(self, deadline: float) -> datetime.datetime:
        """Now, by the server's clock."""
        told = self._basket.info(deadline=deadline).get("ts")
        return moment(told) if told else datetime.datetime.now(_UTC)


def _document(record: Optional[Record]) -> Mapping[str, Any]:
    """A peel's facts; broken ones are no facts, so that the peel matches nothing by fact and breaks nothing."""
    if record is None:
        return {}
    try:
        document = decode(record.data)
    except DecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _os_name(document: Mapping[str, Any]) -> Optional[str]:
    system = document.get("os")
    name = system.get("name") if isinstance(system, dict) else None
    return name if isinstance(name, str) else None

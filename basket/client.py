"""The blocking facade: publish and ask, from any thread. Decides what is read; how, is the bus's business."""

from __future__ import annotations

import datetime
import threading
import time
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
    overload,
)

from basket.bus import bulk
from basket.bus.bucket import Bucket, BucketSpec
from basket.bus.connection import CLOSED, CONNECTED, SUSPENDED
from basket.bus.guarded import Guarded
from basket.bus.link import Link
from basket.bus.record import Record, moment
from basket.bus.settings import Settings
from basket.codec import decode, encode
from basket.entry import Entry, Peel, entry
from basket.errors import BasketError, DecodeError, InvalidKeyError, MissingError, PermissionDeniedError, PublishError
from basket.keys import check_function, check_peel_id, join_key, split_key
from basket.live import Live
from basket.presence import FEW, Presence, heartbeat
from basket.resolve import Resolver
from basket.selecting import Records, Selector, document
from basket.status import Status
from basket.target import Target, conjunction, exact_ids, matcher, matches_factless, needs_facts, parse

if TYPE_CHECKING:
    from basket.mirror import Mirror
    from basket.watch import Change, Watch

_UTC = datetime.timezone.utc
_NO_DEFAULT: Any = object()
_LONGEST = threading.TIMEOUT_MAX / 2


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
        self._scope: Optional[Tuple[object, Optional[Target]]] = None
        self._link = Link(settings)
        self._basket = Bucket(self._link, BucketSpec("basket", "Peel-to-peel data sharing", replicas=replicas))
        self._facts = Bucket(self._link, BucketSpec("facts", "Peel fact data (system information)", history=5, replicas=replicas))
        beats = BucketSpec("peel-heartbeat", "Peel liveness heartbeats", ttl=30.0, replicas=replicas)
        self._heartbeats = Bucket(self._link, beats)
        self._own, self._own_facts = Guarded(self._basket), Guarded(self._facts)
        self._presence = Presence(self._heartbeats)
        self._selector = Selector(self._basket, self._facts, Resolver(self._link))
        self._live = Live(self._link, self._basket, self._facts, self._heartbeats)

    # -- life -----------------------------------------------------------------------------------------------------------

    def open(self, timeout: Optional[float] = None) -> Basket:
        """Connect, or raise. ``connect`` has done it already."""
        self._link.open(min(self.timeout if timeout is None else timeout, _LONGEST))
        return self

    def close(self) -> None:
        """End watches, then the connection; waiting calls raise ClosedError. Bounded in time, from anywhere, any number of
        times."""
        self._live.stop()
        self._link.close()
        self._live.stop()  # for what another thread began in between: nothing new begins from here on

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

        def changed() -> None:
            if self._link.state == CONNECTED:
                listener()

        self._link.on_change(changed)

    @property
    def buckets(self) -> Tuple[Bucket, Bucket, Bucket]:
        """Values, facts and heartbeats as the bus knows them: for looking at their settings and limits."""
        return self._basket, self._facts, self._heartbeats

    @property
    def peel_id(self) -> str:
        """Who we are: the id under which ``publish`` writes. InvalidKeyError where this host has no usable name."""
        if callable(self._peel_id):
            self._peel_id = self._peel_id()
        return self._peel_id

    @property
    def scope(self) -> Optional[Target]:
        """The configured scope as a tree, with this peel's facts filled in; None where there is none."""
        told, scope = self._scope_text, self._scope
        if scope is None or scope[0] is not told:
            text = told() if callable(told) else told
            # With what it was made from: another thread may have come with another scope meanwhile.
            scope = self._scope = (told, parse(text, self.groups) if text.strip() else None)
        return scope[1]

    def rescope(self, scope: Union[str, Callable[[], str]], groups: Mapping[str, str]) -> None:
        """Take another scope and other named groups from the next query on: the configuration or the facts changed."""
        self.groups, self._scope_text, self._scope = groups, scope, None
        self._live.rescope()

    # -- writing ----------------------------------------------------------------------------------------------------------

    def publish(self, function: str, value: Any, *, timeout: Optional[float] = None) -> int:
        """Store ``value`` under this peel's id; its revision, once JetStream has acknowledged it.

        EncodeError, ValueTooLargeError, InvalidKeyError before anything is sent; OutcomeUnknownError where it was sent and
        no acknowledgement came: it may be stored, and publishing again is harmless.
        """
        key = join_key(self.peel_id, check_function(function))
        return self._own.put(key, encode(value), deadline=self._deadline(timeout))

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
        revisions, refused = self._own.put_many(packed, deadline=self._deadline(timeout)) if packed else ({}, {})
        failed.update({split_key(key)[1]: error for key, error in refused.items()})
        published = {split_key(key)[1]: revision for key, revision in revisions.items()}
        if failed:
            raise PublishError(failed, published)
        return {function: published[function] for function in values}

    def delete(self, function: str, *, peel_id: Optional[str] = None, timeout: Optional[float] = None) -> bool:
        """Remove a value of ours, or of another peel where the server lets us; True if it was there."""
        key = join_key(self._someone(peel_id), check_function(function))
        return (self._own if peel_id is None else self._basket).delete(key, deadline=self._deadline(timeout))

    def flush(self, peel_id: Optional[str] = None, *, timeout: Optional[float] = None) -> int:
        """Remove every value of ours, or of another peel; how many there were. PublishError names what could not be."""
        deadline = self._deadline(timeout)
        owner = self._someone(peel_id)
        keys = list(bulk.read(self._basket, f"{owner}.>", bulk.as_stored, deadline=deadline))
        bucket = self._own if peel_id is None else self._basket
        removed, failed = bucket.delete_many(keys, deadline=deadline) if keys else ({}, {})
        if failed:
            by_name = {split_key(key)[1]: error for key, error in failed.items()}
            raise PublishError(by_name, {split_key(key)[1]: revision for key, revision in removed.items()})
        return len(removed)

    def revisions(self, functions: Iterable[str], *, timeout: Optional[float] = None) -> Dict[str, int]:
        """Of our own ``functions`` those that the basket holds, each with its revision: whether it still has what we wrote."""
        keys = [join_key(self.peel_id, check_function(name)) for name in functions]
        records = bulk.read_keys(self._basket, keys, bulk.as_stored, deadline=self._deadline(timeout)) if keys else {}
        return {split_key(key)[1]: record.revision for key, record in records.items()}

    def delete_facts(self, peel_id: Optional[str] = None, *, timeout: Optional[float] = None) -> bool:
        """Remove the facts of ours, or of another peel, so that no target by fact selects it any more; True if there were
        any."""
        bucket = self._own_facts if peel_id is None else self._facts
        return bucket.delete(self._someone(peel_id), deadline=self._deadline(timeout))

    def publish_facts(self, document: Mapping[str, Any], *, timeout: Optional[float] = None) -> int:
        """Store this peel's facts; the revision."""
        return self._own_facts.put(self.peel_id, encode(document), deadline=self._deadline(timeout))

    def beat(self, *, timeout: Optional[float] = None) -> int:
        """Write this peel's heartbeat: it counts as online until half a minute after the last one."""
        data = heartbeat(datetime.datetime.now(_UTC))
        return self._heartbeats.put(self.peel_id, data, deadline=self._deadline(timeout))

    def protect_buckets(self, *, timeout: Optional[float] = None) -> List[str]:
        """Make the buckets where they are missing, and have them refuse rollup headers: with such a header, whoever may write
        one key may wipe the whole bucket, and no permission can forbid it. For an operator; peels may not. The names of the
        buckets that were changed. Other clients can then delete keys, but no longer purge them."""
        deadline = self._deadline(timeout)
        buckets = (self._basket, self._facts, self._heartbeats)
        return [bucket.spec.name for bucket in buckets if bucket.forbid_rollups(deadline=deadline)]

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
        stale_ok: bool = False,
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
        stale_ok: bool = False,
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
        stale_ok: bool = False,
        timeout: Optional[float] = None,
    ) -> Union[List[Entry], Dict[str, List[Entry]]]:
        """The values of ``function`` on the peels that ``target`` selects, sorted by peel id; for a list of functions a
        dict of such lists.

        The configured scope is and-ed with the target; ``scope=""`` turns it off, another string takes its place.
        ``online_only`` leaves out peels without a live heartbeat. ``max_age`` (seconds) leaves out values that were written
        longer ago, by the server's clock, **unless their peel is alive**: an unchanged value is not written again, so while
        its peel lives it is current however old. ``stale_ok``: where a mirror answers, let it answer while it is cut off
        too, with what it knew last; who is alive (``online_only``, ``max_age``) is not answered so.
        """
        functions = [function] if isinstance(function, str) else list(function)
        for name in functions:
            check_function(name)
        if max_age is not None and not max_age >= 0:
            raise ValueError(f"max_age is a number of seconds, 0 or more, not {max_age!r}")
        deadline = self._deadline(timeout)
        tree = self._tree(target, scope)
        mirror = self._mirror_for(
            functions, stale_ok, deadline, facts=needs_facts(tree), alive=online_only or max_age is not None
        )
        online: Callable[[str], Optional[bool]]
        if mirror is not None:
            found, online = self._mirrored(tree, functions, mirror), mirror.online
        else:
            found, online = self._fetched(tree, functions, online_only or max_age is not None, deadline)
        oldest = None
        if max_age is not None:
            now = self._server_time(deadline) if mirror is None else datetime.datetime.fromtimestamp(mirror.server_time(), _UTC)
            oldest = now - datetime.timedelta(seconds=max_age)
        answer: Dict[str, List[Entry]] = {}
        for name, records in found.items():
            if online_only or oldest is not None:
                records = {
                    peel_id: record
                    for peel_id, record in records.items()
                    if online(peel_id) or (not online_only and oldest is not None and moment(record.stamp) >= oldest)
                }
            answer[name] = [entry(records[peel_id], peel_id, name, online(peel_id)) for peel_id in sorted(records)]
        return answer[function] if isinstance(function, str) else answer

    def value(
        self,
        peel_id: str,
        function: str,
        default: Any = _NO_DEFAULT,
        *,
        stale_ok: bool = False,
        timeout: Optional[float] = None,
    ) -> Any:
        """One value of one peel; ``default`` where there is none, MissingError (a KeyError) without a default.
        DecodeError where what is stored cannot be read."""
        owner, name = check_peel_id(peel_id), check_function(function)
        deadline = self._deadline(timeout)
        mirror = self._mirror_for((name,), stale_ok, deadline, facts=False, alive=None)
        if mirror is not None:
            record = mirror.record(owner, name)
        else:
            record = self._basket.get(join_key(owner, name), deadline=deadline)
        if record is not None:
            return decode(record.data)
        if default is _NO_DEFAULT:
            raise MissingError(f"peel {peel_id!r} publishes no {function!r}")
        return default

    def functions(self, peel_id: str, *, timeout: Optional[float] = None) -> List[str]:
        """The functions that a peel publishes, sorted."""
        owner = check_peel_id(peel_id)
        deadline = self._deadline(timeout)
        mirror = self._mirror_for((), False, deadline, facts=False, alive=None)
        if mirror is not None and mirror.covers_all:
            return mirror.functions_of(owner)
        return sorted(split_key(key)[1] for key in bulk.read(self._basket, f"{owner}.>", bulk.as_stored, deadline=deadline))

    def peels(self, target: str = "*", *, scope: Optional[str] = None, timeout: Optional[float] = None) -> List[str]:
        """The ids, sorted, of the peels that ``target`` selects among all that have facts or publish anything."""
        deadline = self._deadline(timeout)
        tree = self._tree(target, scope)
        mirror = self._mirror_for((), False, deadline, facts=True, alive=None)
        if mirror is not None and (mirror.covers_all or not matches_factless(tree)):
            return sorted(mirror.matching(tree) & mirror.known())
        if needs_facts(tree):
            matched = self._selector.matching(tree, deadline=deadline)
            if exact_ids(tree) is not None and matches_factless(tree):  # one may be named that is not there
                matched &= self._selector.known(deadline=deadline)
            return sorted(matched)
        match = matcher(tree)
        return sorted(peel_id for peel_id in self._selector.known(deadline=deadline) if match(peel_id, {}))

    def peel_info(self, target: str = "*", *, scope: Optional[str] = None, timeout: Optional[float] = None) -> List[Peel]:
        """What is known of each peel that ``target`` selects, sorted by id."""
        deadline = self._deadline(timeout)
        match = matcher(self._tree(target, scope))
        facts = self._selector.facts(deadline=deadline)
        beats = self._presence.last_seen(deadline=deadline)
        peels: List[Peel] = []
        for peel_id in sorted(self._selector.known(set(facts), deadline=deadline)):
            record = facts.get(peel_id)
            known = document(record)
            if match(peel_id, known):
                online = None if beats is None else peel_id in beats
                seen = beats[peel_id] if beats and online else moment(record.stamp) if record is not None else None
                peels.append(Peel(peel_id, _os_name(known), online, seen))
        return peels

    def facts(self, peel_id: str, *, timeout: Optional[float] = None) -> Dict[str, Any]:
        """The facts that a peel has published; MissingError where it has none."""
        owner, deadline = check_peel_id(peel_id), self._deadline(timeout)
        mirror = self._mirror_for((), False, deadline, facts=True, alive=None)
        record = self._facts.get(owner, deadline=deadline) if mirror is None else mirror.facts_of(owner)
        if record is None:
            raise MissingError(f"peel {peel_id!r} has published no facts")
        facts = decode(record.data)
        if not isinstance(facts, dict):
            raise DecodeError(f"the facts of {peel_id!r} are a {type(facts).__name__}, not a map")
        return facts

    # -- staying informed ---------------------------------------------------------------------------------------------------

    def watch(
        self,
        target: str,
        function: Union[str, Sequence[str]],
        *,
        scope: Optional[str] = None,
        callback: Optional[Callable[[Change], Any]] = None,
        timeout: Optional[float] = None,
    ) -> Watch:
        """Every present value of what ``target`` selects, then each change as it happens: to iterate over, or handed to
        ``callback`` on a thread of its own, which may block without holding up anything else.

        A peel that starts or stops to match a target by its facts is a change too. Whoever is slow sees the latest value of
        each key. Returns once the present values are at hand, or raises at the deadline; ``stop`` it, or use ``with``.
        """
        functions = [function] if isinstance(function, str) else list(dict.fromkeys(function))
        if callback is not None and not callable(callback):
            raise TypeError(f"callback is a function that takes a Change, not {type(callback).__name__}")
        for name in functions:
            check_function(name)
        if not functions:
            raise InvalidKeyError("a watch needs at least one function")
        return self._live.watch(lambda: self._tree(target, scope), functions, callback, self._deadline(timeout))

    def mirror(self, functions: Optional[Sequence[str]] = None, *, timeout: Optional[float] = None) -> Mirror:
        """Keep a live local copy of these functions' values (None: of all), and of facts and heartbeats. From then on
        ``get``, ``value``, ``peels``, ``facts`` and ``functions`` of what it covers are answered from memory, without a round
        trip.

        While it is cut off from the server those calls wait, and raise at their deadline, unless they say ``stale_ok``.
        Returns once the copy is complete. ``stop`` ends it; another call replaces it.
        """
        if functions is not None:
            if isinstance(functions, str):
                functions = [functions]
            for name in functions:
                check_function(name)
            if not functions:
                raise InvalidKeyError("a mirror needs at least one function, or None for all")
        return self._live.mirror(functions, self._deadline(timeout))

    def status(self) -> Status:
        """How things stand, without asking the server."""
        mirror = self._live.mirrored
        return Status(
            state=self.state,
            error=self._link.last_error if self.state == SUSPENDED else None,
            connections=self.connections,
            server_version=".".join(map(str, self._link.server_version)),
            mirror=None if mirror is None else mirror.status,
        )

    def serve_targets(self, *, timeout: Optional[float] = None) -> None:
        """Answer the target resolution requests of others from a live copy of the facts, until closed. Agents that do so share
        the work."""
        self._live.serve(lambda: self.groups, self._deadline(timeout))

    def stop_serving_targets(self) -> None:
        """Leave that to others again."""
        self._live.stop_serving()

    # -- selecting --------------------------------------------------------------------------------------------------------

    def _tree(self, target: str, scope: Optional[str]) -> Target:
        tree = parse(target, self.groups)
        narrow = self.scope if scope is None else parse(scope, self.groups) if scope.strip() else None
        return tree if narrow is None else conjunction(tree, narrow)

    def _mirror_for(
        self, functions: Sequence[str], stale_ok: bool, deadline: float, *, facts: bool, alive: Optional[bool]
    ) -> Optional[Mirror]:
        """The mirror where it covers these functions; waits until it is current, unless what was last known will do."""
        mirror = self._live.mirrored
        if mirror is None or not mirror.covers(functions):
            return None
        if not stale_ok:
            mirror.wait(deadline, facts=facts, alive=alive)
        elif alive:  # what was last known of that would be wrong soon, and turn into an empty answer
            mirror.wait_for_heartbeats(deadline, insist=True)
        return None if mirror.ended else mirror

    def _fetched(
        self, tree: Target, functions: List[str], alive_matters: bool, deadline: float
    ) -> Tuple[Records, Callable[[str], Optional[bool]]]:
        """From the server: the records that match, and who of their peels is alive."""
        named = exact_ids(tree)
        if named is not None and not needs_facts(tree) and len(named) * len(functions) <= FEW:
            match = matcher(tree)
            meant = [peel_id for peel_id in named if match(peel_id, {})]
            wanted = [(self._basket, join_key(peel_id, name)) for peel_id in meant for name in functions]
            # Values and heartbeats in one exchange: for a single value a second one would double the time.
            records, alive = self._presence.beside(wanted, meant, deadline=deadline, insist=alive_matters)
            few: Records = {name: {} for name in functions}
            for record in records:
                peel_id, name = split_key(self._key(record))
                few[name][peel_id] = record
            return few, alive
        found = self._selector.records(tree, functions, deadline=deadline)
        peel_ids = list({peel_id for records in found.values() for peel_id in records})
        return found, self._presence.of(peel_ids, deadline=deadline, fresh=alive_matters)

    def _mirrored(self, tree: Target, functions: List[str], mirror: Mirror) -> Records:
        named = mirror.matching(tree) if needs_facts(tree) else exact_ids(tree)
        if named is not None:
            # Few of many, or many of few: either way each is looked up once.
            picked = {name: {peel_id: mirror.record(peel_id, name) for peel_id in named} for name in functions}
            found = {name: {p: record for p, record in of.items() if record is not None} for name, of in picked.items()}
            if needs_facts(tree):
                return found
        else:
            found = {name: mirror.records(name) for name in functions}
        match = matcher(tree)
        return {name: {p: record for p, record in of.items() if match(p, {})} for name, of in found.items()}

    # -- small things -------------------------------------------------------------------------------------------------------

    def _deadline(self, timeout: Optional[float]) -> float:
        # No longer than a lock can be waited for, so that an infinite timeout is one.
        return time.monotonic() + min(self.timeout if timeout is None else timeout, _LONGEST)

    def _someone(self, peel_id: Optional[str]) -> str:
        return self.peel_id if peel_id is None else check_peel_id(peel_id)

    def _key(self, record: Record) -> str:
        return record.subject[len(self._basket.spec.prefix) :]

    def _server_time(self, deadline: float) -> datetime.datetime:
        """Now, by the server's clock."""
        try:
            told = self._basket.info(deadline=deadline).get("ts")
        except PermissionDeniedError:  # a reader of some functions only has to trust its own clock
            told = None
        return moment(told) if told else datetime.datetime.now(_UTC)


def _os_name(document: Mapping[str, Any]) -> Optional[str]:
    system = document.get("os")
    name = system.get("name") if isinstance(system, dict) else None
    return name if isinstance(name, str) else None

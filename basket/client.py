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
    TypeVar,
    Union,
    overload,
)

from basket.bus import bulk
from basket.bus.bucket import Bucket, BucketSpec
from basket.bus.connection import CLOSED, CONNECTED, SUSPENDED
from basket.bus.guarded import Guarded
from basket.bus.link import Link
from basket.bus.settings import Settings
from basket.codec import decode, encode
from basket.entry import Change, Entry, Peel, Status
from basket.errors import BasketError, DecodeError, InvalidKeyError, MissingError, PublishError
from basket.keys import check_function, check_peel_id, join_key, split_key
from basket.live import Live
from basket.names import FACTS, HEARTBEATS, VALUES
from basket.query import Source
from basket.query.presence import HEARTBEAT_LIFE, Presence, heartbeat
from basket.query.resolve import Resolver
from basket.query.selecting import Selector
from basket.target import Target, all_of, matches_factless, parse

if TYPE_CHECKING:
    from basket.live.mirror import Mirror
    from basket.live.watch import Watch

_UTC = datetime.timezone.utc
_NO_DEFAULT: Any = object()
_LONGEST = threading.TIMEOUT_MAX / 2
_AGES = 1e9  # seconds, a third of a century: longer ago is as long ago as ever

_SCOPES = 32  # that are remembered as they were filled in

T = TypeVar("T")


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
        scope: str = "",
        fill: Callable[[str], str] = str,
        replicas: int = 1,
    ) -> None:
        self.timeout = _seconds("timeout", timeout)
        self.groups: Mapping[str, str] = groups or {}
        self._peel_id = peel_id
        self._scope_source = (scope, fill)
        self._narrowings: Tuple[object, Dict[str, Optional[Target]]] = (None, {})
        self._link = Link(settings)
        self._basket = Bucket(self._link, BucketSpec(VALUES, "Peel-to-peel data sharing", replicas=replicas))
        self._facts = Bucket(self._link, BucketSpec(FACTS, "Peel fact data (system information)", history=5, replicas=replicas))
        beats = BucketSpec(HEARTBEATS, "Peel liveness heartbeats", ttl=HEARTBEAT_LIFE, replicas=replicas)
        self._heartbeats = Bucket(self._link, beats)
        self._own, self._own_facts = Guarded(self._basket), Guarded(self._facts)
        self._selector = Selector(self._basket, self._facts, Presence(self._heartbeats), Resolver(self._link))
        self._live = Live(self._link, self._basket, self._facts, self._heartbeats)

    # -- life -----------------------------------------------------------------------------------------------------------

    def open(self, timeout: Optional[float] = None) -> Basket:
        """Connect, or raise. ``connect`` has done it already."""
        self._link.open(min(self.timeout if timeout is None else _seconds("timeout", timeout), _LONGEST))
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
        return self._narrowed(self._scope_source[0])

    def rescope(self, scope: str, groups: Mapping[str, str], fill: Optional[Callable[[str], str]] = None) -> None:
        """Take another scope and other named groups from the next query on, and another way to ``fill`` in scopes where one is
        given: the configuration or the facts changed."""
        self.groups, self._scope_source = groups, (scope, fill or self._scope_source[1])
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
            raise PublishError(by_name, {split_key(key)[1]: revision for key, revision in removed.items()}, done="deleted")
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

        The configured scope is and-ed with the target; ``scope=""`` turns it off, another string takes its place, in which
        ``{{ facts.… }}`` stands for a fact of this host.
        ``online_only`` leaves out peels without a live heartbeat. ``max_age`` (seconds) leaves out values that were written
        longer ago, by the server's clock, **unless their peel is alive**: an unchanged value is not written again, so while
        its peel lives it is current however old. ``stale_ok``: where a mirror answers, let it answer while it is cut off
        too, with what it knew last; who is alive (``online_only``, ``max_age``) is not answered so.
        """
        functions = _names(function)
        age = None if max_age is None else min(_seconds("max_age", max_age), _AGES)
        deadline = self._deadline(timeout)
        tree = self._tree(target, scope)

        def entries(source: Source) -> Dict[str, List[Entry]]:
            alive = online_only or age is not None
            found = source.entries(tree, functions, deadline=deadline, alive=alive, stale_ok=stale_ok)
            answer = {name: [of[peel_id] for peel_id in sorted(of)] for name, of in found.items()}
            if not alive:
                return answer
            oldest = None if age is None else source.now(deadline=deadline) - datetime.timedelta(seconds=age)

            def wanted(one: Entry) -> bool:
                return bool(one.online) or (not online_only and oldest is not None and one.updated >= oldest)

            return {name: list(filter(wanted, of)) for name, of in answer.items()}

        answer = self._answer(functions, entries)
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
        record = self._answer((name,), lambda source: source.value(owner, name, deadline=deadline, stale_ok=stale_ok))
        if record is not None:
            return decode(record.data)
        if default is _NO_DEFAULT:
            raise MissingError(f"peel {peel_id!r} publishes no {function!r}")
        return default

    def functions(self, peel_id: str, *, timeout: Optional[float] = None) -> List[str]:
        """The functions that a peel publishes, sorted."""
        owner = check_peel_id(peel_id)
        deadline = self._deadline(timeout)
        return self._answer(None, lambda source: source.functions_of(owner, deadline=deadline))

    def peels(self, target: str = "*", *, scope: Optional[str] = None, timeout: Optional[float] = None) -> List[str]:
        """The ids, sorted, of the peels that ``target`` selects among all that have facts or publish anything."""
        deadline = self._deadline(timeout)
        tree = self._tree(target, scope)
        # A peel without facts is known by its values only.
        every = None if matches_factless(tree) else ()
        return sorted(self._answer(every, lambda source: source.peels(tree, deadline=deadline)))

    def peel_info(self, target: str = "*", *, scope: Optional[str] = None, timeout: Optional[float] = None) -> List[Peel]:
        """What is known of each peel that ``target`` selects, sorted by id."""
        deadline = self._deadline(timeout)
        return self._selector.described(self._tree(target, scope), deadline=deadline)

    def facts(self, peel_id: str, *, timeout: Optional[float] = None) -> Dict[str, Any]:
        """The facts that a peel has published; MissingError where it has none."""
        owner, deadline = check_peel_id(peel_id), self._deadline(timeout)
        record = self._answer((), lambda source: source.facts_of(owner, deadline=deadline))
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
        functions = _names(function)
        if callback is not None and not callable(callback):
            raise TypeError(f"callback is a function that takes a Change, not {type(callback).__name__}")
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
            functions = _names(functions)
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
        narrow = self.scope if scope is None else self._narrowed(scope)
        return tree if narrow is None else all_of(tree, narrow)

    def _narrowed(self, scope: str) -> Optional[Target]:
        source = self._scope_source
        known = self._narrowings
        if known[0] is not source or len(known[1]) > _SCOPES:
            # With what they were made from: a thread that fills in an older one must not have the last word.
            known = self._narrowings = (source, {})
        if scope not in known[1]:
            # Filled in once: a fact may take two seconds to find out.
            text = source[1](scope)
            known[1][scope] = parse(text, self.groups) if text.strip() else None
        return known[1][scope]

    def _answer(self, functions: Optional[Sequence[str]], ask: Callable[[Source], T]) -> T:
        """From the mirror where it covers these functions (None: all), else from the server."""
        mirror = self._live.mirrored
        if mirror is not None and mirror.covers(functions):
            answer = ask(mirror)
            if not mirror.ended:  # stopped meanwhile: its tables are empty, and that is no answer
                return answer
        return ask(self._selector)

    # -- small things -------------------------------------------------------------------------------------------------------

    def _deadline(self, timeout: Optional[float]) -> float:
        # No longer than a lock can be waited for, so that an infinite timeout is one.
        return time.monotonic() + min(self.timeout if timeout is None else _seconds("timeout", timeout), _LONGEST)

    def _someone(self, peel_id: Optional[str]) -> str:
        return self.peel_id if peel_id is None else check_peel_id(peel_id)


def _seconds(name: str, value: Any) -> float:
    """The number itself; ValueError for anything but a number of seconds from 0 on."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise ValueError(f"{name} is a number of seconds, 0 or more, not {value!r}")
    return value


def _names(function: Any) -> List[str]:
    """The function names in what a caller gave, each once; InvalidKeyError where one cannot be one."""
    if isinstance(function, str):
        return [check_function(function)]
    if not isinstance(function, Iterable) or isinstance(function, (bytes, bytearray)):
        raise InvalidKeyError(f"a function name is a string, or there is a list of them, not {type(function).__name__}")
    return list(dict.fromkeys(map(check_function, function)))

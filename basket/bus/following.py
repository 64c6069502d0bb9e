"""How a feed follows its bucket: consumers on the server, and when their deliveries are complete. Runs on the loop's thread.

A follower lives as long as its connection, or until there is a reason to begin anew; the feed makes the next one then.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from basket.bus import translate
from basket.bus.bucket import Bucket
from basket.bus.consumer import consumer_request, word
from basket.bus.headers import Headers
from basket.bus.record import Record, delivery, from_delivery
from basket.bus.wire import WireClient
from basket.errors import BucketMissingError, JetStreamError, PermissionDeniedError

if TYPE_CHECKING:
    from basket.bus.feed import Feed

log = logging.getLogger("basket.bus")

HEARTBEAT = 2.0
"""Seconds between the server's idle heartbeats."""

SILENCE = 2.5 * HEARTBEAT
"""Seconds without a word after which the consumer counts as gone."""

ASK_TIMEOUT = 5.0


class Follower:
    """What is there now and every change from then on, through one consumer or several, from their creation to their end."""

    def __init__(self, feed: Feed, client: WireClient, patterns: List[str], wishes: int) -> None:
        self._feed = feed
        self._wishes = wishes
        self._client = client
        self._bucket = feed.bucket
        self._subjects = [self._bucket.spec.prefix + pattern for pattern in patterns]
        self._skip = len(self._bucket.spec.prefix)
        self._consumers: List[Consumer] = []
        self._snapshot: Optional[Dict[str, Record]] = {}
        self._broken: Optional[str] = None
        self._event = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether everything that was there at its start has come."""
        return self._snapshot is None

    async def follow(self, again: asyncio.Event) -> None:
        """Deliver until ``again`` is set, or until there is a reason to begin anew (both return); raises what went wrong."""
        try:
            await self._start([[subject] for subject in self._subjects] if self._bucket.limited else [self._subjects])
        except PermissionDeniedError:
            if self._bucket.limited or len(self._subjects) == 1:
                raise
            self._bucket.found_limited()
            await self._start([[subject] for subject in self._subjects])
        while not again.is_set() and self._broken is None:
            left = min(consumer.heard for consumer in self._consumers) + SILENCE - time.monotonic()
            if left <= 0:
                self._broken = "the server has fallen silent"
                self._feed.link.suspect()
                break
            waits = {asyncio.ensure_future(again.wait()), asyncio.ensure_future(self._event.wait())}
            _, unfinished = await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in unfinished:
                task.cancel()
        if self._broken is not None:
            log.info("watching bucket %r anew: %s", self._bucket.spec.name, self._broken)

    async def _start(self, groups: List[List[str]]) -> None:
        # All of them are known before the first delivers, so that none passes for the last one to catch up.
        self._consumers = [Consumer(self, self._client, self._bucket, subjects) for subjects in groups]
        for consumer in self._consumers:
            await consumer.start()

    def deliver(self, record: Record) -> None:
        """One message of one consumer."""
        key = record.subject[self._skip :]
        if self._snapshot is None:
            self._feed.apply(key, record)
        elif record.deleted:
            self._snapshot.pop(key, None)
        else:
            self._snapshot[key] = record

    def fail(self, reason: str) -> None:
        """One consumer cannot be relied on any more."""
        self._broken = reason
        self._event.set()

    @property
    def failed(self) -> bool:
        """Whether it only waits for its end."""
        return self._broken is not None

    def caught_up(self) -> None:
        """One consumer has delivered all that was there. With the last of them the copy is complete."""
        if self._snapshot is None or not all(consumer.caught_up for consumer in self._consumers):
            return
        table, self._snapshot = self._snapshot, None
        self._feed.filled = self._wishes == self._feed.wishes
        self._feed.replace(table)
        self._feed.complete(self._wishes)

    def nothing_left(self) -> None:
        """The bucket is not there any more."""
        self._feed.filled = self._wishes == self._feed.wishes
        self._feed.replace({})

    def left_behind(self, name: str) -> None:
        """A consumer whose connection has gone: to be removed on the next one."""
        self._feed.left.append(name)

    def end(self) -> None:
        """Leave nothing behind."""
        for consumer in self._consumers:
            consumer.end()


class Consumer:
    """One consumer on the server: whether its deliveries are complete, and in time."""

    def __init__(self, follower: Follower, client: WireClient, bucket: Bucket, subjects: List[str]) -> None:
        self._follower = follower
        self._client = client
        self._bucket = bucket
        self._subjects = subjects
        self._name = uuid.uuid4().hex  # not to be guessed: who knows it may remove the consumer
        self._subscription: Any = None
        self._asked = False
        self._sequence = 0
        self.heard = time.monotonic()
        self.caught_up = False
        """Whether everything that was there at its start has come."""

    async def start(self) -> None:
        """Have it made; raises what went wrong."""
        inbox = self._client.new_inbox()
        self._subscription = await self._client.receive(inbox, self._receive)
        pending = await self._create(inbox)
        self.heard = time.monotonic()
        if pending == 0:  # otherwise a value that was just written has told it
            self._catch_up()

    async def _create(self, inbox: str) -> int:
        subject, body = consumer_request(
            self._bucket.spec.stream, self._name, inbox, self._subjects, heartbeat=HEARTBEAT, inactive=30.0
        )
        self._asked = True
        try:
            reply = await self._bucket.link.ask(subject, body, ASK_TIMEOUT)
        except PermissionDeniedError:
            self._asked = False
            self.end()
            raise
        try:
            answer = translate.checked(reply, self._bucket.spec.name)
        except JetStreamError as error:
            self._asked = False
            if isinstance(error, BucketMissingError):  # the server says so itself: nothing is there any more
                self._follower.nothing_left()
            raise
        return int(answer.get("num_pending") or 0)

    def _receive(self, subject: bytes, reply: bytes, headers: Headers, data: bytes) -> None:
        self.heard = time.monotonic()
        place = delivery(reply)
        told = word(headers, data) if place is None else None
        if told is not None:
            if reply:  # the server asks whether we keep up
                self._client.send(reply.decode(), "", b"")
            if told.last is not None and told.last != self._sequence:
                self._follower.fail("deliveries were lost")
            elif told.last is not None and not self.caught_up and not told.stalled:
                self._catch_up()  # what was still to come has been removed meanwhile
            return
        record = from_delivery(subject, reply, headers, data)
        if place is None or record is None or self._follower.failed:
            return
        if place.consumer_sequence != self._sequence + 1:
            self._follower.fail("deliveries were lost")
            return
        self._sequence = place.consumer_sequence
        self._follower.deliver(record)
        if place.pending == 0:
            self._catch_up()

    def _catch_up(self) -> None:
        if not self.caught_up:
            self.caught_up = True
            self._follower.caught_up()

    def end(self) -> None:
        """No subscription, no consumer, not even one that the server makes too late for us."""
        if self._asked and self._client is not self._bucket.link.client:
            self._follower.left_behind(self._name)
        if self._client.is_closed:
            return
        if self._subscription is not None:
            self._client.leave(self._subscription)
            self._subscription = None
        if self._asked:
            self._asked = False
            self._client.send(f"$JS.API.CONSUMER.DELETE.{self._bucket.spec.stream}.{self._name}", "", b"")

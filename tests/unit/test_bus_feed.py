"""The order of things in a live copy, where threads meet: shown step by step, without a server."""

from __future__ import annotations

import asyncio
import time

import pytest

from basket.bus import loop as loops
from basket.bus.bucket import Bucket, BucketSpec
from basket.bus.feed import Feed
from basket.bus.following import Consumer, Follower
from basket.bus.record import Record
from basket.errors import BasketTimeoutError, BucketMissingError, ClosedError, PermissionDeniedError


class Link:
    """A loop that runs what it is given at once, or when the test says so; nothing is connected."""

    generation = 0
    state = "connected"
    last_error = None
    client = None

    def __init__(self):
        self.waiting = []
        self.hold = False
        self.restarts = 0

    def call(self, function, *args):
        if function.__name__ == "_restart":
            self.restarts += 1
            return
        if self.hold:
            self.waiting.append((function, args))
        else:
            function(*args)

    def go_on(self):
        for function, args in self.waiting:
            function(*args)


class Client:
    is_closed = False

    def __init__(self):
        self.sent = []

    def send(self, subject, reply, data, headers=None):
        self.sent.append(subject)

    def leave(self, subscription):
        self.sent.append("leave")


@pytest.fixture(autouse=True)
def event_loop_at_hand():
    """Before Python 3.10 an asyncio.Event looks for a loop when it is made: in real life it is made on ours."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def link():
    return Link()


@pytest.fixture
def feed(link):
    return Feed(Bucket(link, BucketSpec("basket", "")))


def record(key, value, revision=1, stamp=1):
    return Record(f"$KV.basket.{key}", value, revision, stamp, False)


def follower(feed, *patterns, **table):
    """One that has read these, and is about to be told that this was all."""
    made = Follower(feed, Client(), list(patterns), feed.wishes)
    consumer = Consumer(made, Client(), feed.bucket, [])
    consumer.caught_up = True
    made._consumers = [consumer]
    for name, value in table.items():
        made.deliver(record(f"peel.{name}", value))
    return made


def soon():
    return time.monotonic() + 0.05


def test_a_copy_made_before_the_last_wish_does_not_pass_for_complete(feed):
    """Else a mirror would answer "nothing there" for what it has not even asked for yet."""
    feed.want(["*.a"])
    made = follower(feed, "*.a", a=b"1")
    feed.want(["*.b"])
    made.caught_up()
    assert not feed.current
    assert not feed.filled
    with pytest.raises(BasketTimeoutError):
        feed.wait(soon())
    assert feed.table["peel.a"].data == b"1", "what it did read is true all the same"
    follower(feed, "*.a", "*.b", a=b"1", b=b"2").caught_up()
    assert feed.current
    assert feed.filled
    feed.wait(soon())


def test_what_is_wanted_already_keeps_it_current(feed):
    feed.want([">"])
    follower(feed, ">").caught_up()
    feed.want(["*.a"])
    assert feed.current
    feed.release(["*.a"])
    assert feed.current


def test_it_is_complete_for_a_listener_only_when_that_one_has_been_told(feed, link):
    """Else a second mirror would be "complete" with an index that is still empty."""
    feed.want(["*.a"])
    follower(feed, "*.a", a=b"1").caught_up()
    told = []
    link.hold = True
    feed.want(["*.a"], told.append)
    assert feed.current
    with pytest.raises(BasketTimeoutError):
        feed.wait(soon())
    link.go_on()
    feed.wait(soon())
    assert told == [{"peel.a"}]


def test_a_listener_that_fails_holds_up_nobody(feed):
    def fail(keys):
        raise ValueError("its own mistake")

    told = []
    feed.want(["*.a"], fail)
    feed.want(["*.a"], told.append)
    follower(feed, "*.a", a=b"1").caught_up()
    assert told == [set(), {"peel.a"}]
    feed.wait(soon())


def test_what_is_told_after_everything_was_read_anew_is_what_differs(feed):
    told = []
    feed.want(["*.a"], told.append)
    follower(feed, "*.a", same=b"1", other=b"1", gone=b"1").caught_up()
    again = follower(feed, "*.a", same=b"1")
    again.deliver(record("peel.other", b"2"))  # the same revision, at the same time even, in a bucket made anew
    again.deliver(record("peel.new", b"1"))
    again.caught_up()
    assert told[1:] == [{"peel.same", "peel.other", "peel.gone"}, {"peel.other", "peel.gone", "peel.new"}]


@pytest.mark.parametrize(
    ("error", "hopeless"),
    [
        (PermissionDeniedError("no", subject="x"), (PermissionDeniedError,)),
        (BucketMissingError("gone"), (PermissionDeniedError, BucketMissingError)),
    ],
)
def test_a_hopeless_reason_is_raised_at_once(feed, error, hopeless):
    feed.want(["*.a"])
    feed._interrupt(error)
    started = time.monotonic()
    with pytest.raises(type(error)) as raised:
        feed.wait(started + 20, hopeless)
    assert time.monotonic() - started < 1
    assert raised.value is not error, "each thread that waits gets one of its own"
    assert vars(raised.value) == vars(error)


def test_an_earlier_reason_is_not_held_against_a_new_wish(feed):
    feed.want(["*.denied"])
    feed._interrupt(PermissionDeniedError("no", subject="x"))
    feed.want(["*.allowed"])
    with pytest.raises(BasketTimeoutError):
        feed.wait(soon())


def test_what_could_not_be_had_is_given_up_without_waiting_for_the_next_attempt(feed, link):
    """The others of the same bucket would stand still for half a minute because of one that was refused."""
    feed.want(["*.allowed"])
    feed.want(["*.denied"])
    feed._interrupt(PermissionDeniedError("no", subject="x"))
    before = link.restarts
    feed.release(["*.denied"])
    assert link.restarts == before + 1
    assert feed._filters() == ["*.allowed"]


def test_nobody_waits_for_what_nobody_wants_any_more(feed):
    feed.want(["*.a"])
    feed.release(["*.a"])
    feed.wait(time.monotonic() + 20)


def test_closing_ends_the_consumer_before_the_connection_goes(feed, link):
    """Its own task would come too late, and the server would keep the consumer for half a minute."""
    feed.want(["*.a"])
    feed._follower = made = follower(feed, "*.a")
    (consumer,) = made._consumers
    consumer._asked = True
    link.state = "closed"
    feed.connection_changed()
    assert consumer._client.sent == [f"$JS.API.CONSUMER.DELETE.KV_basket.{consumer._name}"]
    made.end()
    assert len(consumer._client.sent) == 1, "once"
    with pytest.raises(ClosedError):
        feed.wait(time.monotonic() + 20)


def test_a_consumer_whose_connection_went_is_removed_on_the_next_one(feed):
    made = follower(feed, "*.a")
    (consumer,) = made._consumers
    consumer._asked = True
    consumer._client.is_closed = True
    made.end()
    assert consumer._client.sent == []
    client = Client()
    feed._clear_away(client)
    feed._clear_away(client)
    assert client.sent == [f"$JS.API.CONSUMER.DELETE.KV_basket.{consumer._name}"]


def test_in_the_child_of_a_fork_it_is_not_touched(feed, link, monkeypatch):
    feed.want(["*.a"])
    monkeypatch.setattr(loops, "generation", loops.generation + 1)
    assert feed.inherited
    with feed._lock:  # as another thread of the parent may have held it
        feed.release(["*.a"])

"""Watches and mirrors while servers are killed, wiped and frozen, and wires are cut: they converge, and say nothing untrue."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time

import pytest
from watching import Heard, api, brief, consumer_names, consumers, our_threads, raw, until

import basket
from basket.bus import following
from basket.codec import encode

pytestmark = pytest.mark.chaos

AFTER_RETURN = 1.0
"""Seconds after the server's return within which a watch tells what changed."""


@pytest.fixture
def impatient(monkeypatch):
    """The server's idle heartbeats, and what counts as silence, at a fifth of their time."""
    monkeypatch.setattr(following, "HEARTBEAT", 0.4)
    monkeypatch.setattr(following, "SILENCE", 1.0)


@pytest.fixture
def connect(server):
    made = []

    def connect(peel_id="lb-01", url=None, **options):
        made.append(basket.connect(url or server.url, peel_id=peel_id, **options))
        return made[-1]

    yield connect
    for b in made:
        b.close()


class Wire:
    """A way to the server that can be cut, or held so that nothing passes and nobody is told."""

    def __init__(self, port):
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._sockets = []
        self._open = threading.Event()
        self._open.set()
        self.refusing = False
        self.calls = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                here, _ = self._listening.accept()
            except OSError:
                return
            self.calls += 1
            if self.refusing:
                here.close()
                continue
            try:
                there = socket.create_connection(("127.0.0.1", self._to))
            except OSError:  # the server has ended
                here.close()
                continue
            self._sockets += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one, other):
        try:
            while True:
                data = one.recv(65536)
                self._open.wait()
                if not data:
                    break
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self, *, refuse=False):
        self.refusing = refuse
        ends, self._sockets = self._sockets, []
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def hold(self):
        self._open.clear()

    def release(self):
        self._open.set()

    def mend(self):
        self.refusing = False

    def close(self):
        self._listening.close()
        self.release()
        self.cut()


@pytest.fixture
def wire(server):
    wire = Wire(server.port)
    yield wire
    wire.close()


def settled(b, heard, expected, timeout=AFTER_RETURN):
    until(lambda: heard.table() == expected, timeout, f"{expected}; heard {heard.brief}")


# -- the server goes and comes ------------------------------------------------------------------------------------------------


def test_after_each_restart_what_changed_is_told_once_and_within_a_second(server, connect):
    web, b = connect("web-01"), connect("lb-01")
    web.publish_many({"n.ip": 0, "same": "same"})
    web.publish_facts({"role": "web"})
    heard, by_fact = Heard(), Heard()
    b.watch("*", ["n.ip", "same"], callback=heard)
    b.watch("role:web", "n.ip", callback=by_fact)
    settled(b, heard, {("web-01", "n.ip"): 0, ("web-01", "same"): "same"})
    by_fact.wait_for(1)
    for turn in range(1, 5):
        server.kill()
        until(lambda: b.state == "suspended" and web.state == "suspended", what="noticing")
        server.start()
        returned = time.monotonic()
        web.publish("n.ip", turn)
        settled(b, heard, {("web-01", "n.ip"): turn, ("web-01", "same"): "same"})
        by_fact.wait_for(turn + 1)
        assert time.monotonic() - returned < AFTER_RETURN
        assert (consumers(web), consumers(web, "facts")) == (1, 1)
    # Nothing twice: neither what did not change nor what did.
    assert sorted(map(str, heard.brief)) == sorted(
        map(str, [("put", "web-01", "same"), *(("put", "web-01", turn) for turn in range(5))])
    )
    assert by_fact.brief == [("put", "web-01", turn) for turn in range(5)]


def test_an_iterating_watch_keeps_still_over_an_outage_and_goes_on(server, connect):
    web, b = connect("web-01"), connect()
    web.publish("n.ip", 1)
    changes = b.watch("*", "n.ip")
    assert changes.wait(2).value == 1
    server.stop()
    assert changes.wait(0.2) is None
    assert not changes.ended
    server.start()
    web.publish("n.ip", 2)
    assert changes.wait(AFTER_RETURN).value == 2
    assert changes.wait(0.1) is None


def test_a_watch_stopped_while_the_server_is_down_does_not_come_back(server, connect):
    b = connect()
    b.publish("n.ip", 1)
    with b.watch("*", "n.ip") as changes:
        assert changes.wait(2).value == 1
        server.kill()
        until(lambda: b.state == "suspended", what="noticing")
    server.start()
    assert b.value("lb-01", "n.ip") == 1
    assert consumers(b) == 0
    assert b._live._feeds["basket"]._task.done()


def test_closing_while_the_server_is_down_or_frozen_is_quick_and_leaves_no_thread(server):
    for end in (server.kill, lambda: os.kill(server.process.pid, signal.SIGSTOP)):
        server.start()
        b = basket.connect(server.url, peel_id="lb-01")
        changes = b.watch("*", "n.ip")
        b.watch("*", "n.ip", callback=print)
        b.mirror()
        b.serve_targets()
        end()
        started = time.monotonic()
        b.close()
        assert time.monotonic() - started < 4
        assert list(changes) == []
        until(lambda: our_threads() == [], what="the end of our threads")
    server.kill()


# -- what is there is not what was there -----------------------------------------------------------------------------------------


def test_a_wiped_store_is_told_as_deletions_and_new_values_with_old_revisions_are_seen(server, connect):
    """A server that comes back empty counts its revisions from 1 again."""
    b = connect()
    raw(b, "web-01.n.ip", encode("old 1"))
    raw(b, "web-02.n.ip", encode("old 2"))
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    b.mirror()
    heard.wait_for(2)
    server.kill()
    shutil.rmtree(server.store)
    server.start()
    assert raw(b, "web-01.n.ip", encode("new 1")) == 1
    settled(b, heard, {("web-01", "n.ip"): "new 1"}, 3)
    assert [(e.peel_id, e.value) for e in b.get("*", "n.ip")] == [("web-01", "new 1")]
    assert consumers(b) == 1


def test_a_store_that_stays_empty_is_told_as_deletions(server, connect):
    b = connect()
    b.publish("n.ip", 1)
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    heard.wait_for(1)
    server.kill()
    shutil.rmtree(server.store)
    server.start()
    settled(b, heard, {}, 3)


def test_facts_that_come_back_with_the_old_revision_are_looked_at_again(server, connect):
    """Outcomes are remembered: a wiped store must not leave them as they were."""
    b = connect()
    raw(b, "web-01", encode({"role": "web"}), "facts")
    raw(b, "web-01.n.ip", encode(1))
    b.mirror()
    assert b.peels("role:web") == ["web-01"]
    server.kill()
    shutil.rmtree(server.store)
    server.start()
    assert raw(b, "web-01", encode({"role": "db"}), "facts") == 1
    raw(b, "web-01.n.ip", encode(2))
    raw(b, "web-01", encode({}), "peel-heartbeat")
    until(lambda: b.status().mirror.current, 5, "the mirror")
    assert (b.peels("role:web"), b.peels("role:db")) == ([], ["web-01"])


def test_a_bucket_deleted_and_made_anew_goes_on(server, connect, impatient):
    b = connect()
    first = [raw(b, f"web-0{i}.n.ip", encode(f"old {i}")) for i in (1, 2)]
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    heard.wait_for(2)
    api(b, "STREAM.DELETE.KV_basket")
    assert raw(b, "web-01.n.ip", encode("new")) == first[0], "the same revision, another value"
    settled(b, heard, {("web-01", "n.ip"): "new"}, 5)
    raw(b, "web-02.n.ip", encode("too"))
    settled(b, heard, {("web-01", "n.ip"): "new", ("web-02", "n.ip"): "too"})
    assert consumers(b) == 1


def test_a_bucket_that_stays_away_empties_the_watch_without_hammering_the_server(server, connect, impatient):
    b, spy = connect(), connect("spy-01")
    b.publish("n.ip", 1)
    asked = []
    spy._link.subscribe("$JS.API.CONSUMER.CREATE.>", lambda *message: asked.append(message), deadline=time.monotonic() + 5)
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    heard.wait_for(1)
    api(b, "STREAM.DELETE.KV_basket")
    settled(b, heard, {}, 5)
    before = len(asked)
    assert not threading.Event().wait(2)
    assert len(asked) - before <= 5
    b.publish("n.ip", 2)
    settled(b, heard, {("lb-01", "n.ip"): 2}, 2)


def test_a_consumer_removed_behind_our_back_is_made_again(server, connect, impatient):
    b = connect()
    b.publish("n.ip", 1)
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    heard.wait_for(1)
    (name,) = consumer_names(b)
    api(b, f"CONSUMER.DELETE.KV_basket.{name}")
    b.publish("n.ip", 2)
    settled(b, heard, {("lb-01", "n.ip"): 2}, 3)
    assert heard.brief == [("put", "lb-01", 1), ("put", "lb-01", 2)]
    assert len(consumer_names(b)) == 1
    assert b.connections == 1, "the connection was good, and is kept"


def test_a_delivery_that_was_lost_is_made_good(server, connect, impatient, monkeypatch, caplog):
    lost = []
    receive = following.Consumer._receive

    def lossy(self, subject, reply, headers, data):
        if data == encode("lost") and not lost:
            lost.append(data)
            return
        receive(self, subject, reply, headers, data)

    monkeypatch.setattr(following.Consumer, "_receive", lossy)
    b = connect()
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    with caplog.at_level(logging.INFO, "basket"):
        b.publish("n.ip", "lost")  # the last one: no later delivery shows the gap, only the server's heartbeat does
        settled(b, heard, {("lb-01", "n.ip"): "lost"}, 3)
    assert lost
    assert "deliveries were lost" in caplog.text
    assert consumers(b) == 1


def test_values_that_vanish_while_they_are_being_read_do_not_hold_it_up(server, connect, impatient, monkeypatch):
    """Heartbeats expire by themselves, so the announced last delivery may never come."""
    b = connect()
    b.publish_many({"n.ip": 1, "gone": 2})
    receive = following.Consumer._receive

    def without_the_last(self, subject, reply, headers, data):
        if data != encode(2):
            receive(self, subject, reply, headers, data)

    place = following.delivery
    monkeypatch.setattr(following.Consumer, "_receive", without_the_last)
    monkeypatch.setattr(following, "delivery", lambda reply: (p := place(reply)) and p._replace(pending=1))
    said = following.word
    monkeypatch.setattr(following, "word", lambda headers, data: (told := said(headers, data)) and told._replace(last=1))
    with b.watch("*", ["n.ip", "gone"]) as changes:
        assert changes.wait(0).value == 1


# -- the wire --------------------------------------------------------------------------------------------------------------------


def test_of_what_changed_during_an_outage_only_the_newest_comes(server, connect, wire):
    web, b = connect("web-01"), connect("lb-01", wire.url)
    web.publish_many({"n.ip": "before", "gone": 1, "same": 1})
    heard = Heard()
    b.watch("*", ["n.ip", "gone", "same", "new"], callback=heard)
    heard.wait_for(3)
    wire.cut(refuse=True)
    until(lambda: b.state == "suspended", what="noticing")
    for i in range(100):
        web.publish("n.ip", i)
    web.delete("gone")
    web.publish("new", 1)
    wire.mend()
    settled(b, heard, {("web-01", "n.ip"): 99, ("web-01", "same"): 1, ("web-01", "new"): 1}, 2)
    assert {(c.kind, c.function, c.value) for c in heard.changes[3:]} == {
        ("put", "n.ip", 99),
        ("delete", "gone", None),
        ("put", "new", 1),
    }
    assert len(heard.changes) == 6


def test_a_connection_that_flaps_leaves_one_consumer(server, connect, wire):
    web, b = connect("web-01"), connect("lb-01", wire.url)
    web.publish("n.ip", 0)
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    heard.wait_for(1)
    for turn in range(1, 6):
        wire.cut()
        until(lambda made=turn + 1: b.connections == made, what="the next connection")
        web.publish("n.ip", turn)
        heard.wait_for(turn + 1)
    until(lambda: consumers(web) == 1, what="the end of the former consumers")
    assert heard.brief == [("put", "web-01", turn) for turn in range(6)]


def test_a_server_that_is_out_of_reach_is_called_at_a_bearable_rate(server, connect, wire):
    b = connect("lb-01", wire.url)
    b.watch("*", "n.ip", callback=print)
    b.mirror()
    used = time.process_time()
    wire.cut(refuse=True)
    before = wire.calls
    assert not threading.Event().wait(2)
    assert 2 <= wire.calls - before <= 10
    assert time.process_time() - used < 0.5
    wire.mend()
    until(lambda: b.status().mirror.current, 10, "the mirror")


def test_a_dead_wire_that_nobody_reports_is_noticed_by_the_silence(server, connect, wire, impatient, monkeypatch):
    from basket.bus import connection

    monkeypatch.setattr(connection, "PROBE_TIMEOUT", 0.5)
    web, b = connect("web-01"), connect("lb-01", wire.url)
    web.publish("n.ip", 1)
    mirror = b.mirror()
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    heard.wait_for(1)
    wire.hold()
    web.publish("n.ip", 2)
    # Each bucket's feed has a silence of its own.
    until(lambda: not any(feed.current for feed in b._live._feeds.values()), 10, "the doubt")
    assert not mirror.current
    assert b.value("web-01", "n.ip", stale_ok=True) == 1
    with pytest.raises(basket.ServerError):
        b.value("web-01", "n.ip", timeout=0.2)
    until(lambda: b.state == "suspended", 10, "the end of the dead connection")
    wire.cut()
    wire.release()
    settled(b, heard, {("web-01", "n.ip"): 2}, 3)
    assert heard.brief == [("put", "web-01", 1), ("put", "web-01", 2)]
    assert b.value("web-01", "n.ip") == 2


def test_a_frozen_server_that_goes_on_is_followed_again_by_one_consumer(server, connect, impatient):
    b = connect()
    b.publish("n.ip", 1)
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    heard.wait_for(1)
    feed = b._live._feeds["basket"]
    os.kill(server.process.pid, signal.SIGSTOP)
    until(lambda: not feed.current, 10, "the doubt")
    os.kill(server.process.pid, signal.SIGCONT)
    until(lambda: feed.current, 10, "the recovery")
    b.publish("n.ip", 2)
    settled(b, heard, {("lb-01", "n.ip"): 2})
    assert heard.brief == [("put", "lb-01", 1), ("put", "lb-01", 2)]
    until(lambda: consumers(b) == 1, what="the end of the consumers that were asked for meanwhile")


def test_a_watch_begun_while_the_server_is_frozen_raises_at_its_deadline_and_leaves_nothing(server, connect):
    b = connect()
    b.publish("n.ip", 1)
    os.kill(server.process.pid, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(basket.ServerError):
        b.watch("*", "n.ip", timeout=0.5)
    assert 0.4 < time.monotonic() - started < 1.5
    os.kill(server.process.pid, signal.SIGCONT)
    until(lambda: b._live._watches == [] and b._live._feeds["basket"]._wanted == {}, what="the end of what was begun")
    assert b.value("lb-01", "n.ip") == 1
    until(lambda: consumers(b) == 0, what="the end of the consumer")


# -- what a process looks like from outside ------------------------------------------------------------------------------------


def test_exceptions_of_others_do_not_end_the_feed(server, connect, monkeypatch):
    """nats-py raises its own errors where a connection has just been closed; what got away would end every watch for good."""
    receive = following.WireClient.receive
    failing = threading.Event()

    async def sometimes(self, *args, **kwargs):
        if failing.is_set():
            failing.clear()
            raise RuntimeError("nats: connection closed")
        return await receive(self, *args, **kwargs)

    monkeypatch.setattr(following.WireClient, "receive", sometimes)
    b = connect()
    b.publish("n.ip", 1)
    failing.set()
    with b.watch("*", "n.ip") as changes:
        assert brief(changes.wait(2)) == ("put", "lb-01", 1)
    assert not failing.is_set()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_threads_and_files_do_not_grow_over_outages(server, connect):
    b = connect()
    b.publish("n.ip", 1)
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    b.mirror()

    def open_now():
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    def turn():
        server.kill()
        until(lambda: b.state == "suspended", what="noticing")
        server.start()
        until(lambda: b.status().mirror.current, 10, "the mirror")
        return open_now()

    first = turn()
    assert [turn() for _ in range(3)][-1] == first
    assert len(heard.changes) == 1
    assert consumers(b) == consumers(b, "facts") == consumers(b, "peel-heartbeat") == 1

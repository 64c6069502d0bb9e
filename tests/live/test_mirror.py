"""A mirror answers as the server would, without asking it, and never passes off old knowledge as new."""

from __future__ import annotations

import datetime
import os
import signal
import threading
import time

import pytest
from watching import api, consumers, empty, raw, until

import basket
from basket.codec import encode
from basket.embedded import EmbeddedServer

BROKEN = b"\xc1 junk"


@pytest.fixture
def lb(shared_server):
    with basket.connect(shared_server.url, peel_id="lb-01") as b:
        empty(b)
        yield b


@pytest.fixture
def other(shared_server, lb):
    """Whoever writes, and asks the server."""
    with basket.connect(shared_server.url, peel_id="other-01") as b:
        yield b


def put(b, values=(), facts=(), beats=()):
    for key, value in dict(values).items():
        raw(b, key, value if isinstance(value, bytes) else encode(value))
    for peel_id, document in dict(facts).items():
        raw(b, peel_id, document if isinstance(document, bytes) else encode(document), "facts")
    for peel_id in beats:
        raw(b, peel_id, encode({"protocol": 1}), "peel-heartbeat")


@pytest.fixture
def no_round_trip(lb, monkeypatch):
    """Call it when everything is set up: from then on asking the server fails the test."""

    def forbid():
        def asked(*args, **kwargs):
            raise AssertionError(f"the server was asked: {args}")

        for way in ("request", "batch", "request_many", "open_inbox", "send"):
            monkeypatch.setattr(lb._link, way, asked)

    return forbid


FLEET = {
    "values": {
        "web-01.n.ip": "10.0.0.1",
        "web-02.n.ip": "10.0.0.2",
        "web-03.n.ip": BROKEN,
        "db-01.n.ip": "10.0.1.1",
        "factless-01.n.ip": "10.0.2.1",
        "broken-01.n.ip": "10.0.3.1",
        "broken-02.n.ip": "10.0.3.2",
        "web-01.load": 0.5,
        "db-01.load": BROKEN,
        "lonely-01.load": 1,
    },
    "facts": {
        "web-01": {"role": "web", "os": {"name": "linux"}, "network": {"ipv4": ["10.0.0.1"]}},
        "web-02": {"role": ["web", "db"], "os": {"name": "freebsd"}},
        "web-03": {"role": "web"},
        "db-01": {"role": "db", "cores": 8},
        "silent-01": {"role": "web"},
        "broken-01": BROKEN,
        "broken-02": ["no", "map"],
    },
    "beats": ["web-01", "db-01", "silent-01"],
}

TARGETS = [
    "*",
    "web*",
    "web-01",
    "L@web-01,db-01,nobody-01",
    "E@^(web|db)-",
    "role:web",
    "G@role:!=web",
    "not role:web",
    "not web*",
    "not not role:web",
    "web* and not role:db",
    "web-01 or role:db",
    "L@web-01,factless-01,nobody-01 and not role:db",
    "L@broken-01 or G@cores:>4",
    "P@os.name:(linux|freebsd)",
    "S@10.0.0.0/24",
    "N@front",
    "G@nothing:x",
    "L@nobody-01",
]


@pytest.mark.parametrize("functions", [None, ["n.ip", "load"]], ids=["all", "some"])
def test_the_answers_are_those_of_the_server(lb, other, functions):
    put(other, **FLEET)
    for b in (lb, other):
        b.rescope("", {"front": "role:web or factless*"})
    lb.mirror(functions)
    for target in TARGETS:
        for options in ({}, {"online_only": True}, {"max_age": 0}, {"max_age": 3600}, {"scope": "not web-01"}):
            for function in ("n.ip", "load", ["n.ip", "load"]):
                told, expected = lb.get(target, function, **options), other.get(target, function, **options)
                assert repr(told) == repr(expected), (target, function, options)
        assert lb.peels(target) == other.peels(target), target


def test_what_it_covers_needs_no_round_trip(lb, other, no_round_trip):
    put(other, **FLEET)
    lb.mirror()
    no_round_trip()
    assert [e.peel_id for e in lb.get("role:web", "n.ip")] == ["web-01", "web-02", "web-03"]
    assert [e.peel_id for e in lb.get("*", "n.ip", online_only=True)] == ["db-01", "web-01"]
    assert [e.peel_id for e in lb.get("web-0[12]", "n.ip", max_age=0)] == ["web-01"]
    assert lb.value("db-01", "n.ip") == "10.0.1.1"
    assert lb.value("db-01", "other", default=None) is None
    with pytest.raises(basket.MissingError):
        lb.value("nobody-01", "n.ip")
    with pytest.raises(basket.DecodeError):
        lb.value("web-03", "n.ip")
    assert lb.peels("G@cores:8") == ["db-01"]
    assert lb.peels("lonely*") == ["lonely-01"]
    assert lb.functions("web-01") == ["load", "n.ip"]
    assert lb.functions("nobody-01") == []
    assert lb.facts("db-01") == {"role": "db", "cores": 8}
    with pytest.raises(basket.MissingError):
        lb.facts("nobody-01")


def test_a_frozen_server_shows_that_nobody_asks_it(server):
    with basket.connect(server.url, peel_id="lb-01") as b:
        put(b, **FLEET)
        b.mirror()
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            for _ in range(100):
                assert b.value("web-01", "n.ip", timeout=0.2) == "10.0.0.1"
                assert len(b.get("role:web", "n.ip", timeout=0.2)) == 3
        finally:
            os.kill(server.process.pid, signal.SIGCONT)


def test_what_it_does_not_cover_is_asked_of_the_server(lb, other):
    put(other, **FLEET)
    mirror = lb.mirror("n.ip")
    assert mirror.covers(["n.ip"])
    assert not mirror.covers(["n.ip", "load"])
    assert lb.value("lonely-01", "load") == 1
    assert [e.peel_id for e in lb.get("*", "load")] == ["db-01", "lonely-01", "web-01"]
    assert "lonely-01" in lb.peels(), "peels without the mirrored function are peels"
    assert set(lb.get("web-01", ["n.ip", "load"])) == {"n.ip", "load"}


def test_every_change_arrives(lb, other):
    put(other, **FLEET)
    lb.mirror()
    revision = raw(other, "web-01.n.ip", encode("new"))
    until(lambda: lb.value("web-01", "n.ip") == "new", what="the value")
    (entry,) = lb.get("web-01", "n.ip")
    assert entry.revision == revision
    other.delete("n.ip", peel_id="web-01")
    until(lambda: lb.get("web-01", "n.ip") == [], what="the deletion")
    put(other, facts={"db-01": {"role": "web"}})
    until(lambda: "db-01" in lb.peels("role:web"), what="the fact")
    other._facts.delete("db-01", deadline=time.monotonic() + 5)
    until(lambda: "db-01" not in lb.peels("role:web"), what="the end of the facts")
    put(other, values={"new-01.n.ip": 1}, beats=["new-01"])
    until(lambda: [e.online for e in lb.get("new-01", "n.ip")] == [True], what="the new peel")


def test_named_groups_that_change_are_not_answered_from_what_was_remembered(lb, other):
    put(other, **FLEET)
    lb.mirror()
    lb.rescope("", {"front": "role:web"})
    assert lb.peels("N@front") == ["silent-01", "web-01", "web-02", "web-03"]
    lb.rescope("", {"front": "G@cores:8"})
    assert lb.peels("N@front") == ["db-01"]


def test_a_heartbeat_counts_for_half_a_minute_by_the_servers_clock(lb, other, monkeypatch):
    """The bucket drops an old heartbeat without telling anybody."""
    put(other, values={"web-01.n.ip": 1}, beats=["web-01"])
    mirror = lb.mirror()
    now = mirror._clock()
    assert abs(mirror._server_time() - time.time()) < 60
    for later, online in ((0, True), (28, True), (32, False)):
        monkeypatch.setattr(mirror, "_clock", lambda later=later: now + later)
        assert [e.online for e in lb.get("*", "n.ip")] == [online]
        assert len(lb.get("*", "n.ip", online_only=True)) == online
        assert len(lb.get("*", "n.ip", max_age=5)) == online


def test_a_clock_that_is_wrong_here_does_not_matter(lb, other, monkeypatch):
    put(other, values={"web-01.n.ip": 1}, beats=["web-01"])
    right = time.time()
    monkeypatch.setattr("basket.bus.bucket.time.time", lambda: right - 3600)
    mirror = lb.mirror()
    monkeypatch.undo()
    assert abs(mirror._server_time() - time.time()) < 5
    assert [e.online for e in lb.get("*", "n.ip")] == [True]


def test_a_clock_that_is_set_right_later_does_not_matter(lb, other, monkeypatch):
    """Started before the time was known, as embedded hosts are: afterwards every heartbeat would look an hour old."""
    put(other, values={"web-01.n.ip": 1}, beats=["web-01"])
    mirror = lb.mirror()
    right = time.time()
    monkeypatch.setattr("basket.bus.bucket.time.time", lambda: right + 3600)
    assert abs(mirror._server_time() - right) < 5
    assert len(lb.get("*", "n.ip", online_only=True)) == 1


def test_its_state_can_be_seen(lb, other):
    put(other, **FLEET)
    assert lb.status().mirror is None
    mirror = lb.mirror(["load", "n.ip"])
    status = lb.status()
    assert (status.state, status.error) == ("connected", None)
    assert status.mirror == mirror.status
    assert status.mirror[:2] == (("load", "n.ip"), True)
    assert (status.mirror.values, status.mirror.peels) == (10, 7)
    mirror.stop()
    assert lb.status().mirror is None


def test_stopped_it_leaves_nothing_and_the_server_is_asked_again(lb, other):
    put(other, **FLEET)
    with lb.mirror() as mirror:
        assert lb.value("web-01", "n.ip") == "10.0.0.1"
    mirror.stop()
    for bucket in ("basket", "facts", "peel-heartbeat"):
        until(lambda bucket=bucket: consumers(other, bucket) == 0, what="the end of the consumer")
    raw(other, "web-01.n.ip", encode("new"))
    assert lb.value("web-01", "n.ip") == "new"


def test_another_one_replaces_it_without_a_gap(lb, other):
    """Whoever widens the mirror while others read must not make values vanish for a moment."""
    put(other, **FLEET)
    lb.mirror(["n.ip"])
    done, failures = threading.Event(), []

    def read():
        while not done.is_set():
            try:
                assert [e.value for e in lb.get("web-01", "n.ip")] == ["10.0.0.1"]
                assert lb.peels("G@cores:8") == ["db-01"]
            except BaseException as error:
                failures.append(error)
                return

    thread = threading.Thread(target=read)
    thread.start()
    for functions in (None, ["n.ip", "load"], ["n.ip"], None, ["n.ip"]) * 4:
        former = lb._live.mirrored
        mirror = lb.mirror(functions)
        # Complete as soon as it is there: the same consumer may have been current all the time.
        assert mirror._index["n.ip"]["web-01"] is not None
        assert former.ended
        assert lb.status().mirror == mirror.status
    done.set()
    thread.join(5)
    assert failures == []
    assert consumers(other) == 1


@pytest.mark.parametrize("ask", ["get", "by fact", "peels", "facts", "functions", "value"])
def test_one_that_is_stopped_in_the_middle_of_a_call_leaves_no_half_answer(lb, other, monkeypatch, ask):
    """Its tables are emptied then, and "nobody is alive" would pass for an answer."""
    put(other, **FLEET)
    calls = {
        "get": lambda: sorted(e.peel_id for e in lb.get("web-*", "n.ip", online_only=True)),
        "by fact": lambda: [e.peel_id for e in lb.get("G@cores:8", "n.ip")],
        "peels": lambda: lb.peels("G@cores:8"),
        "facts": lambda: lb.facts("db-01"),
        "functions": lambda: lb.functions("web-01"),
        "value": lambda: lb.value("web-01", "n.ip"),
    }
    expected = calls[ask]()
    mirror = lb.mirror()
    wait = mirror.wait

    def stopped_right_after(*args, **options):
        wait(*args, **options)
        mirror.stop()
        mirror._index.clear()  # as the loop does a moment later
        monkeypatch.setattr(type(mirror), "matching", lambda mirror, tree: frozenset())

    monkeypatch.setattr(mirror, "wait", stopped_right_after)
    assert expected and calls[ask]() == expected


def test_stopped_by_many_threads_at_once_it_lets_go_once(lb, other):
    put(other, **FLEET)
    with lb.watch("*", "n.ip") as changes:
        for _ in range(30):
            mirror = lb.mirror(["n.ip"])
            together = threading.Barrier(4)
            threads = [threading.Thread(target=lambda m=mirror, t=together: (t.wait(10), m.stop())) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            assert lb._live._feeds["basket"]._wanted == {"*.n.ip": 1}, "what the watch wants"
        del changes


def test_a_mirror_beside_a_watch_of_the_same_is_complete_at_once(lb, other):
    put(other, **FLEET)
    with lb.watch("*", "n.ip"):
        for _ in range(20):
            with lb.mirror("n.ip"):
                assert lb.value("web-01", "n.ip") == "10.0.0.1"


@pytest.mark.parametrize("functions", [[], ["n.*"], ["ok", "a..b"], ">"])
def test_functions_that_cannot_be_are_refused(lb, functions):
    with pytest.raises(basket.InvalidKeyError):
        lb.mirror(functions)
    assert lb.status().mirror is None


def test_many_threads_read_right_answers_while_thousands_of_changes_arrive(lb, other):
    """An entry is one written value, whole; what a thread has seen never goes back."""
    peels = [f"web-{i:02}" for i in range(20)]
    put(other, {f"{p}.n.ip": {"peel": p, "n": 0, "twice": 0} for p in peels}, {p: {"role": "web"} for p in peels})
    lb.mirror()
    done, failures = threading.Event(), []

    def read():
        newest = dict.fromkeys(peels, 0)
        try:
            while not done.is_set():
                entries = lb.get("role:web", "n.ip")
                assert [e.peel_id for e in entries] == peels
                for e in entries:
                    assert e.value == {"peel": e.peel_id, "n": e.value["n"], "twice": 2 * e.value["n"]}
                    assert e.value["n"] >= newest[e.peel_id]
                    newest[e.peel_id] = e.value["n"]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for n in range(1, 101):
        values = {f"{p}.n.ip": encode({"peel": p, "n": n, "twice": 2 * n}) for p in peels}
        assert other._basket.put_many(values, deadline=time.monotonic() + 20)[1] == {}
    until(lambda: all(e.value["n"] == 100 for e in lb.get("role:web", "n.ip")), what="the last change")
    done.set()
    for thread in threads:
        thread.join(5)
    assert failures == []


# -- cut off ------------------------------------------------------------------------------------------------------------------


def test_cut_off_it_answers_those_only_who_take_what_was_last_known_and_heals(server):
    with basket.connect(server.url, peel_id="lb-01") as b:
        put(b, **FLEET)
        mirror = b.mirror()
        server.kill()
        until(lambda: b.state == "suspended", what="noticing")
        assert not mirror.current
        assert b.status().mirror.current is False
        assert b.status().error is not None
        started = time.monotonic()
        for ask in (
            lambda: b.value("web-01", "n.ip", timeout=0.2),
            lambda: b.get("role:web", "n.ip", timeout=0.2),
            lambda: b.peels(timeout=0.2),
        ):
            with pytest.raises(basket.UnreachableError):
                ask()
        assert 0.5 < time.monotonic() - started < 2
        assert b.value("web-01", "n.ip", stale_ok=True, timeout=0.2) == "10.0.0.1"
        assert [e.peel_id for e in b.get("role:web", "n.ip", stale_ok=True)] == ["web-01", "web-02", "web-03"]
        with pytest.raises(basket.UnreachableError):  # who is alive now is not known, and "nobody" would be a lie
            b.get("*", "n.ip", online_only=True, stale_ok=True, timeout=0.2)
        waited = []
        thread = threading.Thread(target=lambda: waited.append(b.value("web-01", "n.ip", timeout=10)))
        thread.start()
        server.start()
        thread.join(5)
        assert waited == ["10.0.0.1"]
        until(lambda: b.status().mirror.current, what="the facts, too")


def test_who_is_alive_is_unknown_while_cut_off_unless_it_was_a_moment_ago(server, monkeypatch):
    with basket.connect(server.url, peel_id="lb-01") as b:
        put(b, {"web-01.n.ip": 1, "web-02.n.ip": 1}, beats=["web-01"])
        mirror = b.mirror()
        assert [e.online for e in b.get("*", "n.ip")] == [True, False]
        server.kill()
        until(lambda: b.state == "suspended", what="noticing")
        assert [e.online for e in b.get("*", "n.ip", stale_ok=True)] == [True, None]
        now = mirror._clock()
        monkeypatch.setattr(mirror, "_clock", lambda: now + 40)
        assert [e.online for e in b.get("*", "n.ip", stale_ok=True)] == [None, None]


def test_an_ended_mirror_lets_a_waiting_call_ask_the_server(server):
    with basket.connect(server.url, peel_id="lb-01") as b:
        put(b, **FLEET)
        mirror = b.mirror()
        server.kill()
        until(lambda: b.state == "suspended", what="noticing")
        waited = []
        thread = threading.Thread(target=lambda: waited.append(b.value("web-01", "n.ip", timeout=10)))
        thread.start()
        mirror.stop()
        server.start()
        thread.join(5)
        assert waited == ["10.0.0.1"]


def test_closing_frees_who_waits_for_it(server):
    b = basket.connect(server.url, peel_id="lb-01")
    put(b, **FLEET)
    b.mirror()
    server.kill()
    until(lambda: b.state == "suspended", what="noticing")
    raised = []

    def ask():
        try:
            b.value("web-01", "n.ip", timeout=20)
        except basket.BasketError as error:
            raised.append(type(error))

    thread = threading.Thread(target=ask)
    thread.start()
    b.close()
    thread.join(5)
    assert raised == [basket.ClosedError]


# -- where not everything may be read -------------------------------------------------------------------------------------------


def test_without_heartbeats_the_values_are_mirrored_all_the_same(tmp_path):
    config = """
    accounts: { A: { jetstream: enabled, users: [
      { user: all, password: p },
      { user: some, password: p, permissions: { publish: { deny: [
          "$JS.API.*.*.KV_peel-heartbeat.>", "$JS.API.*.*.KV_peel-heartbeat"
      ] } } }
    ] } }
    jetstream {}
    """
    with EmbeddedServer(str(tmp_path), config=config) as server, basket.connect(
        server.url, peel_id="a", user="all", password="p"
    ) as a:
        put(a, **FLEET)
        with basket.connect(server.url, peel_id="b", user="some", password="p", timeout=3) as b:
            started = time.monotonic()
            b.mirror()
            assert [(e.peel_id, e.online) for e in b.get("web-0[12]", "n.ip")] == [("web-01", None), ("web-02", None)]
            assert time.monotonic() - started < 2
            with pytest.raises(basket.PermissionDeniedError):
                b.get("*", "n.ip", online_only=True)


def test_a_bucket_that_vanished_is_an_error_and_not_an_empty_answer(server, monkeypatch):
    from basket.bus import following

    monkeypatch.setattr(following, "HEARTBEAT", 0.2)
    monkeypatch.setattr(following, "SILENCE", 0.6)
    with basket.connect(server.url, peel_id="lb-01") as b:
        put(b, **FLEET)
        b.mirror()
        api(b, "STREAM.DELETE.KV_peel-heartbeat")
        until(lambda: [e.online for e in b.get("web-01", "n.ip")] == [None], what="heartbeats unknown")
        with pytest.raises(basket.BucketMissingError):
            b.get("*", "n.ip", online_only=True)
        api(b, "STREAM.DELETE.KV_basket")
        until(lambda: not b.status().mirror.current, what="the doubt")
        with pytest.raises(basket.BucketMissingError):
            b.get("*", "n.ip", timeout=0.3)
        raw(b, "web-09.n.ip", encode(9))
        assert [e.value for e in b.get("*", "n.ip")] == [9]


def test_times_are_those_of_the_server(lb, other):
    put(other, **FLEET)
    (plain,) = other.get("web-01", "n.ip")
    lb.mirror()
    (mirrored,) = lb.get("web-01", "n.ip")
    assert mirrored.updated == plain.updated
    assert mirrored.updated.tzinfo is datetime.timezone.utc

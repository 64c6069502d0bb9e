"""Watches on a server that stays up: what is delivered, in which order, to whom, and that nothing is left behind."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from watching import Heard, api, brief, consumers, empty, our_threads, raw, until

import basket
from basket.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]
QUIET = 0.15
"""Seconds in which something that must not happen would have happened; deliveries take one or two milliseconds."""


@pytest.fixture
def peels(shared_server):
    """Connections by peel id, on empty buckets."""
    made = {}

    def peel(peel_id, **options):
        if peel_id not in made:
            made[peel_id] = basket.connect(shared_server.url, peel_id=peel_id, **options)
        return made[peel_id]

    empty(peel("lb-01"))
    yield peel
    for b in made.values():
        b.close()


@pytest.fixture
def lb(peels):
    return peels("lb-01")


def publish(lb, peel_id, value, function="n.ip"):
    return raw(lb, f"{peel_id}.{function}", basket.codec.encode(value))


def facts(lb, peel_id, **document):
    raw(lb, peel_id, basket.codec.encode(document), "facts")


# -- what comes -----------------------------------------------------------------------------------------------------------


def test_present_values_come_first_by_peel_id_then_each_change(lb):
    for peel_id in ("web-03", "web-01", "db-01", "web-02"):
        publish(lb, peel_id, f"ip of {peel_id}")
    with lb.watch("web*", "n.ip") as changes:
        first = [changes.wait(2) for _ in range(3)]
        assert [brief(c) for c in first] == [("put", f"web-0{i}", f"ip of web-0{i}") for i in (1, 2, 3)]
        revision = publish(lb, "web-02", "moved")
        change = changes.wait(2)
        assert change[:5] == ("put", "web-02", "n.ip", "moved", revision)
        assert change.error is None
        assert abs(change.updated.timestamp() - time.time()) < 60
        publish(lb, "db-01", "not asked for")
        assert changes.wait(QUIET) is None


def test_a_deletion_and_a_value_published_again_are_both_told(peels, lb):
    web = peels("web-01")
    revision = web.publish("n.ip", "10.0.0.1")
    with lb.watch("*", "n.ip") as changes:
        assert brief(changes.wait(2)) == ("put", "web-01", "10.0.0.1")
        web.delete("n.ip")
        gone = changes.wait(2)
        assert (gone.kind, gone.peel_id, gone.function, gone.value, gone.revision) == ("delete", "web-01", "n.ip", None, revision)
        web.publish("n.ip", "10.0.0.1")
        assert brief(changes.wait(2)) == ("put", "web-01", "10.0.0.1")


def test_a_value_published_again_unchanged_is_told_with_its_new_revision(lb):
    first = publish(lb, "web-01", "same")
    with lb.watch("*", "n.ip") as changes:
        assert changes.wait(2).revision == first
        second = publish(lb, "web-01", "same")
        assert changes.wait(2).revision == second


def test_what_was_deleted_before_the_watch_began_is_not_there(peels, lb):
    peels("web-01").publish("n.ip", 1)
    peels("web-01").delete("n.ip")
    with lb.watch("*", "n.ip") as changes:
        assert changes.wait(QUIET) is None


def test_a_change_prints_as_what_it_is(lb):
    publish(lb, "web-01", 1)
    with lb.watch("*", "n.ip") as changes:
        printed = repr(changes.wait(2))
    assert printed.startswith("Change(kind='put', peel_id='web-01', function='n.ip', value=1, revision=")
    assert "updated='20" in printed


def test_an_iteration_ends_when_the_watch_is_stopped(lb):
    publish(lb, "web-01", 1)
    changes = lb.watch("*", "n.ip")
    seen = []
    for change in changes:
        seen.append(change.value)
        changes.stop()
    assert seen == [1]
    assert list(changes) == []
    assert changes.ended


def test_several_functions_in_one_watch(lb):
    publish(lb, "web-01", 1, "a.b")
    publish(lb, "web-01", 2, "c")
    publish(lb, "web-01", 3, "a.b.c")
    with lb.watch("*", ["a.b", "c", "a.b"]) as changes:
        assert {(c.function, c.value) for c in (changes.wait(2), changes.wait(2))} == {("a.b", 1), ("c", 2)}
        publish(lb, "web-01", 4, "c")
        publish(lb, "web-01", 5, "other")
        assert changes.wait(2)[1:4] == ("web-01", "c", 4)
        assert changes.wait(QUIET) is None


def test_a_value_that_cannot_be_read_is_told_as_an_error_and_the_others_come(lb):
    raw(lb, "web-01.n.ip", b"\xc1 junk")
    publish(lb, "web-02", "fine")
    with lb.watch("*", "n.ip") as changes:
        broken = changes.wait(2)
        assert broken.value is None
        assert broken.error
        assert changes.wait(2).value == "fine"


def test_a_wait_gives_nothing_after_its_time(lb):
    with lb.watch("*", "n.ip") as changes:
        started = time.monotonic()
        assert changes.wait(0.1) is None
        assert 0.09 < time.monotonic() - started < 1
        assert changes.wait(0) is None


# -- targets that look at facts ---------------------------------------------------------------------------------------------


def test_a_peel_that_starts_or_stops_to_match_by_its_facts_is_a_change(lb):
    publish(lb, "web-01", "10.0.0.1")
    with lb.watch("role:web", "n.ip") as changes:
        assert changes.wait(QUIET) is None
        facts(lb, "web-01", role="web")
        assert brief(changes.wait(2)) == ("put", "web-01", "10.0.0.1")
        facts(lb, "web-01", role="web", other=1)
        assert changes.wait(QUIET) is None, "its facts changed, its matching did not"
        facts(lb, "web-01", role="db")
        assert brief(changes.wait(2)) == ("delete", "web-01", None)
        publish(lb, "web-01", "10.0.0.2")
        assert changes.wait(QUIET) is None, "it does not match"
        facts(lb, "web-01", role="web")
        assert brief(changes.wait(2)) == ("put", "web-01", "10.0.0.2")


def test_a_peel_whose_facts_are_deleted_or_become_unreadable_no_longer_matches(lb):
    for peel_id in ("web-01", "web-02"):
        publish(lb, peel_id, 1)
        facts(lb, peel_id, role="web")
    with lb.watch("role:web", "n.ip") as changes:
        assert [changes.wait(2).peel_id, changes.wait(2).peel_id] == ["web-01", "web-02"]
        lb._facts.delete("web-01", deadline=time.monotonic() + 5)
        assert brief(changes.wait(2)) == ("delete", "web-01", None)
        raw(lb, "web-02", b"\xc1", "facts")
        assert brief(changes.wait(2)) == ("delete", "web-02", None)


def test_compound_targets_follow_names_and_facts(lb):
    publish(lb, "web-01", 1)
    publish(lb, "db-01", 2)
    with lb.watch("(web* and role:web) or (db* and not G@os.name:linux)", "n.ip") as changes:
        assert brief(changes.wait(2)) == ("put", "db-01", 2)
        facts(lb, "web-01", role="web")
        assert brief(changes.wait(2)) == ("put", "web-01", 1)
        facts(lb, "db-01", os={"name": "linux"})
        assert brief(changes.wait(2)) == ("delete", "db-01", None)


def test_a_hostile_fact_costs_one_change_not_the_watch(lb):
    publish(lb, "web-01", 1)
    publish(lb, "web-02", 2)
    facts(lb, "web-01", v="ok")
    changes = lb.watch("P@v:^(ok|(a|aa)+$)", "n.ip")
    assert changes.wait(2).peel_id == "web-01"
    changes._aim = (spent_matcher(), changes._aim[1])
    facts(lb, "web-01", v="ok", x=1)
    with pytest.raises(basket.TargetError):
        changes.wait(2)
    facts(lb, "web-02", v="ok")
    assert changes.wait(2).peel_id == "web-02", "the watch goes on for the others"
    changes.stop()


def spent_matcher():
    """What a matcher is that has used up its time: it raises for ever."""

    def match(peel_id, known):
        raise basket.TargetError("took too long", expression="x")

    return match


# -- callbacks ----------------------------------------------------------------------------------------------------------------


def test_a_callback_hears_the_same_on_a_thread_of_ours(lb):
    publish(lb, "web-01", 1)
    heard, names = Heard(), set()

    def callback(change):
        names.add(threading.current_thread().name)
        heard(change)

    with lb.watch("*", "n.ip", callback=callback):
        heard.wait_for(1)
        publish(lb, "web-01", 2)
        assert heard.wait_for(2) == [("put", "web-01", 1), ("put", "web-01", 2)]
    assert all(name.startswith("basket-callbacks") for name in names)
    publish(lb, "web-01", 3)
    assert lb.value("web-01", "n.ip") == 3
    assert len(heard.changes) == 2


def test_a_slow_callback_gets_the_latest_values_and_holds_up_nobody(lb):
    """10,000 updates while one callback hangs: it is told of the newest only, and everybody else goes on."""
    publish(lb, "web-00", "first")
    slow, quick = Heard(), Heard()
    entered, go_on = threading.Event(), threading.Event()

    def hang(change):
        slow(change)
        entered.set()
        assert go_on.wait(30)

    held_up = lb.watch("*", "n.ip", callback=hang)
    lb.watch("*", "n.ip", callback=quick)
    assert entered.wait(5)
    for round_ in range(100):
        values = {f"web-{i:02}.n.ip": basket.codec.encode(round_ * 100 + i) for i in range(100)}
        _, failed = lb._basket.put_many(values, deadline=time.monotonic() + 10)
        assert not failed
    newest = {(f"web-{i:02}", "n.ip"): 9900 + i for i in range(100)}
    until(lambda: quick.table() == newest, what="the other callback's last change")
    assert lb.value("web-00", "n.ip") == 9900, "the caller is not held up either"
    assert len(held_up._dirty) == 100
    assert len(held_up._ready) == 0, "no queue of events grows"
    assert len(slow.changes) == 1
    go_on.set()
    until(lambda: slow.table() == newest, what="the slow callback's last change")
    assert len(slow.changes) == 101, "one for each key, whatever happened in between"


def test_a_callback_that_raises_is_logged_and_called_again(lb, caplog):
    heard = Heard()

    def callback(change):
        heard(change)
        raise ValueError("the user's own mistake")

    with caplog.at_level(logging.ERROR, "basket"), lb.watch("*", "n.ip", callback=callback):
        publish(lb, "web-01", 1)
        heard.wait_for(1)
        publish(lb, "web-01", 2)
        assert heard.wait_for(2) == [("put", "web-01", 1), ("put", "web-01", 2)]
    assert "the user's own mistake" in caplog.text


def test_a_callback_that_fails_is_seen_without_any_logging_set_up(basket_for, shared_server, unique, monkeypatch):
    b = basket_for(shared_server, unique)
    with pytest.raises(TypeError, match="callback"):
        b.watch("*", "a", callback=3)
    seen, told = [], threading.Event()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(threading, "excepthook", lambda args: (seen.append(args.exc_type), told.set()))
    b.publish(unique, 1)
    with b.watch(unique, unique, callback=lambda change: 1 / 0):
        assert told.wait(5)
    assert seen == [ZeroDivisionError]


def test_a_callback_may_use_the_basket_and_stop_its_own_watch(lb):
    publish(lb, "web-01", 1)
    heard, asked = Heard(), []

    def callback(change):
        heard(change)
        asked.append(lb.get("*", "n.ip")[0].value)
        watch.stop()

    ready = threading.Event()
    watch = lb.watch("*", "n.ip", callback=lambda change: ready.wait(5) and callback(change))
    ready.set()
    assert watch.wait(5) is None, "waits for the end of a watch with a callback"
    assert asked == [1]
    assert watch.ended
    publish(lb, "web-01", 2)
    assert lb.value("web-01", "n.ip") == 2
    assert len(heard.changes) == 1


# -- stopping, and what is left ---------------------------------------------------------------------------------------------


def test_a_waiting_consumer_is_freed_by_stop_from_another_thread(lb):
    changes = lb.watch("*", "n.ip")
    ended = threading.Event()

    def consume():
        assert list(changes) == []
        ended.set()

    thread = threading.Thread(target=consume)
    thread.start()
    changes.stop()
    assert ended.wait(2)
    thread.join(2)
    changes.stop()


def test_closing_ends_iterations_waits_and_callbacks(shared_server, lb):
    b = basket.connect(shared_server.url, peel_id="closing-01")
    publish(lb, "web-01", 1)
    heard = Heard()
    b.watch("*", "n.ip", callback=heard)
    changes = b.watch("*", "n.ip")
    assert changes.wait(2).value == 1
    waiting = threading.Thread(target=changes.wait)
    waiting.start()
    b.close()
    waiting.join(2)
    assert not waiting.is_alive()
    assert list(changes) == []
    with pytest.raises(basket.ClosedError):
        b.watch("*", "n.ip")
    until(lambda: consumers(lb) == 0, what="the end of the consumer")


def test_closing_with_callbacks_that_hang_is_bounded_for_all_of_them_together(shared_server, lb, monkeypatch):
    monkeypatch.setattr("basket.live.CALLBACKS_END", 0.5)
    publish(lb, "web-01", 1)
    b = basket.connect(shared_server.url, peel_id="closing-02")
    go_on = threading.Event()
    entered = threading.Semaphore(0)

    def hang(change):
        entered.release()
        go_on.wait(30)

    for _ in range(4):
        b.watch("*", "n.ip", callback=hang)
    for _ in range(4):
        assert entered.acquire(timeout=5)
    started = time.monotonic()
    b.close()
    assert 0.4 < time.monotonic() - started < 1.5
    go_on.set()


def test_fifty_watches_share_one_consumer_a_bucket_and_leave_none(lb):
    publish(lb, "web-01", 1)
    facts(lb, "web-01", role="web")
    before = our_threads()
    heard = [Heard() for _ in range(50)]
    watches = [lb.watch("role:web" if i % 2 else "web*", "n.ip", callback=heard[i]) for i in range(50)]
    for each in heard:
        each.wait_for(1)
    assert (consumers(lb), consumers(lb, "facts")) == (1, 1)
    publish(lb, "web-01", 2)
    for each in heard:
        assert each.wait_for(2)[1] == ("put", "web-01", 2)
    for watch in watches:
        watch.stop()
    until(lambda: consumers(lb) == 0 and consumers(lb, "facts") == 0, what="the end of the consumers")
    assert our_threads() == before
    assert lb._live._watches == []


def test_watches_on_different_functions_share_one_consumer_too(lb):
    publish(lb, "web-01", 1, "a")
    publish(lb, "web-01", 2, "b")
    with lb.watch("*", "a") as a, lb.watch("*", "b") as b, lb.watch("*", "c") as c:
        assert (a.wait(2).value, b.wait(2).value) == (1, 2)
        assert consumers(lb) == 1
        publish(lb, "web-01", 3, "c")
        assert c.wait(2).value == 3
        assert (a.wait(QUIET), b.wait(0)) == (None, None), "reading anew for a further function repeats nothing"


def test_watches_that_come_and_go_leave_nothing_behind(lb):
    """A web application that opens a watch for each request must be able to run for months."""
    publish(lb, "web-01", 1)
    feeds = lb._live._feeds
    listeners = len(lb._link._listeners)
    for i in range(100):
        with lb.watch("role:web" if i % 10 == 0 else "*", ["n.ip", f"f{i % 3}"]) as changes:
            if i % 10:
                assert changes.wait(2).value == 1
    assert lb._live._watches == []
    for feed in feeds.values():
        assert (feed._wanted, feed._listeners, feed._replaying) == ({}, [], 0)
    until(lambda: consumers(lb) == 0 and consumers(lb, "facts") == 0, what="the end of the consumers")
    assert len(lb._link._listeners) <= listeners + 2, "one for each feed, not for each watch"
    until(lambda: all(feed._task.done() for feed in feeds.values()), what="the end of the tasks")
    until(lambda: len(lb._link.client._receivers) == 1, what="the end of the subscriptions")
    assert all(feed.table == {} for feed in feeds.values())


def test_watches_begun_and_ended_by_many_threads_at_once_are_right_and_leave_nothing(lb):
    for i in range(8):
        publish(lb, "web-01", i, f"f{i}")
    failures = []

    def come_and_go(i):
        try:
            for turn in range(60):
                with lb.watch("*", f"f{(i + turn) % 8}", timeout=20) as changes:
                    # Complete when it begins: no time is given here.
                    change = changes.wait(0)
                    assert change is not None and change.value == (i + turn) % 8, change
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=come_and_go, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    until(lambda: consumers(lb) == 0, what="the end of the consumers")
    assert lb._live._feeds["basket"]._listeners == []


# -- scope --------------------------------------------------------------------------------------------------------------------


def test_another_scope_reaches_the_watches_that_run(lb):
    for peel_id, cluster in (("web-01", "a"), ("web-02", "b"), ("web-03", "b")):
        publish(lb, peel_id, cluster)
        facts(lb, peel_id, cluster=cluster)
    lb.rescope("G@cluster:a", {})
    scoped, free = lb.watch("web* or db*", "n.ip"), lb.watch("web*", "n.ip", scope="")
    assert brief(scoped.wait(2)) == ("put", "web-01", "a")
    assert [free.wait(2).peel_id for _ in range(3)] == ["web-01", "web-02", "web-03"]
    lb.rescope("G@cluster:b", {})
    told = sorted(brief(scoped.wait(2)) for _ in range(3))
    assert told == [("delete", "web-01", None), ("put", "web-02", "b"), ("put", "web-03", "b")]
    assert (scoped.wait(QUIET), free.wait(0)) == (None, None)


def test_a_scope_that_looks_at_facts_where_none_did_before_deletes_only_what_leaves(lb):
    """A template that lost all its servers for a moment would take the site down."""
    for peel_id, cluster in (("web-01", "a"), ("web-02", "b")):
        publish(lb, peel_id, cluster)
        facts(lb, peel_id, cluster=cluster)
    with lb.watch("web*", "n.ip") as changes:
        assert [changes.wait(2).peel_id, changes.wait(2).peel_id] == ["web-01", "web-02"]
        lb.rescope("G@cluster:a", {})
        assert brief(changes.wait(2)) == ("delete", "web-02", None)
        assert changes.wait(QUIET) is None
        facts(lb, "web-02", cluster="a")
        assert brief(changes.wait(2)) == ("put", "web-02", "b")
    until(lambda: consumers(lb, "facts") == 0, what="the end of the facts' consumer")


def test_named_groups_that_change_reach_the_watches_that_run(lb):
    publish(lb, "web-01", 1)
    publish(lb, "db-01", 2)
    lb.rescope("", {"front": "web*"})
    with lb.watch("N@front", "n.ip") as changes:
        assert changes.wait(2).peel_id == "web-01"
        lb.rescope("", {"front": "db*"})
        told = {brief(changes.wait(2)) for _ in range(2)}
        assert told == {("put", "db-01", 2), ("delete", "web-01", None)}
        with pytest.raises(basket.TargetError):
            lb.rescope("", {})
        publish(lb, "db-01", 3)
        assert brief(changes.wait(2)) == ("put", "db-01", 3), "it stays as it was"


def test_a_watch_that_begins_while_the_scope_changes_follows_the_new_one(lb):
    for peel_id, cluster in (("web-01", "a"), ("web-02", "b")):
        publish(lb, peel_id, cluster)
        facts(lb, peel_id, cluster=cluster)
    reading, go_on = threading.Event(), threading.Event()

    def slow(scope):
        reading.set()
        assert go_on.wait(5)
        return "web-01"

    lb.rescope("slow", {}, slow)
    heard = Heard()
    thread = threading.Thread(target=lambda: lb.watch("*", "n.ip", callback=heard))
    thread.start()
    assert reading.wait(5)
    lb.rescope("G@cluster:b", {}, str)
    go_on.set()
    thread.join(5)
    until(lambda: heard.table() == {("web-02", "n.ip"): "b"}, what=f"the new scope; heard {heard.brief}")
    ((watch, _),) = lb._live._watches
    watch.stop()
    until(lambda: consumers(lb) == 0 and consumers(lb, "facts") == 0, what="the end of the consumers")


def test_scopes_that_change_all_the_time_never_make_a_peel_that_is_in_all_of_them_vanish(lb):
    for i in range(20):
        publish(lb, f"web-{i:02}", i)
        facts(lb, f"web-{i:02}", cluster="a", n=i)
    heard = Heard()
    scopes = ["", "G@cluster:a", "web*", "G@cluster:a and not G@n:19", "not db*"]
    watch = lb.watch("web*", "n.ip", callback=heard)
    for turn in range(100):
        lb.rescope(scopes[turn % len(scopes)], {})
    lb.rescope("", {})
    until(lambda: len(heard.table()) == 20, what="all of them")
    assert {change.peel_id for change in heard.changes if change.kind == "delete"} <= {"web-19"}
    watch.stop()
    until(lambda: consumers(lb) == 0 and consumers(lb, "facts") == 0, what="the end of the consumers")


def test_a_scope_by_facts_that_nobody_has_leaves_nothing(lb):
    publish(lb, "web-01", 1)
    with lb.watch("*", "n.ip") as changes:
        assert changes.wait(2).value == 1
        lb.rescope("G@cluster:a", {})  # the bucket of facts does not even exist
        assert brief(changes.wait(2)) == ("delete", "web-01", None)
        facts(lb, "web-01", cluster="a")
        assert brief(changes.wait(3)) == ("put", "web-01", 1)


# -- errors -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "function", "error"),
    [
        ("web* and", "n.ip", basket.TargetError),
        ("N@unknown", "n.ip", basket.TargetError),
        ("*", "n..ip", basket.InvalidKeyError),
        ("*", "n.*", basket.InvalidKeyError),
        ("*", ["ok", ">"], basket.InvalidKeyError),
        ("*", [], basket.InvalidKeyError),
    ],
)
def test_what_is_wrong_is_said_at_once_and_nothing_is_left(lb, target, function, error):
    started = time.monotonic()
    with pytest.raises(error):
        lb.watch(target, function)
    assert time.monotonic() - started < 1
    assert lb._live._watches == []


def test_a_refusal_of_the_server_is_raised_at_once_and_spoils_no_other_watch(tmp_path):
    config = """
    accounts: { A: { jetstream: enabled, users: [
      { user: all, password: p },
      { user: some, password: p, permissions: { publish: { deny: ["$JS.API.CONSUMER.CREATE.KV_facts.>"] } } } ] } }
    jetstream {}
    """
    with EmbeddedServer(str(tmp_path), config=config) as server, basket.connect(
        server.url, peel_id="a", user="all", password="p"
    ) as a:
        a.publish("n.ip", 1)
        a.publish_facts({"role": "web"})
        with basket.connect(server.url, peel_id="b", user="some", password="p", timeout=20) as b, b.watch("*", "n.ip") as fine:
            assert fine.wait(2).value == 1
            started = time.monotonic()
            with pytest.raises(basket.PermissionDeniedError) as refused:
                b.watch("role:web", "n.ip")
            assert time.monotonic() - started < 2
            assert "KV_facts" in refused.value.subject
            a.publish("n.ip", 2)
            assert fine.wait(2).value == 2
            assert [watch for watch, _ in b._live._watches] == [fine]


def test_credentials_for_some_functions_only_watch_several_of_them(tmp_path):
    """Such a grant names the function in the request's subject, so that each needs a consumer of its own."""
    config = """
    accounts: { A: { jetstream: enabled, users: [
      { user: all, password: p },
      { user: some, password: p, permissions: { publish: [
        "$JS.API.STREAM.INFO.KV_basket", "$JS.API.CONSUMER.DELETE.KV_basket.*", "$JS.FC.>",
        "$JS.API.CONSUMER.CREATE.KV_basket.*.$KV.basket.*.net.>"
      ] } } ] } }
    jetstream {}
    """
    some = {"peel_id": "b", "user": "some", "password": "p", "timeout": 10}
    with EmbeddedServer(str(tmp_path), config=config) as server, basket.connect(
        server.url, peel_id="a", user="all", password="p"
    ) as a:
        a.publish_many({"net.a": 1, "net.b": 2, "net.c": 3, "secret": 4})
        with basket.connect(server.url, **some) as b:
            with b.watch("*", "net.a") as one, b.watch("*", ["net.b", "net.c"]) as two:
                assert one.wait(0).value == 1
                assert {two.wait(0).value, two.wait(0).value} == {2, 3}
                started = time.monotonic()
                with pytest.raises(basket.PermissionDeniedError):
                    b.watch("*", "secret")
                assert time.monotonic() - started < 2
                a.publish("net.c", 5)
                assert two.wait(3).value == 5
                assert one.wait(QUIET) is None
            until(lambda: consumers(a) == 0, what="the end of the consumers")


def test_a_bucket_that_is_missing_is_made_and_watched(lb):
    for bucket in ("basket", "facts"):
        api(lb, f"STREAM.DELETE.KV_{bucket}")
    with basket.connect(lb._link.settings.urls[0], peel_id="fresh-01") as fresh, fresh.watch("role:web", "n.ip") as changes:
        assert changes.wait(0) is None
        facts(lb, "web-01", role="web")
        publish(lb, "web-01", 1)
        assert changes.wait(2).value == 1


# -- beside the program -------------------------------------------------------------------------------------------------------

FORKED = """
import os, sys, basket
b = basket.connect(sys.argv[1], peel_id="forked-01")
b.publish("n.ip", 1)
heard = []
with b.watch("*", "n.ip") as changes, b.watch("*", "n.ip", callback=heard.append), b.mirror():
    assert changes.wait(5).value == 1
    child = os.fork()
    if child == 0:
        # An inherited watch ends instead of hanging, and a new one works.
        assert list(changes) == []
        changes.stop()
        assert b.status().mirror is None
        assert b.value("forked-01", "n.ip") == 1
        with b.watch("*", "n.ip") as own:
            assert own.wait(5).value == 1
            b.publish("n.ip", 2)
            assert own.wait(5).value == 2
        b.close()
        os._exit(7)
    assert os.waitpid(child, 0)[1] == 7 << 8
    assert changes.wait(5).value == 2, "the parent's goes on"
    b.publish("n.ip", 3)
    assert changes.wait(5).value == 3
print("fine", flush=True)
sys.exit() if len(sys.argv) > 2 else b.close()
"""


@pytest.mark.parametrize("ending", [[], ["without close"]])
def test_a_fork_leaves_the_watch_to_the_parent(shared_server, lb, ending):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, shared_server.url, *ending], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")


def test_a_program_that_ends_without_stopping_its_watches_ends_quietly(shared_server):
    code = (
        "import sys, basket\n"
        "b = basket.connect(sys.argv[1], peel_id='quiet-01')\n"
        "b.publish('n.ip', 1)\n"
        "w = b.watch('*', 'n.ip', callback=lambda c: None)\n"
        "i = b.watch('role:web', 'n.ip')\n"
        "b.mirror()\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, shared_server.url], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 5


def test_a_basket_opened_again_after_its_end_watches_again(shared_server, lb):
    b = basket.connect(shared_server.url, peel_id="again-01")
    b.publish("n.ip", 1)
    b.watch("*", "n.ip")
    b.close()
    b.open()
    with b.watch("*", "n.ip") as changes:
        assert changes.wait(2).value == 1
        assert b._live._feeds["basket"].connection_changed in b._link._listeners, "it will notice the next outage"
    b.close()


def test_a_peel_at_which_the_matcher_gave_up_is_looked_at_again(lb):
    for peel_id in ("web-01", "web-02"):
        publish(lb, peel_id, peel_id)
    with lb.watch("*", "n.ip") as changes:
        match, feed = changes._aim
        failures = [basket.TargetError("took too long", expression="*")]

        def gives_up_once(peel_id, known):
            if peel_id == "web-01" and failures:
                raise failures.pop()
            return match(peel_id, known)

        changes._aim = (gives_up_once, feed)
        with pytest.raises(basket.TargetError):
            changes.wait(5)
        assert sorted(changes.wait(5).peel_id for _ in range(2)) == ["web-01", "web-02"]


def test_another_scope_in_the_child_of_a_fork_leaves_the_parents_watches_alone(lb, monkeypatch):
    """A lock may have been held at the fork by a thread that is not there any more."""
    from basket.bus import loop as loops

    monkeypatch.setattr(loops, "generation", loops.generation + 1)
    held = lb._live._lock
    locked, leave = threading.Event(), threading.Event()
    holder = threading.Thread(target=lambda: (held.acquire(), locked.set(), leave.wait(20), held.release()))
    holder.start()
    assert locked.wait(10)
    try:
        done = threading.Event()
        threading.Thread(target=lambda: (lb._live.rescope(), lb._live.stop_serving(), done.set()), daemon=True).start()
        assert done.wait(5)
    finally:
        leave.set()
        holder.join(10)

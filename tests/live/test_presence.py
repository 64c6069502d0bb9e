"""Who is alive: heartbeats written and read, and what age means for values that do not change."""

from __future__ import annotations

import datetime
import threading

import pytest
from watching import api, empty, raw, until

import basket
from basket.codec import decode, encode
from basket.embedded import EmbeddedServer


@pytest.fixture
def lb(shared_server):
    with basket.connect(shared_server.url, peel_id="lb-01") as b:
        empty(b)
        yield b


def peel(b, peel_id, *, alive, value=1):
    raw(b, f"{peel_id}.n.ip", encode(value))
    if alive:
        raw(b, peel_id, encode({"protocol": 1}), "peel-heartbeat")


def seen(entries):
    return {e.peel_id: e.online for e in entries}


def test_a_heartbeat_is_written_as_agreed(lb):
    revision = lb.beat()
    record = lb._heartbeats.get("lb-01", deadline=float("inf"))
    assert record.revision == revision
    beat = decode(record.data)
    assert set(beat) == {"ts", "version", "protocol"}
    assert abs(beat["ts"] - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(seconds=10)
    assert (beat["version"], beat["protocol"]) == (basket.__version__, 1)
    config = api(lb, "STREAM.INFO.KV_peel-heartbeat")["config"]
    assert (config["max_age"], config["max_msgs_per_subject"], config["allow_direct"]) == (30_000_000_000, 1, True)


@pytest.mark.parametrize("count", [2, 100], ids=["few", "many"])
def test_entries_tell_who_is_alive(lb, count):
    for i in range(count):
        peel(lb, f"web-{i:03}", alive=i % 2 == 0)
    assert seen(lb.get("*", "n.ip")) == {f"web-{i:03}": i % 2 == 0 for i in range(count)}
    assert seen(lb.get("*", "n.ip", online_only=True)) == {f"web-{i:03}": True for i in range(0, count, 2)}
    assert seen(lb.get("L@web-000,web-001", "n.ip")) == {"web-000": True, "web-001": False}


@pytest.mark.parametrize("target", ["web*", "L@web-01,web-02,web-03", "web-01 or web-02 or web-03"])
def test_who_is_not_alive_can_be_left_out(lb, target):
    """What a firewall needs: nothing of peels that are gone."""
    peel(lb, "web-01", alive=True)
    peel(lb, "web-02", alive=False)
    raw(lb, "web-03", encode({}), "peel-heartbeat")
    assert seen(lb.get(target, "n.ip", online_only=True)) == {"web-01": True}
    both = lb.get(target, ["n.ip", "other"], online_only=True)
    assert (seen(both["n.ip"]), both["other"]) == ({"web-01": True}, [])


@pytest.mark.parametrize("target", ["web*", "L@web-01,web-02"])
def test_a_living_peels_value_is_current_however_long_ago_it_was_written(lb, target, monkeypatch):
    peel(lb, "web-01", alive=True)
    peel(lb, "web-02", alive=False)
    assert set(seen(lb.get(target, "n.ip", max_age=60))) == {"web-01", "web-02"}
    now = lb._selector.now
    monkeypatch.setattr(lb._selector, "now", lambda deadline: now(deadline=deadline) + datetime.timedelta(minutes=5))
    assert set(seen(lb.get(target, "n.ip", max_age=60))) == {"web-01"}
    assert set(seen(lb.get(target, "n.ip", max_age=600))) == {"web-01", "web-02"}


def test_age_is_counted_by_the_servers_clock(lb, monkeypatch):
    """A host whose own clock is an hour ahead must not think that everything is old."""
    peel(lb, "web-02", alive=False)
    import time

    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    assert set(seen(lb.get("*", "n.ip", max_age=60))) == {"web-02"}


@pytest.mark.parametrize("age", [-1, float("nan"), "5m", True])
def test_an_age_below_zero_or_none_at_all_is_refused(lb, age):
    with pytest.raises(ValueError, match="max_age"):
        lb.get("*", "n.ip", max_age=age)


@pytest.mark.parametrize("age", [9e10, 10**400, float("inf")])
def test_an_age_beyond_all_dates_leaves_nothing_out(lb, age):
    peel(lb, "web-02", alive=False)
    assert set(seen(lb.get("*", "n.ip", max_age=age))) == {"web-02"}


def test_a_heartbeat_that_ran_out_is_the_end_of_being_alive(server):
    """The bucket's own time to live counts; here somebody made it with a short one."""
    with basket.connect(server.url, peel_id="web-01") as b:
        config = {**b._heartbeats.spec.stream_config(), "max_age": 1_000_000_000, "duplicate_window": 1_000_000_000}
        assert "error" not in api(b, "STREAM.CREATE.KV_peel-heartbeat", config)
        b.publish("n.ip", 1)
        b.beat()
        assert seen(b.get("*", "n.ip")) == {"web-01": True}
        until(lambda: seen(b.get("*", "n.ip")) == {"web-01": False}, 5, "the end of the heartbeat")
        assert b.get("*", "n.ip", online_only=True) == []
        assert [(p.peel_id, p.online) for p in b.peel_info()] == [("web-01", False)]
        b.beat()
        assert seen(b.get("web-01", "n.ip")) == {"web-01": True}


def test_where_the_heartbeats_vanished_nobody_knows_and_who_insists_is_told(lb):
    peel(lb, "web-01", alive=True)
    assert seen(lb.get("*", "n.ip")) == {"web-01": True}
    api(lb, "STREAM.DELETE.KV_peel-heartbeat")
    assert seen(lb.get("*", "n.ip")) == {"web-01": None}
    assert seen(lb.get("web-01", "n.ip")) == {"web-01": None}
    for target in ("*", "web-01"):
        with pytest.raises(basket.BucketMissingError):
            lb.get(target, "n.ip", online_only=True)
        with pytest.raises(basket.BucketMissingError):
            lb.get(target, "n.ip", max_age=1)


@pytest.mark.parametrize("there", [True, False], ids=["refused", "missing"])
def test_where_we_may_not_look_nobody_knows(tmp_path, there):
    """Without the bucket and without the right to make it, values must still be told."""
    deny = "$JS.API.*.*.KV_peel-heartbeat.>" if there else "$JS.API.STREAM.CREATE.KV_peel-heartbeat"
    more = ', "$JS.API.*.*.KV_peel-heartbeat"' if there else ""
    config = f"""
    accounts: {{ A: {{ jetstream: enabled, users: [
      {{ user: all, password: p }},
      {{ user: some, password: p, permissions: {{ publish: {{ deny: ["{deny}"{more}] }} }} }} ] }} }}
    jetstream {{}}
    """
    with EmbeddedServer(str(tmp_path), config=config) as server:
        with basket.connect(server.url, peel_id="web-01", user="all", password="p") as a:
            a.publish("n.ip", 1)
            if there:
                a.beat()
        with basket.connect(server.url, peel_id="b", user="some", password="p") as b:
            for target in ("*", "web-01"):
                assert seen(b.get(target, "n.ip")) == {"web-01": None}
                with pytest.raises((basket.PermissionDeniedError, basket.BucketMissingError)):
                    b.get(target, "n.ip", online_only=True)
            assert b.peels() == ["web-01"]


def test_peels_are_shown_with_system_presence_and_last_sign_of_life(lb):
    peel(lb, "web-01", alive=True)
    raw(lb, "web-01", encode({"os": {"name": "linux"}}), "facts")
    raw(lb, "facts-01", encode({"os": "no map"}), "facts")
    peel(lb, "keys-01", alive=False)
    raw(lb, "ghost-01", encode({}), "peel-heartbeat")
    told = {p.peel_id: p for p in lb.peel_info()}
    assert sorted(told) == ["facts-01", "keys-01", "web-01"], "a heartbeat alone makes no peel"
    assert told["web-01"][1:3] == ("linux", True)
    assert told["facts-01"][1:3] == (None, False)
    assert told["keys-01"][1:3] == (None, False)
    beat = lb._heartbeats.get("web-01", deadline=float("inf"))
    assert abs(told["web-01"].last_seen.timestamp() - beat_time(beat)) < 0.001
    assert told["facts-01"].last_seen is not None
    assert [p.peel_id for p in lb.peel_info("G@os.name:linux")] == ["web-01"]


def beat_time(record):
    from basket.bus.record import moment

    return moment(record.stamp).timestamp()


def test_many_threads_may_ask_at_once(lb):
    for i in range(80):
        peel(lb, f"web-{i:02}", alive=True)
    failures = []

    def ask():
        try:
            for _ in range(5):
                assert set(seen(lb.get("*", "n.ip")).values()) == {True}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert failures == []

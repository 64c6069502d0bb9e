"""Side by side with independent clients: nats-py's own key-value calls, hand-made MessagePack, and writers that mean ill."""

from __future__ import annotations

import datetime
import json
import struct
import subprocess
import sys
import time

import msgpack
import pytest

import basket
from basket.bus import wire

UTC = datetime.timezone.utc


def _soon(seconds=10.0):
    return time.monotonic() + seconds


def _hpub(nc, subject, headers, data=b""):
    """A message with any header bytes, past the checks of a decent client."""
    return nc._send_command(
        b"HPUB %s %d %d\r\n%s%s\r\n" % (subject.encode(), len(headers), len(headers) + len(data), headers, data)
    )


# -- what others write ------------------------------------------------------------------------------------------------

WRITTEN = {
    "nil": (b"\xc0", None),
    "false": (b"\xc2", False),
    "fix": (b"\x7f", 127),
    "negfix": (b"\xe0", -32),
    "uint8": (b"\xcc\x05", 5),
    "uint16": (b"\xcd\x00\x05", 5),
    "uint32": (b"\xce\x00\x00\x00\x05", 5),
    "uint64": (b"\xcf" + b"\xff" * 8, 2**64 - 1),
    "int8": (b"\xd0\x80", -128),
    "int16": (b"\xd1\xff\xfe", -2),
    "int32": (b"\xd2\xff\xff\xff\xfe", -2),
    "int64": (b"\xd3\x80" + b"\x00" * 7, -(2**63)),
    "float32": (b"\xca" + struct.pack(">f", 0.5), 0.5),
    "float64": (b"\xcb" + struct.pack(">d", 0.1), 0.1),
    "str": (b"\xda\x00\x03\xe2\x82\xac", "€"),
    "str0": (b"\xa0", ""),
    "bin": (b"\xc4\x02\x00\xff", b"\x00\xff"),
    "bin0": (b"\xc4\x00", b""),
    "arr0": (b"\x90", []),
    "map0": (b"\x80", {}),
    "ts32": (b"\xd6\xff" + struct.pack(">I", 86400), datetime.datetime(1970, 1, 2, tzinfo=UTC)),
    "ts64": (
        b"\xd7\xff" + struct.pack(">Q", (123_456_000 << 34) | 1_700_000_000),
        datetime.datetime(2023, 11, 14, 22, 13, 20, 123456, UTC),
    ),
    "ts96": (b"\xc7\x0c\xff" + struct.pack(">Iq", 0, -86400), datetime.datetime(1969, 12, 31, tzinfo=UTC)),
    "ext": (b"\xd4\x05\x01", msgpack.ExtType(5, b"\x01")),
    "intkeys": (b"\x82\x01\xa1a\x02\xa1b", {1: "a", 2: "b"}),
    "nested": (b"\x81\xa1k\x92\x81\xa1n\xc0\x91\x90", {"k": [{"n": None}, [[]]]}),
}

JUNK = {
    "empty": b"",
    "reserved": b"\xc1",
    "short": b"\x92\x01",
    "more": b"\x01\x02",
    "text": b"not MessagePack at all",
    "utf8": b"\xa2\xff\xfe",
    "huge": b"\xdd\xff\xff\xff\xff",
    "deep": b"\x91" * 5000,
    "listkey": b"\x81\x90\x01",
}


@pytest.fixture
def strangers(shared_server, basket_for, raw, unique):
    """A Basket, and a peel whose values an independent client wrote."""
    b = basket_for(shared_server, unique)
    b.publish("own", "good")

    async def write(nc):
        kv = await nc.jetstream().key_value("basket")
        for name, (data, _) in WRITTEN.items():
            await kv.put(f"{unique}-go.{name}", data)
        for name, data in JUNK.items():
            await kv.put(f"{unique}-junk.{name}", data)
            await kv.put(f"{unique}-junk2.own", data)

    raw(shared_server, write)
    return b


@pytest.mark.parametrize("way", ["short", "public", "old server", "no direct"])
def test_everything_that_others_write_is_read(strangers, unique, way, monkeypatch, basket_for, shared_server):
    if way == "public":
        monkeypatch.setattr(wire, "SHORT_WAY", False)
    b = basket_for(shared_server, f"{unique}-reader")
    if way == "old server":
        b._link.server_version = (2, 10, 26)
    b._basket.direct = way != "no direct"
    answer = b.get(f"{unique}-go", list(WRITTEN))
    for name, (_, value) in WRITTEN.items():
        (entry,) = answer[name]
        assert entry.error is None, name
        assert (entry.value, type(entry.value)) == (value, type(value)), name
        assert b.value(f"{unique}-go", name) == value
        (from_pattern,) = b.get(f"{unique}-g*", name)
        assert from_pattern.value == value


def test_what_cannot_be_decoded_is_reported_beside_what_can(strangers, unique):
    entries = strangers.get(f"{unique}*", "own")
    assert [(e.peel_id, e.value, e.error is None) for e in entries] == [(unique, "good", True), (f"{unique}-junk2", None, False)]
    answer = strangers.get(f"{unique}-junk", list(JUNK))
    for name in JUNK:
        (entry,) = answer[name]
        assert entry.value is None
        assert entry.error
        assert len(entry.error) < 300
        assert "error=" in repr(entry)
        with pytest.raises(basket.DecodeError):
            strangers.value(f"{unique}-junk", name)
        with pytest.raises(basket.DecodeError):
            strangers.value(f"{unique}-junk", name, default="hidden")


def test_facts_that_are_junk_match_nothing_and_break_nothing(shared_server, basket_for, raw, unique):
    good = basket_for(shared_server, f"{unique}-good")
    good.publish_facts({"role": unique})
    good.publish(unique, 1)

    async def write(nc):
        kv = await nc.jetstream().key_value("facts")
        for number, data in enumerate([b"", b"\xc1", b"\x05", b"\x90", b"\xa1x", b"\x81\x01\x02", b"\x91" * 5000]):
            await kv.put(f"{unique}-junk{number}", data)

    raw(shared_server, write)
    assert [e.peel_id for e in good.get(f"role:{unique}", unique)] == [f"{unique}-good"]
    assert good.peels(f"role:{unique}") == [f"{unique}-good"]
    assert len(good.peel_info(f"{unique}-*")) == 8
    with pytest.raises(basket.DecodeError):
        good.facts(f"{unique}-junk2")
    with pytest.raises(basket.DecodeError):
        good.facts(f"{unique}-junk1")


# -- what we write ----------------------------------------------------------------------------------------------------

VALUES = {
    "text": "grüße",
    "bytes": b"\x00\xff",
    "ints": [0, -1, 2**63, -(2**63), 127, 128, 65536],
    "floats": [0.1, 1e300],
    "nothing": [None, [], {}, "", b""],
    "nested": {"a": [{"b": {"c": [True, False]}}], "1": 1},
}


def test_what_we_write_is_plain_messagepack_to_another_process(shared_server, basket_for, raw, unique):
    b = basket_for(shared_server, unique)
    when = datetime.datetime(2024, 2, 29, 1, 2, 3, 456789, UTC)
    b.publish_many({**VALUES, "when": when})
    b.publish_facts({"os": {"name": "linux"}})
    b.beat()

    async def read(nc):
        js = nc.jetstream()
        kv, facts, beats = [await js.key_value(name) for name in ("basket", "facts", "peel-heartbeat")]
        found = {name: (await kv.get(f"{unique}.{name}")).value for name in [*VALUES, "when"]}
        return found, (await facts.get(unique)).value, (await beats.get(unique)).value

    values, facts, beat = raw(shared_server, read)
    code = "import msgpack, sys; sys.stdout.write(repr(msgpack.unpackb(sys.stdin.buffer.read(), strict_map_key=True)))"

    def elsewhere(data):
        return eval(
            subprocess.run([sys.executable, "-c", code], input=data, stdout=subprocess.PIPE, check=True).stdout,
            {"Timestamp": msgpack.Timestamp},
        )

    assert elsewhere(msgpack.packb([msgpack.unpackb(values[name]) for name in VALUES])) == list(VALUES.values())
    for name, value in VALUES.items():
        assert msgpack.unpackb(values[name]) == value
    stamp = msgpack.unpackb(values["when"])
    assert isinstance(stamp, msgpack.Timestamp)
    assert stamp.to_datetime() == when
    assert msgpack.unpackb(facts) == {"os": {"name": "linux"}}
    heartbeat = elsewhere(beat)
    assert sorted(heartbeat) == ["protocol", "ts", "version"]
    assert isinstance(heartbeat["ts"], msgpack.Timestamp)
    assert abs(heartbeat["ts"].to_unix() - time.time()) < 60
    assert isinstance(heartbeat["version"], str)
    assert isinstance(heartbeat["protocol"], int)


def test_nats_pys_own_calls_work_on_our_buckets(server, basket_for, raw):
    b = basket_for(server)
    b.publish_many({"a": 1, "b.c": 2, "gone": 3})
    b.publish_facts({})
    b.beat()
    b.delete("gone")

    async def work(nc):
        from nats.js.errors import KeyNotFoundError

        js = nc.jetstream()
        kv = await js.key_value("basket")
        status = await kv.status()
        keys = await kv.keys()
        with pytest.raises(KeyNotFoundError) as deleted:
            await kv.get("web-01.gone")
        await kv.put("web-02.a", msgpack.packb("theirs"))
        await kv.delete("web-01.b.c")
        await kv.purge("web-01.a")
        watched = set()
        watcher = await kv.watchall()
        while ("web-02.a", None) not in watched:  # its mark of "all is told" may come before anything is
            update = await watcher.updates(timeout=5)
            if update is not None:
                watched.add((update.key, update.operation))
        await watcher.stop()
        return status.history, status.ttl, sorted(keys), deleted.value.op, watched

    history, ttl, keys, operation, watched = raw(server, work)
    assert (history, ttl) in [(1, None), (1, 0)]
    assert keys == ["web-01.a", "web-01.b.c"]
    assert operation == "DEL"
    assert ("web-02.a", None) in watched
    assert [e.peel_id for e in b.get("*", "a")] == ["web-02"]
    assert b.value("web-02", "a") == "theirs"
    assert b.functions("web-01") == []
    assert b.value("web-01", "a", default="purged") == "purged"
    assert b.peels() == ["web-01", "web-02"]  # the first by its facts


# What nats.go sends to make these buckets.
GO = {
    "retention": "limits",
    "max_consumers": -1,
    "max_msgs": -1,
    "max_bytes": -1,
    "discard": "new",
    "max_msg_size": -1,
    "storage": "file",
    "num_replicas": 1,
    "duplicate_window": 120_000_000_000,
    "allow_rollup_hdrs": True,
    "deny_delete": True,
    "allow_direct": True,
    "mirror_direct": False,
}
GO_BUCKETS = {
    "basket": {"description": "Peel-to-peel data sharing", "max_msgs_per_subject": 1, "max_age": 0},
    "facts": {"description": "Peel fact data (system information)", "max_msgs_per_subject": 5, "max_age": 0},
    "peel-heartbeat": {
        "description": "Peel liveness heartbeats",
        "max_msgs_per_subject": 1,
        "max_age": 30_000_000_000,
        "duplicate_window": 30_000_000_000,
    },
}


@pytest.mark.parametrize("ours_first", [True, False])
def test_the_go_implementation_and_ours_may_make_the_same_buckets_in_any_order(server, basket_for, raw, ours_first):
    async def make(nc):
        answers = []
        for name, settings in GO_BUCKETS.items():
            config = {"name": f"KV_{name}", "subjects": [f"$KV.{name}.>"], **GO, **settings}
            reply = await nc.request(f"$JS.API.STREAM.CREATE.KV_{name}", json.dumps(config).encode(), timeout=5)
            answers.append(json.loads(reply.data).get("error"))
        return answers

    def ours():
        b = basket_for(server)
        b.publish("x", 1)
        b.publish_facts({})
        b.beat()
        assert b.get("*", "x")[0].online is True

    if ours_first:
        ours()
    assert raw(server, make) == [None, None, None]
    ours()
    assert raw(server, make) == [None, None, None]


# -- writers that mean ill --------------------------------------------------------------------------------------------

ENDS = [b" 204 EOB", b" 404 Message Not Found", b" 503", b" 100 Idle Heartbeat", b" 100 FlowControl Request", b" 408 Bad Request"]


@pytest.fixture(params=["short", "public", "old server", "no direct"])
def asker(request, shared_server, basket_for, unique, monkeypatch):
    """A Basket that reads in one of its ways."""
    if request.param == "public":
        monkeypatch.setattr(wire, "SHORT_WAY", False)
    b = basket_for(shared_server, f"{unique}-asker")
    b.peels(f"{unique}-asker")  # the buckets are there now
    if request.param == "old server":
        b._link.server_version = (2, 10, 26)
    if request.param == "no direct":
        b._basket.direct = b._facts.direct = b._heartbeats.direct = False
    return b


@pytest.mark.parametrize("line", ENDS, ids=lambda line: line.decode().strip())
def test_a_value_that_looks_like_the_end_hides_nobodys_values(asker, shared_server, raw, unique, line):
    """A peel that may write its own keys only must not be able to cut everybody's queries short."""

    async def write(nc):
        js = nc.jetstream()
        for number in (1, 2, 3):
            await js.publish(f"$KV.basket.{unique}-{number}.{unique}", msgpack.packb(number))
            await js.publish(f"$KV.facts.{unique}-{number}", msgpack.packb({"role": unique}))
            if number == 2:
                await _hpub(nc, f"$KV.basket.{unique}-evil.{unique}", b"NATS/1.0" + line + b"\r\nX: y\r\n\r\n")
                await _hpub(nc, f"$KV.facts.{unique}-evil", b"NATS/1.0" + line + b"\r\nX: y\r\n\r\n")
                await nc.flush()
        await _hpub(nc, f"$KV.basket.{unique}-zevil.{unique}", b"NATS/1.0" + line + b"\r\nX: y\r\n\r\n")
        await nc.flush()

    raw(shared_server, write)
    begun = time.monotonic()
    entries = asker.get(f"{unique}-*", unique)
    assert [e.value for e in entries if e.error is None] == [1, 2, 3]
    names = f"L@{unique}-1,{unique}-evil,{unique}-3,{unique}-zevil"
    assert [e.value for e in asker.get(names, unique) if e.error is None] == [1, 3]
    assert [e.value for e in asker.get(f"role:{unique}", unique)] == [1, 2, 3]
    assert asker.peels(f"role:{unique}") == [f"{unique}-{n}" for n in (1, 2, 3)]
    with pytest.raises(basket.DecodeError):
        asker.value(f"{unique}-evil", unique)
    assert asker.functions(f"{unique}-evil") == [unique]
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("line", ENDS, ids=lambda line: line.decode().strip())
def test_a_value_that_looks_like_a_status_does_not_disturb_those_who_watch(shared_server, basket_for, raw, unique, line):
    b = basket_for(shared_server, f"{unique}-asker")
    b.publish(unique, 0)
    with b.watch(f"{unique}-*", unique) as changes:
        assert changes.wait(10).value == 0
        feed = b._live._feed(b._basket)
        reads = feed.reads

        async def write(nc):
            await _hpub(nc, f"$KV.basket.{unique}-evil.{unique}", b"NATS/1.0" + line + b"\r\nX: y\r\n\r\n")
            await nc.flush()
            await nc.jetstream().publish(f"$KV.basket.{unique}-good.{unique}", msgpack.packb(1))

        raw(shared_server, write)
        seen = [changes.wait(10), changes.wait(10)]
        assert sorted((change.peel_id[len(unique) + 1 :], change.value) for change in seen) == [("evil", None), ("good", 1)]
        assert feed.reads == reads


def test_headers_of_a_writer_do_not_pass_for_the_servers(asker, shared_server, raw, unique):
    spoof = (
        b"NATS/1.0\r\nNats-Stream: KV_basket\r\nNats-Subject: $KV.basket.%s-victim.%s\r\nNats-Sequence: 1\r\n"
        b"Nats-Time-Stamp: 1999-01-01T00:00:00Z\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 1\r\n\r\n"
    ) % (unique.encode(), unique.encode())

    async def write(nc):
        js = nc.jetstream()
        await js.publish(f"$KV.basket.{unique}-victim.{unique}", msgpack.packb("true"))
        await _hpub(nc, f"$KV.basket.{unique}-evil.{unique}", spoof, msgpack.packb("false"))
        await nc.flush()
        await js.publish(f"$KV.basket.{unique}-z.{unique}", msgpack.packb("last"))

    raw(shared_server, write)
    entries = asker.get(f"{unique}-*", unique)
    assert [(e.peel_id, e.value) for e in entries] == [
        (f"{unique}-evil", "false"),
        (f"{unique}-victim", "true"),
        (f"{unique}-z", "last"),
    ]
    assert all(e.updated.year > 2000 and e.revision > 1 for e in entries)
    assert asker.value(f"{unique}-victim", unique) == "true"
    (entry,) = asker.get(f"{unique}-evil", unique)
    assert (entry.peel_id, entry.value, entry.updated.year > 2000) == (f"{unique}-evil", "false", True)


def test_keys_that_no_peel_of_ours_could_have_do_no_harm(asker, shared_server, raw, unique):
    async def write(nc):
        js = nc.jetstream()
        await js.publish(f"$KV.basket.{unique}-ok.{unique}", b"\x01")
        for key in (
            f"{unique}",
            f"a=b/{unique}.{unique}",
            f"-{unique}.{unique}",
            f"{unique}ü.{unique}",
            f"{unique}-ok.{unique}.x",
            f"*.{unique}-x",
            f"{unique}-ok.>",
            f"{unique}-ok.*.y",
        ):
            await nc._send_command(f"PUB $KV.basket.{key} 1\r\n\x02\r\n".encode())
        await nc.flush()
        await js.publish("$KV.facts.a.b.c", b"\x80")
        await js.publish(f"$KV.facts.{unique}ü", msgpack.packb({"role": unique}))

    raw(shared_server, write)
    assert [(e.peel_id, e.value) for e in asker.get(f"{unique}-*", unique)] == [(f"{unique}-ok", 1)]
    assert asker.peels(f"{unique}-*") == [f"{unique}-ok"]
    assert len(asker.get("*", unique)) >= 1
    assert asker.get(f"role:{unique}", unique) is not None
    asker.peel_info()
    asker.peels()


def test_another_process_sees_what_this_one_wrote(shared_server, basket_for, unique):
    basket_for(shared_server, unique).publish("x", {"a": [1, "ü"]})
    code = (
        "import basket, json, sys; b = basket.connect(sys.argv[1], peel_id='other'); print(json.dumps(b.value(sys.argv[2], 'x')))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, shared_server.url, unique], stdout=subprocess.PIPE, check=True, timeout=20
    ).stdout
    assert json.loads(out) == {"a": [1, "ü"]}

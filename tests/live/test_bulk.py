"""Many values at once: complete, none twice, none that is not meant, and nothing left behind on the server."""

from __future__ import annotations

import json
import os
import socket
import threading
import time

import pytest

from basket.bus import bulk
from basket.codec import decode, encode
from basket.embedded import EmbeddedServer


def _soon(seconds=20.0):
    return time.monotonic() + seconds


def _consumers(raw, server, stream="KV_basket"):
    async def ask(nc):
        reply = await nc.request(f"$JS.API.CONSUMER.NAMES.{stream}", b"", timeout=5)
        return json.loads(reply.data).get("consumers") or []

    return raw(server, ask)


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    """A server of this file's own: what it fills in would make everybody else's listings long."""
    server = EmbeddedServer(str(tmp_path_factory.mktemp("bulk")), binary=os.environ.get("NATS_SERVER") or None).start()
    yield server
    server.stop()


@pytest.fixture
def many(shared_server, basket_for, unique):
    """A Basket, and 2,500 peels with one small value of this test's own function."""
    b = basket_for(shared_server, unique)
    values = {f"{unique}-{n:05}.{unique}": encode(n) for n in range(2500)}
    assert b._basket.put_many(values, deadline=_soon())[1] == {}
    return b


def _numbers(entries):
    return [entry.value for entry in entries]


def test_thousands_in_small_pages_are_complete_and_sorted(many, unique, monkeypatch):
    if many._link.server_version < bulk.BATCHED_SINCE:
        pytest.skip("this server knows no batches")
    asked = []
    ask = bulk._ask
    monkeypatch.setattr(bulk, "PAGE_BYTES", 5_000)
    monkeypatch.setattr(bulk, "_ask", lambda *arguments: asked.append(1) or ask(*arguments))
    assert _numbers(many.get(f"{unique}-*", unique)) == list(range(2500))
    assert len(asked) > 10


def test_ten_thousand_in_pages(server, basket_for, monkeypatch):
    b = basket_for(server)
    values = {f"p{n:05}.x": encode({"n": n, "pad": "y" * 50}) for n in range(10_000)}
    stored, failed = b._basket.put_many(values, deadline=_soon())
    assert (len(stored), failed) == (10_000, {})
    monkeypatch.setattr(bulk, "PAGE_BYTES", 200_000)
    entries = b.get("*", "x", timeout=20)
    assert [entry.value["n"] for entry in entries] == list(range(10_000))
    assert len(b.peels()) == 10_000


def test_more_exact_ids_than_one_request_takes(many, unique):
    for count in (1000, 1001, 2100):
        target = "L@" + ",".join(f"{unique}-{n:05}" for n in range(count))
        assert _numbers(many.get(target, unique)) == list(range(count))
    keys = [f"{unique}-{n:05}.{unique}" for n in range(2500)] + ["nobody.x"] * 3
    assert len(bulk.read_keys(many._basket, keys, bulk.as_stored, deadline=_soon())) == 2500


def test_more_exact_ids_on_an_old_server(many, unique):
    many._link.server_version = (2, 10, 26)
    target = "L@" + ",".join(f"{unique}-{n:05}" for n in range(1100))
    assert _numbers(many.get(target, unique)) == list(range(1100))
    assert _numbers(many.get(f"{unique}-*", unique)) == list(range(2500))


def test_no_consumer_is_left_behind(many, shared_server, raw, unique, until):
    many._link.server_version = (2, 10, 26)
    assert len(many.get(f"{unique}-*", unique)) == 2500
    assert len(many.peels(f"{unique}-*")) == 2500
    until(lambda: _consumers(raw, shared_server) == [])
    until(lambda: _consumers(raw, shared_server, "KV_facts") == [])
    assert many._link._losses == {}
    assert len(many._link.pending) == 0


def test_no_subscription_is_left_behind(many, unique, until):
    before = len(many._link.client._subs)
    for _ in range(5):
        many.peels(f"{unique}-0000*")
    until(lambda: len(many._link.client._subs) == before)


def test_a_pattern_matches_whole_parts(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    b.publish_many({f"{unique}": 1, f"{unique}.more": 2, f"x{unique}": 3})
    assert [e.function for e in b.get("*", unique)] == [unique]
    records = bulk.read(b._basket, f"{unique}.>", bulk.as_stored, deadline=_soon())
    assert {key: decode(record.data) for key, record in records.items()} == {
        f"{unique}.{unique}": 1,
        f"{unique}.{unique}.more": 2,
        f"{unique}.x{unique}": 3,
    }


def test_history_gives_the_last_value_only(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    for round_ in range(8):
        b.publish_facts({"round": round_, "tag": unique})
    assert b.facts(unique)["round"] == 7
    found = bulk.read(b._facts, unique, lambda peel_id, record: decode(record.data), deadline=_soon())
    assert {peel_id: document["round"] for peel_id, document in found.items()} == {unique: 7}


def test_a_consumer_read_while_all_is_written_anew_misses_nothing(shared_server, basket_for, unique):
    """For readers who may not list the keys: of each key the old value may be gone and the new one still to come."""
    writer, reader = basket_for(shared_server, unique), basket_for(shared_server, f"{unique}-r")
    values = {f"f{number}": number for number in range(400)}
    writer.publish_many(values)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            writer.publish_many(values)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(250):
            records = bulk.consume(reader._basket, [f"$KV.basket.{unique}.>"], deadline=_soon())
            assert len({record.subject for record in records}) == len(values)
    finally:
        stop.set()
        thread.join(20)


def test_reading_while_others_write_gives_each_key_once(many, unique):
    stop = threading.Event()
    errors = []

    def write():
        try:
            while not stop.is_set():
                many._basket.put_many({f"{unique}-{n:05}.{unique}": encode(n) for n in range(0, 2500, 25)}, deadline=_soon())
        except Exception as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for version in ((2, 10, 26), (2, 15, 0)):
            many._link.server_version = version
            for _ in range(5):
                assert _numbers(many.get(f"{unique}-*", unique)) == list(range(2500))
    finally:
        stop.set()
        writer.join(20)
    assert errors == []


def test_what_is_written_again_while_it_is_being_delivered_is_not_missed(many, unique, monkeypatch):
    """The old values are gone then, and the new ones stand behind the end of what was there."""
    link = many._link
    held = threading.Event()
    send = link.send
    pad = b"y" * 4096
    rewritten = range(500, 2500)

    def held_back(subject, data, headers=None):
        if held.is_set() or not subject.startswith("$JS.FC."):
            send(subject, data, headers)
            return
        held.set()  # the server waits for this answer before it delivers more

        def then():
            many._basket.put_many({f"{unique}-{n:05}.{unique}": encode([n, pad + b"new"]) for n in rewritten}, deadline=_soon())
            send(subject, data, headers)

        threading.Thread(target=then).start()

    many._basket.put_many({f"{unique}-{n:05}.{unique}": encode([n, pad]) for n in range(2500)}, deadline=_soon())
    monkeypatch.setattr(link, "send", held_back)
    link.server_version = (2, 10, 26)
    entries = many.get(f"{unique}-*", unique, timeout=15)
    assert held.is_set(), "the server never asked whether we keep up: this test proves nothing"
    assert [entry.value[0] for entry in entries] == list(range(2500))
    assert all(entry.value[1].endswith(b"new") for entry in entries[500:])


def test_what_is_removed_while_it_is_being_delivered_is_not_waited_for(many, shared_server, raw, unique, monkeypatch):
    """Purged, or run out of its time: the consumer's count of what is to come shrinks, and nothing follows."""
    link = many._link
    held = threading.Event()
    send = link.send

    def held_back(subject, data, headers=None):
        if held.is_set() or not subject.startswith("$JS.FC."):
            send(subject, data, headers)
            return
        held.set()  # the server waits for this answer before it delivers more

        async def purge(nc):
            body = json.dumps({"filter": f"$KV.basket.*.{unique}"}).encode()
            await nc.request("$JS.API.STREAM.PURGE.KV_basket", body, timeout=5)

        def then():
            raw(shared_server, purge)
            send(subject, data, headers)

        threading.Thread(target=then).start()

    monkeypatch.setattr(link, "send", held_back)
    pad = b"\xc5\x10\x00" + b"y" * 4096
    many._basket.put_many({f"{unique}-{n:05}.{unique}": pad for n in range(2500)}, deadline=_soon())
    link.server_version = (2, 10, 26)
    begun = time.monotonic()
    found = many.get(f"{unique}-*", unique, timeout=15)
    assert held.is_set(), "the server never asked whether we keep up: this test proves nothing"
    assert time.monotonic() - begun < 10
    assert len(found) < 2500


def test_a_list_of_large_values_is_fetched_whole(server, basket_for):
    """The server ends one answer at some 64 MB, and says only in its last line that there is more."""
    b = basket_for(server, "asker")
    names = [f"p-{number:02}" for number in range(90)]
    assert b._basket.put_many({f"{name}.f": encode(bytes(900_000)) for name in names}, deadline=_soon(60))[1] == {}
    assert [e.peel_id for e in b.get("L@" + ",".join(names), "f", timeout=60)] == names


@pytest.mark.parametrize("code", [b"204", b"503", b"404"])
def test_headers_without_an_end_do_not_pass_for_the_end_of_a_batch(server, basket_for, code):
    """The server appends its own to what a writer has left open, and the first of them is swallowed."""
    for number in range(3):
        basket_for(server, f"p-{number}").publish("f", number)
    forged = b"NATS/1.0 %b xx" % code
    with socket.create_connection((server.host, server.port), timeout=10) as wire:
        lines = wire.makefile("rb")
        wire.sendall(b'CONNECT {"verbose":false,"headers":true}\r\nSUB stored 1\r\n')
        wire.sendall(b"HPUB $KV.basket.evil.f stored %d %d\r\n%b\r\n" % (len(forged), len(forged), forged))
        while not lines.readline().startswith(b"MSG stored"):
            pass
        lines.close()
    basket_for(server, "p-3").publish("f", 3)
    b = basket_for(server, "asker")
    everybody = ["evil", "p-0", "p-1", "p-2", "p-3"]
    assert [e.peel_id for e in b.get("*", "f")] == everybody
    assert [e.peel_id for e in b.get("L@" + ",".join(everybody + [f"n-{n}" for n in range(90)]), "f")] == everybody
    assert [e.peel_id for e in b.get("L@p-0,evil", "f")] == ["evil", "p-0"]

"""Junk from peels, servers and files: answered with our own errors, marked at its own entry, bounded in time and memory."""

from __future__ import annotations

import datetime
import os
import time
import tracemalloc

import msgpack
import pytest
from harness import resident
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import basket
from basket import codec, config, keys, target
from basket.bus.headers import header, status
from basket.bus.record import delivery, from_delivery, from_direct, moment
from basket.live.answering import ResolveService

pytestmark = pytest.mark.chaos

fuzz = settings(
    max_examples=int(os.environ.get("BASKET_FUZZ", "150")), deadline=None, suppress_health_check=list(HealthCheck), database=None
)
"""The variable BASKET_FUZZ asks for more examples of each."""


# -- the decoder ------------------------------------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20)),
    st.builds(msgpack.Timestamp, st.integers(-(2**63), 2**63 - 1), st.integers(0, 999_999_999)),
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(scalars, inner, max_size=5)),
    max_leaves=30,
)


@fuzz
@given(st.binary(max_size=300))
@example(b"")
@example(b"\xc1")
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc6\xff\xff\xff\xff")
@example(b"\x91" * 100_000)
@example(b"\x81\x01" * 50_000)
@example(b"\x81\x90\x01")
@example(b"\x81\x80\x01")
@example(b"\xc7\x0c\xff" + b"\xff" * 12)
@example(b"\xd7\xff" + b"\xff" * 8)
@example(b"\xa2\xff\xfe")
def test_any_bytes_decode_or_are_a_decode_error(data):
    """Fails where another exception gets through: it would end the whole query, and all other peels' values with it."""
    try:
        codec.decode(data)
    except basket.DecodeError as error:
        assert len(str(error)) < 500


@fuzz
@given(trees)
def test_whatever_another_writer_packs_is_readable_or_a_decode_error(tree):
    """Fails where a kind of key, an extension or a time that Python cannot hold ends in anything but a DecodeError."""
    data = msgpack.packb(tree)
    try:
        codec.decode(data)
    except basket.DecodeError:
        pass


@fuzz
@given(trees, st.integers(0, 400), st.integers(0, 255))
def test_one_flipped_byte_is_no_other_error(tree, position, byte):
    data = bytearray(msgpack.packb(tree))
    data[position % len(data)] = byte
    try:
        codec.decode(bytes(data))
    except basket.DecodeError:
        pass


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdd\xff\xff\xff\xff" + b"\xc0" * 1000,
        b"\xdf\x7f\xff\xff\xff" + b"\x01\x02" * 1000,
        b"\xdb\xff\xff\xff\xffabc",
        b"\xc9\xff\xff\xff\xff\x01abc",
        b"\xdc\xff\xff" * 300_000,
        b"\x91" * 1_000_000,
        b"\x81\xa1a" * 300_000,
    ],
    ids=["array", "map", "str", "ext", "arrays", "nested-arrays", "nested-maps"],
)
def test_a_header_that_promises_much_costs_little(bomb):
    """Fails where the promised length is allocated, or nesting goes as deep as the C stack."""
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(basket.DecodeError):
        codec.decode(bomb)
    took, (_, peak) = time.monotonic() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20
    assert took < 10


# -- what stands around values: headers, reply subjects, keys --------------------------------------------------------------------

lines = st.lists(st.binary(max_size=40), max_size=8)
blocks = st.one_of(
    st.binary(max_size=200),
    lines.map(lambda found: b"NATS/1.0\r\n" + b"\r\n".join(found) + b"\r\n\r\n"),
    st.builds(
        lambda s, n, t: (
            b"NATS/1.0\r\nNats-Stream: KV_basket\r\nNats-Subject: %s\r\nNats-Sequence: %s\r\nNats-Time-Stamp: %s\r\n\r\n"
            % (s, n, t)
        ),
        st.binary(max_size=30),
        st.one_of(st.integers(0, 2**70).map(lambda n: b"%d" % n), st.binary(max_size=10)),
        st.binary(max_size=40),
    ),
)


@fuzz
@given(blocks, st.binary(max_size=30))
@example(b"NATS/1.0\r\nNats-Subject: a\r\nNats-Sequence: x\r\n\r\n", b"")
@example(b"NATS/1.0\r\nNats-Subject: a\r\nNats-Sequence: \xb2\r\n\r\n", b"")
@example(b"NATS/1.0 \xb2\xb3\xb9\r\n\r\n", b"")
def test_headers_of_any_kind_are_read_or_left(block, data):
    """Fails where a header of a peel's own making raises on the loop's thread, or while a batch is read."""
    status(block)
    header(block, "Nats-Sequence")
    try:
        record = from_direct(block, data)
    except basket.BasketError:
        return
    if record is not None:
        try:
            moment(record.stamp)
        except basket.BasketError:
            pass


@fuzz
@given(
    st.one_of(st.binary(max_size=120), st.lists(st.binary(max_size=12), max_size=14).map(lambda p: b"$JS.ACK." + b".".join(p))),
    blocks,
)
@example(b"$JS.ACK.a.b.c.1_0.2.3.4", b"")
@example(b"$JS.ACK.a.b.c.-1.-2.-3.-4", b"")
def test_reply_subjects_of_any_kind_are_read_or_left(reply, block):
    place = delivery(reply)
    record = from_delivery(b"$KV.basket.a.b", reply, block, b"x")
    assert (place is None) == (record is None)
    if record is not None:
        try:
            moment(record.stamp)
        except basket.BasketError:
            pass


@fuzz
@given(st.one_of(st.text(max_size=100), st.none(), st.integers(), st.binary(max_size=10), st.lists(st.text(), max_size=2)))
def test_names_of_any_kind_are_keys_or_an_invalid_key_error(name):
    try:
        assert keys.check_function(name) == name
    except basket.InvalidKeyError:
        pass
    try:
        assert keys.check_peel_id(name) == name.replace(".", "_")  # as the id of a host with that name is written
    except basket.InvalidKeyError:
        pass


# -- targets, configurations, requests -------------------------------------------------------------------------------------------

words = st.sampled_from(
    [
        "and",
        "or",
        "not",
        "(",
        ")",
        "G@os.name:linux",
        "E@web.*",
        "L@a,b",
        "S@10.0.0.0/8",
        "N@x",
        "role:web",
        "*",
        "G@a>=3",
        "P@a:(b",
    ]
)
expressions = st.one_of(st.text(max_size=80), st.lists(st.one_of(words, st.text(max_size=6)), max_size=12).map(" ".join))
documents = st.dictionaries(
    st.text(max_size=5), st.recursive(scalars, lambda i: st.lists(i, max_size=3), max_leaves=5), max_size=4
)


@fuzz
@given(expressions, documents)
@example("(" * 20_000 + "*" + ")" * 20_000, {})
@example("not " * 20_000 + "*", {})
@example("* or " * 20_000 + "*", {})
@example("E@" + "(a+)+" * 30 + "$", {})
@example("*" * 5_000, {})
@example("[" * 5_000, {})
@example("L@" + "," * 50_000, {})
@example("\ud800", {})
@example("G@a:" + "{a," * 2000, {"a": "a" * 2000})
def test_any_expression_is_a_target_or_a_target_error(expression, facts):
    """Fails where the parser recurses as deep as somebody writes, or an expression sent to the resolve service ends it."""
    try:
        tree = target.parse(expression, {"x": "role:web"})
        match = target.matcher(tree, budget=0.5)
        begun = time.monotonic()
        match("web-" + "a" * 30, facts)
        assert time.monotonic() - begun < 5
        assert target.parse(str(tree), {"x": "role:web"}) == tree
    except basket.TargetError as error:
        assert len(str(error)) < len(expression) + 2000


toml_values = st.one_of(
    st.text(max_size=20),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.lists(st.integers(), max_size=3),
    st.datetimes(),
    st.dates(),
)
sections = [
    "peel",
    "nats",
    "basket",
    "basket.functions",
    "basket.expect",
    "facts",
    "nodegroups",
    "agent",
    "template",
    "[template]",
    "x",
]
key_names = [
    "id", "url", "user", "password", "password_file", "token", "credentials", "tls", "timeout", "interval", "scope", "replicas",
    "publish", "custom", "heartbeat", "resolver", "source", "destination", "wait", "check", "state",
    "network.ip_addrs", '"custom.a"',
]  # fmt: skip


def _toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in value if ord(c) < 0xD800) + '"'
    return str(value)


files = st.lists(
    st.tuples(st.sampled_from(sections), st.lists(st.tuples(st.sampled_from(key_names), toml_values), max_size=4)), max_size=5
).map(lambda found: "\n".join(f"[{name}]\n" + "\n".join(f"{k} = {_toml(v)}" for k, v in entries) for name, entries in found))


@fuzz
@given(st.one_of(st.text(max_size=200), files))
@example("a = " + "[" * 50_000)
@example("a = " + "{a=" * 50_000)
@example("[basket.functions]\n" + ".".join(["a"] * 20_000) + " = 1")
@example("[facts]\ncustom = " + "{a=" * 500 + "1" + "}" * 500)
@example('[basket.functions]\n"a" = { value = ' + "[" * 400 + "]" * 400 + " }")
@example("[nodegroups]\na = 'N@b'\nb = 'N@a'")
@example("[nodegroups]\na = '" + "(" * 5000 + "'")
@example("[basket]\ninterval = inf")
@example("[basket]\ninterval = nan")
@example("[basket]\ninterval = 1e400")
@example("[basket]\nreplicas = 99999999999999999999999999")
@example("[agent]\nheartbeat = '" + "9" * 5000 + "s'")
@example("\x00")
def test_any_text_is_a_configuration_or_a_config_error(text):
    """Fails where the agent, which reads the file anew while it runs, would end instead of keeping what it has."""
    try:
        config.parse(text, file="basket.toml")
    except basket.ConfigError as error:
        assert "basket.toml" in str(error)


@pytest.mark.parametrize("junk", [b"\xff\xfe\x00", b"\x00" * 100, os.urandom(5000), b"[peel]\nid='\xc3('"])
def test_a_file_of_other_bytes_is_a_config_error(tmp_path, junk):
    path = tmp_path / "basket.toml"
    path.write_bytes(junk)
    with pytest.raises(basket.ConfigError, match=r"basket\.toml"):
        config.load(str(path))


class _NoFacts:
    """In place of the live copy of the facts."""

    current = True
    table = {}

    def table_of(self):
        return self.table


requests = st.one_of(
    st.binary(max_size=100),
    trees.map(msgpack.packb),
    st.builds(
        lambda e, k, w: msgpack.packb({"expr": e, "type": k, "want_facts": w}),
        st.one_of(expressions, scalars).filter(lambda e: not isinstance(e, str) or e.isascii()),
        st.one_of(st.sampled_from(["", "glob", "pcre", "fact", "settings", "compound", "list"]), scalars),
        scalars,
    ),
)


@fuzz
@given(requests)
@example(msgpack.packb({"expr": "(" * 20_000}))
@example(msgpack.packb({"expr": "x", "type": "pcre"}))
@example(msgpack.packb({"expr": "(a+)+$", "type": "pcre"}))
def test_the_resolve_service_answers_any_request(data):
    """Fails where a request raises: the caller would get no answer and wait, and the log would fill."""
    service = ResolveService(None, _NoFacts(), lambda record: {}, dict)
    answer = service.answer(data)
    assert answer["peels"] == []
    codec.encode(answer)
    assert len(answer.get("err", "")) < 100_000


# -- on a real server ------------------------------------------------------------------------------------------------------------


def _put(nc_js, key, data, headers=None):
    return nc_js.publish(f"$KV.basket.{key}", data, headers=headers)


HOSTILE = {
    "h-bomb.custom.a": b"\xdd\xff\xff\xff\xff",
    "h-deep.custom.a": b"\x91" * 200_000,
    "h-empty.custom.a": b"",
    "h-half.custom.a": b"\xd9",
    "h-junk.custom.a": b"\xc1\xc1\xc1",
    "h-keys.custom.a": b"\x81\x90\x01",
    "h-text.custom.a": b"\xa2\xff\xfe",
    "h-twice.custom.a": b"\x01\x02",
}
READABLE = {
    "h-ext.custom.a": msgpack.packb(msgpack.ExtType(42, b"x" * 100)),
    "h-kinds.custom.a": msgpack.packb({7: "int", "s": "str", True: "bool", 2.5: "float", b"b": "bin", None: "nil"}),
    "h-large.custom.a": msgpack.packb("x" * 900_000),
    "h-null.custom.a": b"\xc0",
    "h-time.custom.a": b"\xc7\x0c\xff\x00\x00\x00\x00\x7f" + b"\xff" * 7,  # further away than Python's calendar goes
}


@pytest.fixture
def poisoned(server, raw, basket_for):
    """A bucket in which hostile values, headers and keys stand beside good ones."""
    b = basket_for(server, "good-01")
    b.publish("custom.a", "good")
    b.publish_facts({"role": "good"})
    b.beat()

    async def poison(nc):
        js = nc.jetstream()
        for key, data in {**HOSTILE, **READABLE}.items():
            await _put(js, key, data)
        await _put(js, "h-headers.custom.a", msgpack.packb("kept"), {f"X-{i}": "v" * 500 for i in range(100)})
        await _put(
            js, "h-status.custom.a", msgpack.packb("kept"), {"Status": "404", "Nats-Subject": "$KV.basket.good-01.custom.a"}
        )
        for key in ("-x.custom.a", "_.custom.a", "a=b.custom.a", "x" * 200 + ".custom.a", "UPPER.custom.a", "onlypeel"):
            await _put(js, key, msgpack.packb("odd key"))
        for peel_id in ("h-junkfacts", "h-listfacts"):
            await js.publish(f"$KV.facts.{peel_id}", b"\xc1" if "junk" in peel_id else msgpack.packb([1, 2]))
        for peel_id in ("-x", "_", "y" * 200, "a=b"):
            await js.publish(f"$KV.facts.{peel_id}", msgpack.packb({"role": "good"}))
            await js.publish(f"$KV.peel-heartbeat.{peel_id}", b"junk")
        await js.publish("$KV.facts.h-deepfacts", b"\x81\xa1a" * 5000 + b"\x01")

    raw(server, poison)
    return server, b


def _check(entries):
    by_peel = {entry.peel_id: entry for entry in entries}
    assert by_peel["good-01"].value == "good" and by_peel["good-01"].error is None
    for key in HOSTILE:
        entry = by_peel[key.partition(".")[0]]
        assert entry.error and entry.value is None, key
    for key in READABLE:
        assert by_peel[key.partition(".")[0]].error is None, key
    for peel_id in ("h-headers", "h-status"):
        assert by_peel[peel_id].value == "kept"


def _check_by_fact(entries):
    # Names that no peel can have are passed on as they stand, with nobody harmed.
    assert {e.peel_id: e.value for e in entries if e.value != "odd key"} == {"good-01": "good"}


def test_one_hostile_entry_is_marked_and_all_others_are_returned(poisoned, basket_for):
    """Fails where one peel can take an answer away from all: by a value, a header, a key, or its facts; read or mirrored."""
    server, b = poisoned
    _check(b.get("*", "custom.a"))
    _check_by_fact(b.get("role:good", "custom.a"))
    with pytest.raises(basket.DecodeError):
        b.value("h-junk", "custom.a")
    assert "good-01" in b.peels("*") and "good-01" in b.peels("role:good")
    b.peel_info("*")
    mirror = b.mirror()
    _check(b.get("*", "custom.a"))
    _check_by_fact(b.get("role:good", "custom.a"))
    mirror.stop()
    seen = {}
    with b.watch("*", "custom.a") as changes:
        while len(seen) < len(HOSTILE) + len(READABLE) + 3:
            change = changes.wait(20)
            assert change is not None, sorted(seen)
            seen[change.peel_id] = change
        assert seen["h-junk"].error and seen["good-01"].value == "good"
        b.publish("custom.a", "better")
        while True:
            change = changes.wait(20)
            assert change is not None
            if change.peel_id == "good-01" and change.value == "better":
                break
    b.serve_targets()
    assert basket_for(server, "reader-01").peels("G@role:good") == ["good-01"]  # of an answer by others only ids are taken


def test_reading_megabytes_again_and_again_leaves_nothing_behind(server, basket_for):
    """Fails where answers, or what was decoded from them, are kept somewhere."""
    writer = basket_for(server, "w-01", timeout=60)
    writer.publish_many({f"custom.big{i}": "x" * 1_000_000 for i in range(8)})
    b = basket_for(server, "reader-01", timeout=60)
    names = [f"custom.big{i}" for i in range(8)]

    def read():
        assert all(len(entries[0].value) == 1_000_000 for entries in b.get("*", names).values())

    for _ in range(3):
        read()
    before = resident()
    for _ in range(25):
        read()
    after = resident()
    print(f"200 MB read in 25 rounds: {before:.0f} -> {after:.0f} MB resident")
    assert after < before + 40

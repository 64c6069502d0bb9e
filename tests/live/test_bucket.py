"""Buckets on a real server: made exactly as agreed, used untouched when others made them, and every refusal in words."""

from __future__ import annotations

import json
import time

import pytest

import basket

CLOSED_TO = "authorization { users = [{user: w, password: w}, {user: p, password: p, permissions: %s}] }"


def _soon(seconds=10.0):
    return time.monotonic() + seconds


def _stream(raw, server, name):
    async def ask(nc):
        reply = await nc.request(f"$JS.API.STREAM.INFO.KV_{name}", b"", timeout=5)
        return json.loads(reply.data)

    return raw(server, ask)


# -- made -------------------------------------------------------------------------------------------------------------

BUCKETS = [
    ("basket", 1, 0, "Peel-to-peel data sharing"),
    ("facts", 5, 0, "Peel fact data (system information)"),
    ("peel-heartbeat", 1, 30_000_000_000, "Peel liveness heartbeats"),
]


@pytest.mark.parametrize("name,history,ttl,description", BUCKETS)
def test_missing_buckets_are_made_as_agreed(shared_server, basket_for, raw, unique, name, history, ttl, description):
    b = basket_for(shared_server, unique)
    b.publish("x", 1)
    b.publish_facts({})
    b.beat()
    config = _stream(raw, shared_server, name)["config"]
    assert config["max_msgs_per_subject"] == history
    assert config.get("max_age", 0) == ttl
    assert config["description"] == description
    assert config["storage"] == "file"
    assert config["allow_direct"] is True
    assert config["subjects"] == [f"$KV.{name}.>"]
    assert config["num_replicas"] == 1
    assert config["discard"] == "new"
    assert config["allow_rollup_hdrs"] is True
    assert config["deny_delete"] is True


def test_a_read_makes_what_is_missing_too(server, basket_for, raw):
    assert basket_for(server).get("*", "x") == []
    assert _stream(raw, server, "basket")["config"]["allow_direct"] is True


def test_a_bucket_that_others_made_is_used_untouched(server, basket_for, raw):
    async def make(nc):
        js = nc.jetstream()
        await js.create_key_value(bucket="basket", history=3, ttl=3600, description="made by hand", storage="memory")
        await js.create_key_value(bucket="facts", history=2)

    raw(server, make)
    before = [_stream(raw, server, name)["config"] for name in ("basket", "facts")]
    assert not before[0].get("allow_direct")
    b, other = basket_for(server), basket_for(server, "web-02")
    for round_ in range(4):
        b.publish("a.b", round_)
        b.publish_facts({"role": "web", "round": round_})
    other.publish("a.b", "x")
    other.delete("a.b")
    assert b.value("web-01", "a.b") == 3
    assert b.get("*", "a.b")[0].value == 3
    assert [e.value for e in b.get("L@web-01,web-02", "a.b")] == [3]
    assert [e.value for e in b.get("role:web", "a.b")] == [3]
    assert b.peels() == ["web-01"]
    assert b.functions("web-01") == ["a.b"]
    assert b.facts("web-01")["round"] == 3
    assert b.value("web-02", "a.b", default="none") == "none"
    assert b.value("nobody", "a.b", default="none") == "none"
    assert b.flush() == 1
    assert [_stream(raw, server, name)["config"] for name in ("basket", "facts")] == before


def test_many_who_come_at_once_to_an_empty_server_all_succeed(server, basket_for):
    import threading

    baskets = [basket_for(server, f"web-{n}") for n in range(8)]
    errors = []
    start = threading.Barrier(len(baskets))

    def work(b):
        try:
            start.wait(10)
            b.publish("x", 1)
            b.publish_facts({"a": 1})
            b.get("*", "x")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(b,)) for b in baskets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert len(baskets[0].get("*", "x")) == 8


def test_missing_buckets_are_made_while_somebody_listens_to_everything(server, basket_for):
    """As an operator does with ``nats sub '>'``: what nobody stores is heard all the same, and never answered."""
    listener = basket_for(server, "listener")
    listener._link.subscribe(">", lambda *message: None, deadline=_soon())
    begun = time.monotonic()
    assert basket_for(server, "a").publish("x", 1) > 0
    assert basket_for(server, "b").publish_facts({}) > 0
    assert basket_for(server, "c").get("*", "x")[0].online is False
    assert basket_for(server, "d").peels() == ["a", "b"]
    assert time.monotonic() - begun < 3


# -- gone -------------------------------------------------------------------------------------------------------------


def _drop(raw, server, name):
    async def work(nc):
        await nc.request(f"$JS.API.STREAM.DELETE.KV_{name}", b"", timeout=5)

    raw(server, work)


@pytest.mark.parametrize(
    "read",
    [
        lambda b: b.get("*", "x"),
        lambda b: b.get("web-01", "x"),
        lambda b: b.get("L@web-01,web-02", "x"),
        lambda b: b.value("web-01", "x"),
        lambda b: b.value("web-01", "x", default=1),
        lambda b: b.functions("web-01"),
        lambda b: b.peels(),
        lambda b: b.flush(),
        lambda b: b.delete("x"),
    ],
)
def test_a_bucket_that_vanished_under_a_reader_is_an_error(server, basket_for, raw, read):
    b = basket_for(server)
    b.publish("x", 1)
    assert b.value("web-01", "x") == 1
    _drop(raw, server, "basket")
    begun = time.monotonic()
    with pytest.raises(basket.BucketMissingError, match="'basket' does not exist"):
        read(b)
    assert time.monotonic() - begun < 2
    b.publish("x", 2)  # a writer makes it again
    assert b.value("web-01", "x") == 2
    assert [e.value for e in b.get("*", "x")] == [2]


def test_the_facts_bucket_that_vanished_under_a_reader_is_an_error(server, basket_for, raw):
    b = basket_for(server)
    b.publish_facts({"role": "web"})
    b.publish("x", 1)
    assert len(b.get("role:web", "x")) == 1
    _drop(raw, server, "facts")
    for read in (lambda: b.get("role:web", "x"), lambda: b.get("web-01 and role:web", "x"), b.peels, b.peel_info):
        with pytest.raises(basket.BucketMissingError, match="'facts'"):
            read()


def test_publish_many_makes_the_bucket_again(server, basket_for, raw):
    b = basket_for(server)
    b.publish("x", 1)
    _drop(raw, server, "basket")
    assert len(b.publish_many({f"f{n}": n for n in range(50)})) == 50
    assert len(b.functions("web-01")) == 50


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [2, 99])
def test_a_bucket_made_while_its_former_one_is_being_removed(server, basket_for, monkeypatch, failures):
    """The server says so about once in a thousand times; here it does in the first few."""
    b = basket_for(server, "a")
    ask, refused = b._basket.api, []

    def sometimes(verb, *args, **options):
        if verb == "STREAM.CREATE" and len(refused) < failures:
            refused.append(verb)
            raise basket.JetStreamError("error creating store for stream", code=10049)
        return ask(verb, *args, **options)

    monkeypatch.setattr(b._basket, "api", sometimes)
    if failures < 5:
        assert b.publish("x", 1) > 0
    else:
        begun = time.monotonic()
        with pytest.raises(basket.BucketMissingError, match="creating store"):
            b.publish("x", 1)
        assert time.monotonic() - begun < 3 and len(refused) == 5


def test_a_server_without_jetstream_is_told_as_such(tmp_path, basket_for):
    with _PlainServer(tmp_path) as url:
        b = basket_for(url, timeout=5.0)
        begun = time.monotonic()
        for call in (lambda: b.publish("x", 1), lambda: b.get("*", "x"), lambda: b.value("a", "x"), b.peels):
            with pytest.raises(basket.JetStreamError, match="no JetStream"):
                call()
        assert time.monotonic() - begun < 2


class _PlainServer:
    """nats-server without JetStream."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        import subprocess

        from basket.embedded import find_binary

        self.process = subprocess.Popen(
            [find_binary(), "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", str(self.path)], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for file in self.path.glob(f"*_{self.process.pid}.ports"):
                try:
                    return json.loads(file.read_text())["nats"][0]
                except ValueError:
                    pass  # half written
        raise AssertionError("no server")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(5)


def test_an_account_without_jetstream_is_told_as_such(server_with, basket_for):
    server = server_with(
        "accounts { A { jetstream: enabled, users = [{user: a, password: a}] }, B { users = [{user: b, password: b}] } }"
    )
    b = basket_for(server, user="b", password="b")
    begun = time.monotonic()
    for call in (lambda: b.publish("x", 1), lambda: b.get("*", "x")):
        with pytest.raises(basket.JetStreamError, match="JetStream"):
            call()
    assert time.monotonic() - begun < 2
    basket_for(server, user="a", password="a").publish("x", 1)


def test_a_bucket_that_may_not_be_made_is_told_as_such_each_time(server_with, basket_for):
    server = server_with(CLOSED_TO % '{publish: {deny: "$JS.API.STREAM.CREATE.>"}}')
    b = basket_for(server, user="p", password="p")
    begun = time.monotonic()
    for _ in range(2):
        for call in (lambda: b.publish("x", 1), lambda: b.get("*", "x"), lambda: b.value("a", "x"), b.peels):
            with pytest.raises(basket.BucketMissingError, match=r"does not exist and could not be made: .*STREAM\.CREATE"):
                call()
    assert time.monotonic() - begun < 2
    basket_for(server, user="w", password="w").publish("x", 1)
    b.publish("x", 1)  # now that somebody made it


def test_a_refused_write_is_told_at_once_and_by_key(server_with, basket_for):
    server = server_with(CLOSED_TO % '{publish: {deny: ["$KV.basket.web-02.>", "$KV.basket.web-01.secret"]}}')
    b = basket_for(server, "web-02", user="p", password="p")
    begun = time.monotonic()
    with pytest.raises(basket.PermissionDeniedError) as caught:
        b.publish("x", 1)
    assert caught.value.subject == "$KV.basket.web-02.x"
    basket_for(server, "web-01", user="w", password="w").publish_many({"secret": 1, "open": 2})
    b2 = basket_for(server, "web-01", user="p", password="p")
    with pytest.raises(basket.PublishError) as some:
        b2.publish_many({"secret": 3, "open": 4})
    assert {name: type(error) for name, error in some.value.failed.items()} == {"secret": basket.PermissionDeniedError}
    assert list(some.value.published) == ["open"]
    with pytest.raises(basket.PermissionDeniedError):
        b2.delete("secret")
    with pytest.raises(basket.PublishError):
        b2.flush()
    with pytest.raises(basket.PublishError) as all_of_them:
        b.publish_many({"a": 1, "b": 2})
    assert sorted(all_of_them.value.failed) == ["a", "b"]
    assert time.monotonic() - begun < 2
    assert len(b._link.pending) == len(b2._link.pending) == 0


def test_a_refused_read_is_told_at_once(server_with, basket_for):
    server = server_with(CLOSED_TO % '{publish: {deny: ["$JS.API.DIRECT.GET.>", "$JS.API.CONSUMER.>"]}}')
    basket_for(server, user="w", password="w").publish("x", 1)
    b = basket_for(server, "reader", user="p", password="p")
    begun = time.monotonic()
    for call in (lambda: b.value("web-01", "x"), lambda: b.get("*", "x"), lambda: b.get("web-01", "x"), b.peels):
        with pytest.raises(basket.PermissionDeniedError, match="does not let these credentials publish to"):
            call()
    assert time.monotonic() - begun < 2


def test_a_bucket_with_a_smaller_limit_says_which(server, basket_for, raw):
    async def make(nc):
        await nc.jetstream().create_key_value(bucket="basket", max_value_size=100, direct=True)

    raw(server, make)
    b = basket_for(server)
    with pytest.raises(basket.ValueTooLargeError) as caught:
        b.publish("x", "y" * 500)
    assert caught.value.size == 503
    assert caught.value.limit < 500
    with pytest.raises(basket.PublishError) as some:
        b.publish_many({"x": "y" * 500, "z": 1})
    assert isinstance(some.value.failed["x"], basket.ValueTooLargeError)
    assert list(some.value.published) == ["z"]


def test_a_full_bucket_says_so(server, basket_for, raw):
    async def make(nc):
        js = nc.jetstream()
        await js.add_stream(name="KV_basket", subjects=["$KV.basket.>"], max_msgs=2, discard="new", allow_direct=True)

    raw(server, make)
    b = basket_for(server)
    b.publish_many({"a": 1, "b": 2})
    with pytest.raises(basket.JetStreamError, match="maximum"):
        b.publish("c", 3)
    assert b.functions("web-01") == ["a", "b"]


def test_more_replicas_than_servers_is_told_as_such(server):
    from basket.config import parse

    config = parse(f'[nats]\nurl = "{server.url}"\n[basket]\nreplicas = 3\n')
    with basket.connect(config=config, peel_id="web-01") as b, pytest.raises(
        basket.BucketMissingError, match="could not be made"
    ):
        b.publish("x", 1)


def test_a_smaller_payload_limit_is_learnt_from_the_server(server_with, basket_for):
    b = basket_for(server_with("max_payload: 1000"))
    with pytest.raises(basket.ValueTooLargeError) as caught:
        b.publish("x", "y" * 1000)
    assert caught.value.limit == 1000
    b.publish("x", "y" * 900)
    assert b.connections == 1


def test_keys_are_listed_in_pages_of_the_server(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    b._basket.put_many({f"{unique}.{n}": b"\x01" for n in range(300)}, deadline=_soon())
    assert len(b._basket.subjects(f"{unique}.>", deadline=_soon())) == 300
    assert b._basket.subjects("nobody.>", deadline=_soon()) == []

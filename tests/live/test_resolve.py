"""The resolve service from both ends: what goes over the wire, who asks it when, and that it is never needed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import msgpack
import pytest
from watching import consumers, empty, our_threads, raw, until

import basket
from basket.codec import decode, encode
from basket.embedded import EmbeddedServer
from basket.live import answering

SUBJECT = "zester.target.resolve"

FACTS = {
    "web-01": {"role": "web", "os": {"name": "linux"}, "network": {"ipv4": ["10.0.0.1"]}},
    "web-02": {"role": "web", "os": {"name": "freebsd"}},
    "db-01": {"role": "db", "cores": 8},
}


@pytest.fixture
def peels(shared_server):
    made = {}

    def peel(peel_id, **options):
        if peel_id not in made:
            made[peel_id] = basket.connect(shared_server.url, peel_id=peel_id, **options)
        return made[peel_id]

    try:
        empty(peel("lb-01"))
        for peel_id, document in FACTS.items():
            raw(peel("lb-01"), peel_id, encode(document), "facts")
            raw(peel("lb-01"), f"{peel_id}.n.ip", encode(f"ip of {peel_id}"))
        yield peel
    finally:
        for b in made.values():
            b.close()


@pytest.fixture
def lb(peels):
    return peels("lb-01")


@pytest.fixture
def served(peels):
    peels("resolver-01").serve_targets()
    return peels("resolver-01")


@pytest.fixture
def fetched(lb, monkeypatch):
    """How many peels' facts the caller fetched."""
    count = []
    of_facts = lb._selector._of_facts

    def counting(*args, **kwargs):
        found = of_facts(*args, **kwargs)
        count.append(len(found))
        return found

    monkeypatch.setattr(lb._selector, "_of_facts", counting)
    return count


class Service:
    """Somebody else's service: remembers what it is asked, and answers what it is told to."""

    def __init__(self, b, answer, queue="zester-target-resolvers"):
        self._b = b
        self._answer = answer
        self.asked = []
        b._link.subscribe(SUBJECT, self._receive, queue, deadline=time.monotonic() + 5)

    def _receive(self, subject, reply, headers, data):
        self.asked.append(decode(data))
        if self._answer is not None and reply:
            self._b._link.send(reply.decode(), self._answer)


def ask(b, request):
    """One request, as it stands, to whoever serves."""
    data = request if isinstance(request, bytes) else encode(request)
    return decode(b._link.request(SUBJECT, data, deadline=time.monotonic() + 5).data)


# -- the service ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "kind", "expected"),
    [
        ("web*", "glob", ["web-01", "web-02"]),
        ("web-01", "glob", ["web-01"]),
        ("nobody-01", "glob", []),
        ("^(web|db)-01$", "pcre", ["db-01", "web-01"]),
        ("E@^web", "pcre", ["web-01", "web-02"]),
        ("role:db", "fact", ["db-01"]),
        ("G@os.name:linux", "fact", ["web-01"]),
        ("cores:>4", "fact", ["db-01"]),
        ("web-01, db-01,nobody-01", "list", ["db-01", "web-01"]),
        ("L@web-01", "list", ["web-01"]),
        ("web* and G@role:web and not G@os.name:linux", "compound", ["web-02"]),
        ("S@10.0.0.0/8 or G@cores:8", "compound", ["db-01", "web-01"]),
        ("web*", "", ["web-01", "web-02"]),
        ("G@role:web", None, ["web-01", "web-02"]),
        ("not role:web", "compound", ["db-01"]),
        ("*", "glob", ["db-01", "web-01", "web-02"]),
    ],
)
def test_each_type_of_request_is_answered(lb, served, expression, kind, expected):
    assert ask(lb, {"expr": expression, "type": kind}) == {"peels": expected}
    if kind is None:
        assert ask(lb, {"expr": expression}) == {"peels": expected}


def test_facts_come_with_it_when_they_are_wanted(lb, served):
    assert ask(lb, {"expr": "web*", "want_facts": True}) == {
        "peels": ["web-01", "web-02"],
        "facts": {peel_id: FACTS[peel_id] for peel_id in ("web-01", "web-02")},
    }


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"\xc1",
        b"not msgpack at all",
        encode(None),
        encode(["expr"]),
        encode({}),
        encode({"expr": 7}),
        encode({"expr": b"web*"}),
        encode({"expr": ""}),
        encode({"expr": "web* and"}),
        encode({"expr": "N@unknown"}),
        encode({"expr": "E@["}),
        encode({"expr": "x", "type": "settings"}),
        encode({"expr": "x", "type": "nonsense"}),
        encode({"expr": "x", "type": ["list"]}),
        encode({"expr": "x", "type": {"a": 1}}),
        encode({"expr": "x", "type": 3}),
        encode({7: 8, None: 1}),
    ],
)
def test_a_request_that_cannot_be_answered_is_answered_with_an_error(lb, served, request_):
    """An empty list would be believed, and silence would cost the caller half a second."""
    answer = ask(lb, request_)
    assert answer["peels"] == []
    assert answer["err"]
    assert ask(lb, {"expr": "web-01"}) == {"peels": ["web-01"]}, "and it goes on"


def test_an_answer_larger_than_the_server_takes_is_an_error(lb, served):
    for i in range(3):
        raw(lb, f"big-{i}", encode({"pad": "x" * 500_000}), "facts")
    until(lambda: len(ask(lb, {"expr": "big*"}).get("peels", ())) == 3, what="the big facts")
    answer = ask(lb, {"expr": "big*", "want_facts": True})
    assert "larger" in answer["err"]


def test_broken_facts_are_no_facts_and_break_nothing(lb, served):
    raw(lb, "broken-01", b"\xc1", "facts")
    until(lambda: "broken-01" in ask(lb, {"expr": "*"})["peels"], what="the broken facts")
    assert ask(lb, {"expr": "role:web", "want_facts": True})["peels"] == ["web-01", "web-02"]
    assert ask(lb, {"expr": "broken*", "want_facts": True}) == {"peels": ["broken-01"], "facts": {"broken-01": {}}}


def test_it_follows_the_facts(lb, served):
    raw(lb, "new-01", encode({"role": "new"}), "facts")
    until(lambda: ask(lb, {"expr": "role:new"}) == {"peels": ["new-01"]}, what="the new peel")
    lb._facts.delete("new-01", deadline=time.monotonic() + 5)
    until(lambda: ask(lb, {"expr": "role:new"}) == {"peels": []}, what="its end")


def test_a_client_of_another_kind_is_understood_and_answered(lb, served):
    """As the Go side would: its own MessagePack, map keys in any order, nil where there is nothing."""
    import nats

    async def talk():
        client = await nats.connect(lb._link.settings.urls[0])
        try:
            asked = b"\x83\xaawant_facts\xc2\xa4type\xa8compound\xa4expr\xd9\x11role:web or db-01"
            reply = await client.request(SUBJECT, asked, timeout=5)
            return reply.data
        finally:
            await client.close()

    answer = asyncio.run(talk())
    assert msgpack.unpackb(answer) == {"peels": ["db-01", "web-01", "web-02"]}
    assert answer.startswith(b"\x81\xa5peels\x93\xa5db-01")


def test_several_services_share_the_work_and_each_request_gets_one_answer(lb, peels):
    services = [peels(f"resolver-0{i}") for i in range(3)]
    answered = {}
    for b in services:
        b.serve_targets()
        service = b._live._service

        def counted(data, b=b, answer=service.answer):
            answered[b.peel_id] = answered.get(b.peel_id, 0) + 1
            return answer(data)

        service.answer = counted
    for _ in range(60):
        assert ask(lb, {"expr": "web-01"}) == {"peels": ["web-01"]}
    assert sum(answered.values()) == 60
    assert len(answered) == 3
    services[0].close()
    services[1].stop_serving_targets()
    for _ in range(20):
        assert ask(lb, {"expr": "web-01"}) == {"peels": ["web-01"]}


def test_withdrawn_it_leaves_nothing_and_can_be_offered_again(lb, peels):
    b = peels("resolver-01")
    for _ in range(3):
        b.serve_targets()
        b.serve_targets()
        assert ask(lb, {"expr": "web-01"}) == {"peels": ["web-01"]}
        assert "basket-resolver" in our_threads()
        b.stop_serving_targets()
        b.stop_serving_targets()
        assert "basket-resolver" not in our_threads()
        until(lambda: consumers(lb, "facts") == 0, what="the end of the consumer")
        until(lambda: lb._link.request(SUBJECT, b"", deadline=time.monotonic() + 5).status == 503, what="nobody there")


def test_many_threads_may_offer_it_at_once(lb, peels):
    b = peels("resolver-01")
    threads = [threading.Thread(target=b.serve_targets) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert our_threads().count("basket-resolver") == 1
    assert ask(lb, {"expr": "web-01"}) == {"peels": ["web-01"]}
    b.stop_serving_targets()
    assert b._live._feeds["facts"]._wanted == {}


def test_it_can_be_withdrawn_while_more_requests_wait_than_it_can_answer(lb, served):
    """Hostile requests must not hold up the end of an agent."""
    service = served._live._service
    entered, go_on = threading.Event(), threading.Event()

    answered = []

    def hang(data):
        answered.append(data)
        entered.set()
        go_on.wait(10)
        return {"peels": []}

    service.answer = hang
    for _ in range(answering.WAITING + 50):
        lb._link.send(SUBJECT, encode({"expr": "x"}))
        service._receive(b"", b"_INBOX.x", None, encode({"expr": "x"}))
    assert entered.wait(5)
    thread = service._thread
    stopping = threading.Thread(target=served.stop_serving_targets)
    stopping.start()
    until(lambda: service._thread is None, what="being told")
    go_on.set()
    stopping.join(5)
    assert not stopping.is_alive()
    assert not thread.is_alive()
    assert len(answered) == 1, "what still waited is not answered one by one"


def test_it_survives_the_servers_restart(server):
    with basket.connect(server.url, peel_id="resolver-01") as b, basket.connect(server.url, peel_id="lb-01") as lb:
        raw(lb, "web-01", encode({"role": "web"}), "facts")
        b.serve_targets()
        assert ask(lb, {"expr": "role:web"}) == {"peels": ["web-01"]}
        server.kill()
        until(lambda: b.state == lb.state == "suspended", what="noticing")
        server.start()
        raw(lb, "web-02", encode({"role": "web"}), "facts")

        def both():
            reply = lb._link.request(SUBJECT, encode({"expr": "role:web"}), deadline=time.monotonic() + 2)
            return reply.data and decode(reply.data) == {"peels": ["web-01", "web-02"]}

        until(both, 3, "the service after the restart")


def test_while_its_facts_may_be_old_it_says_so(lb, served):
    served._live._feeds["facts"]._current = False
    answer = ask(lb, {"expr": "web-01"})
    assert (answer["peels"], bool(answer["err"])) == ([], True)


def test_a_server_that_does_not_let_us_serve_is_an_error_at_once(tmp_path):
    config = """
    accounts: { A: { jetstream: enabled, users: [
      { user: some, password: p, permissions: { subscribe: { deny: ["zester.>"] } } } ] } }
    jetstream {}
    """
    who = {"peel_id": "a", "user": "some", "password": "p", "timeout": 10}
    with EmbeddedServer(str(tmp_path), config=config) as server, basket.connect(server.url, **who) as b:
        started = time.monotonic()
        with pytest.raises(basket.PermissionDeniedError):
            b.serve_targets()
        assert time.monotonic() - started < 2
        assert "basket-resolver" not in our_threads()
        until(lambda: b._link._standing == [], what="the end of the wish")


def test_a_refusal_that_was_taken_back_is_forgotten(tmp_path):
    """The operator adds the grant and has the server read it anew, which keeps the connection."""

    accounts = """
    accounts: { A: { jetstream: enabled, users: [ { user: some, password: p, permissions: { subscribe: { %s } } } ] } }
    jetstream %s
    """
    who = {"peel_id": "a", "user": "some", "password": "p", "timeout": 10}
    refusing = accounts % ('deny: ["zester.>"]', "{}")
    with EmbeddedServer(str(tmp_path), config=refusing) as server, basket.connect(server.url, **who) as b:
        with pytest.raises(basket.PermissionDeniedError):
            b.serve_targets()
        # The name came with the command line, which a reload does not look at.
        allowing = f"server_name: {server.name}\n" + accounts % ('allow: [">"]', f'{{ store_dir: "{tmp_path}" }}')
        (tmp_path / "server.conf").write_text(allowing)
        os.kill(server.process.pid, signal.SIGHUP)

        def served():
            try:
                b.serve_targets()
                return True
            except basket.PermissionDeniedError:
                return False

        until(served, what="the server to let us")
        assert b.connections == 1, "otherwise this shows nothing"
        assert ask(b, {"expr": "a"}) == {"peels": []}


# -- the caller ------------------------------------------------------------------------------------------------------------------


def test_with_a_service_the_caller_fetches_no_facts(lb, served, fetched):
    assert [e.value for e in lb.get("role:web", "n.ip")] == ["ip of web-01", "ip of web-02"]
    assert lb.peels("G@cores:8") == ["db-01"]
    assert fetched == []


def test_without_one_the_caller_fetches_them_at_once(lb, fetched):
    started = time.monotonic()
    assert [e.value for e in lb.get("role:web", "n.ip")] == ["ip of web-01", "ip of web-02"]
    assert time.monotonic() - started < 0.4
    assert fetched == [3]


def test_a_service_that_hangs_costs_half_a_second_once(lb, peels, fetched):
    service = Service(peels("other-01"), None)
    started = time.monotonic()
    assert lb.peels("role:db") == ["db-01"]
    assert 0.4 < time.monotonic() - started < 1.5
    started = time.monotonic()
    for _ in range(5):
        assert lb.peels("role:db") == ["db-01"]
    assert time.monotonic() - started < 0.4
    assert len(service.asked) == 1
    lb._selector._resolver._avoid_until = float("-inf")
    lb.peels("role:db")
    assert len(service.asked) == 2, "later it is tried again"


def test_a_deadline_holds_even_where_the_service_hangs(lb, peels):
    Service(peels("other-01"), None)
    started = time.monotonic()
    try:
        lb.peels("role:db", timeout=0.2)
    except basket.BasketTimeoutError:
        pass
    assert time.monotonic() - started < 0.45


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xc1 junk",
        encode("web-01"),
        encode([]),
        encode({"err": "no"}),
        encode({"peels": ["db-01"], "err": "not sure"}),
        encode({"peels": "web-01"}),
        encode({"peels": {"web-01": 1}}),
        encode({"peels": 7}),
    ],
)
def test_an_answer_that_is_none_is_passed_over(lb, peels, fetched, answer):
    Service(peels("other-01"), answer)
    started = time.monotonic()
    assert lb.peels("role:web") == ["web-01", "web-02"]
    assert time.monotonic() - started < 0.4
    assert fetched == [3]


@pytest.mark.parametrize("batches", [True, False])
def test_ids_that_are_none_never_become_part_of_a_request(lb, peels, batches, monkeypatch):
    """A service may lie about who matches, but it cannot make us send what it likes."""
    if not batches:
        monkeypatch.setattr(lb._link, "server_version", (2, 10, 0))
    lies = ["*", ">", "web-01", "a b", "x\r\nPUB $KV.basket.web-01.n.ip 0", "", "web-02.n", 7, None, ["web-02"], "a" * 99]
    Service(peels("other-01"), encode({"peels": lies}))
    assert [e.value for e in lb.get("role:web", "n.ip")] == ["ip of web-01"]
    assert lb.peels("role:web") == ["web-01"]
    assert lb.value("web-01", "n.ip") == "ip of web-01"


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("role:web", {"expr": "G@role:web", "type": "compound"}),
        ("web* and G@cores:>4", {"expr": "web* and G@cores:>4", "type": "compound"}),
        ("N@front", {"expr": "G@role:web", "type": "compound"}),
        ("P@role:^w", None),
        ("role:web and P@role:^w", None),
        ("not role:web", None),
        ("L@web-01 and role:web", None),
        (r"E@^(?=web) and role:web", None),
        ('G@role:"!web"', None),
    ],
)
def test_only_what_every_implementation_understands_is_sent(lb, peels, target, sent):
    """A server that does not know a form would answer with an empty list, and we would believe it."""
    spy = Service(peels("other-01"), encode({"peels": []}))
    lb.rescope("", {"front": "role:web"})
    lb.peels(target)
    assert spy.asked == ([] if sent is None else [sent])


def test_the_scope_is_part_of_what_is_asked(lb, peels):
    spy = Service(peels("other-01"), encode({"peels": ["web-01"]}))
    lb.rescope("G@os.name:linux", {})
    assert lb.peels("web* or db*") == ["web-01"]
    assert spy.asked == [{"expr": "(web* or db*) and G@os.name:linux", "type": "compound"}]

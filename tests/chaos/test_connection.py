"""Servers killed, frozen and lost on purpose: calls wait, heal or say what is unknown, always by their deadline."""

from __future__ import annotations

import signal
import socket
import struct
import threading
import time

import pytest

import basket
from basket.bus import connection

pytestmark = pytest.mark.chaos

LATE = 0.5
"""Seconds by which a call may be later than its deadline."""


def _took(begun):
    return time.monotonic() - begun


class Proxy:
    """Between client and server, to cut the connection at a chosen moment: ``cut_at(bytes)`` is asked for what the client
    sends, and the connection ends **before** that reaches the server, or right **after** it did."""

    def __init__(self, server):
        self.target = ("127.0.0.1", server.port)
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self.sock.getsockname()[1]}"
        self.cut_before = self.cut_after = lambda data: False
        self.made = 0
        self.reached = lambda: None  # called with what was cut behind: returns once the server has dealt with it
        self.reset = False
        self.deaf = set()
        self.open = True
        self.pairs = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while self.open:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self.made += 1
            self.pairs.append((client, server))
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source, to, upwards):
        try:
            while True:
                data = source.recv(65536)
                if not data or (upwards and self.cut_before(data)):
                    break
                if not upwards and source in self.deaf:
                    continue
                if upwards and self.cut_after(data):
                    self.deaf.add(to)  # whatever the server answers stays unheard
                    to.sendall(data)
                    self.reached()
                    break
                to.sendall(data)
        except OSError:
            pass
        for sock in (source, to):
            try:
                if self.reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD if self.reset else socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def cut(self):
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for sock in pair:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.open = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # a close alone would let the thread in accept() take one more
        except OSError:
            pass
        self.sock.close()
        self.cut()


@pytest.fixture
def proxy():
    """Makes a Proxy in front of a server."""
    made = []

    def make(server):
        made.append(Proxy(server))
        return made[-1]

    yield make
    for one in made:
        one.close()


# -- killed -----------------------------------------------------------------------------------------------------------


def test_calls_wait_for_a_server_that_comes_back(server, basket_for):
    b = basket_for(server)
    b.publish("x", 1)
    b.publish_facts({"role": "web"})
    server.kill()
    answers = {}

    def call(name, work):
        try:
            answers[name] = work()
        except BaseException as error:
            answers[name] = error

    calls = {
        "value": lambda: b.value("web-01", "x", timeout=15),
        "publish": lambda: b.publish("y", 2, timeout=15) > 0,
        "publish_many": lambda: sorted(b.publish_many({"z": 3, "w": 4}, timeout=15)),
        "get": lambda: [e.value for e in b.get("role:web", "x", timeout=15)],
        "peels": lambda: b.peels(timeout=15),
    }
    threads = [threading.Thread(target=call, args=item) for item in calls.items()]
    for thread in threads:
        thread.start()
    server.start()
    for thread in threads:
        thread.join(20)
    assert answers == {"value": 1, "publish": True, "publish_many": ["w", "z"], "get": [1], "peels": ["web-01"]}
    assert b.connections == 2
    assert len(b._link.pending) == 0


def test_without_a_server_calls_are_unreachable_at_their_deadline(server, basket_for, until):
    b = basket_for(server)
    b.publish("x", 1)
    server.kill()
    until(lambda: b.state == "suspended")
    for call in (
        lambda: b.value("web-01", "x", timeout=0.3),
        lambda: b.value("web-01", "x", default=5, timeout=0.3),
        lambda: b.publish("x", 2, timeout=0.3),
        lambda: b.publish_many({"x": 2}, timeout=0.3),
        lambda: b.get("*", "x", timeout=0.3),
        lambda: b.peels(timeout=0.3),
    ):
        begun = time.monotonic()
        with pytest.raises(basket.UnreachableError, match="connection"):
            call()
        assert 0.25 < _took(begun) < 0.3 + LATE
    server.start()
    assert b.value("web-01", "x") == 1  # what was refused was not stored
    assert b.functions("web-01") == ["x"]


def test_many_restarts_leave_one_connection(server_with, basket_for, connections, until):
    server = server_with('http: "127.0.0.1:-1"')
    b = basket_for(server)
    for round_ in range(4):
        server.kill()
        server.start()
        b.publish("x", round_, timeout=10)
        assert b.value("web-01", "x") == round_
        until(lambda: connections(server) == 1)
    assert b.connections == 5
    assert [t.name for t in threading.enumerate() if t.name.startswith("basket")] == ["basket-loop"]


def test_sixteen_threads_over_restarts_lose_nothing_silently(server, basket_for):
    b = basket_for(server, timeout=10)
    b.publish("start", 0)
    stop, errors, last = threading.Event(), [], {}

    def work(number):
        try:
            count = 0
            while not stop.is_set():
                count += 1
                try:
                    b.publish(f"f{number}", count)
                except basket.OutcomeUnknownError:
                    b.publish(f"f{number}", count)
                last[number] = count
                assert b.value("web-01", f"f{number}") == count
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = dict(last)
        deadline = time.monotonic() + 10
        while not all(last.get(number, 0) > before.get(number, 0) for number in range(16)):
            assert time.monotonic() < deadline and not errors, errors
        server.kill()
        server.start()
    stop.set()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert {number: b.value("web-01", f"f{number}") for number in last} == last
    assert len(b._link.pending) == 0
    assert b.connections == 4


def test_no_noise_on_stderr_when_a_series_of_writes_is_cut(server, basket_for, caplog, capfd):
    b = basket_for(server)
    b.publish("x", 1)
    values = {f"f{n}": "y" * 500 for n in range(3000)}
    for _ in range(2):
        ended = []

        def write(ended=ended):
            try:
                ended.append(b.publish_many(values, timeout=10))
            except basket.BasketError as error:
                ended.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        while not b._link.pending and not ended:
            pass
        server.kill()
        server.start()
        writer.join(20)
        assert isinstance(ended[0], dict), ended
    assert len(b.functions("web-01")) == 3001
    assert [record for record in caplog.records if record.name.startswith(("asyncio", "nats"))] == []
    assert "Traceback" not in capfd.readouterr().err


# -- cut in the middle ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
@pytest.mark.parametrize("point", [b"CONNECT", b"SUB "])
def test_a_connection_cut_while_it_is_being_made_is_told_at_once(server, proxy, point, reset):
    way = proxy(server)
    way.reset = reset
    way.cut_before = lambda data: point in data
    begun = time.monotonic()
    with pytest.raises(basket.UnreachableError):
        basket.connect(way.url, peel_id="a", timeout=8)
    assert _took(begun) < 3


def test_a_read_cut_in_the_middle_is_asked_again(server, basket_for, proxy):
    way = proxy(server)
    b = basket_for(way.url)
    b.publish("x", 1)
    cuts = []

    def once(data):
        if b"JS.API.DIRECT.GET" in data and not cuts:
            cuts.append(data)
            return True
        return False

    way.cut_before = once
    assert b.value("web-01", "x") == 1
    assert cuts
    assert b.connections == 2


def test_a_read_through_a_consumer_cut_in_the_middle_is_begun_anew(server, basket_for, proxy):
    way = proxy(server)
    b = basket_for(way.url)
    b.publish_many({f"f{n}": n for n in range(20)})
    b.publish_facts({})
    b._link.server_version = (2, 10, 26)
    cuts = []

    def once(data):
        if b"CONSUMER.CREATE" in data and not cuts:
            cuts.append(data)
            return True
        return False

    for where in ("cut_before", "cut_after"):
        del cuts[:]
        setattr(way, where, once)
        begun = time.monotonic()
        assert b.peels(timeout=10) == ["web-01"]
        assert cuts
        assert _took(begun) < 5


def test_a_write_cut_behind_the_server_is_written_again(server, basket_for, proxy, until):
    way = proxy(server)
    b, other = basket_for(way.url), basket_for(server, "other")
    b.publish("x", 1)
    cuts = []

    def once(data):
        if b"KV.basket.web-01.x" in data and not cuts:
            cuts.append(data)
            return True
        return False

    way.cut_after = once
    way.reached = lambda: until(lambda: other.value("web-01", "x") == 2)
    revision = b.publish("x", 2)
    assert cuts
    (entry,) = other.get("web-01", "x")
    assert (entry.value, entry.revision) == (2, revision)


@pytest.mark.parametrize("write", ["one", "many"])
def test_a_write_cut_without_a_server_to_ask_again_is_unknown(server, basket_for, proxy, until, write):
    way = proxy(server)
    b = basket_for(way.url)
    b.publish("x", 1)

    def publish(timeout):
        return b.publish("x", 2, timeout=timeout) if write == "one" else b.publish_many({"x": 2, "y": 3}, timeout=timeout)

    def cut(data):
        if b"KV.basket.web-01" in data:
            way.close()
            return True
        return False

    way.cut_before = cut
    begun = time.monotonic()
    with pytest.raises(basket.OutcomeUnknownError, match="may or may not be stored"):
        publish(0.5)
    assert 0.4 < _took(begun) < 0.5 + LATE
    # While it is known to be down nothing is sent, and that is known too.
    until(lambda: b.state == "suspended")
    with pytest.raises(basket.UnreachableError):
        publish(0.3)


def test_connections_cut_again_and_again(server, basket_for, proxy):
    way = proxy(server)
    b = basket_for(way.url)
    b.publish_many({f"f{n}": n for n in range(30)})
    stop = threading.Event()

    def cut():
        while not stop.wait(0.1):
            if b.state == "connected":
                way.cut()

    cutting = threading.Thread(target=cut)
    cutting.start()
    try:
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert b.value("web-01", "f3", timeout=10) == 3
            assert len(b.functions("web-01", timeout=10)) == 30
            try:
                b.publish("f4", 4, timeout=10)
            except basket.OutcomeUnknownError:
                pass
    finally:
        stop.set()
        cutting.join(5)
    assert b.connections > 5
    assert b.value("web-01", "f4") == 4
    assert len(b._link.pending) == 0
    assert b._link._losses == {}


# -- frozen -----------------------------------------------------------------------------------------------------------


def test_a_frozen_server_is_a_timeout_for_reads_and_unknown_for_writes(server, basket_for, frozen, until):
    b = basket_for(server)
    b.publish("x", 1)
    b.peels()
    frozen(server)
    for call, kind in (
        (lambda: b.value("web-01", "x", timeout=0.4), basket.BasketTimeoutError),
        (lambda: b.get("*", "x", timeout=0.4), basket.BasketTimeoutError),
        (lambda: b.publish("x", 2, timeout=0.4), basket.OutcomeUnknownError),
        (lambda: b.publish_many({"y": 2, "z": 3}, timeout=0.4), basket.OutcomeUnknownError),
    ):
        begun = time.monotonic()
        with pytest.raises(kind):
            call()
        assert 0.35 < _took(begun) < 0.4 + LATE
    frozen.thaw()
    assert b.publish("x", 3) > 0
    assert b.value("web-01", "x") == 3
    assert b.functions("web-01") in (["x"], ["x", "y", "z"])
    until(lambda: len(b._link.pending) == 0)


def test_a_server_frozen_for_longer_is_replaced_and_found_again(server_with, basket_for, frozen, until, connections, monkeypatch):
    monkeypatch.setattr(connection, "PROBE_TIMEOUT", 0.3)
    server = server_with('http: "127.0.0.1:-1"')
    b = basket_for(server)
    b.publish("x", 1)
    frozen(server)
    with pytest.raises(basket.BasketTimeoutError):
        b.value("web-01", "x", timeout=0.2)
    until(lambda: b.state == "suspended")
    begun = time.monotonic()
    with pytest.raises(basket.UnreachableError):
        b.publish("x", 2, timeout=0.3)  # not sent, and known not to be
    assert _took(begun) < 0.3 + LATE
    frozen.thaw()
    assert b.value("web-01", "x", timeout=10) == 1
    until(lambda: connections(server) == 1)
    assert b.connections == 2


def test_another_server_takes_over_from_a_frozen_one(server_with, basket_for, frozen, monkeypatch):
    monkeypatch.setattr(connection, "PROBE_TIMEOUT", 0.3)
    one, two = server_with("max_payload: 2000"), server_with("max_payload: 4000")
    b = basket_for([one.url, two.url])
    b.publish("x", 1)
    two_only = basket_for(two)
    two_only.publish("x", 2)
    frozen(one)
    with pytest.raises(basket.BasketTimeoutError):
        b.value("web-01", "x", timeout=0.2)
    assert b.value("web-01", "x", timeout=10) == 2
    b.publish("y", "y" * 3000)  # what the second one takes


def test_close_of_a_frozen_connection_is_bounded(server, frozen):
    b = basket.connect(server.url, peel_id="a")
    b.publish("x", 1)
    frozen(server)
    for _ in range(3):
        with pytest.raises(basket.OutcomeUnknownError):
            b.publish("x", b"y" * 900_000, timeout=0.1)  # more than the socket takes: something is left to be written
    begun = time.monotonic()
    b.close()
    assert _took(begun) < 3
    assert [t.name for t in threading.enumerate() if t.name.startswith("basket")] == []


# -- credentials ------------------------------------------------------------------------------------------------------


def test_credentials_that_end_are_told_at_once_and_come_back(server_with, basket_for, until):
    config = "authorization { users = [{user: bob, password: %s}] }"
    server = server_with(config % "one")
    b = basket_for(server, user="bob", password="one")
    b.publish("x", 1)
    server.kill()
    server.config = config % "two"
    server.start()
    begun = time.monotonic()
    with pytest.raises(basket.AuthError):
        b.value("web-01", "x", timeout=10)
    assert _took(begun) < 3
    with pytest.raises(basket.AuthError):
        b.publish("x", 1)
    server.kill()
    server.config = config % "one"
    server.start()
    until(lambda: b.state == "connected", timeout=35)
    assert b.value("web-01", "x") == 1


def test_permissions_that_change_under_a_connection_are_told(server_with, basket_for, until):
    config = "authorization { users = [{user: w, password: w}, {user: p, password: p%s}] }"
    server = server_with(config % "")
    b = basket_for(server, user="p", password="p")
    b.publish("x", 1)
    denied = config % ', permissions: {publish: {deny: "$KV.>"}}'
    (server.store / "server.conf").write_text(
        f'server_name: "{server.name}"\njetstream {{ store_dir: "{server.store}" }}\n{denied}'
    )
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "Reloaded server configuration" in server.log.read_text())
    begun = time.monotonic()
    with pytest.raises(basket.PermissionDeniedError, match=r"KV\.basket\.web-01\.x"):
        b.publish("x", 2)
    assert _took(begun) < 2
    assert b.value("web-01", "x") == 1


# -- the store --------------------------------------------------------------------------------------------------------


def test_a_wiped_store_is_an_error_for_readers_until_somebody_writes(server, basket_for):
    import shutil

    b = basket_for(server)
    b.publish("x", 1)
    assert b.value("web-01", "x") == 1
    server.kill()
    shutil.rmtree(server.store / "jetstream")
    server.start()
    with pytest.raises(basket.BucketMissingError):
        b.get("*", "x")
    b.publish("y", 2)
    assert b.functions("web-01") == ["y"]

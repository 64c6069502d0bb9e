"""The connection: refused in words, bounded in time, closed from anywhere, and never in the way of threads, forks and exits."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import basket
from basket.bus import bulk

ROOT = Path(__file__).parents[2]


def _took(begun):
    return time.monotonic() - begun


def _threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith(("basket", "asyncio"))]


@pytest.fixture
def listener():
    """Something that listens on a free port and is no NATS server; ``answer`` is what it says to each that comes."""
    opened = []

    def listen(answer=b"", close=True):
        sock = socket.create_server(("127.0.0.1", 0))
        opened.append(sock)

        def serve():
            while True:
                try:
                    connection, _ = sock.accept()
                except OSError:
                    return
                opened.append(connection)
                listen.came = True
                if answer:
                    connection.sendall(answer)
                if close:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return f"nats://127.0.0.1:{sock.getsockname()[1]}"

    listen.came = False
    yield listen
    for sock in opened:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        sock.close()


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


# -- connecting -------------------------------------------------------------------------------------------------------


def test_nobody_listens(free_port):
    begun = time.monotonic()
    with pytest.raises(ConnectionError, match="connection refused") as caught:
        basket.connect(f"nats://127.0.0.1:{free_port}", peel_id="a", timeout=5)
    assert isinstance(caught.value, basket.UnreachableError)
    assert _took(begun) < 1.5
    assert _threads() == []


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b""])
def test_what_listens_is_no_nats_server(listener, answer):
    begun = time.monotonic()
    with pytest.raises(basket.UnreachableError, match="not a NATS server"):
        basket.connect(listener(answer), peel_id="a", timeout=5)
    assert _took(begun) < 2
    assert _threads() == []


@pytest.mark.parametrize("answer", [b"", b'INFO {"server_id":"x","version":"2.11.0","max_payload":100}\r\n'])
def test_what_accepts_and_never_answers_is_given_up_in_time(listener, answer):
    begun = time.monotonic()
    with pytest.raises(basket.UnreachableError, match="no answer in time"):
        basket.connect(listener(answer, close=False), peel_id="a", timeout=0.6)
    assert _took(begun) < 1.1
    assert _threads() == []


def test_no_such_host():
    begun = time.monotonic()
    with pytest.raises(basket.UnreachableError, match=r"no-such-host\.invalid"):
        basket.connect("nats://no-such-host.invalid:4222", peel_id="a", timeout=5)
    assert _took(begun) < 5.5


@pytest.mark.parametrize("url", ["http://h", "nats://h:port", "", ["nats://127.0.0.1:1", "x://y"], "nats://"])
def test_an_address_that_is_none(url):
    with pytest.raises(basket.BasketError) as caught:
        basket.connect(url, peel_id="a")
    if url != "":
        assert isinstance(caught.value, basket.ConfigError)


SECURED = "authorization { users = [{user: bob, password: s3cret}] }"


@pytest.mark.parametrize(
    "options",
    [{}, {"user": "bob", "password": "hunter22"}, {"token": "hunter22"}],
    ids=["nothing", "wrong password", "a token instead"],
)
def test_wrong_credentials_are_told_at_once(server_with, options):
    server = server_with(SECURED)
    begun = time.monotonic()
    with pytest.raises(basket.AuthError, match="refused these credentials") as caught:
        basket.connect(server.url, peel_id="a", timeout=10, **options)
    assert _took(begun) < 2
    assert "hunter22" not in str(caught.value)
    assert not isinstance(caught.value, ConnectionError)
    assert _threads() == []


def test_credentials_come_as_arguments_or_in_the_address(server_with, basket_for):
    server = server_with('authorization { users = [{user: bob, password: "p@ss/w:rd"}] }')
    assert basket_for(server, user="bob", password="p@ss/w:rd").publish("x", 1) > 0
    assert basket_for(server.url.replace("//", "//bob:p%40ss%2Fw%3Ard@")).value("web-01", "x") == 1


def test_a_token_comes_as_an_argument_or_in_the_address(server_with, basket_for):
    server = server_with("authorization { token: t0k3n }")
    assert basket_for(server, token="t0k3n").publish("x", 1) > 0
    assert basket_for(server.url.replace("//", "//t0k3n@")).value("web-01", "x") == 1


def test_secrets_never_stand_in_messages_or_reprs(server_with, free_port, caplog, basket_for):
    caplog.set_level("DEBUG")
    server = server_with(SECURED)
    b = basket_for(server.url.replace("//", "//bob:s3cret@"))
    said = [repr(b), repr(b._link), repr(b._link.settings), repr(vars(b)), str(b._link.last_error)]
    for url in (
        server.url.replace("//", "//bob:hunter22@"),
        f"nats://bob:hunter22@127.0.0.1:{free_port}",
        "http://bob:hunter22@h",
        "nats://bob:hunter22@h:port",
        "bob:hunter22@127.0.0.1:1",
    ):
        with pytest.raises(basket.BasketError) as caught:
            basket.connect(url, peel_id="a", timeout=2)
        said += [str(caught.value), repr(caught.value), str(caught.value.__cause__)]
    said.append(caplog.text)
    for text in said:
        assert "hunter22" not in text
        assert "s3cret" not in text


def test_one_of_several_servers_is_enough(shared_server, free_port, basket_for, listener):
    begun = time.monotonic()
    b = basket_for([f"nats://127.0.0.1:{free_port}", shared_server.url])
    assert _took(begun) < 2
    assert b.state == "connected"
    assert basket_for(f"nats://127.0.0.1:{free_port}, {shared_server.url}").state == "connected"
    begun = time.monotonic()
    assert basket_for([listener(close=False), shared_server.url], timeout=2).state == "connected"
    assert _took(begun) < 2.5


def test_of_several_failures_a_refusal_is_told(server_with, free_port):
    server = server_with(SECURED)
    with pytest.raises(basket.AuthError):
        basket.connect([f"nats://127.0.0.1:{free_port}", server.url], peel_id="a", timeout=5)


@pytest.mark.parametrize("option", ["credentials", "nkey_seed", "tls_ca"])
def test_missing_files_of_credentials_are_named(server_with, tmp_path, option):
    if option != "tls_ca":
        pytest.importorskip("nkeys")
    key = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
    server = server_with(f"authorization {{ users = [{{nkey: {key}}}] }}")
    with pytest.raises(basket.ConfigError, match="no-such-file"):
        basket.connect(server.url, peel_id="a", **{option: str(tmp_path / "no-such-file")})
    assert _threads() == []


def test_tls_asked_of_a_server_without_it(shared_server):
    with pytest.raises(basket.UnreachableError, match="TLS"):
        basket.connect(shared_server.url.replace("nats:", "tls:"), peel_id="a", timeout=3)


def test_a_name_resolved_by_the_system_leaves_no_thread_behind(shared_server, until):
    with basket.connect(f"nats://localhost:{shared_server.port}", peel_id="a") as b:
        assert b.publish("x", 1) > 0
    until(lambda: _threads() == [])


# -- the private inbox ------------------------------------------------------------------------------------------------


def test_replies_come_to_an_inbox_of_the_peels_own(server_with, basket_for):
    server = server_with(
        'authorization { users = [{user: p, password: p, permissions: {publish: ">", subscribe: "_INBOX_web-01.>"}}] }'
    )
    b = basket_for(server, "web-01", user="p", password="p")
    b.publish("x", 1)
    b.publish_facts({"a": 1})
    assert [e.value for e in b.get("*", "x")] == [1]
    assert b.peels() == ["web-01"]


def test_credentials_that_know_only_the_shared_inbox_work_too(server_with, basket_for):
    server = server_with('authorization { users = [{user: p, password: p, permissions: {publish: ">", subscribe: "_INBOX.>"}}] }')
    b = basket_for(server, "web-01", user="p", password="p")
    b.publish("x", 1)
    assert [e.value for e in b.get("*", "x")] == [1]
    assert b.peels() == ["web-01"]


def test_no_inbox_at_all_is_told_at_once(server_with):
    server = server_with('authorization { users = [{user: p, password: p, permissions: {publish: ">", subscribe: "other.>"}}] }')
    begun = time.monotonic()
    with pytest.raises(basket.PermissionDeniedError, match="_INBOX"):
        basket.connect(server.url, peel_id="web-01", user="p", password="p", timeout=10)
    assert _took(begun) < 2
    assert _threads() == []


# -- closing ----------------------------------------------------------------------------------------------------------


def test_nothing_is_left_after_close(server_with, connections, until):
    server = server_with('http: "127.0.0.1:-1"')
    one, two = basket.connect(server.url, peel_id="a"), basket.connect(server.url, peel_id="b")
    assert connections(server) == 2
    assert [thread.name for thread in _threads()] == ["basket-loop"]
    one.publish("x", 1)
    one.close()
    until(lambda: connections(server) == 1)
    assert two.value("a", "x") == 1  # the other one lives on, on the same thread
    two.close()
    assert _threads() == []
    until(lambda: connections(server) == 0)


def test_close_ends_calls_that_wait(server, frozen):
    b = basket.connect(server.url, peel_id="a")
    b.publish_many({f"f{n}": 1 for n in range(100)})
    b.publish_facts({})
    frozen(server)
    raised = {}

    def call(name, work):
        try:
            work()
            raised[name] = None
        except BaseException as error:
            raised[name] = error

    calls = {
        "value": lambda: b.value("a", "f1", timeout=30),
        "publish": lambda: b.publish("x", 1, timeout=30),
        "publish_many": lambda: b.publish_many({"x": 1, "y": 2}, timeout=30),
        "get": lambda: b.get("*", "f1", timeout=30),
        "peels": lambda: b.peels(timeout=30),
    }
    threads = [threading.Thread(target=call, args=item) for item in calls.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while len(b._link.pending) < len(calls):
        assert time.monotonic() < deadline
    begun = time.monotonic()
    b.close()
    for thread in threads:
        thread.join(10)
    assert _took(begun) < 3
    assert {name: type(error) for name, error in raised.items()} == dict.fromkeys(calls, basket.ClosedError)
    assert _threads() == []


def test_close_ends_a_read_through_a_consumer(server, monkeypatch):
    """Values are on their way when the Basket is closed: the reader must not wait for those that never come."""
    b = basket.connect(server.url, peel_id="a")
    b.publish_many({f"f{n}": "x" * 1000 for n in range(50)})
    b._link.server_version = (2, 10, 26)
    b.get("*", "f1")
    raised = []
    created = threading.Event()
    request = b._link.request

    def stopped_behind(subject, *arguments, **options):
        reply = request(subject, *arguments, **options)
        if "CONSUMER.CREATE" in subject:
            created.set()
            gone.wait(10)
        return reply

    gone = threading.Event()
    b._link.request = stopped_behind
    monkeypatch.setattr(bulk, "delivery", lambda reply: None)  # deaf to every value

    def read():
        try:
            b.get("*", "f1", timeout=30)
        except BaseException as error:
            raised.append(error)

    reading = threading.Thread(target=read)
    reading.start()
    assert created.wait(10)
    gone.set()
    begun = time.monotonic()
    b.close()
    reading.join(10)
    assert _took(begun) < 3
    assert [type(error) for error in raised] == [basket.ClosedError]


def test_close_by_many_at_once(shared_server):
    b = basket.connect(shared_server.url, peel_id="a")
    threads = [threading.Thread(target=b.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert b.closed
    assert _threads() == []


def test_close_during_calls_of_many_threads(shared_server, unique):
    for _ in range(5):
        b = basket.connect(shared_server.url, peel_id=unique)
        unexpected = []

        def work(b=b, unexpected=unexpected):
            try:
                while True:
                    b.publish("x", 1)
                    b.get("*", unique)
                    b.peels(unique)
                    b.publish_many({"a": 1, "b": 2})
            except basket.ClosedError:
                pass
            except BaseException as error:
                unexpected.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        b.publish("y", 1)
        begun = time.monotonic()
        b.close()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert _took(begun) < 3
        assert unexpected == []


def test_closed_on_the_loops_own_thread(server_with, connections, until):
    server = server_with('http: "127.0.0.1:-1"')
    b = basket.connect(server.url, peel_id="a")
    b._link.call(b.close)
    until(lambda: b.closed)
    until(lambda: _threads() == [])
    until(lambda: connections(server) == 0)


def test_a_blocking_call_on_the_loops_own_thread_raises(shared_server, basket_for):
    b = basket_for(shared_server)
    raised = []
    done = threading.Event()

    def on_the_loop():
        for call in (
            lambda: b.publish("x", 1),
            lambda: b.get("*", "x"),
            b.peels,
            lambda: basket.connect(shared_server.url, peel_id="a"),
        ):
            try:
                call()
            except BaseException as error:
                raised.append(error)
        done.set()

    b._link.call(on_the_loop)
    assert done.wait(10)
    assert [type(error) for error in raised] == [basket.WrongThreadError] * 4
    assert b.publish("x", 1) > 0


# -- other processes --------------------------------------------------------------------------------------------------


def _script(code, server, *, wait=True, **options):
    process = subprocess.Popen(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(code), server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=str(ROOT),
        **options,
    )
    if not wait:
        return process
    begun = time.monotonic()
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err, _took(begun)


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "import threading; threading.Thread(target=b.publish, args=('y', 2)).start()",
        "b.peels(); del b",
        "import threading\n"
        "threading.Thread(target=lambda: [b.get('*', 'x') for _ in iter(int, 1)], daemon=True).start()\n"
        "b.publish('y', 1)",
        "b2 = basket.connect(sys.argv[1], peel_id='b'); b2.publish('x', 1); b.close()",
        "b.close()",
    ],
    ids=["as it is", "thread", "del", "daemon thread calling", "two", "closed"],
)
def test_an_exit_without_close_is_quiet_and_quick(shared_server, rest):
    code = "import sys, basket\nb = basket.connect(sys.argv[1], peel_id='exit-01')\nb.publish('x', 1)\n" + rest
    returncode, _, err, took = _script(code, shared_server)
    assert (returncode, err) == (0, "")
    assert took < 6


def test_a_close_after_the_loop_ended_is_quiet(shared_server):
    """Functions registered for the exit before ours run after it."""
    code = """
        import atexit, sys
        atexit.register(lambda: b.close())
        import basket
        b = basket.connect(sys.argv[1], peel_id='exit-02')
        b.publish('x', 1)
    """
    returncode, _, err, _ = _script(code, shared_server)
    assert (returncode, err) == (0, "")


def test_an_exception_ends_a_script_with_its_own_traceback_only(shared_server):
    returncode, _, err, _ = _script(
        "import sys, basket\nb = basket.connect(sys.argv[1], peel_id='a')\nraise SystemExit(3)", shared_server
    )
    assert (returncode, err) == (3, "")


INTERRUPTS_ITSELF = """
    import os, signal, sys, threading, time, basket
    b = basket.connect(sys.argv[1], peel_id='a', timeout=60)
    b.publish('x', 1)
    b.peels()
    print('ready', flush=True)
    sys.stdin.readline()
    def interrupt():
        while not b._link.pending:
            pass
        begun.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    begun = []
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        CALL
    except KeyboardInterrupt:
        print('interrupted', time.monotonic() - begun[0] < 5, len(b._link.pending), flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize(
    "call",
    ["b.value('a', 'x')", "b.publish('x', 1)", "b.get('*', 'x')", "b.publish_many({'x': 1})", "b.peels()"],
)
def test_ctrl_c_ends_a_waiting_call_at_once(server, frozen, call):
    process = _script(INTERRUPTS_ITSELF.replace("CALL", call), server, wait=False, stdin=subprocess.PIPE)
    try:
        assert process.stdout.readline() == "ready\n"
        frozen(server)
        assert process.communicate("go\n", timeout=20) == ("interrupted True 0\n", "")
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_ends_connecting_at_once(listener, until):
    class Address:
        url = listener(close=False)

    code = """
        import sys, threading, basket
        try:
            basket.connect(sys.argv[1], peel_id='a', timeout=60)
        except KeyboardInterrupt:
            print('interrupted', threading.enumerate() == [threading.main_thread()])
    """
    process = _script(code, Address, wait=False)
    try:
        until(lambda: listener.came)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("interrupted True\n", "")
        assert _took(begun) < 3
    finally:
        process.kill()
        process.communicate()


def _in_child(work):
    """Runs ``work`` in the child of a fork; what it returned as text, or "hangs"."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            try:
                said = str(work())
            except BaseException as error:
                said = repr(error)
            os.write(writing, said.encode()[:4000])
        finally:
            os._exit(0)
    os.close(writing)
    try:
        if not select.select([reading], [], [], 15)[0]:
            os.kill(pid, signal.SIGKILL)
            return "hangs"
        return os.read(reading, 4096).decode()
    finally:
        os.close(reading)
        os.waitpid(pid, 0)


def test_after_a_fork_parent_and_child_each_have_their_connection(server_with, connections, until):
    server = server_with('http: "127.0.0.1:-1"')
    with basket.connect(server.url, peel_id="a") as b:
        b.publish("x", 1)

        def child():
            found = b.value("a", "x"), b.publish("y", 2) > 0, b.connections, len(b.get("*", "x"))
            b.close()
            b.close()
            return found, b.closed

        assert _in_child(child) == "((1, True, 1, 1), True)"
        assert b.connections == 1
        assert b.value("a", "y") == 2
        until(lambda: connections(server) == 1)


def test_a_child_that_only_closes_or_does_nothing_leaves_the_parent_alone(server_with, connections):
    server = server_with('http: "127.0.0.1:-1"')
    with basket.connect(server.url, peel_id="a") as b:
        b.publish("x", 1)
        assert _in_child(lambda: (b.close(), b.closed)[1]) == "True"
        assert _in_child(lambda: None) == "None"
        assert "ClosedError" in _in_child(lambda: (b.close(), b.value("a", "x")))
        assert b.value("a", "x") == 1
        assert b.connections == 1
        assert connections(server) == 1


def test_a_closed_basket_stays_closed_in_a_child(shared_server):
    b = basket.connect(shared_server.url, peel_id="a")
    b.close()
    assert "ClosedError" in _in_child(lambda: b.value("a", "x"))


def test_forks_while_other_threads_call(shared_server, unique):
    with basket.connect(shared_server.url, peel_id=unique) as b:
        b.publish("x", 1)
        stop, errors = threading.Event(), []

        def work():
            try:
                while not stop.is_set():
                    b.publish("x", 1)
                    b.get(unique, "x")
                    b.peels(unique)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            answers = [
                _in_child(lambda: (b.value(unique, "x"), b.publish("y", 2) > 0, b.connections, b.close())) for _ in range(8)
            ]
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)
        assert answers == ["(1, True, 1, None)"] * 8
        assert errors == []
        assert b.connections == 1


def test_threads_of_a_child_share_its_one_connection(shared_server, unique):
    with basket.connect(shared_server.url, peel_id=unique) as b:
        b.publish("x", 1)

        def child():
            found = []

            def work():
                try:
                    start.wait(10)
                    found.append(b.value(unique, "x"))
                except BaseException as error:
                    found.append(error)

            start = threading.Barrier(8)
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            return found, b.connections

        for _ in range(5):
            assert _in_child(child) == "([1, 1, 1, 1, 1, 1, 1, 1], 1)"


def test_a_childs_first_call_reads_as_the_parent_does(shared_server, unique):
    """Before it is connected nothing is known of the server; that must not pass for one that can do little."""
    with basket.connect(shared_server.url, peel_id=unique) as b:
        b.publish("x", 1)
        b.get("*", "x")

        def child():
            buckets = b._basket.limited, b._basket.hidden
            batches = []
            asked = b._link.batch
            b._link.batch = lambda *args, **options: batches.append(1) or asked(*args, **options)
            return buckets, len(b.get("*", "x")) >= 1, len(batches)

        assert _in_child(child) == "((False, False), True, 1)"


def test_a_childs_child_and_a_new_connection_in_a_child(shared_server, unique):
    with basket.connect(shared_server.url, peel_id=unique) as b:
        b.publish("x", 1)

        def child():
            with basket.connect(shared_server.url, peel_id="other") as fresh:
                own = fresh.value(unique, "x")
            return own, _in_child(lambda: b.value(unique, "x")), b.value(unique, "x")

        assert _in_child(child) == "(1, '1', 1)"


def test_a_child_survives_that_the_server_is_down_at_its_first_call(server):
    with basket.connect(server.url, peel_id="a") as b:
        b.publish("x", 1)
        server.kill()

        def child():
            try:
                b.value("a", "x", timeout=0.3)
            except basket.UnreachableError:
                pass
            server.start()
            try:
                return b.value("a", "x", timeout=10)
            finally:
                server.kill()

        assert _in_child(child) == "1"
        server.start()
        assert b.value("a", "x", timeout=10) == 1


def test_a_pool_of_processes(shared_server, unique):
    code = """
        import multiprocessing, sys
        import basket
        b = basket.connect(sys.argv[1], peel_id='pool-01')
        b.publish('x', 5)
        def work(n):
            return b.value('pool-01', 'x') + n
        def fails(n):
            return b.value('pool-01', 'no.such')
        with multiprocessing.get_context('fork').Pool(3) as pool:
            print(sorted(pool.map(work, range(6))))
            try:
                pool.map(fails, range(3))
            except basket.MissingError as error:
                print(error)
        print(b.value('pool-01', 'x'), b.connections)
    """
    returncode, out, err, _ = _script(code, shared_server)
    lines = [
        line for line in err.splitlines() if "multi-threaded, use of fork" not in line and "self.pid = os.fork()" not in line
    ]
    assert (returncode, lines) == (0, [])
    assert out == "[5, 6, 7, 8, 9, 10]\npeel 'pool-01' publishes no 'no.such'\n5 1\n"


# -- by the way -------------------------------------------------------------------------------------------------------


def test_an_answer_that_comes_too_late_disturbs_nobody(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    b.publish("x", 1)
    for _ in range(200):
        try:
            b.value(unique, "x", timeout=0.0005)
        except basket.BasketTimeoutError:
            pass
    assert b.value(unique, "x") == 1
    assert len(b._link.pending) == 0
    assert b.connections == 1


def test_a_write_given_up_before_it_was_sent_is_never_sent(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    b.publish("x", "before")
    entered, release = threading.Event(), threading.Event()

    def busy():
        entered.set()
        release.wait(10)

    b._link.call(busy)
    assert entered.wait(10)
    try:
        with pytest.raises(basket.BasketTimeoutError):
            b.publish("x", "ghost", timeout=0.05)
        with pytest.raises(basket.BasketTimeoutError):
            b.publish_many({"x": "ghost", "y": "ghost"}, timeout=0.05)
    finally:
        release.set()
    assert b.value(unique, "x") == "before"
    assert b.functions(unique) == ["x"]
    assert len(b._link.pending) == 0


def test_a_flush_waits_for_what_was_sent_before_it(shared_server, basket_for, unique):
    """Whether the server lets us subscribe is known once it answers a ping that came **behind** the subscription."""
    link = basket_for(shared_server, unique)._link
    client, thread = link.client, link._thread
    written = []
    transport = client._transport
    write, writelines = transport.write, transport.writelines
    transport.write = lambda data: (written.append(bytes(data)), write(data))
    transport.writelines = lambda lines: (written.extend(bytes(line) for line in lines), writelines(lines))

    async def work():
        await client.receive(f"{unique}.>", lambda *message: None)
        await client.flush(5)

    thread.run(lambda: work(), 10)
    sent = b"".join(written)
    assert -1 < sent.index(b"SUB ") < sent.index(b"PING")


def test_a_receiver_that_fails_does_not_end_the_connection(shared_server, basket_for, unique, caplog):
    b = basket_for(shared_server, unique)
    seen = []

    def receive(subject, reply, headers, data):
        seen.append(data)
        raise ValueError("whatever")

    b._link.subscribe(f"{unique}.ping", receive, deadline=time.monotonic() + 5)
    b._link.send(f"{unique}.ping", b"1")
    assert b.publish("x", 1) > 0
    b._link.send(f"{unique}.ping", b"2")
    assert b.value(unique, "x") == 1
    assert seen == [b"1", b"2"]
    assert b.connections == 1
    assert "a receiver failed" in caplog.text


HANGING_NAMES = """
import socket, sys, threading, time
asked = socket.getaddrinfo
socket.getaddrinfo = lambda host, *args, **options: time.sleep(20) if host == "hangs.invalid" else asked(host, *args, **options)
import basket
begun = time.monotonic()
try:
    basket.connect("nats://hangs.invalid:4222", peel_id="a", timeout=0.5)
except basket.UnreachableError as error:
    print(time.monotonic() - begun < 5, "hangs.invalid" in str(error), flush=True)
"""


def test_a_name_server_that_hangs_holds_up_neither_the_call_nor_the_end():
    begun = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", HANGING_NAMES], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("True True\n", "", 0)
    assert time.monotonic() - begun < 15

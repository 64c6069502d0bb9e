"""One Basket under many threads and processes: pre-forked workers, 32 threads, and close in the middle of it all."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time

import pytest
from harness import LONG, ROOT, open_files, ours, wait_for

import basket

pytestmark = pytest.mark.chaos

PREFORK = """
import os, sys, threading, time
import basket

url, workers, calls = sys.argv[1], 4, 100
b = basket.connect(url, peel_id="parent-01", timeout=60)
b.publish("custom.start", os.getpid())
watch = b.watch("*", "custom.n", callback=lambda change: None)
mirror = b.mirror()
children = []
for number in range(workers):
    pid = os.fork()
    if pid == 0:
        # At once, from several threads, as a worker that gets requests.
        failed = []
        def work(name):
            try:
                for turn in range(calls):
                    b.publish(f"custom.w{number}-{name}", turn)
                    assert b.value("parent-01", f"custom.w{number}-{name}") == turn
                    assert b.value("parent-01", "custom.start") == os.getppid()
            except BaseException as error:
                failed.append(error)
        threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        for error in failed:
            print(f"worker {number}: {error!r}", file=sys.stderr)
        if number % 2:
            b.close()
            os._exit(1 if failed else 0)
        sys.exit(1 if failed else 0)   # through atexit, as most do
    children.append(pid)
for turn in range(calls):
    b.publish("custom.n", turn)
statuses = [os.waitpid(pid, 0)[1] for pid in children]
assert statuses == [0] * workers, statuses
assert b.connections == 1, "the parent's own connection was disturbed"
assert b.value("parent-01", "custom.n") == calls - 1
for number in range(workers):
    assert b.value("parent-01", f"custom.w{number}-2") == calls - 1
watch.stop()
b.close()
print("done")
"""


def test_pre_forked_workers_use_the_parents_basket_at_once(server):
    """Fails where a child writes into the parent's socket, waits for a lock held at the fork, or for the parent's loop; as under
    gunicorn with preload."""
    ended = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", PREFORK, server.url],
        capture_output=True,
        text=True,
        timeout=LONG * 2,
        cwd=ROOT,
    )
    assert ended.returncode == 0 and ended.stdout == "done\n", ended.stderr
    assert ended.stderr == ""


def test_32_threads_mix_everything(server, basket_for):
    """Fails where answers are mixed up between callers, or where something in the facade is not safe between threads."""
    b = basket_for(server, timeout=LONG)
    b.publish_facts({"role": "web"})
    b.beat()
    threads, files = ours(), open_files()
    wrong = []
    done = []

    def work(number):
        chance = random.Random(number)
        name = f"custom.t{number}"
        try:
            for turn in range(60):
                value = {"thread": number, "turn": turn, "padding": "x" * chance.randrange(3000)}
                b.publish(name, value)
                if b.value("web-01", name) != value:
                    wrong.append((number, turn, "value"))
                kind = chance.randrange(6)
                if kind == 0 and [e.value for e in b.get("role:web", name)] != [value]:
                    wrong.append((number, turn, "get"))
                elif kind == 1 and b.publish_many({f"{name}.a": turn, f"{name}.b": turn}).keys() != {f"{name}.a", f"{name}.b"}:
                    wrong.append((number, turn, "publish_many"))
                elif kind == 2 and b.peels("role:web") != ["web-01"]:
                    wrong.append((number, turn, "peels"))
                elif kind == 3:
                    b.delete(f"{name}.a")
                elif kind == 4 and turn % 10 == 0:
                    with b.watch("*", name) as changes:
                        if changes.wait(LONG).value != value:
                            wrong.append((number, turn, "watch"))
                elif kind == 5 and not b.get("*", [name])[name]:
                    wrong.append((number, turn, "get many"))
            done.append(number)
        except BaseException as error:
            wrong.append((number, repr(error)))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for one in workers:
        one.start()
    for one in workers:
        one.join(LONG * 2)
    assert wrong == [] and sorted(done) == list(range(32))
    wait_for(lambda: ours() == threads, what="no thread more than before")
    assert open_files() <= files + 1
    assert b.connections == 1


@pytest.mark.parametrize("state", ["connected", "server down"])
def test_close_in_the_middle_ends_every_call(server, state):
    """Fails where a waiting call is forgotten: it would wait for its deadline, here a minute, or for ever."""
    for _ in range(5):
        b = basket.connect(server.url, peel_id="web-01", timeout=LONG)
        b.publish("custom.a", 1)
        ended = []

        def work(kind, b=b, ended=ended):
            watch = b.watch("*", "custom.a") if kind == 3 else None
            try:
                while True:
                    if kind == 0:
                        b.publish("custom.a", 1)
                    elif kind == 1:
                        b.get("*", "custom.a")
                    elif kind == 2:
                        b.publish_many({f"custom.n{i}": i for i in range(50)})
                    elif watch.wait(None) is None and watch.ended:
                        break
            except basket.ClosedError:
                pass
            except basket.PublishError as error:
                assert all(isinstance(e, (basket.ClosedError, basket.OutcomeUnknownError)) for e in error.failed.values()), error
            except BaseException as error:
                ended.append(error)
                return
            ended.append(None)

        workers = [threading.Thread(target=work, args=(number % 4,)) for number in range(12)]
        for one in workers:
            one.start()
        wait_for(lambda b=b: b.value("web-01", "custom.n49") == 49)
        if state == "server down":
            server.kill()
        begun = time.monotonic()
        b.close()
        for one in workers:
            one.join(20)
        assert ended == [None] * 12
        assert time.monotonic() - begun < 15
        if state == "server down":
            server.start()
    wait_for(lambda: not ours(), what="the end of our threads")


def test_baskets_made_and_closed_without_end_leave_nothing(server):
    """Fails where a closed Basket keeps its thread, its socket or its loop."""
    basket.connect(server.url, peel_id="web-01").close()
    wait_for(lambda: not ours())
    files = open_files()
    for number in range(150):
        b = basket.connect(server.url, peel_id="web-01", timeout=LONG)
        if number % 3 == 0:
            b.publish("custom.a", number)
        if number % 10 == 0:
            b.watch("*", "custom.a")
        b.close()
    wait_for(lambda: not ours(), what="the end of our threads")
    assert open_files() <= files + 1


def test_a_fork_in_the_middle_of_calls_by_other_threads(server, basket_for):
    """Fails where a lock that another thread held at the fork is needed in the child: it would wait for ever."""
    b = basket_for(server, timeout=LONG)
    b.publish("custom.a", 1)
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            b.publish("custom.busy", 1)
            b.get("*", "custom.a")

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for one in threads:
        one.start()
    try:
        for _ in range(15):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    status = 0 if b.value("web-01", "custom.a", timeout=30) == 1 else 2
                    b.close()
                finally:
                    os._exit(status)
            deadline = time.monotonic() + LONG
            while True:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    break
                if time.monotonic() > deadline:
                    os.kill(pid, 9)
                    os.waitpid(pid, 0)
                    pytest.fail("the child hangs")
                stop.wait(0.005)
            assert status == 0
    finally:
        stop.set()
        for one in threads:
            one.join(LONG)
    assert b.connections == 1

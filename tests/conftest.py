"""Fixtures for every test: real servers on free ports, each with a store of its own, stopped by their own process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.request
import uuid
from pathlib import Path

import pytest
from harness import wait_for

from basket.embedded import EmbeddedServer

BINARY = os.environ.get("NATS_SERVER") or None
"""Another nats-server than the one installed, to run everything against."""


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    """One server for all tests that do not break it; each of them uses names of its own (``unique``)."""
    server = EmbeddedServer(str(tmp_path_factory.mktemp("nats")), binary=BINARY).start()
    yield server
    server.stop()


@pytest.fixture
def server(tmp_path):
    """A server of the test's own, which it may kill, freeze and wipe."""
    server = EmbeddedServer(str(tmp_path / "nats"), binary=BINARY).start()
    yield server
    server.stop()


@pytest.fixture
def server_with(tmp_path):
    """Starts servers of the test's own with a configuration: ``server_with("authorization { ... }")``."""
    started = []

    def start(config, **options):
        server = EmbeddedServer(str(tmp_path / f"nats-{len(started)}"), config=config, **{"binary": BINARY, **options})
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def old_server(tmp_path):
    """A server from before batched direct gets (2.10), whose binary the variable OLD_NATS_SERVER names."""
    binary = os.environ.get("OLD_NATS_SERVER")
    if not binary:
        pytest.skip("OLD_NATS_SERVER names no nats-server 2.10")
    server = EmbeddedServer(str(tmp_path / "old"), binary=binary).start()
    yield server
    server.stop()


@pytest.fixture
def basket_for():
    """Connects and closes everything at the end: ``basket_for(server, "web-01")``."""
    import basket

    made = []

    def connect(server, peel_id="web-01", **options):
        url = server if isinstance(server, (str, list)) else server.url
        one = basket.connect(url, peel_id=peel_id, **options)
        made.append(one)
        return one

    yield connect
    for one in made:
        one.close()


@pytest.fixture
def unique():
    """A word that no other test uses, good in peel ids and function names."""
    return "t" + uuid.uuid4().hex[:10]


@pytest.fixture
def raw():
    """Runs ``async def work(nc)`` on a plain nats-py connection, as an independent client would: ``raw(server, work)``."""
    import nats

    def run(server, work, **options):
        async def main():
            nc = await nats.connect(server.url, allow_reconnect=False, **options)
            try:
                return await work(nc)
            finally:
                await nc.close()

        return asyncio.run(main())

    return run


@pytest.fixture
def until():
    """Waits for a condition: ``until(lambda: b.state == "connected")`` gives its first true value, or fails."""
    return lambda condition, timeout=10.0: wait_for(condition, timeout, every=0.005)


MONITORED = 'http: "127.0.0.1:-1"\n'
"""Configuration for ``server_with`` that ``connections`` needs."""


@pytest.fixture
def connections():
    """How many clients a server started with ``http`` counts: ``connections(server)``."""

    def count(server):
        ports = next(server.store.glob(f"*_{server.process.pid}.ports"))
        address = json.loads(ports.read_text())["monitoring"][0]
        with urllib.request.urlopen(f"{address}/connz", timeout=5) as answer:
            return json.load(answer)["num_connections"]

    return count


@pytest.fixture
def frozen(until):
    """Freezes a server until the end of the test: ``frozen(server)``; ``frozen.thaw()`` ends it earlier."""
    stopped = []

    def state(task):
        return task.joinpath("stat").read_text().rpartition(")")[2].split()[0]

    def freeze(server):
        pid = server.process.pid
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)
        # The signal is sent, not yet obeyed: a call made now might still be answered.
        until(lambda: all(state(task) == "T" for task in Path(f"/proc/{pid}/task").iterdir()))

    def thaw():
        while stopped:
            try:
                os.kill(stopped.pop(), signal.SIGCONT)
            except ProcessLookupError:
                pass

    freeze.thaw = thaw
    yield freeze
    thaw()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What tests log may hold lone surrogates, which cannot be passed on where several processes run the tests."""
    report = (yield).get_result()
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]

"""Fixtures for breaking things: the parts are in ``breaking`` and ``harness``."""

from __future__ import annotations

import select
import socket
import threading

import pytest
from breaking import Cluster, Proxy
from harness import AgentProcess


@pytest.fixture
def proxy_for():
    """Puts a proxy before a server: ``proxy_for(server)``."""
    made = []

    def make(server):
        made.append(Proxy((server.host, server.port)))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture(scope="session")
def three_servers(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.stop()


@pytest.fixture
def cluster(three_servers):
    """Three servers without any buckets, which the test may kill, freeze and restart. Forming a cluster takes five seconds, so
    it is always the same, mended and emptied."""
    three_servers.mend()
    return three_servers


@pytest.fixture
def agent_for(tmp_path):
    """An agent of the test's own, not started: ``agent_for(url)``."""
    made = []

    def make(url):
        made.append(AgentProcess(tmp_path / f"agent{len(made)}", url))
        return made[-1]

    yield make
    for agent in made:
        agent.kill()


@pytest.fixture
def silent_server():
    """A port that takes connections and says nothing on them: its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    taken = []
    done = threading.Event()

    def accept():
        while not done.is_set():
            if select.select([listener], [], [], 0.1)[0]:
                taken.append(listener.accept()[0])

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"nats://127.0.0.1:{listener.getsockname()[1]}"
    done.set()
    thread.join(5)
    for one in [listener, *taken]:
        one.close()

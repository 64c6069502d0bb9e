"""When the agent tells how it does: often enough for a watchdog, and not at all where nobody listens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from basket.agent import reporting
from basket.agent.reporting import PULSE, Reporting
from basket.agent.vitals import Vitals
from basket.config import AgentSection, Config


class FakeTasks:
    def __init__(self):
        self.planned = {}

    def repeat(self, name, activity, interval):
        self.planned[name] = (activity, interval)

    def drop(self, name):
        self.planned.pop(name, None)


class FakeNotify:
    def __init__(self, watchdog=0.0):
        self.watchdog = watchdog
        self.said = []

    def ready(self, status):
        self.said.append(f"ready: {status}")

    def status(self, text):
        self.said.append(text)

    def alive(self):
        self.said.append("alive")


@pytest.fixture
def made(monkeypatch):
    """Makes a Reporting: ``made(watchdog)``."""

    def make(watchdog=0.0):
        notify = FakeNotify(watchdog)
        monkeypatch.setattr(reporting, "Notify", lambda: notify)
        one = Reporting(FakeTasks(), Vitals())
        one.notify = notify
        made.append(one)
        return one

    made = []
    yield make
    for one in made:
        one.stop()


LISTENING = replace(Config(), agent=AgentSection(listen=("127.0.0.1", 0)))


def test_an_agent_that_nobody_asks_is_not_woken_for_it(made):
    one = made()
    one.start(Config(), "web-01")
    assert one._tasks.planned == {}


def test_a_watchdog_is_fed_twice_in_its_time(made):
    one = made(watchdog=30.0)
    one.start(Config(), "web-01")
    activity, interval = one._tasks.planned[PULSE]
    assert interval == 15.0
    assert activity.prepare() is None, "on the main thread itself: a worker would feed it while the main thread hangs"
    assert "alive" in one.notify.said


def test_while_somebody_may_ask_the_main_thread_shows_that_it_turns(made):
    one = made()
    one.start(LISTENING, "web-01")
    assert one._tasks.planned[PULSE][1] < 5.0
    one.apply(Config(), "web-01")
    assert one._tasks.planned == {}, "turned off again"


def test_the_status_follows_the_connection_and_is_told_once(made):
    one = made(watchdog=30.0)
    one.start(Config(), "web-01")
    one.vitals.state = lambda: "connected"
    one.connected()
    one.connected()
    one.vitals.state = lambda: "suspended"
    one._tasks.planned[PULSE][0].prepare()
    said = [text for text in one.notify.said if text != "alive"]
    assert said == ["ready: connecting to NATS", "connected to NATS", "connection to NATS lost, connecting again"]
    assert one.vitals.snapshot().counts.connections == 2


def test_nothing_of_http_is_loaded_where_nobody_listens(tmp_path):
    """It would cost every agent of a fleet a megabyte."""
    import subprocess
    import sys

    code = (
        "import sys; from basket.agent.reporting import Reporting; from basket.agent.vitals import Vitals\n"
        "from basket.config import Config\n"
        "class T:\n    drop = staticmethod(lambda name: None)\n"
        "Reporting(T(), Vitals()).start(Config(), 'a'); assert 'http.server' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)

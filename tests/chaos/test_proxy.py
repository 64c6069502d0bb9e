"""Links that are slow, narrow, cut, or swallow everything; servers killed over and over: told as what it is, nothing lost."""

from __future__ import annotations

import random
import threading
import time

import pytest
from breaking import consumers
from harness import LONG, PAUSE, open_files, ours, wait_for

import basket
from basket.codec import encode

pytestmark = pytest.mark.chaos

TURN = 3.0
"""Seconds that a busy machine may be late at a deadline."""


def test_over_a_link_with_300_ms_everything_works(server, proxy_for, basket_for):
    """Fails where a step of connecting, asking or watching has a patience of its own shorter than the caller's."""
    proxy = proxy_for(server)
    proxy.delay = 0.15
    b = basket_for(proxy.url, timeout=30)
    assert b.publish("custom.a", 1) == 1
    b.publish_facts({"role": "web"})
    b.publish_many({f"custom.n{i}": i for i in range(300)})
    assert [e.value for e in b.get("role:web", "custom.a")] == [1]
    with b.watch("role:web", "custom.a") as changes:
        assert changes.wait(LONG).value == 1
        b.publish("custom.a", 2)
        assert changes.wait(LONG).value == 2
    assert b.connections == 1


def test_a_value_too_large_for_the_link_is_a_timeout_and_harms_no_other_call(server, proxy_for, basket_for):
    """Fails where a call waits for the transfer to end, or where the late answer is taken for that of the next question."""
    basket_for(server).publish("custom.large", "x" * 400_000)
    proxy = proxy_for(server)
    b = basket_for(proxy.url, timeout=20)
    assert b.publish("custom.small", 7) > 0
    proxy.bandwidth = 40_000
    begun = time.monotonic()
    with pytest.raises(basket.BasketTimeoutError):
        b.value("web-01", "custom.large", timeout=1.0)
    assert time.monotonic() - begun < 1.0 + TURN
    proxy.bandwidth = 0
    assert b.value("web-01", "custom.small") == 7
    assert len(b.value("web-01", "custom.large")) == 400_000


def test_a_server_that_accepts_and_never_answers_is_reported_at_the_deadline(silent_server):
    """Fails where connecting has no deadline: nats-py would go on for ever."""
    begun = time.monotonic()
    with pytest.raises(basket.UnreachableError, match="no answer in time"):
        basket.connect(silent_server, peel_id="web-01", timeout=1.0)
    assert time.monotonic() - begun < 1.0 + TURN
    wait_for(lambda: not ours(), what="the end of our threads")


def test_a_silent_server_in_the_list_does_not_keep_us_from_the_good_one(server, silent_server, basket_for):
    """Fails where the first address may use up all of the time."""
    b = basket_for([silent_server, server.url], timeout=4.0)
    assert b.publish("custom.a", 1) == 1


def test_the_agent_finds_its_server_behind_a_silent_one(server, silent_server, agent_for, basket_for):
    """Fails where an attempt that never ends blocks the next."""
    agent = agent_for([silent_server, server.url]).write('[basket.functions]\n"custom.a" = { value = 1 }').start()
    reader = basket_for(server, "reader-01")
    wait_for(lambda: reader.value("web-01", "custom.a") == 1)
    assert agent.end()[0] == 0


def test_a_link_that_swallows_everything_is_noticed_and_replaced(server, proxy_for, basket_for):
    """Fails without the ping after an unanswered request (nats-py notices after four minutes), and where a write without its
    acknowledgement is called a failure, or repeated under another value."""
    proxy = proxy_for(server)
    b = basket_for(proxy.url)
    b.publish("custom.a", 1)
    threads = ours()
    proxy.hole = True
    begun = time.monotonic()
    with pytest.raises(basket.BasketTimeoutError):
        b.value("web-01", "custom.a", timeout=0.5)
    with pytest.raises((basket.OutcomeUnknownError, basket.UnreachableError)):
        b.publish("custom.a", 2, timeout=0.5)
    assert time.monotonic() - begun < 1.0 + TURN
    wait_for(lambda: b.state == "suspended", 20, "that the connection counts as lost")
    with pytest.raises(basket.UnreachableError):
        b.value("web-01", "custom.a", timeout=0.2)
    proxy.hole = False
    wait_for(lambda: b.state == "connected")
    assert b.value("web-01", "custom.a") in (1, 2)
    b.publish("custom.a", 3)
    assert b.value("web-01", "custom.a") == 3
    assert ours() == threads


@pytest.mark.parametrize("call", ["value", "get", "publish", "publish_many"])
def test_a_question_that_got_lost_is_asked_again(server, proxy_for, basket_for, call):
    """Fails where one lost message, with the connection intact, costs the whole of a long deadline; as when a cluster changes
    its leader, or a leaf node is without its hub for a moment."""
    proxy = proxy_for(server)
    b = basket_for(proxy.url, timeout=LONG)
    b.publish("custom.a", 1)
    assert b.get("*", "custom.a")[0].value == 1
    calls = {
        "value": lambda: b.value("web-01", "custom.a"),
        "get": lambda: b.get("*", "custom.a")[0].value,
        "publish": lambda: b.publish("custom.a", 1) and 1,
        "publish_many": lambda: b.publish_many({"custom.a": 1, "custom.b": 1}) and 1,
    }
    proxy.hole = True
    threading.Timer(0.7, setattr, (proxy, "hole", False)).start()
    begun = time.monotonic()
    assert calls[call]() == 1
    assert time.monotonic() - begun < LONG / 2
    assert b.value("web-01", "custom.a") == 1
    assert b.connections == 1 and not b._link.pending


def test_a_link_cut_all_the_time_loses_no_acknowledged_value(server, proxy_for, basket_for):
    """Fails where a write whose connection went is called done, where a reconnection leaves the old consumer, connection or
    thread behind, or where a watch trusts what its lost consumer delivered."""
    proxy = proxy_for(server)
    b = basket_for(proxy.url, timeout=LONG)
    b.publish("custom.n", 0)
    seen = []
    watch = b.watch("*", "custom.n", callback=lambda change: seen.append(change.value))
    threads = ours()
    stop = threading.Event()

    def cut():
        chance = random.Random(7)
        while not stop.wait(chance.uniform(0.02, 0.2)):
            proxy.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()
    last = 0
    begun = time.monotonic()
    while time.monotonic() - begun < 5 or last < 50:
        b.publish("custom.n", last + 1)
        last += 1
        if last % 10 == 0:
            assert b.value("web-01", "custom.n") == last
    stop.set()
    cutter.join()
    wait_for(lambda: seen[-1] == last, what="the newest value in the watch")
    assert seen == sorted(seen), "an older value was told after a newer one"
    assert b.value("web-01", "custom.n") == last
    wait_for(lambda: len(consumers(server)) == 1, what="one consumer")
    wait_for(lambda: proxy.open == 1, what="one connection")
    assert ours() == threads
    assert b.connections > 20
    print(f"{last} acknowledged writes over {b.connections} connections")
    watch.stop()
    wait_for(lambda: not consumers(server), what="no consumer")


def test_50_kills_and_restarts_under_writing_and_watching(server, basket_for):
    """Fails where an acknowledged value was not on the disk, where what a watch, a mirror or a connection had made is left
    behind each time, or where anything waits for a fixed time after the return."""
    b = basket_for(server, timeout=LONG)
    names = [f"custom.n{i}" for i in range(4)]
    b.publish_many(dict.fromkeys(names, 0))
    heard = {}
    watch = b.watch("*", names, callback=lambda change: heard.__setitem__(change.function, change.value))
    mirror = b.mirror()
    acknowledged = dict.fromkeys(names, 0)
    stop = threading.Event()

    def write(name):
        while not stop.is_set():
            b.publish(name, acknowledged[name] + 1)
            acknowledged[name] += 1
            stop.wait(0.005)

    writers = [threading.Thread(target=write, args=(name,)) for name in names]
    for one in writers:
        one.start()
    threads, files = ours(), None
    late = []
    for rounds in range(50):
        server.kill()
        before = dict(acknowledged)
        server.start()
        back = time.monotonic()
        wait_for(lambda before=before: all(heard.get(name, 0) > before[name] for name in names), what="a newer value of each")
        late.append(time.monotonic() - back)
        if rounds == 10:
            files = open_files()
    stop.set()
    for one in writers:
        one.join(LONG)
        assert not one.is_alive()
    wait_for(lambda: heard == acknowledged, what="the last values in the watch")
    wait_for(lambda: mirror.current and {n: b.value("web-01", n) for n in names} == acknowledged, what="the same in the mirror")
    mirror.stop()
    assert {name: b.value("web-01", name) for name in names} == acknowledged
    wait_for(lambda: len(consumers(server)) == 1 and not consumers(server, "facts"), what="the watch's one consumer")
    assert ours() == threads
    assert open_files() <= files + 2
    late.sort()
    written = sum(acknowledged.values())
    print(f"50 kills, {written} writes acknowledged, none lost; news {late[25]:.2f} s after the return, at most {late[-1]:.2f}")
    assert late[25] < 2.0
    watch.stop()


def test_the_agent_behind_a_bad_link_ends_up_with_the_newest_of_each(server, proxy_for, agent_for, basket_for, tmp_path):
    """Fails where a delivery that got lost is not tried again, or where two are under way, so that the older may come last."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    proxy = proxy_for(server)
    agent = agent_for(proxy.url).write(
        f"""
[basket.functions]
"custom.fixed" = {{ value = 1 }}
"custom.counter" = {{ file = "{counter}", interval = "100ms" }}
""",
        nats='timeout = "1s"',
    )
    agent.start()
    reader = basket_for(server, "reader-01")
    wait_for(lambda: reader.value("web-01", "custom.counter") == "0")
    seen = []
    watch = reader.watch("web-01", "custom.counter", callback=lambda change: seen.append(int(change.value)))
    chance = random.Random(3)
    for number in range(1, 60):
        counter.write_text(str(number))
        if number % 20 == 7:
            proxy.hole = True
        elif number % 20 == 15:
            proxy.hole = False
            proxy.cut()
        elif number % 5 == 0:
            proxy.cut()
        PAUSE.wait(chance.uniform(0.05, 0.15))
    wait_for(lambda: reader.value("web-01", "custom.counter") == "59", what="the newest value")
    PAUSE.wait(0.5)  # for what might still come too late
    assert reader.value("web-01", "custom.counter") == "59"
    assert seen == sorted(seen), "an older value came after a newer one"
    watch.stop()
    assert agent.end()[0] == 0


def test_a_large_answer_over_a_narrow_link_is_waited_for(server, proxy_for, basket_for):
    """Fails where a ping whose answer stands behind all the data counts as lost: the connection, and the answer, would begin anew
    for ever."""
    writer = basket_for(server)
    values = {f"p-{i:02}.custom.large": encode(bytes(100_000)) for i in range(80)}
    assert writer._basket.put_many(values, deadline=time.monotonic() + LONG)[1] == {}
    proxy = proxy_for(server)
    proxy.bandwidth = 1_200_000
    reader = basket_for(proxy.url, timeout=LONG)
    begun = time.monotonic()
    assert len(reader.get("*", "custom.large")) == 80
    assert time.monotonic() - begun > 4, "otherwise no ping was sent, and this shows nothing"
    assert reader.connections == 1

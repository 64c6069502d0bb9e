"""Three servers, three replicas: what was acknowledged survives the loss of any server, and the agent carries on meanwhile."""

from __future__ import annotations

import threading
import time

import pytest
from breaking import Plain, free_port, freeze, stream_info, thaw
from harness import LONG, PAUSE, wait_for

import basket
from basket import config
from basket.embedded import EmbeddedServer

pytestmark = pytest.mark.chaos

REPLICAS = "replicas = 3"


@pytest.fixture
def connect(cluster):
    """A Basket that makes its buckets with three replicas, connected to the server ``first`` as long as that lives."""
    made = []

    def connect(peel_id="web-01", first=0, **options):
        settings = config.parse(f"[basket]\n{REPLICAS}\n")
        urls = cluster.urls[first:] + cluster.urls[:first]
        options.setdefault("timeout", LONG)
        made.append(basket.connect(urls, config=settings, peel_id=peel_id, **options))
        return made[-1]

    yield connect
    for one in made:
        one.close()


class Writers:
    """Write counters as fast as they are acknowledged; ``acknowledged`` is what a user was told is stored."""

    def __init__(self, b, count=3):
        self.acknowledged = {f"custom.n{i}": 0 for i in range(count)}
        self.unknown = 0
        self._b = b
        self._stop = threading.Event()
        b.publish_many(self.acknowledged)
        self._threads = [threading.Thread(target=self._write, args=(name,)) for name in self.acknowledged]
        for one in self._threads:
            one.start()

    def _write(self, name):
        while not self._stop.wait(0.002):
            try:
                self._b.publish(name, self.acknowledged[name] + 1)
                self.acknowledged[name] += 1
            except (basket.ServerError, basket.OutcomeUnknownError):
                self.unknown += 1  # the same number again: that is harmless

    @property
    def total(self):
        return sum(self.acknowledged.values())

    def goes_on(self):
        """Wait until more of each is acknowledged."""
        before = dict(self.acknowledged)
        wait_for(lambda: all(self.acknowledged[name] > n for name, n in before.items()), what="further acknowledged writes")

    def end(self):
        self._stop.set()
        for one in self._threads:
            one.join(LONG * 1.5)
            assert not one.is_alive()
        return self.acknowledged


def held(b, names, peel_id="web-01"):
    return {name: b.value(peel_id, name) for name in names}


def test_the_leader_killed_under_writing_loses_nothing_acknowledged(cluster, connect):
    """Fails where a bucket is made with fewer replicas than configured, where a write is called done before JetStream said so,
    and where a question that got lost in the change of leaders is waited for until the deadline instead of asked again."""
    b = connect()
    writers = Writers(b)
    assert stream_info(cluster.nodes[0])["config"]["num_replicas"] == 3
    heard = {}
    watch = b.watch("*", list(writers.acknowledged), callback=lambda change: heard.__setitem__(change.function, change.value))
    pauses = []
    for _ in range(2):
        wait_for(cluster.in_step, what="all replicas")
        leader = cluster.leader()
        leader.kill()
        begun = time.monotonic()
        writers.goes_on()
        pauses.append(time.monotonic() - begun)
        leader.start()
    acknowledged = dict(writers.end())
    assert held(b, acknowledged) == acknowledged
    wait_for(lambda: heard == acknowledged, what="the last values in the watch")
    watch.stop()
    # And durable: what a client was told is stored is there after all of them were killed at the same time.
    wait_for(cluster.in_step, what="all replicas")
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        node.start()
    wait_for(lambda: held(b, acknowledged) == acknowledged, what="every acknowledged value")
    print(f"2 leaders killed, {sum(acknowledged.values())} writes acknowledged, none lost; at most {max(pauses):.1f} s of pause")


def test_a_rolling_restart_under_load_is_no_event(cluster, connect, agent_for, tmp_path):
    """Fails where the agent or a watch depends on one server: it has to find another one, and to make its consumer anew."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    agent = agent_for(cluster.urls).write(
        f'[basket.functions]\n"custom.counter" = {{ file = "{counter}", interval = "200ms" }}\n"custom.fixed" = {{ value = 1 }}',
        basket=REPLICAS,
    )
    agent.start()
    b = connect("reader-01", first=1)
    wait_for(lambda: b.value("web-01", "custom.counter") == "0")
    (fixed,) = b.get("web-01", "custom.fixed")
    writers = Writers(connect("db-01", first=2))
    seen = []
    watch = b.watch("web-01", "custom.counter", callback=lambda change: seen.append(int(change.value)))
    for number, node in enumerate(cluster.nodes, 1):
        wait_for(cluster.in_step, what="all replicas")
        node.stop()
        counter.write_text(str(number))
        wait_for(lambda number=number: b.value("web-01", "custom.counter") == str(number), what="the agent's new value")
        wait_for(lambda number=number: number in seen, what="the same in the watch")
        writers.goes_on()
        node.start()
    wait_for(cluster.in_step, what="all replicas")
    acknowledged = writers.end()
    assert held(b, acknowledged, "db-01") == acknowledged
    assert seen == sorted(seen)
    (now,) = b.get("web-01", "custom.fixed")
    assert now.revision == fixed.revision, "an unchanged value was written again"
    watch.stop()
    assert agent.process.poll() is None and agent.end()[0] == 0


def test_quorum_lost_is_told_and_regained_is_used(cluster, connect, agent_for, tmp_path):
    """Fails where a write without quorum counts as done, hangs past its deadline, or ends the agent; or where the agent's newest
    value has to wait for its next change."""
    counter = tmp_path / "counter"
    counter.write_text("first")
    agent = agent_for(cluster.urls).write(
        f'[basket.functions]\n"custom.counter" = {{ file = "{counter}", interval = "200ms" }}',
        basket=REPLICAS,
        nats='timeout = "2s"',
    )
    agent.start()
    b = connect("db-01")
    wait_for(lambda: b.value("web-01", "custom.counter") == "first")
    b.publish("custom.a", "acknowledged")
    wait_for(cluster.in_step, what="all replicas")
    for node in cluster.nodes[1:]:
        node.kill()
    begun = time.monotonic()
    with pytest.raises((basket.ServerError, basket.OutcomeUnknownError)) as told:
        b.publish("custom.a", "without quorum", timeout=2.0)
    assert time.monotonic() - begun < 2.0 + 3.0
    print(f"without quorum: {type(told.value).__name__}: {told.value}")
    counter.write_text("second")
    agent.says("cannot write now, trying on")
    counter.write_text("third")
    PAUSE.wait(1.0)  # so that the agent fails some more
    assert agent.process.poll() is None
    for node in cluster.nodes[1:]:
        node.start()
    wait_for(lambda: b.value("web-01", "custom.counter") == "third", what="the newest value")
    assert b.value("db-01", "custom.a") in ("acknowledged", "without quorum")
    agent.says("values are written again")
    assert len(agent.lines("cannot write now")) <= 4, agent.log  # once for each kind of trouble, not for each attempt
    assert agent.end()[0] == 0


def test_a_server_of_the_cluster_that_freezes_is_left(cluster, connect):
    """Fails without the ping after a request without answer: the connection to a frozen server looks alive for minutes."""
    b = connect(first=1)
    wait_for(lambda: b.publish("custom.a", 1))
    wait_for(cluster.in_step, what="all replicas")
    frozen = cluster.nodes[1]
    freeze(frozen)
    try:
        begun = time.monotonic()
        wait_for(lambda: b.publish("custom.a", 2, timeout=1.0), what="a write through another server")
        took = time.monotonic() - begun
        assert b.value("web-01", "custom.a") == 2
    finally:
        thaw(frozen)
    print(f"written {took:.1f} s after the server froze")
    # What stood in the frozen server's socket was the same value. It must not undo a later one.
    b.publish("custom.a", 3)
    wait_for(cluster.in_step, what="all replicas")
    assert b.value("web-01", "custom.a") == 3


def test_a_missing_majority_at_the_start_does_not_keep_the_agent_from_its_work_later(cluster, agent_for):
    """Fails where the agent gives up on a cluster that cannot make its buckets yet."""
    for node in cluster.nodes[1:]:
        node.kill()
    agent = agent_for(cluster.urls).write(
        '[basket.functions]\n"custom.a" = { value = 1 }', basket=REPLICAS, nats='timeout = "2s"'
    )
    agent.start()
    agent.says("trying on")
    for node in cluster.nodes[1:]:
        node.start()
    with basket.connect(cluster.urls, peel_id="reader-01", timeout=LONG) as b:
        wait_for(lambda: b.value("web-01", "custom.a") == 1)
    assert cluster.info()["config"]["num_replicas"] == 3
    assert agent.end()[0] == 0


@pytest.fixture
def leaf(tmp_path, monkeypatch):
    """A hub with JetStream in the domain ``hub``, and a leaf node without JetStream that leads to it."""
    for attempt in range(5):
        port = free_port()
        hub = EmbeddedServer(
            str(tmp_path / f"hub{attempt}"), config=f'jetstream {{ domain: hub }}\nleafnodes {{ listen: "127.0.0.1:{port}" }}\n'
        )
        try:
            hub.start()
            break
        except basket.BasketError:
            continue
    leaf = EmbeddedServer(
        str(tmp_path / "leaf"),
        config=f'leafnodes {{ remotes = [ {{ url: "nats-leaf://127.0.0.1:{port}" }} ] }}\ndefault_js_domain: {{ "$G": "hub" }}\n',
    )
    plain = basket.embedded.command
    with monkeypatch.context() as patch:
        patch.setattr("basket.embedded.command", lambda *a, **k: [word for word in plain(*a, **k) if word != "--jetstream"])
        leaf.start()
    wait_for(lambda: has_jetstream(leaf), what="the leaf node's way to the hub")
    yield hub, leaf
    leaf.stop()
    hub.stop()


def has_jetstream(server):
    with Plain(server) as plain:
        return "error" not in plain.ask("$JS.API.INFO")


def test_through_a_leaf_node_everything_works(leaf, basket_for, agent_for):
    """What the README says of leaf nodes: JetStream's domain at the hub, default_js_domain at the leaf. Fails where a subject is
    asked that the leaf node does not carry over."""
    hub, edge = leaf
    b = basket_for(edge, "leaf-01", timeout=20)
    # The first to write makes the buckets, also from here, where a write to a missing one is met with silence.
    b.publish("custom.a", 2)
    b.publish_facts({"role": "leaf"})
    b.beat()
    centre = basket_for(hub, "hub-01")
    centre.publish("custom.a", 1)
    centre.publish_facts({"role": "hub"})
    centre.beat()
    b.publish_many({f"custom.n{i}": i for i in range(300)})
    assert [(e.peel_id, e.value, e.online) for e in b.get("*", "custom.a")] == [("hub-01", 1, True), ("leaf-01", 2, True)]
    assert [e.peel_id for e in b.get("role:hub", "custom.a")] == ["hub-01"]
    assert centre.value("leaf-01", "custom.n299") == 299
    with b.watch("hub-01", "custom.a") as changes:
        assert changes.wait(LONG).value == 1
        centre.publish("custom.a", 3)
        assert changes.wait(LONG).value == 3
    mirror = b.mirror()
    wait_for(lambda: b.value("hub-01", "custom.a") == 3)
    mirror.stop()
    centre.serve_targets()
    assert b.peels("G@role:leaf") == ["leaf-01"]
    agent = agent_for(edge.url).write('[basket.functions]\n"custom.b" = { value = 4 }', peel='id = "leaf-02"').start()
    wait_for(lambda: centre.value("leaf-02", "custom.b") == 4)
    # The hub goes and comes back: the leaf node's clients notice it by their unanswered questions only.
    hub.kill()
    with pytest.raises((basket.ServerError, basket.OutcomeUnknownError)):
        b.publish("custom.a", 5, timeout=1.0)
    hub.start()
    wait_for(lambda: b.publish("custom.a", 6, timeout=2.0))
    assert centre.value("leaf-01", "custom.a", timeout=LONG) == 6
    assert agent.end()[0] == 0

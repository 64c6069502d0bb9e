"""Ghost writes: an older value that was stuck in a frozen server arrives after a newer one was acknowledged elsewhere."""

from __future__ import annotations

import time

import pytest
from breaking import Plain, freeze, thaw
from harness import LONG, PAUSE, wait_for

import basket
from basket import config
from basket.codec import encode

pytestmark = pytest.mark.chaos


class Frozen:
    """One server of the cluster that leads nothing of ours, with a control: a client whose unguarded write is stuck in it."""

    def __init__(self, cluster):
        wait_for(cluster.in_step, what="all replicas")
        leader = cluster.leader()
        self._cluster = cluster
        self.node = next(node for node in cluster.nodes if node is not leader)
        self.other = leader
        self.urls = [self.node.url, *(node.url for node in cluster.nodes if node is not self.node)]
        self._stuck = Plain(self.node)
        self._stuck.ask("$JS.API.INFO")

    def freeze(self):
        wait_for(self._leads_nothing, what="another leader")
        freeze(self.node)
        self._write(self._stuck, "old")
        with Plain(self.other) as plain:

            def newer():  # again and again: while a busy cluster elects a leader, what nobody acknowledges is lost
                self._write(plain, "new")
                return self.control() == encode("new")

            wait_for(newer, what="the control's newer value")

    def _leads_nothing(self):
        """On a busy machine a server may fall behind and another be elected, after this one was chosen."""
        leader = self._cluster.leader()
        if leader is self.node:
            self._stuck.ask("$JS.API.STREAM.LEADER.STEPDOWN.KV_basket")
            return False
        return self._cluster.in_step()

    def _write(self, plain, value):
        data = encode(value)
        plain._socket.sendall(b"PUB $KV.basket.control-01.custom.a %d\r\n%b\r\n" % (len(data), data))

    def control(self):
        with basket.connect(self.other.url, peel_id="reader-01", timeout=LONG) as b:
            return encode(b.value("control-01", "custom.a"))

    def thaw(self):
        """Go on; whether what was stuck has arrived, which shows that there are ghosts. It may be lost where the server that
        comes back has another election held."""
        thaw(self.node)
        deadline = time.monotonic() + 8
        wait_for(lambda: self.control() == encode("old") or time.monotonic() > deadline)
        wait_for(self._cluster.in_step, what="all replicas")
        self._stuck.close()
        return self.control() == encode("old")


def until_a_ghost_is_seen(cluster, attempt):
    """``attempt(frozen)`` tells whether it saw one: without, what it found shows nothing."""
    for _ in range(5):
        if attempt(Frozen(cluster)):
            return
    pytest.fail("no unguarded ghost in five attempts")


@pytest.fixture
def made(cluster):
    """The cluster with its three buckets, each with three replicas."""
    with basket.connect(cluster.urls, config=config.parse("[basket]\nreplicas = 3\n"), peel_id="first-01", timeout=LONG) as b:
        b.publish("custom.a", 1)
        b.publish_facts({})
        b.beat()
    return cluster


def test_a_write_of_unknown_outcome_never_replaces_a_later_one(made):
    """Fails without the revision that each write names: the stuck value would win, and nobody would be told."""

    def attempt(frozen):
        with basket.connect(frozen.urls, peel_id="web-01", timeout=LONG) as b:
            b.publish("custom.a", "first")
            b.publish_many({"custom.b": "first", "custom.c": "first", "custom.gone": "first"})
            frozen.freeze()
            came = False
            try:
                with pytest.raises(basket.OutcomeUnknownError):
                    b.publish("custom.a", "stuck", timeout=0.5)
                # Still the frozen server's connection: these go into its socket as well.
                with pytest.raises((basket.PublishError, basket.OutcomeUnknownError)):
                    b.publish_many({"custom.b": "stuck", "custom.c": "stuck"}, timeout=0.5)
                assert b.publish("custom.a", "newer") > 0
                b.publish_many({"custom.b": "newer"})
                assert b.delete("custom.gone")
            finally:
                came = frozen.thaw()
            assert b.value("web-01", "custom.a") == "newer"
            assert b.value("web-01", "custom.b") == "newer"
            assert b.value("web-01", "custom.c") in ("first", "stuck")  # nothing newer was written: unknown, as was said
            assert "custom.gone" not in b.functions("web-01")
            assert b.publish("custom.c", "newer") > 0
            assert b.value("web-01", "custom.c") == "newer"
        return came

    until_a_ghost_is_seen(made, attempt)


def test_the_agents_newest_value_stays_the_newest(made, agent_for, tmp_path):
    """Fails where the agent repeats a write of unknown outcome without care: its own older value would come after the newer."""
    counter = tmp_path / "counter"

    def attempt(frozen):
        counter.write_text("1")
        agent = agent_for(frozen.urls).write(
            f'[basket.functions]\n"custom.counter" = {{ file = "{counter}", interval = "100ms" }}', nats='timeout = "1s"'
        )
        agent.start()
        with basket.connect(frozen.other.url, peel_id="r-01", timeout=LONG) as reader:
            wait_for(lambda: reader.value("web-01", "custom.counter", None) == "1")
            seen = []
            with reader.watch("web-01", "custom.counter", callback=lambda change: seen.append(int(change.value))):
                frozen.freeze()
                came = False
                try:
                    for number in range(2, 30):
                        counter.write_text(str(number))
                        PAUSE.wait(0.1)  # about one run: some of these end up in the frozen server's socket
                    wait_for(lambda: reader.value("web-01", "custom.counter") == "29", what="the newest value by another server")
                finally:
                    came = frozen.thaw()
                assert reader.value("web-01", "custom.counter") == "29"
                wait_for(lambda: seen and seen[-1] == 29)
                assert seen == sorted(seen), "an older value was seen after a newer one"
        assert agent.end()[0] == 0
        return came

    until_a_ghost_is_seen(made, attempt)

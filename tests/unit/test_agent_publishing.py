"""What the agent writes and when, with a clock and threads that the test moves by hand."""

from __future__ import annotations

import logging

import pytest

from basket.agent import deliver
from basket.agent.changes import compare
from basket.agent.comparing import MOST as LOOK_MOST
from basket.agent.connection import Connection
from basket.agent.describing import AT_MOST as FACTS_AT_MOST
from basket.agent.publishing import Publishing
from basket.agent.retry import Backoff
from basket.agent.schedule import Schedule
from basket.agent.tasks import Tasks
from basket.agent.troubles import Troubles
from basket.agent.workers import Workers
from basket.codec import encode
from basket.config import AgentSection, BasketSection, Config, FactsSection, NatsSection, PeelSection, Scheduled
from basket.errors import (
    BucketMissingError,
    ConfigError,
    FunctionError,
    MissingError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PublishError,
    UnreachableError,
    ValueTooLargeError,
)
from basket.functions import Function


class FakeBasket:
    peel_id = "web-01"

    def __init__(self):
        self.bucket = {}
        self.revision = 0
        self.puts = []
        self.deleted = []
        self.document = None
        self.fact_writes = 0
        self.beats = 0
        self.down = None  # an error that every call raises
        self.refused = {}
        self.closed = False
        self.fact_deletions = 0
        self.scope_problem = None

    def _up(self):
        if self.down is not None:
            raise self.down

    def publish_many(self, values):
        self._up()
        done, failed = {}, {}
        for name, value in values.items():
            if name in self.refused:
                failed[name] = self.refused[name]
                continue
            self.revision += 1
            self.puts.append((name, value))
            self.bucket[name] = (value, self.revision)
            done[name] = self.revision
        if failed:
            raise PublishError(failed, done)
        return done

    def delete(self, name):
        self._up()
        self.deleted.append(name)
        return self.bucket.pop(name, None) is not None

    def publish_facts(self, document):
        self._up()
        self.fact_writes += 1
        self.document = document
        return self.fact_writes

    def facts(self, peel_id):
        self._up()
        if self.document is None:
            raise MissingError("none")
        return self.document

    def beat(self):
        self._up()
        self.beats += 1
        return self.beats

    def revisions(self, names):
        self._up()
        return {name: self.bucket[name][1] for name in names if name in self.bucket}

    def delete_facts(self):
        self._up()
        self.fact_deletions += 1
        self.document, there = None, self.document is not None
        return there

    def flush(self):
        self._up()
        self.bucket.clear()

    def rescope(self, scope, groups, fill):
        if self.scope_problem is not None:
            raise self.scope_problem

    def close(self):
        self.closed = True


class Peel:
    """An agent without a main loop: ``pass_time`` moves the clock and runs what is due, threads included."""

    def __init__(self, monkeypatch, state, functions=(), once=False, **sections):
        self.state = str(state)
        self.now = 1000.0
        self.basket = FakeBasket()
        self.values = {}
        self.calls = []
        self.threads = []
        self.ended = []
        self.settled = []
        self.lost = []
        self.facts = {"os": {"name": "linux"}, "role": "web"}
        monkeypatch.setattr(deliver, "compute", self._compute)
        monkeypatch.setattr(deliver, "publish_facts", self._publish_facts)
        half = lambda: 0.5  # noqa: E731
        self.troubles = Troubles()
        workers = Workers(self.ended.append, start=lambda name, target: self.threads.append(target))
        self.tasks = Tasks(Schedule(half), workers, lambda: self.now)
        self.config = self._config(functions, **sections)
        self.connection = Connection(
            self.tasks,
            self.troubles,
            Backoff(0.25, 4.0, half),
            self.config,
            servers=(),
            opener=self._open,
            up=lambda basket: self.publishing.connected(),
            refused=lambda error: False,
        )
        self.publishing = Publishing(
            self.tasks,
            self.troubles,
            Backoff(0.25, 4.0, half),
            lambda: self.now,
            self.connection,
            once=once,
            settled=lambda name, works: self.settled.append((name, works)),
            lost=self.lost.append,
        )

    def _config(self, functions, interval=60.0, **sections):
        scheduled = tuple(
            Scheduled(Function(name, "value", None), every, 30.0)
            for name, every in (functions.items() if isinstance(functions, dict) else ((n, interval) for n in functions))
        )
        sections.setdefault("facts", FactsSection(publish=False))
        sections.setdefault("peel", PeelSection(state=self.state))
        sections.setdefault("agent", AgentSection(heartbeat=0))
        return Config(basket=BasketSection(functions=scheduled), **sections)

    def _open(self, config, servers):
        self.basket._up()
        return self.basket

    def _compute(self, scheduled, custom):
        name = scheduled.function.name
        self.calls.append(name)
        value = self.values.get(name, f"{name} 0")
        if isinstance(value, Exception):
            raise value
        return deliver.Value(value, encode(value))

    def _publish_facts(self, basket, custom, known):
        document = {**self.facts, **custom}
        stable = encode({k: v for k, v in document.items() if k != "uptime"})
        return deliver.Facts(stable, None if stable == known else basket.publish_facts(document))

    def start(self):
        self.connection.connect()
        self.publishing.start(self.config, "web-01")
        return self.settle()

    def settle(self):
        for _ in range(100):
            self.tasks.step()
            while self.threads:
                self.threads.pop(0)()
            if not self.ended and (self.tasks.next_step() or 1.0) > 0:
                return self
            while self.ended:
                self.tasks.ended(self.ended.pop(0))
        raise AssertionError("never at rest")

    def pass_time(self, seconds):
        end = self.now + seconds
        while True:
            self.settle()
            step = self.tasks.next_step()
            if step is None or self.now + step > end:
                self.now = end
                return self.settle()
            self.now += step

    def reload(self, functions, **sections):
        old, self.config = self.config, self._config(functions, **sections)
        changes = compare(old, self.config)
        if changes.connection:
            self.connection.replace(self.config)
        self.publishing.apply(self.config, changes, "web-01")
        return self.settle()


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="basket")

    def lines(part=""):
        return [(r.getMessage(), getattr(r, "fields", {})) for r in caplog.records if part in r.getMessage()]

    return lines


@pytest.fixture
def peel(monkeypatch, tmp_path):
    return lambda *args, **sections: Peel(monkeypatch, tmp_path / "state", *args, **sections)


def test_everything_is_published_at_start_in_one_go(peel):
    p = peel(["a", "b", "c"]).start()
    assert p.basket.puts == [("a", "a 0"), ("b", "b 0"), ("c", "c 0")]
    assert sorted(p.settled) == [("a", True), ("b", True), ("c", True)]


def test_an_unchanged_value_is_computed_but_not_written_again(peel):
    p = peel(["a"]).start().pass_time(600)
    assert len(p.calls) == 11 and len(p.basket.puts) == 1
    p.values["a"] = "new"
    p.pass_time(60)
    assert p.basket.puts[1:] == [("a", "new")]


def test_one_that_equals_for_python_but_not_on_the_wire_is_written(peel):
    p = peel(["a"])
    p.values["a"] = 1
    p.start()
    p.values["a"] = True
    p.pass_time(60)
    assert p.basket.puts == [("a", 1), ("a", True)]


def test_a_failing_function_keeps_its_value_and_is_told_once_until_the_reason_changes(peel, log):
    p = peel(["a", "b"]).start()
    p.values["a"] = FunctionError("a", "exit status 1")
    p.pass_time(300)
    assert p.basket.bucket["a"][0] == "a 0"
    p.values["a"] = FunctionError("a", "exit status 2")
    p.pass_time(300)
    p.values["a"] = "back"
    p.pass_time(300)
    assert [(m, f.get("reason")) for m, f in log("function")] == [
        ("function failed", "exit status 1"),
        ("function failed", "exit status 2"),
        ("function works again", None),
    ]
    assert p.basket.bucket["a"][0] == "back"
    assert p.calls.count("a") == 16  # tried at its own interval, no oftener


def test_a_value_that_cannot_be_carried_fails_like_a_function(peel, log):
    p = peel(["big", "ok"])
    p.basket.refused["big"] = ValueTooLargeError("too large", size=9, limit=8)
    p.start().pass_time(180)
    assert [f["function"] for m, f in log("function failed")] == ["big"]
    assert p.basket.bucket["ok"][0] == "ok 0"
    assert ("big", False) in p.settled and ("big", True) not in p.settled
    del p.basket.refused["big"]
    p.pass_time(60)
    assert len(log("function works again")) == 1


def test_a_key_without_permission_is_told_once_and_tried_at_its_interval(peel, log):
    p = peel(["secret"])
    p.basket.refused["secret"] = PermissionDeniedError("no", subject="$KV.basket.web-01.secret")
    p.start().pass_time(600)
    assert len(log("function failed")) == 1


def test_started_without_nats_it_waits_and_publishes_the_newest_when_it_comes(peel, log):
    p = peel(["a"])
    p.basket.down = UnreachableError("refused")
    p.start()
    for n in range(5):
        p.values["a"] = n
        p.pass_time(60)
    assert p.basket.puts == [] and p.calls.count("a") == 6
    p.basket.down = None
    p.pass_time(5)
    assert p.basket.puts == [("a", 4)]
    assert [m for m, f in log("connect")] == ["cannot connect yet, trying on", "connected"]


def test_after_an_outage_the_newest_value_arrives_within_seconds(peel):
    p = peel(["a", "b"]).start()
    p.basket.down = UnreachableError("gone")
    for n in range(3):
        p.values["a"] = n
        p.pass_time(60)
    assert len(p.basket.puts) == 2
    p.basket.down = None
    p.pass_time(5)
    assert p.basket.puts[2:] == [("a", 2)]


def test_a_write_of_unknown_outcome_is_written_again(peel, log):
    p = peel(["a"])
    p.basket.refused["a"] = OutcomeUnknownError("no acknowledgement within 5 s")
    p.start().pass_time(30)
    assert p.settled == []
    assert len(log("cannot write now")) == 1
    p.basket.refused.clear()
    p.pass_time(5)
    assert p.basket.puts == [("a", "a 0")]


def test_a_deleted_key_comes_back(peel, log):
    p = peel(["a", "b"]).start()
    del p.basket.bucket["a"]
    p.pass_time(LOOK_MOST + 1)
    assert p.basket.puts[2:] == [("a", "a 0")]
    assert log("the bucket does not hold")[0][1] == {"functions": "a"}


def test_a_wiped_store_is_filled_again_facts_included(peel):
    p = peel(["a", "b"], facts=FactsSection()).start()
    p.basket.bucket.clear()
    p.basket.document = None
    p.pass_time(LOOK_MOST + 1)
    assert sorted(p.basket.bucket) == ["a", "b"]
    assert p.basket.document == p.facts


def test_at_a_reconnection_it_looks_at_once(peel):
    p = peel(["a"], interval=3600.0).start()
    p.basket.bucket.clear()
    p.publishing.connected()
    p.settle()
    assert sorted(p.basket.bucket) == ["a"]


def test_a_value_that_somebody_else_overwrote_is_set_right(peel):
    p = peel(["a"]).start()
    p.basket.bucket["a"] = ("stale", 99)
    p.pass_time(LOOK_MOST + 1)
    assert p.basket.bucket["a"][0] == "a 0"


def test_looking_at_a_bucket_that_is_not_there_means_that_nothing_is(peel):
    p = peel(["a"], interval=3600.0).start()

    def gone(names):
        raise BucketMissingError("gone")

    p.basket.revisions = gone
    p.pass_time(LOOK_MOST + 1)
    assert len(p.basket.puts) == 2


def test_looking_costs_no_write_while_all_is_well(peel):
    p = peel(["a", "b"], facts=FactsSection(), interval=1.0).start().pass_time(3000)
    assert len(p.basket.puts) == 2


def test_facts_are_written_when_they_change_and_once_an_hour(peel):
    p = peel([], facts=FactsSection(interval=600.0)).start()
    assert p.basket.fact_writes == 1
    p.facts["uptime"] = 1  # changes at every look
    p.pass_time(1200)
    assert p.basket.fact_writes == 1
    p.facts["role"] = "db"
    p.pass_time(600)
    assert p.basket.fact_writes == 2
    p.pass_time(FACTS_AT_MOST + 600)
    assert p.basket.fact_writes == 3


def test_facts_that_failed_for_want_of_a_server_are_tried_soon(peel):
    p = peel([], facts=FactsSection(interval=600.0)).start()
    p.facts["role"] = "db"
    p.basket.down = UnreachableError("gone")
    p.pass_time(600)
    p.basket.down = None
    p.pass_time(5)
    assert p.basket.document["role"] == "db"


def test_heartbeats_go_out_at_their_interval_and_not_at_zero(peel):
    p = peel([], agent=AgentSection(heartbeat=10.0)).start().pass_time(100)
    assert p.basket.beats == 11
    quiet = peel([]).start().pass_time(100)
    assert quiet.basket.beats == 0


def test_a_heartbeat_is_written_though_functions_hang(peel):
    p = peel([f"f{n}" for n in range(80)], agent=AgentSection(heartbeat=10.0))
    p.connection.connect()
    p.publishing.start(p.config, "web-01")
    hanging = []
    for second in range(40):
        p.now = 1000.0 + second
        p.tasks.step()
        for thread in p.threads:
            before = len(p.calls)
            thread()
            if len(p.calls) > before:  # a function: let it hang, by never handing over its end
                hanging.append(p.ended.pop())
        p.threads.clear()
        while p.ended:
            p.tasks.ended(p.ended.pop(0))
    assert p.basket.beats >= 4


def test_a_hanging_function_is_told_and_not_started_again_before_it_returns(peel, log):
    p = peel(["stuck", "ok"], interval=10.0)
    p.connection.connect()
    p.publishing.start(p.config, "web-01")
    stuck = None
    for second in range(100):
        p.now = 1000.0 + second
        p.tasks.step()
        while p.threads:
            p.threads.pop(0)()
        for job in list(p.ended):
            p.ended.remove(job)
            if job.name == "function stuck" and stuck is None:
                stuck = job  # its thread has not come back
            else:
                p.tasks.ended(job)
    assert p.calls.count("stuck") == 1 and p.calls.count("ok") == 10
    assert [f["function"] for m, f in log("function failed")] == ["stuck"]
    p.tasks.ended(stuck)  # at last
    p.pass_time(10)
    assert p.calls.count("stuck") == 2
    assert len(log("function works again")) == 1


def test_reload_touches_only_what_changed(peel):
    p = peel({"keep": 60.0, "change": 60.0, "gone": 60.0}).start()
    p.pass_time(30)
    calls = len(p.calls)
    p.reload({"keep": 60.0, "change": 10.0, "fresh": 60.0})
    assert p.calls[calls:] == ["fresh", "change"] or sorted(p.calls[calls:]) == ["change", "fresh"]
    assert p.basket.deleted == ["gone"] and "gone" not in p.basket.bucket
    calls = len(p.calls)
    p.pass_time(30)
    assert p.calls[calls:].count("keep") == 1  # at its old turn
    assert p.calls[calls:].count("change") == 3
    assert "gone" not in p.calls[calls:]


def test_a_function_retired_during_an_outage_is_deleted_after_it(peel):
    p = peel(["a", "b"]).start()
    p.basket.down = UnreachableError("gone")
    p.reload(["a"])
    p.pass_time(60)
    p.basket.down = None
    p.pass_time(5)
    assert sorted(p.basket.bucket) == ["a"]


def test_a_function_that_ends_after_it_was_removed_is_not_published(peel):
    p = peel(["a", "b"])
    p.connection.connect()
    p.publishing.start(p.config, "web-01")
    p.tasks.step()
    p.reload(["a"])
    assert "b" not in p.basket.bucket
    assert [name for name, value in p.basket.puts] == ["a"]


def test_other_connection_settings_connect_anew_and_publish_everything_there(peel):
    p = peel(["a"]).start()
    old, p.basket = p.basket, FakeBasket()
    p.reload(["a"], nats=NatsSection(url=("nats://other:4222",)))
    assert old.closed
    assert p.basket.puts == [("a", "a 0")]
    assert p.calls.count("a") == 1  # the value was there already


def test_other_custom_facts_are_published_at_once(peel):
    p = peel([], facts=FactsSection(custom={"role": "web"})).start()
    p.reload([], facts=FactsSection(custom={"role": "db"}))
    assert p.basket.document["role"] == "db"


def test_facts_and_heartbeats_can_be_switched_on_and_off_while_running(peel):
    p = peel([]).start()
    p.reload([], facts=FactsSection(), agent=AgentSection(heartbeat=5.0))
    assert p.basket.fact_writes == 1 and p.basket.beats == 1
    p.reload([])
    p.facts["role"] = "other"
    p.pass_time(4000)
    assert p.basket.fact_writes == 1 and p.basket.beats == 1


def test_facts_that_are_not_to_be_published_any_more_are_deleted_at_the_next_connection(peel):
    p = peel([], facts=FactsSection()).start()
    p.basket.down = UnreachableError("gone")
    p.reload([])
    p.pass_time(60)
    assert p.basket.document is not None
    p.basket.down = None
    p.pass_time(5)
    assert p.basket.document is None and p.basket.fact_deletions == 1
    p.pass_time(4000)
    assert p.basket.fact_deletions == 1


def test_facts_switched_on_again_while_they_are_deleted_are_there_in_the_end(peel, log):
    p = peel([], facts=FactsSection()).start()
    old, p.config = p.config, p._config([])
    p.publishing.apply(p.config, compare(old, p.config), "web-01")
    p.tasks.step()
    assert len(p.threads) == 1  # the deletion, under way
    p.reload([], facts=FactsSection())
    assert p.basket.document == p.facts and not log("unexpected error")


def test_facts_switched_off_while_they_are_written_are_gone_in_the_end(peel):
    p = peel([], facts=FactsSection()).start()
    p.facts["role"] = "db"
    p.tasks.hurry("facts")
    p.tasks.step()
    assert len(p.threads) == 1  # the write, under way
    p.reload([])
    assert p.basket.fact_writes == 2 and p.basket.document is None


def test_facts_that_may_not_be_deleted_are_told_once(peel, log):
    p = peel([], facts=FactsSection()).start()
    p.basket.down = PermissionDeniedError("no", subject="$KV.facts.web-01")
    p.reload([])
    p.pass_time(4000)
    assert len(log("facts cannot be deleted")) == 1


def test_facts_of_scripts_are_left_alone(peel):
    p = peel([])
    p.basket.document = {"role": "web"}
    p.start().pass_time(4000)
    assert p.basket.document == {"role": "web"}


def test_once_runs_each_function_one_time(peel):
    p = peel({"quick": 1.0, "slow": 30.0}, once=True, facts=FactsSection()).start().pass_time(100)
    assert sorted(p.calls) == ["quick", "slow"]
    assert sorted(p.settled) == [("facts", True), ("quick", True), ("slow", True)]


def test_a_rival_with_the_same_id_is_told_once_and_a_missing_key_is_no_rival(peel, log):
    p = peel(["a", "b"]).start()
    del p.basket.bucket["b"]
    for _ in range(3):
        p.basket.revision += 10
        p.basket.bucket["a"] = ("theirs", p.basket.revision)
        p.pass_time(LOOK_MOST + 1)
        assert p.basket.bucket["a"][0] == "a 0"
    assert [f["functions"] for m, f in log("do two hosts share its id?")] == ["a"]
    assert [f["functions"] for m, f in log("the bucket does not hold")] == ["b"]


def test_a_store_put_back_to_an_earlier_state_is_no_rival(peel, log):
    p = peel(["a"])
    p.basket.revision = 50
    p.start()
    p.basket.bucket["a"] = ("older", 7)
    p.pass_time(LOOK_MOST + 1)
    assert p.basket.bucket["a"][0] == "a 0"
    assert not log("do two hosts share") and log("the bucket does not hold")


def test_our_own_write_during_the_look_is_no_rival(peel, log):
    p = peel(["a"], interval=200.0).start()

    def looked(names):
        # Its acknowledgement is still on the way when the look has its answer.
        found = {name: p.basket.bucket[name][1] for name in names}
        if len(p.basket.puts) == 1:
            p.values["a"] = "new"
            p.publishing._outbox.offer("a", deliver.Value("new", encode("new")))
            delivery = p.publishing._outbox.take()
            found = p.basket.publish_many({"a": "new"})
            p.late = delivery, found
        return found

    p.basket.revisions = looked
    p.pass_time(LOOK_MOST + 1)
    p.publishing._outbox.settle(p.late[0], p.late[1], frozenset())
    p.pass_time(LOOK_MOST + 1)
    assert p.basket.puts == [("a", "a 0"), ("a", "new")]
    assert not log("do two hosts share")


def test_what_left_the_configuration_while_no_agent_ran_is_deleted(peel, log):
    first = peel(["keep", "gone"], facts=FactsSection()).start()
    second = peel(["keep"])
    second.basket = first.basket
    second.basket.bucket["script"] = ("published by a script", 9)
    second.start()
    assert sorted(second.basket.bucket) == ["keep", "script"]
    assert second.basket.document is None
    assert [f["function"] for m, f in log("function retired")] == ["gone"]
    third = peel(["keep"])
    third.basket = first.basket
    third.start()
    assert second.basket.deleted == ["gone"], "done is done"


def test_what_could_not_be_deleted_is_tried_by_the_next_agent(peel):
    first = peel(["gone"]).start()
    first.basket.down = UnreachableError("gone")
    first.reload([])  # and ends before the server is back
    first.basket.down = None
    second = peel([])
    second.basket = first.basket
    second.start()
    assert second.basket.bucket == {}


def test_a_run_once_leaves_alone_what_an_agent_publishes(peel):
    first = peel(["a"]).start()
    second = peel(["b"], once=True)
    second.basket = first.basket
    second.start()
    third = peel(["a"])
    third.basket = first.basket
    third.start()
    assert sorted(first.basket.bucket) == ["a", "b"]


def test_a_scope_that_cannot_be_filled_in_ends_nothing_and_is_told_once(peel, log):
    p = peel(["a"], facts=FactsSection(custom={"site": "x"})).start()
    p.basket.scope_problem = ConfigError("the scope names facts.site, which this peel does not have")
    for role in ("web", "db"):
        p.connection.rescope(p.config)
        p.reload(["a"], facts=FactsSection(custom={"role": role}))  # the facts are written, and the scope is made anew
        assert p.basket.document["role"] == role
    assert len(log("the scope cannot be applied")) == 1
    p.basket.scope_problem = None
    p.reload(["a"], facts=FactsSection(custom={"site": "x"}))
    assert len(log("the scope is applied again")) == 1


def test_an_id_that_is_given_up_leaves_nothing_behind(log):
    basket = FakeBasket()
    basket.bucket, basket.document = {"a": (1, 1), "of.a.script": (2, 2)}, {}
    deliver.farewell(basket)
    assert basket.bucket == {} and basket.document is None and not log("still there")


def test_what_is_left_of_an_id_that_is_given_up_is_told_with_the_command_that_deletes_it(log):
    basket = FakeBasket()
    basket.down = UnreachableError("gone")
    deliver.farewell(basket)
    ((_, fields),) = log("still there")
    assert fields["mend"] == "zester-basket delete --peel web-01 --all" and fields["reason"] == "gone"


def test_another_state_directory_alone_is_no_other_connection():
    assert not compare(Config(), Config(peel=PeelSection(state="/elsewhere"))).connection


def test_another_peel_id_is_another_connection():
    assert compare(Config(), Config(peel=PeelSection(id="web-02")), renamed=True).connection
    assert not compare(Config(), Config(nodegroups={"a": "b*"})).connection
    assert not compare(Config(), Config())

"""What is written and what is not: nothing twice, nothing lost, never an older value after a newer one."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from basket.agent.outbox import Outbox, Value

NONE = frozenset()


def value(text: str) -> Value:
    return Value(text, text.encode())


def written(outbox: Outbox, revision: int = 1):
    delivery = outbox.take()
    names = {} if delivery is None else dict.fromkeys(delivery.values, revision)
    outbox.settle(delivery, names, NONE)
    return delivery


def test_an_unchanged_value_is_not_written_again():
    outbox = Outbox()
    assert outbox.offer("f", value("1"))
    written(outbox)
    assert not outbox.offer("f", value("1"))
    assert outbox.take() is None
    assert outbox.offer("f", value("2"))


def test_only_an_acknowledged_value_counts_as_written():
    outbox = Outbox()
    outbox.offer("f", value("1"))
    delivery = outbox.take()
    outbox.settle(delivery, {}, frozenset({"f"}))
    assert outbox.take().values == {"f": value("1")}


def test_after_an_outage_the_newest_value_is_written_and_no_other():
    outbox = Outbox()
    outbox.offer("f", value("1"))
    delivery = outbox.take()
    for n in "234":
        outbox.offer("f", value(n))
    outbox.settle(delivery, {}, frozenset({"f"}))
    assert outbox.take().values == {"f": value("4")}
    assert outbox.take() is None  # one delivery at a time


def test_a_value_that_returned_to_the_old_one_during_a_delivery_is_written():
    outbox = Outbox()
    outbox.offer("f", value("old"))
    written(outbox)
    outbox.offer("f", value("new"))
    delivery = outbox.take()
    assert outbox.offer("f", value("old"))
    outbox.settle(delivery, {"f": 2}, NONE)
    assert outbox.take().values == {"f": value("old")}


def test_the_same_value_offered_during_its_delivery_is_not_written_twice():
    outbox = Outbox()
    outbox.offer("f", value("1"))
    delivery = outbox.take()
    outbox.offer("f", value("1"))
    outbox.settle(delivery, {"f": 1}, NONE)
    assert outbox.take() is None


def test_a_refused_value_waits_for_its_next_offer():
    outbox = Outbox()
    outbox.offer("f", value("too large"))
    outbox.settle(outbox.take(), {}, NONE)
    assert outbox.take() is None
    assert outbox.offer("f", value("too large"))


def test_a_retired_key_is_deleted_even_if_its_put_was_on_the_way():
    outbox = Outbox()
    outbox.offer("f", value("1"))
    delivery = outbox.take()
    outbox.retire("f")
    assert outbox.take() is None
    outbox.settle(delivery, {"f": 1}, NONE)
    assert outbox.take().retired == {"f"}


def test_a_deletion_that_failed_is_tried_again_and_one_done_is_not():
    outbox = Outbox()
    outbox.retire("f")
    outbox.settle(outbox.take(), {}, frozenset({"f"}))
    delivery = outbox.take()
    assert delivery.retired == {"f"}
    outbox.settle(delivery, {}, NONE)
    assert outbox.take() is None


def test_a_function_configured_again_while_its_key_is_being_deleted_comes_back():
    outbox = Outbox()
    outbox.offer("f", value("1"))
    written(outbox)
    outbox.retire("f")
    delivery = outbox.take()
    outbox.offer("f", value("1"))
    outbox.settle(delivery, {}, NONE)
    assert outbox.take().values == {"f": value("1")}


def test_a_deletion_of_unknown_outcome_does_not_lose_the_value_configured_meanwhile():
    outbox = Outbox()
    outbox.offer("f", value("1"))
    written(outbox)
    outbox.retire("f")
    delivery = outbox.take()
    outbox.offer("f", value("1"))
    outbox.settle(delivery, {}, frozenset({"f"}))
    assert outbox.offer("f", value("1"))
    assert outbox.take().values == {"f": value("1")}


def test_what_vanished_from_the_bucket_is_written_again():
    outbox = Outbox()
    outbox.offer("f", value("1"))
    written(outbox, 7)
    assert outbox.held() == {"f": 7}
    assert outbox.forget("f")
    assert outbox.take().values == {"f": value("1")}
    assert not outbox.forget("unknown")


def test_another_server_gets_everything_and_the_old_ones_answer_is_ignored():
    outbox = Outbox()
    outbox.offer("a", value("1"))
    written(outbox)
    outbox.offer("b", value("2"))
    old = outbox.take()
    outbox.recall()
    outbox.forget_all()
    outbox.settle(old, {"b": 9}, NONE)
    assert outbox.held() == {}
    assert sorted(outbox.take().values) == ["a", "b"]


NAMES = st.sampled_from(["a", "b", "c"])


class Model(RuleBasedStateMachine):
    """Whatever happens in whatever order: once deliveries succeed, the bucket holds the newest values and nothing else."""

    deliveries = Bundle("deliveries")

    def __init__(self):
        super().__init__()
        self.outbox = Outbox()
        self.wanted = {}
        self.bucket = {}
        self.away = None
        self.revision = 0

    @rule(name=NAMES, text=st.sampled_from("xyz"))
    def offer(self, name, text):
        self.wanted[name] = text
        self.outbox.offer(name, value(text))

    @rule(name=NAMES)
    def retire(self, name):
        self.wanted.pop(name, None)
        self.outbox.retire(name)

    @rule()
    def take(self):
        if self.away is None:
            self.away = self.outbox.take()

    @rule(stored=st.sets(NAMES), told=st.sets(NAMES))
    def settle(self, stored, told):
        """Of what is stored, some acknowledgements are lost on the way."""
        if self.away is None:
            return
        revisions, failed = {}, set()
        for name, item in self.away.values.items():
            if name in stored:
                self.revision += 1
                self.bucket[name] = item.value
            if name in stored and name in told:
                revisions[name] = self.revision
            else:
                failed.add(name)
        for name in self.away.retired:
            if name in stored:
                self.bucket.pop(name, None)
            if name not in stored or name not in told:
                failed.add(name)
        self.outbox.settle(self.away, revisions, frozenset(failed))
        self.away = None

    @rule(name=NAMES)
    def vanish(self, name):
        if self.away is None:
            self.bucket.pop(name, None)
            self.outbox.forget(name)

    def teardown(self):
        everything = {"a", "b", "c"}
        for _ in range(4):
            self.settle(everything, everything)
            self.take()
        assert self.away is None
        assert self.bucket == self.wanted

    @invariant()
    def held_is_true(self):
        if self.away is None:
            assert all(name in self.bucket for name in self.outbox.held())


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)

"""Each trouble is told once, and retries grow apart."""

from __future__ import annotations

from basket.agent.retry import Backoff
from basket.agent.troubles import Troubles
from basket.errors import JetStreamError, UnreachableError


class Told(list):
    def __call__(self, message, **fields):
        self.append((message, fields.get("reason")))


def test_the_same_reason_is_told_once_another_one_again_and_the_end_once():
    troubles, told = Troubles(), Told()
    for reason in ("no route", "no route", "refused", "refused", "no route"):
        troubles.failed("f", reason, told, "failed")
    assert troubles.worked("f", told, "works")
    assert not troubles.worked("f", told, "works")
    assert told == [("failed", "no route"), ("failed", "refused"), ("failed", "no route"), ("works", None)]


def test_a_reason_whose_text_varies_is_told_once_by_its_key():
    troubles, told = Troubles(), Told()
    for seconds in ("5 s", "4.99 s"):
        troubles.failed("nats", f"no answer within {seconds}", told, "failed", key="BasketTimeoutError")
    assert told == [("failed", "no answer within 5 s")]


def test_subjects_do_not_hide_each_other():
    troubles, told = Troubles(), Told()
    troubles.failed("a", "x", told, "failed")
    troubles.failed("b", "x", told, "failed")
    troubles.forget("a")
    assert troubles.failed("a", "x", told, "failed") and not troubles.failed("b", "x", told, "failed")
    assert len(told) == 3


def test_that_there_is_no_connection_is_told_by_the_connection_alone():
    troubles, told = Troubles(), Told()
    troubles.hindered("facts", UnreachableError("refused"), told, "failed")
    troubles.hindered("facts", JetStreamError("no room: 5"), told, "failed")
    troubles.hindered("facts", JetStreamError("no room: 6"), told, "failed")
    assert told == [("failed", "no room: 5")]


def test_waits_double_up_to_a_bound_and_start_anew_after_success():
    backoff = Backoff(1.0, 8.0, lambda: 1.0)
    assert [backoff.next() for _ in range(6)] == [1, 2, 4, 8, 8, 8]
    backoff.reset()
    assert backoff.next() == 1


def test_a_refusal_is_followed_by_a_longer_wait():
    backoff = Backoff(1.0, 8.0, lambda: 1.0, refused=8.0)
    assert [backoff.next(refused=True), backoff.next()] == [8, 2]


def test_waits_of_a_fleet_differ_and_are_never_nothing():
    draws = iter([0.0, 0.25, 1.0])
    waits = [Backoff(1.0, 8.0, lambda: next(draws)).next() for _ in range(3)]
    assert waits == [0.5, 0.625, 1.0]

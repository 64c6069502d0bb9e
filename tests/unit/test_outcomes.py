"""Remembered outcomes must never outlive what they were made from, and must not grow without bound."""

from __future__ import annotations

import pytest

from basket.bus.record import Record
from basket.errors import TargetError
from basket.live import outcomes as module
from basket.live.outcomes import Outcomes
from basket.target import parse


class Facts:
    """A live copy of facts: documents stand where their bytes would."""

    def __init__(self, **documents):
        self.table = {}
        self.decoded = []
        self._stamp = 0
        for peel_id, document in documents.items():
            self.put(peel_id, document)

    def put(self, peel_id, document, revision=None):
        self._stamp += 1
        self.table[peel_id] = Record(peel_id, document, revision or self._stamp, self._stamp, False)

    def document(self, record):
        if record is None:
            return {}
        self.decoded.append(record.subject)
        return record.data

    def outcomes(self):
        return Outcomes(lambda: self.table, self.document)


def nobody_asks():
    raise AssertionError("all peels were listed without need")


def ids(outcomes, target, known=nobody_asks, groups=None):
    return sorted(outcomes.matching(parse(target, groups), known))


def test_facts_are_decoded_once_for_each_target_until_they_change():
    facts = Facts(a={"role": "web"}, b={"role": "db"})
    outcomes = facts.outcomes()
    assert ids(outcomes, "role:web") == ["a"]
    assert ids(outcomes, "role:web") == ["a"]
    assert sorted(facts.decoded) == ["a", "b"]
    facts.put("b", {"role": "web"})
    assert ids(outcomes, "role:web") == ["a", "b"]
    assert sorted(facts.decoded) == ["a", "b", "b"]


def test_the_same_revision_written_at_another_time_is_another_value():
    """A bucket made anew counts from 1 again."""
    facts = Facts()
    facts.put("a", {"role": "web"}, revision=1)
    outcomes = facts.outcomes()
    assert ids(outcomes, "role:web") == ["a"]
    facts.put("a", {"role": "db"}, revision=1)
    assert ids(outcomes, "role:web") == []


def test_facts_that_are_gone_match_no_more():
    facts = Facts(a={"role": "web"})
    outcomes = facts.outcomes()
    assert ids(outcomes, "role:web") == ["a"]
    del facts.table["a"]
    assert ids(outcomes, "role:web") == []
    facts.put("a", {"role": "web"})
    assert ids(outcomes, "role:web") == ["a"]


def test_peels_without_facts_are_listed_only_where_they_may_match():
    facts = Facts(a={"role": "web"}, b={})
    outcomes = facts.outcomes()
    known = lambda: {"a", "b", "c"}  # noqa: E731
    assert ids(outcomes, "not role:web", known) == ["b", "c"]
    assert ids(outcomes, "role:web or c", known) == ["a", "c"]
    assert ids(outcomes, "c* and role:web") == []
    assert ids(outcomes, "L@a,c and not role:db") == ["a", "c"], "those named are all there can be"


def test_a_peel_that_gets_its_first_facts_is_looked_at_again():
    facts = Facts()
    outcomes = facts.outcomes()
    assert ids(outcomes, "not role:web", lambda: ["a"]) == ["a"]
    facts.put("a", {"role": "web"})
    assert ids(outcomes, "not role:web", lambda: ["a"]) == []


def test_a_named_group_that_means_something_else_is_another_target():
    facts = Facts(a={"role": "web"}, b={"role": "db"})
    outcomes = facts.outcomes()
    assert ids(outcomes, "N@front", groups={"front": "role:web"}) == ["a"]
    assert ids(outcomes, "N@front", groups={"front": "role:db"}) == ["b"]


def test_only_the_targets_used_last_are_remembered():
    facts = Facts(a={"role": "web"})
    outcomes = facts.outcomes()
    ids(outcomes, "role:web")
    for i in range(module.REMEMBERED * 3):
        ids(outcomes, f"role:r{i}")
        assert ids(outcomes, "role:web") == ["a"]
    assert len(outcomes._remembered) == module.REMEMBERED
    assert facts.decoded.count("a") == module.REMEMBERED * 3 + 1, "the one in use was never forgotten"


def test_peels_that_came_and_went_are_forgotten():
    facts = Facts()
    outcomes = facts.outcomes()
    for i in range(5000):
        facts.table.clear()
        facts.put(f"p{i}", {"role": "web"})
        assert ids(outcomes, "role:web") == [f"p{i}"]
    ((_, remembered),) = outcomes._remembered.values()
    assert len(remembered) <= 1100


def test_many_peels_without_facts_are_remembered_too():
    """Else every query over a fleet without facts would match it whole again."""
    facts = Facts()
    outcomes = facts.outcomes()
    fleet = [f"p{i}" for i in range(3000)]
    assert len(ids(outcomes, "not role:web", lambda: fleet)) == 3000
    ((_, remembered),) = outcomes._remembered.values()
    assert len(remembered) == 3000


def test_a_matcher_that_has_used_up_its_time_is_not_kept(monkeypatch):
    """One hostile fact must not spoil a target for as long as the process lives."""
    facts = Facts(a={"v": "x"})
    made = []

    def matcher(tree):
        made.append(tree)

        def match(peel_id, known):
            if len(made) == 1:
                raise TargetError("took too long", expression="x")
            return True

        return match

    monkeypatch.setattr(module, "matcher", matcher)
    outcomes = facts.outcomes()
    with pytest.raises(TargetError):
        ids(outcomes, "v:x")
    assert ids(outcomes, "v:x") == ["a"]

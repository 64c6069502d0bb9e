"""The pure parts of the measurements: a wrong median or a goal held against the wrong number would praise a slow program."""

from __future__ import annotations

import json

from bench.pairs import alternate, timed
from bench.report import OURS, Figure, Goal, amount, as_json, missed, table


def test_the_ratio_is_the_median_of_the_pairs_not_the_ratio_of_the_medians():
    # The machine was busy during the second pair, which slowed both.
    figure = Figure("x", ours=(1.0, 30.0, 4.0), raw=(2.0, 10.0, 4.0))
    assert figure.ratios == [0.5, 3.0, 1.0]
    assert figure.ratio == 1.0


def test_a_goal_is_held_against_the_ratio_or_against_our_own_median():
    assert Figure("x", (1.0, 1.0), (2.0, 2.0), goal=Goal(0.5)).passed is True
    assert Figure("x", (1.1, 1.1), (2.0, 2.0), goal=Goal(0.5)).passed is False
    assert Figure("x", (33.0,), (1.0,), unit="MB", goal=Goal(34.0, OURS)).passed is True
    assert Figure("x", (35.0,), (100.0,), unit="MB", goal=Goal(34.0, OURS)).passed is False
    assert Figure("x", (1.0,), (2.0,)).passed is None


def test_a_ratio_without_anything_to_compare_with_is_not_a_pass():
    assert Figure("x", (1.0,), goal=Goal(1.0)).passed is False
    assert Figure("x", (1.0,), (0.0,), goal=Goal(1.0)).passed is False


def test_only_missed_goals_are_named():
    good = Figure("good", (1.0,), (1.0,), goal=Goal(1.0))
    bad = Figure("bad", (2.0,), (1.0,), goal=Goal(1.0))
    assert missed([good, bad, Figure("none", (9.0,), (1.0,))]) == ["bad"]


def test_amounts_are_readable():
    assert [amount(value, "s") for value in (0.0000123, 0.00025, 0.0125, 2.5)] == ["12.3 us", "250 us", "12.5 ms", "2.5 s"]
    assert amount(33.25, "MB") == "33.2 MB"


def test_the_table_is_aligned_and_tells_pass_from_missed():
    figures = [
        Figure("one value", (0.0003,), (0.0002,), "await kv.get", goal=Goal(1.3)),
        Figure("mirror", (5e-6,), (0.0002,), "await kv.get", goal=Goal(10e-6, OURS)),
        Figure("memory", (33.0,), unit="MB"),
    ]
    head, *rows = table(figures).splitlines()
    assert len(rows) == 3
    assert " ".join(rows[0].split()) == "one value <= 1.3 x 1.5 x 1.5..1.5 300 us 200 us await kv.get MISSED"
    assert rows[1].endswith("pass") and "<= 10 us" in rows[1]
    assert "33 MB" in rows[2]
    assert len({row.index("await") for row in rows[:2]} | {head.index("raw is")}) == 1


def test_the_json_holds_every_sample():
    figure = Figure("x", (1.0, 2.0), (2.0, 2.0), "raw", goal=Goal(0.9))
    told = json.loads(json.dumps(as_json([figure], {"python": "3"}, [{"values": 10}])))
    assert told["figures"][0]["ours"] == [1.0, 2.0]
    assert told["figures"][0]["ratios"] == [0.5, 1.0]
    assert told["figures"][0]["passed"] is True
    assert told["costs"] == [{"values": 10}]
    assert told["about"] == {"python": "3"}


def test_both_are_taken_in_turn_and_the_first_of_each_does_not_count():
    order = []

    def sample(name):
        def take():
            order.append(name)
            return float(len(order))

        return take

    ours, raw = alternate(sample("ours"), sample("raw"), 3)
    assert order == ["ours", "raw"] * 4
    assert ours == (3.0, 5.0, 7.0)
    assert raw == (4.0, 6.0, 8.0)


def test_a_sample_is_the_time_of_one_call_of_many():
    calls = []
    took = timed(lambda: calls.append(1), 40)()
    assert len(calls) == 40
    assert 0 <= took < 0.1

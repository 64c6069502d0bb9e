"""When tasks run: at once, at their interval, never over themselves, and peels not in step."""

from __future__ import annotations

import random

import pytest

from basket.agent.schedule import JITTER, Schedule


def steady() -> Schedule:
    return Schedule(lambda: 0.5)  # the middle of the jitter: exactly the interval


def run(schedule: Schedule, now: float) -> list:
    names = schedule.due(now)
    for name in names:
        schedule.finished(name, now)
    return names


def test_everything_is_due_at_once_and_then_at_its_own_interval():
    schedule = steady()
    schedule.repeat("fast", 10, 0.0)
    schedule.repeat("slow", 25, 0.0)
    assert sorted(run(schedule, 0.0)) == ["fast", "slow"]
    seen = []
    while schedule.next_due() <= 60:
        now = schedule.next_due()
        seen += [(now, name) for name in run(schedule, now)]
    assert seen == [
        (10, "fast"),
        (20, "fast"),
        (25, "slow"),
        (30, "fast"),
        (40, "fast"),
        (50, "fast"),
        (50, "slow"),
        (60, "fast"),
    ]


def test_a_running_task_is_not_started_again_and_missed_rounds_are_left_out():
    schedule = steady()
    schedule.repeat("long", 10, 0.0)
    assert schedule.due(0.0) == ["long"]
    assert schedule.due(35.0) == []
    assert schedule.next_due() is None
    schedule.finished("long", 35.0)
    assert schedule.next_due() == 40.0  # on its own grid, and not three times in a row


def test_a_task_that_ends_exactly_when_it_is_due_waits_for_the_next_round():
    schedule = steady()
    schedule.repeat("exact", 10, 0.0)
    schedule.due(0.0)
    schedule.finished("exact", 10.0)
    assert schedule.next_due() == 20.0


def test_a_changed_interval_counts_from_the_last_start():
    schedule = steady()
    schedule.repeat("f", 300, 0.0)
    run(schedule, 0.0)
    schedule.repeat("f", 60, 20.0)
    assert schedule.next_due() == 60.0
    schedule.repeat("f", 10, 30.0)
    assert schedule.next_due() == 30.0  # overdue by the new interval, so now, but not in the past


def test_an_interval_changed_while_running_holds_for_the_next_wait():
    schedule = steady()
    schedule.repeat("f", 300, 0.0)
    schedule.due(0.0)
    schedule.repeat("f", 60, 1.0)
    schedule.finished("f", 2.0)
    assert schedule.next_due() == 60.0


def test_other_tasks_keep_their_turn_when_one_changes():
    schedule = steady()
    for name in "ab":
        schedule.repeat(name, 100, 0.0)
    run(schedule, 0.0)
    schedule.repeat("b", 5, 50.0)
    schedule.drop("b")
    assert schedule.next_due() == 100.0
    assert schedule.due(100.0) == ["a"]


def test_hurry_moves_a_task_forward_only():
    schedule = steady()
    schedule.repeat("f", 100, 0.0)
    run(schedule, 0.0)
    schedule.hurry("f", 200.0)
    assert schedule.next_due() == 100.0
    schedule.hurry("f", 30.0)
    assert run(schedule, 30.0) == ["f"]
    assert schedule.next_due() == 130.0
    schedule.hurry("unknown", 0.0)
    assert "unknown" not in schedule


def test_hurry_while_running_means_once_more_after_that():
    schedule = steady()
    schedule.repeat("f", 100, 0.0)
    schedule.due(0.0)
    schedule.hurry("f", 1.0)
    schedule.finished("f", 7.0)
    assert schedule.next_due() == 7.0


def test_once_runs_once():
    schedule = steady()
    schedule.once("retry", 5.0)
    assert schedule.due(4.9) == []
    assert run(schedule, 5.0) == ["retry"]
    assert "retry" not in schedule
    assert schedule.next_due() is None


def test_once_asked_for_while_it_runs_runs_again():
    schedule = steady()
    schedule.once("connect", 0.0)
    schedule.due(0.0)
    schedule.once("connect", 0.0)
    schedule.finished("connect", 3.0)
    assert schedule.due(3.0) == ["connect"]


def test_dropped_while_running_is_gone_for_good():
    schedule = steady()
    schedule.repeat("f", 1, 0.0)
    schedule.due(0.0)
    schedule.drop("f")
    schedule.finished("f", 1.0)
    assert schedule.next_due() is None


def test_tasks_of_one_peel_stay_together_and_peels_drift_apart():
    def wake_ups(seed):
        schedule = Schedule(random.Random(seed).random)
        for name in "abcde":
            schedule.repeat(name, 300, 0.0)
        times = []
        for _ in range(20):
            now = schedule.next_due()
            assert len(run(schedule, now)) == 5  # one wake-up, one pipelined write
            times.append(now)
        return times

    one, other = wake_ups(1), wake_ups(2)
    assert one[0] == other[0] == 0.0
    assert all(300 * (1 - JITTER) <= b - a <= 300 * (1 + JITTER) for a, b in zip(one, one[1:]))
    assert len({round(a - b, 3) for a, b in zip(one[1:], other[1:])}) == 19


def test_ten_thousand_reloads_leave_nothing_behind():
    schedule = steady()
    schedule.repeat("f", 86400, 0.0)
    for count in range(10000):
        schedule.hurry("f", float(count))
        run(schedule, float(count))
    assert len(schedule._heap) < 100


@pytest.mark.parametrize("interval", [0.1, 1, 3600, 86400 * 365])
def test_a_late_wake_up_does_not_run_a_task_twice(interval):
    schedule = steady()
    schedule.repeat("f", interval, 0.0)
    run(schedule, 0.0)
    late = interval * 7.5
    assert run(schedule, late) == ["f"]  # the machine slept through seven rounds
    assert run(schedule, late) == []
    assert schedule.next_due() == pytest.approx(late + interval)

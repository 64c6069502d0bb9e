"""Slow functions hold up nobody, hanging ones are given up, and the number of threads stays bounded."""

from __future__ import annotations

import math
import re
import threading
from pathlib import Path

from basket.agent.ending import LAST_LOOK, STOP_TIME
from basket.agent.workers import AT_ONCE, GRACE, MOST, SLOW_AFTER, Job, Workers


class Bench:
    """Workers whose threads are run by the test."""

    def __init__(self):
        self.threads = {}
        self.ended = []
        self.workers = Workers(self.ended.append, start=self.threads.__setitem__)

    def job(self, name, now=0.0, timeout=30.0, **more):
        job = Job(name, lambda: name.upper(), timeout, **more)
        self.workers.submit(job, now)
        return job

    def running(self):
        return sorted(self.threads)

    def finish(self, job, now):
        self.threads.pop(f"basket-worker-{job.number}")()
        assert self.ended[-1] is job
        self.workers.ended(job, now)


def test_a_job_brings_back_its_value_or_its_error():
    bench = Bench()
    good = bench.job("good")
    bad = Job("bad", lambda: 1 / 0, 30.0)
    bench.workers.submit(bad, 0.0)
    bench.finish(good, 0.0)
    bench.finish(bad, 0.0)
    assert good.value == "GOOD" and good.error is None
    assert isinstance(bad.error, ZeroDivisionError)


def test_even_system_exit_in_a_plugin_ends_only_its_job():
    bench = Bench()
    job = Job("exits", lambda: exec("raise SystemExit(3)"), 30.0)
    bench.workers.submit(job, 0.0)
    bench.finish(job, 0.0)
    assert isinstance(job.error, SystemExit)


def test_few_run_at_once_and_the_next_starts_when_one_ends():
    bench = Bench()
    jobs = [bench.job(f"f{n}") for n in range(AT_ONCE + 2)]
    assert len(bench.threads) == AT_ONCE
    bench.finish(jobs[0], 0.1)
    assert len(bench.threads) == AT_ONCE
    assert jobs[AT_ONCE].started == 0.1


def test_slow_jobs_do_not_hold_up_quick_ones():
    bench = Bench()
    for n in range(AT_ONCE):
        bench.job(f"slow{n}")
    quick = bench.job("quick")
    assert math.isnan(quick.started)
    assert bench.workers.next_look(0.0) == SLOW_AFTER
    assert bench.workers.overdue(SLOW_AFTER) == []
    assert quick.started == SLOW_AFTER


def test_threads_are_bounded_however_many_are_slow():
    bench = Bench()
    for n in range(MOST + 10):
        bench.job(f"slow{n}", timeout=1000.0)
    for second in range(40):
        bench.workers.overdue(float(second))
        assert len(bench.threads) <= MOST
    assert len(bench.threads) == MOST


def test_a_hanging_job_is_given_up_once_and_its_place_is_free():
    bench = Bench()
    stuck = [bench.job(f"stuck{n}", timeout=10 * MOST, now=float(n)) for n in range(MOST)]
    waiting = bench.job("waiting", now=float(MOST))
    assert len(bench.threads) == MOST and math.isnan(waiting.started)
    end = 10 * MOST + GRACE
    assert bench.workers.next_look(float(MOST)) <= end
    assert bench.workers.overdue(end) == [stuck[0]]
    assert waiting.started == end  # in the place of the one given up
    assert bench.workers.overdue(end) == []
    # The thread that was given up keeps its number until it returns, then goes quietly.
    assert waiting.number not in {job.number for job in stuck}
    bench.finish(stuck[0], end + 100)
    assert len(bench.threads) == MOST


def test_urgent_jobs_never_wait():
    bench = Bench()
    for n in range(AT_ONCE):
        bench.job(f"busy{n}")
    beat = bench.job("heartbeat", urgent=True)
    assert beat.started == 0.0


def test_an_endless_timeout_never_wakes_anybody():
    bench = Bench()
    bench.job("deliver", timeout=float("inf"), urgent=True)
    assert bench.workers.next_look(0.0) is None


def test_forgotten_jobs_do_not_start():
    bench = Bench()
    running = [bench.job(f"busy{n}") for n in range(AT_ONCE)]
    gone = bench.job("gone")
    bench.workers.forget("gone")
    bench.finish(running[0], 0.0)
    assert math.isnan(gone.started)


def test_threads_have_names_with_small_numbers():
    bench = Bench()
    first, second = bench.job("a"), bench.job("b")
    assert bench.running() == ["basket-worker-1", "basket-worker-2"]
    bench.finish(first, 0.0)
    bench.job("c")
    assert bench.running() == ["basket-worker-1", "basket-worker-2"]
    assert second.number == 2


def test_no_thread_to_be_had_fails_the_job_and_not_the_agent():
    ended = []

    def refuse(name, target):
        raise RuntimeError("can't start new thread")

    workers = Workers(ended.append, start=refuse)
    job = Job("f", lambda: 1, 30.0)
    workers.submit(job, 0.0)
    assert ended == [job] and isinstance(job.error, RuntimeError)


def test_real_threads_are_daemons_and_end_with_their_job():
    ended = threading.Event()
    threads = []
    workers = Workers(lambda job: ended.set())
    workers.submit(Job("f", lambda: threads.append(threading.current_thread()), 30.0), 0.0)
    assert ended.wait(5)
    threads[0].join(5)
    assert threads[0].daemon and threads[0].name == "basket-worker-1" and not threads[0].is_alive()


def test_the_unit_of_systemd_leaves_room_for_them_and_time_to_end():
    unit = (Path(__file__).resolve().parents[2] / "conf" / "systemd" / "zester-basket.service").read_text()
    assert int(re.search(r"^TasksMax=(\d+)$", unit, re.MULTILINE)[1]) >= 3 * MOST
    assert int(re.search(r"^TimeoutStopSec=(\d+)s$", unit, re.MULTILINE)[1]) > 2 * (STOP_TIME + LAST_LOOK)
    assert f"{STOP_TIME:g} s" in unit

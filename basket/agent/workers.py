"""The ``basket-worker-N`` threads: how many jobs run at once, and what happens to one that never comes back.

A thread lives as long as its job. Starting one costs 0.1 ms, and none is left that would have to be woken to be stopped.
All methods are for the agent's main thread; only the jobs run elsewhere.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional

AT_ONCE = 8
"""Jobs that run at the same time, not counting slow ones."""
SLOW_AFTER = 0.25
"""Seconds after which a job counts as slow, and holds up no other any more. Starting a command takes some milliseconds."""
MOST = 256
"""Jobs that run at the same time, slow ones included: the bound on threads and child processes."""
GRACE = 3.0
"""Seconds past its timeout after which a job is given up: commands need them to be ended in an orderly way."""


class Job:
    """One run of a task: ``value`` or ``error`` once it has ended, ``abandoned`` when nobody waits for it any more.

    ``started`` is NaN until then. ``timeout`` in seconds; infinite for what is sure to come back by itself. An urgent job
    does not wait for room.
    """

    __slots__ = ("abandoned", "call", "error", "name", "number", "started", "timeout", "urgent", "value")

    def __init__(self, name: str, call: Callable[[], Any], timeout: float, *, urgent: bool = False) -> None:
        self.name = name
        self.call = call
        self.timeout = timeout
        self.urgent = urgent
        self.number = 0
        self.started = math.nan
        self.abandoned = False
        self.value: Any = None
        self.error: Optional[BaseException] = None

    def run(self) -> None:
        try:
            self.value = self.call()
        except BaseException as error:  # whatever a plugin raises belongs to its function, not to the thread
            self.error = error


def start_thread(name: str, target: Callable[[], None]) -> None:
    # A daemon: a thread that hangs in the kernel must not keep the process from ending.
    threading.Thread(target=target, name=name, daemon=True).start()


class Workers:
    """Runs jobs; ``post`` is called on the job's own thread when it has ended and hands it to the main thread."""

    def __init__(self, post: Callable[[Job], None], *, start: Callable[[str, Callable[[], None]], None] = start_thread) -> None:
        self._post = post
        self._start = start
        self._queue: Deque[Job] = deque()
        self._running: Dict[int, Job] = {}  # by the number of its thread; those given up stay until they return

    def submit(self, job: Job, now: float) -> None:
        """Run it as soon as there is room; an urgent one at once."""
        self._queue.append(job)
        self.fill(now)

    def ended(self, job: Job, now: float) -> None:
        """What ``post`` handed over has arrived at the main thread."""
        self._running.pop(job.number, None)
        self.fill(now)

    def forget(self, name: str) -> None:
        """Take back what waits under ``name``; what runs already goes on."""
        self._queue = deque(job for job in self._queue if job.name != name)

    def fill(self, now: float) -> None:
        """Start what there is room for."""
        ordinary = [job for job in self._running.values() if not job.urgent and not job.abandoned]
        total = len(ordinary)
        brisk = sum(1 for job in ordinary if now - job.started < SLOW_AFTER)
        waiting: Deque[Job] = deque()
        while self._queue:
            job = self._queue.popleft()
            if job.urgent:
                self._launch(job, now)
            elif brisk < AT_ONCE and total < MOST:
                brisk, total = brisk + 1, total + 1
                self._launch(job, now)
            else:
                waiting.append(job)
        self._queue = waiting

    def overdue(self, now: float) -> List[Job]:
        """Give up the jobs that are past their timeout, each once, and start others in their place."""
        late = [job for job in self._running.values() if not job.abandoned and now >= _end(job)]
        for job in late:
            job.abandoned = True
        if late or self._queue:
            self.fill(now)
        return late

    def next_look(self, now: float) -> Optional[float]:
        """When ``overdue`` has something to do next, None while nothing runs."""
        running = [job for job in self._running.values() if not job.abandoned]
        times = [_end(job) for job in running]
        if self._queue:
            times += [job.started + SLOW_AFTER for job in running if not job.urgent and job.started + SLOW_AFTER > now]
        first = min(times, default=math.inf)
        return None if first == math.inf else first

    def _launch(self, job: Job, now: float) -> None:
        number = 1
        while number in self._running:
            number += 1
        job.number, job.started = number, now
        self._running[number] = job

        def work() -> None:
            job.run()
            self._post(job)

        try:
            self._start(f"basket-worker-{number}", work)
        except RuntimeError as error:  # the system has no thread left: this run failed, the next may find one
            job.error = error
            self._post(job)


def _end(job: Job) -> float:
    return job.started + job.timeout + GRACE

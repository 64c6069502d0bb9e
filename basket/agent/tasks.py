"""The schedule and the workers joined: what is due is run, and its end is told to whoever gave the task. Main thread only."""

from __future__ import annotations

import math
from typing import Callable, Dict, NamedTuple, Optional

from basket.agent.schedule import Schedule
from basket.agent.workers import Job, Workers
from basket.logs import Log

log = Log("basket.agent")


class Activity(NamedTuple):
    """What a task does when it is due.

    ``prepare`` runs on the main thread and gives what a worker has to call, None where there is nothing to do now. ``done``
    runs on the main thread with the ended job, or, with ``job.abandoned``, once when it is given up after ``timeout`` seconds.
    """

    prepare: Callable[[], Optional[Callable[[], object]]]
    done: Callable[[Job], None]
    timeout: float = math.inf
    urgent: bool = False


class Tasks:
    def __init__(self, schedule: Schedule, workers: Workers, clock: Callable[[], float]) -> None:
        self._schedule = schedule
        self._workers = workers
        self._clock = clock
        self._activities: Dict[str, Activity] = {}
        self._jobs: Dict[str, Job] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._schedule

    def repeat(self, name: str, activity: Activity, interval: float) -> None:
        """Do it now and then every ``interval`` seconds; of a known task change what it does and how often, not its turn."""
        self._activities[name] = activity
        self._schedule.repeat(name, interval, self._clock())

    def once(self, name: str, activity: Activity, delay: float = 0.0) -> None:
        """Do it in ``delay`` seconds; where it is being done now, once more after that."""
        self._activities[name] = activity
        self._schedule.once(name, self._clock() + delay)

    def hurry(self, name: str, delay: float = 0.0) -> None:
        """Do a known task in ``delay`` seconds at the latest; where it is being done now, once more after that."""
        self._schedule.hurry(name, self._clock() + delay)

    def drop(self, name: str) -> None:
        """Never again, and nobody hears how a run that has begun will end."""
        self._schedule.drop(name)
        self._activities.pop(name, None)
        self._jobs.pop(name, None)
        self._workers.forget(name)

    def step(self) -> None:
        """Start what is due, give up what is past its time."""
        now = self._clock()
        for job in self._workers.overdue(now):
            if self._jobs.get(job.name) is job:
                self._tell(self._activities[job.name], job)
        for name in self._schedule.due(now):
            activity = self._activities[name]
            call = activity.prepare()
            if call is None:
                self._finished(name, now)
            else:
                job = self._jobs[name] = Job(name, call, activity.timeout, urgent=activity.urgent)
                self._workers.submit(job, now)

    def ended(self, job: Job) -> None:
        """A job has come back from its thread."""
        now = self._clock()
        self._workers.ended(job, now)
        if self._jobs.get(job.name) is not job:
            return  # of a task that was dropped, or dropped and given anew
        del self._jobs[job.name]
        activity = self._activities[job.name]
        self._finished(job.name, now)
        # Told last, so that ``done`` may plan the next run of its own task.
        if not job.abandoned:
            self._tell(activity, job)

    def next_step(self) -> Optional[float]:
        """Seconds until ``step`` has something to do; None where only the end of a job can bring that about."""
        now = self._clock()
        times = [at for at in (self._schedule.next_due(), self._workers.next_look(now)) if at is not None]
        return max(0.0, min(times) - now) if times else None

    def _tell(self, activity: Activity, job: Job) -> None:
        try:
            activity.done(job)
        except Exception as error:  # a defect of ours: it must not take the other tasks with it
            log.error("unexpected error, please report it", task=job.name, error=f"{type(error).__name__}: {error}")

    def _finished(self, name: str, now: float) -> None:
        self._schedule.finished(name, now)
        if name not in self._schedule:
            self._activities.pop(name, None)

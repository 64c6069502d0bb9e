"""When each task is due: its interval with a little jitter, and never again before its last run has ended. Pure.

Tasks started by one call of ``due`` get one draw of the jitter, so that those with the same interval stay together on
this peel (one wake-up and one pipelined write for all of them), while the peels of a fleet drift apart.
"""

from __future__ import annotations

import heapq
from typing import Callable, Dict, List, Optional, Tuple

JITTER = 0.05
"""The most by which a wait is longer or shorter than the interval, as a part of it."""


class _Task:
    __slots__ = ("again", "due", "interval", "running", "started", "stretch")

    def __init__(self, interval: Optional[float]) -> None:
        self.interval = interval
        self.due: Optional[float] = None
        self.running = False
        self.again = False
        self.started: Optional[float] = None
        self.stretch = 1.0


class Schedule:
    """Names and their due times. ``random`` gives numbers from 0 to 1; every ``now`` is in seconds of one monotonic clock.

    A task is due, then running (from ``due`` until ``finished``), then waiting. One without an interval runs once and is
    forgotten. Not for use from several threads.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._tasks: Dict[str, _Task] = {}
        self._heap: List[Tuple[float, str]] = []  # entries whose time is not the task's any more are skipped

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    def repeat(self, name: str, interval: float, now: float) -> None:
        """Run ``name`` at once and then every ``interval`` seconds; of a known one change the interval only.

        A known task then counts the new interval from its last start.
        """
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = _Task(interval)
            self._set_due(name, task, now)
        elif task.interval != interval:
            task.interval = interval
            if not task.running and task.started is not None:
                self._set_due(name, task, max(now, task.started + interval * task.stretch))

    def once(self, name: str, at: float) -> None:
        """Run ``name`` one time, at ``at``; one that waits already is moved there, one that runs is run again after."""
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = _Task(None)
        if task.running:
            task.again = True
        else:
            self._set_due(name, task, at)

    def hurry(self, name: str, at: float) -> None:
        """Make a known task due at ``at`` at the latest; where it is running, due again as soon as it has finished."""
        task = self._tasks.get(name)
        if task is None:
            return
        if task.running:
            task.again = True
        elif task.due is None or task.due > at:
            self._set_due(name, task, at)

    def drop(self, name: str) -> None:
        """Forget ``name``; unknown ones are ignored."""
        self._tasks.pop(name, None)

    def due(self, now: float) -> List[str]:
        """The names to start now, in the order in which they became due. Each counts as running from here on."""
        names: List[str] = []
        stretch = 1.0 + JITTER * (2.0 * self._random() - 1.0) if self._heap and self._heap[0][0] <= now else 1.0
        while self._heap and self._heap[0][0] <= now:
            at, name = heapq.heappop(self._heap)
            task = self._tasks.get(name)
            if task is None or task.running or task.due != at:
                continue
            task.running, task.due, task.started, task.stretch = True, None, now, stretch
            names.append(name)
        return names

    def finished(self, name: str, now: float) -> None:
        """The run of ``name`` has ended. Rounds that it missed by running longer than its interval are left out."""
        task = self._tasks.get(name)
        if task is None or not task.running:
            return
        task.running = False
        if task.again:
            task.again = False
            self._set_due(name, task, now)
        elif task.interval is None:
            del self._tasks[name]
        else:
            step = task.interval * task.stretch
            at = (now if task.started is None else task.started) + step
            if at <= now:
                at += step * ((now - at) // step + 1)
            self._set_due(name, task, at)

    def next_due(self) -> Optional[float]:
        """When the next task becomes due; None where none waits."""
        while self._heap:
            at, name = self._heap[0]
            task = self._tasks.get(name)
            if task is not None and not task.running and task.due == at:
                return at
            heapq.heappop(self._heap)
        return None

    def _set_due(self, name: str, task: _Task, at: float) -> None:
        task.due = at
        heapq.heappush(self._heap, (at, name))
        if len(self._heap) > 2 * len(self._tasks) + 64:  # tasks moved many times leave their old entries behind
            self._heap = [(t.due, n) for n, t in self._tasks.items() if t.due is not None]
            heapq.heapify(self._heap)

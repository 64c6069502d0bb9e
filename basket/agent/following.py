"""Follows the configuration: its files are watched, and read again by a worker, since that may import plugins and take long.

What to do about a new version is the agent's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from basket.agent.faults import reason
from basket.agent.reporting import Reporting
from basket.agent.tasks import Activity, Tasks
from basket.agent.templates import Templates
from basket.agent.troubles import Troubles
from basket.agent.workers import Job
from basket.config import Config
from basket.logs import Log

if TYPE_CHECKING:
    from basket.files.watching import FileWatch

log = Log("basket.agent")

READ = "read"
CONFIGURATION = "configuration"


class Version(NamedTuple):
    """A configuration, and the peel id that follows from it."""

    config: Config
    peel_id: str


class Following:
    """For the main thread. ``load`` reads the configuration and may raise; ``running`` tells the version in force;
    ``changed`` is called on a thread of the file watch, and has to bring about ``read``; ``taken`` gets a version that says
    something else than the running one."""

    def __init__(
        self,
        tasks: Tasks,
        troubles: Troubles,
        reporting: Reporting,
        load: Callable[[], Config],
        *,
        running: Callable[[], Version],
        changed: Callable[[], None],
        taken: Callable[[Version], None],
    ) -> None:
        self._tasks = tasks
        self._troubles = troubles
        self._reporting = reporting
        self._load = load
        self._running = running
        self._changed = changed
        self._taken = taken
        self._asked = False
        self._watch: Optional[FileWatch] = None

    def start(self) -> None:
        """Watch the files that the running configuration was read from."""
        from basket.files.watching import FileWatch

        self.stop()
        watched = self._running().config.watched
        if watched:
            self._watch = FileWatch(watched, self._changed)
            self._watch.start()
            # It knows the files as they are now, which may not be what was read a moment ago.
            self.read()

    def stop(self) -> None:
        """Watch no longer. Bounded in time, any number of times."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()

    def ask(self) -> None:
        """Somebody wants it to be read again, and to hear of it."""
        self._asked = True
        self._troubles.forget(CONFIGURATION)  # the same problem is worth saying again
        self._reporting.reloading()
        self.read()

    def read(self) -> None:
        """Read it again; where it is being read now, once more after that."""
        self._tasks.once(READ, Activity(self._prepare, self._done, urgent=True))

    def _prepare(self) -> Callable[[], object]:
        running = self._running()
        return lambda: self._read(running)

    def _read(self, running: Version) -> Version:
        """On a worker."""
        from basket import exposure, identity

        new = self._load()
        Templates.require(new)
        exposure.configured(new)
        if new.peel == running.config.peel:
            return Version(new, running.peel_id)  # it may have been made of a host name that would not be found again now
        return Version(new, identity.peel_id(new.peel, pin=True))

    def _done(self, job: Job) -> None:
        try:
            self._judge(job)
        finally:
            # Where it was asked for while it was being read, that is told when it has been read once more.
            if self._asked and READ not in self._tasks:
                self._asked = False
                self._reporting.reloaded()

    def _judge(self, job: Job) -> None:
        if job.error is not None:
            message = "configuration not taken over, the running one stays"
            self._troubles.failed(CONFIGURATION, reason(job.error), log.error, message)
            self._reporting.vitals.reloaded(False)
            return
        self._troubles.worked(CONFIGURATION, log.info, "configuration can be read again")
        old: Config = self._running().config
        new: Version = job.value
        if new.config == old:
            (log.info if self._asked else log.debug)("configuration unchanged")
            return
        log.info("configuration taken over", functions=len(new.config.basket.functions))
        self._reporting.vitals.reloaded(True)
        self._taken(new)
        if new.config.watched != old.watched:
            self.start()

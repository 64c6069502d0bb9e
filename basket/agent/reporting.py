"""Whoever wants to know how the agent does is told: systemd, and who asks over HTTP. When; ``notify`` and ``http`` know how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Tuple

from basket.agent.notify import Notify
from basket.agent.tasks import Activity, Tasks
from basket.agent.vitals import Vitals
from basket.agent.workers import Job
from basket.logs import Log

if TYPE_CHECKING:
    from basket.agent.http import Health
    from basket.config import Config

log = Log("basket.agent")

PULSE = "pulse"


class Reporting:
    """For the main thread; nothing here blocks for long. Where nobody wants to know, it costs no wake-up."""

    def __init__(self, tasks: Tasks, vitals: Vitals) -> None:
        self.vitals = vitals
        self._tasks = tasks
        self._notify = Notify()
        self._health: Optional[Health] = None
        self._listening: Optional[Tuple[str, int]] = None
        self._said = ""

    def start(self, config: Config, peel_id: str) -> None:
        """The agent runs: it has a configuration and a name. Whether there is a server is another matter."""
        self.apply(config, peel_id)
        self._notify.ready(self._status())

    def apply(self, config: Config, peel_id: str) -> None:
        """Another version of the configuration is taken over."""
        self.vitals.peel_id = peel_id
        self.vitals.expect([s.function.name for s in config.basket.functions], len(config.templates))
        if config.agent.listen != self._listening:
            self._listen(config.agent.listen)
        intervals = [self._notify.watchdog / 2] if self._notify.watchdog else []
        if self._health is not None:
            from basket.agent.http import PULSE_EVERY

            intervals.append(PULSE_EVERY)
        if intervals:
            self._tasks.repeat(PULSE, Activity(self._pulse, _ignore, urgent=True), min(intervals))
        else:
            self._tasks.drop(PULSE)

    def connected(self) -> None:
        """To NATS, for the first time or again."""
        self.vitals.connected()
        self._tell()

    def reloading(self) -> None:
        """Somebody asked for it; ``reloaded`` follows."""
        self._notify.reloading()

    def reloaded(self) -> None:
        self._notify.ready(self._status())

    def stopping(self) -> None:
        """From here on the main thread waits for others: it is not watched any more, but killed in the end."""
        self._notify.stopping()

    def stop(self) -> None:
        """End what ``apply`` began. Bounded in time, any number of times."""
        self._listen(None)

    def _pulse(self) -> None:
        self.vitals.pulse()
        self._notify.alive()
        self._tell()

    def _tell(self) -> None:
        status = self._status()
        if status != self._said:
            self._said = status
            self._notify.status(status)

    def _status(self) -> str:
        state = self.vitals.state()
        return {"connected": "connected to NATS", "suspended": "connection to NATS lost, connecting again"}.get(
            state, "connecting to NATS"
        )

    def _listen(self, address: Optional[Tuple[str, int]]) -> None:
        health, self._health, self._listening = self._health, None, None
        if health is not None:
            health.stop()
        if address is None:
            return
        from basket.agent.http import Health  # and all of http.server: only where it is wanted

        self.vitals.pulse()
        self._health = Health(address, self.vitals.snapshot)
        try:
            self._health.start()
        except OSError as error:
            # Work goes on: a port that is taken is no reason to publish nothing. Tried again when the configuration changes.
            log.error("cannot listen for health and metrics", address=self._health.url, reason=error.strerror or str(error))
            self._health = None
        else:
            self._listening = address
            log.info("health and metrics are served", address=self._health.url)


def _ignore(job: Job) -> None:
    pass

"""What the peel publishes: functions on their intervals. Facts, heartbeats and the look at the bucket are done by
``describing``, ``beating`` and ``comparing``, which follow the same configuration and connection.

Values are computed by schedule whether there is a connection or not; the newest of each waits for it in the outbox. The
memory of what was written is not believed for ever: somebody may delete a key, or wipe the whole store.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, Mapping, Optional, Set

from basket.agent import deliver, ledger
from basket.agent.beating import Beating
from basket.agent.changes import Changes
from basket.agent.comparing import MOST, Comparing
from basket.agent.connection import Connection
from basket.agent.describing import Describing
from basket.agent.faults import passing, reason
from basket.agent.ledger import Ledger
from basket.agent.outbox import Outbox
from basket.agent.retry import Backoff
from basket.agent.tasks import Activity, Tasks
from basket.agent.troubles import Troubles
from basket.agent.vitals import Vitals
from basket.agent.workers import Job
from basket.config import Config, Scheduled
from basket.errors import BasketError, ClosedError, UnreachableError
from basket.logs import Log

log = Log("basket.agent")

DELIVER = "deliver"
_FUNCTION = "function "


class Publishing:
    """For the main thread. ``settled(name, works)`` is called when a function (or ``facts``) was published or cannot be,
    ``lost`` where the connection or the server could not do it. ``once``: each function is run once, nothing is kept up."""

    def __init__(
        self,
        tasks: Tasks,
        troubles: Troubles,
        backoff: Backoff,
        clock: Callable[[], float],
        connection: Connection,
        *,
        once: bool = False,
        vitals: Optional[Vitals] = None,
        settled: Callable[[str, bool], None],
        lost: Callable[[BaseException], None],
    ) -> None:
        self._tasks = tasks
        self._troubles = troubles
        self._backoff = backoff
        self._clock = clock
        self._connection = connection
        self._once = once
        self._vitals = vitals or Vitals()
        self._settled = settled
        self._lost = lost
        self._outbox = Outbox()
        self._ledger = Ledger(tasks, troubles)
        self._beating = Beating(tasks, troubles, connection, self._vitals)
        self._describing = Describing(
            tasks, troubles, backoff, clock, connection, self._vitals, settled=settled, lost=lost, withdrawn=self._note
        )
        self._comparing = Comparing(tasks, troubles, connection, self._outbox, self._describing, self.push)
        self._functions: Dict[str, Scheduled] = {}
        self._retired: Set[str] = set()  # and not known to be deleted
        self._custom: Mapping[str, Any] = {}

    # -- what there is to do --------------------------------------------------------------------------------------------

    def start(self, config: Config, peel_id: str) -> None:
        """Everything at once, then each at its interval."""
        self._custom = config.facts.custom
        for scheduled in config.basket.functions:
            self._define(scheduled)
        if self._once:
            self._describing.follow(config)
            return
        self._follow(config, peel_id)
        self._beating.follow(config)
        self._compare()

    def apply(self, config: Config, changes: Changes, peel_id: str) -> None:
        """Take over what a new version of the configuration changed, and nothing else."""
        self._custom = config.facts.custom
        for name in changes.removed:
            self._undefine(name)
            self._retire(name)
        for scheduled in changes.redefined:
            self._undefine(scheduled.function.name)
        for scheduled in (*changes.added, *changes.redefined, *changes.rescheduled):
            self._define(scheduled)
        self._follow(config, peel_id)
        if changes.custom:
            self._describing.hurry()
            for name, scheduled in self._functions.items():
                if scheduled.function.kind == "fact":
                    self._tasks.hurry(_FUNCTION + name)
        self._beating.follow(config)
        self._compare()
        if changes.connection:
            self._outbox.recall()
            self._outbox.forget_all()
            self._describing.again()
            self._comparing.anew()
        self.push()

    def connected(self) -> None:
        """There is a connection, for the first time or again."""
        self._backoff.reset()
        self._describing.connected()
        self._beating.connected()
        self._comparing.connected()
        self._tasks.hurry(DELIVER)  # where it waits for its next attempt
        self.push()

    def _define(self, scheduled: Scheduled) -> None:
        name = scheduled.function.name
        self._functions[name] = scheduled
        self._retired.discard(name)
        activity = Activity(partial(self._computing, name), partial(self._computed, name), timeout=scheduled.timeout)
        if self._once:
            self._tasks.once(_FUNCTION + name, activity)
        else:
            self._tasks.repeat(_FUNCTION + name, activity, scheduled.interval)

    def _undefine(self, name: str) -> None:
        self._functions.pop(name, None)
        self._tasks.drop(_FUNCTION + name)
        self._troubles.forget(_FUNCTION + name)

    def _retire(self, name: str) -> None:
        self._retired.add(name)
        self._outbox.retire(name)
        log.info("function retired", function=name)

    def _follow(self, config: Config, peel_id: str) -> None:
        """Publish or delete the facts as ``config`` says, and delete what an earlier agent of this peel published besides."""
        left = self._ledger.open(config.peel.state, peel_id)
        for name in sorted(left.difference(self._functions, [ledger.FACTS])):
            self._retire(name)
        self._describing.follow(config, published=ledger.FACTS in left)
        self._note()

    def _note(self) -> None:
        facts = {ledger.FACTS} if self._describing.there else set()
        self._ledger.keep(frozenset(facts.union(self._functions, self._retired)))

    def _compare(self) -> None:
        self._comparing.follow(min((s.interval for s in self._functions.values()), default=MOST))

    # -- functions ------------------------------------------------------------------------------------------------------

    def _computing(self, name: str) -> Callable[[], object]:
        return partial(deliver.compute, self._functions[name], self._custom)

    def _computed(self, name: str, job: Job) -> None:
        self._vitals.ran(name, self._clock() - job.started)
        if job.abandoned:
            seconds = self._functions[name].timeout
            self._failed(name, f"no result after {seconds:g} s, and it cannot be ended; it is left alone until it returns")
        elif job.error is not None:
            self._failed(name, reason(job.error))
        elif self._outbox.offer(name, job.value):
            self.push()
        else:
            self._works(name)

    def _failed(self, name: str, why: str) -> None:
        told = self._troubles.failed(_FUNCTION + name, why, log.warning, "function failed", function=name)
        if not told:
            log.debug("function failed again", function=name)
        self._vitals.failed(name, why)
        self._settled(name, False)

    def _works(self, name: str) -> None:
        self._vitals.worked(name)
        self._troubles.worked(_FUNCTION + name, log.info, "function works again", function=name)
        self._settled(name, True)

    # -- deliveries -----------------------------------------------------------------------------------------------------

    def push(self) -> None:
        """Deliver what waits, unless a delivery is under way or the last one has just failed."""
        if self._connection.basket is not None and DELIVER not in self._tasks:
            self._deliver_in(0.0)

    def _deliver_in(self, delay: float) -> None:
        self._tasks.once(DELIVER, Activity(self._delivering, self._delivered, urgent=True), delay)

    def _delivering(self) -> Optional[Callable[[], object]]:
        basket = self._connection.basket
        delivery = None if basket is None else self._outbox.take()
        if basket is None or delivery is None:
            return None
        return lambda: (basket, delivery, deliver.deliver(basket, delivery))

    def _delivered(self, job: Job) -> None:
        if job.error is not None:  # deliver() returns every failure; this is a defect, and nothing may be lost over it
            log.error("unexpected error, please report it", error=reason(job.error))
            self._outbox.recall()
            self._deliver_in(self._backoff.next())
            return
        basket, delivery, done = job.value
        again = frozenset(name for name, error in done.failed.items() if passing(error))
        self._outbox.settle(delivery, done.revisions, again)
        self._vitals.delivered(len(done.revisions), len(done.failed), len(self._outbox))
        if basket is not self._connection.basket:
            self.push()  # it was replaced meanwhile: what it failed at is the new one's to do
            return
        if done.deleted:
            self._retired -= done.deleted
            self._note()
        for name in done.revisions:
            if name in self._functions:
                self._works(name)
        for name, error in done.failed.items():
            if name in again:
                continue
            if name in self._functions:
                self._failed(name, reason(error))
            else:
                log.warning("key of a retired function cannot be deleted", function=name, reason=reason(error))
        if done.revisions or done.deleted:
            log.debug("written", functions=",".join(done.revisions), deleted=",".join(sorted(done.deleted)) or None)
        if again:
            self._trouble(done.failed[min(again)])
            self._deliver_in(self._backoff.next())
        else:
            self._troubles.worked("nats", log.info, "values are written again")
            self._backoff.reset()
            self.push()  # what was offered meanwhile

    def _trouble(self, error: BasketError) -> None:
        """The connection or the server cannot do it now."""
        if isinstance(error, UnreachableError):
            log.debug("not connected, values wait", reason=error)  # the connection itself has told of that
        else:
            self._troubles.failed("nats", reason(error), log.warning, "cannot write now, trying on", key=type(error).__name__)
        self._lost(error)
        if isinstance(error, ClosedError):  # not by us
            self._connection.abandon()
            self._connection.connect(self._backoff.next())

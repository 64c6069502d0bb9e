"""What this peel has published, kept in its state directory: what is taken out of the configuration while no agent runs is
deleted by the next one.

The bucket alone cannot tell: what scripts publish under the same id stands there, too. A file that is missing or damaged, or
cannot be written, costs this memory and nothing else.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Callable, Dict, FrozenSet, Optional

from basket.agent.faults import reason
from basket.agent.tasks import Activity, Tasks
from basket.agent.troubles import Troubles
from basket.agent.workers import Job
from basket.errors import BasketError
from basket.keys import check_function
from basket.logs import Log

log = Log("basket.agent")

LEDGER = "ledger"

FACTS = "$facts"
"""Stands for the facts among the functions, none of which may be called so."""

_LONGEST = 16 * 1024 * 1024


class Ledger:
    """For the main thread; a worker writes the file. One for each peel id, for agents of several may share a directory."""

    def __init__(self, tasks: Tasks, troubles: Troubles) -> None:
        self._tasks = tasks
        self._troubles = troubles
        self._path = ""
        self._names: Optional[FrozenSet[str]] = None
        self._unsaved: Dict[str, FrozenSet[str]] = {}

    def open(self, state: str, peel_id: str) -> FrozenSet[str]:
        """Keep it for this peel from now on; what an earlier agent left there. One kept for a former id is deleted."""
        path = os.path.join(state, f"published.{peel_id}")
        if path == self._path:
            return frozenset()
        if self._path:
            self._save(self._path, frozenset())
        self._path, self._names = path, None  # written in any case: it may have been damaged
        return read(path)

    def keep(self, names: FrozenSet[str]) -> None:
        """These are published, or about to be, or about to be deleted."""
        if names != self._names:
            self._names = names
            self._save(self._path, names)

    def _save(self, path: str, names: FrozenSet[str]) -> None:
        self._unsaved[path] = names
        self._tasks.once(LEDGER, Activity(self._prepare, self._done, urgent=True))

    def _prepare(self) -> Callable[[], object]:
        unsaved, self._unsaved = self._unsaved, {}
        return partial(_write_all, unsaved)

    def _done(self, job: Job) -> None:
        if job.error is not None:
            message = "what is published cannot be noted, so what leaves the configuration while no agent runs stays published"
            self._troubles.failed(LEDGER, reason(job.error), log.info, message)
        else:
            self._troubles.worked(LEDGER, log.info, "what is published is noted again")


def read(path: str) -> FrozenSet[str]:
    """The names in the file; those that cannot be any are left out."""
    try:
        with open(path, "rb") as file:
            lines = file.read(_LONGEST).decode("ascii", "replace").split("\n")[:-1]  # the last may have been cut short
    except OSError as error:
        log.debug("no note of what was published", reason=str(error))
        return frozenset()
    return frozenset(line for line in lines if line == FACTS or _is_name(line))


def _is_name(line: str) -> bool:
    try:
        check_function(line)
    except BasketError:
        return False
    return True


def _write_all(unsaved: Dict[str, FrozenSet[str]]) -> None:
    for path, names in unsaved.items():
        write(path, names)


def write(path: str, names: FrozenSet[str]) -> None:
    """Replace the file as a whole, or remove it where there are no names. OSError."""
    import tempfile

    if not names:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        return
    directory, name = os.path.split(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    descriptor, staged = tempfile.mkstemp(prefix=f".{name}.", dir=directory)  # 0600
    try:
        with open(descriptor, "wb") as file:
            file.write("".join(f"{one}\n" for one in sorted(names)).encode())
        os.replace(staged, path)
    except BaseException:
        os.unlink(staged)
        raise

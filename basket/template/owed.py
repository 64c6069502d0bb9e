"""Reloads that are owed: a file was replaced, and the command that tells its service has not succeeded since.

Noted before the file is replaced, and struck out after the command has succeeded: so neither a failing command nor the end
of this process, at whatever moment, lets a service go on with an old file for ever. Kept in the state directory, one small
file each; where that cannot be written, in memory only.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from basket.errors import DestinationError
from basket.logs import Log
from basket.template.staging import sync_directory
from basket.template.writing import replace

_log = Log("basket.template")

DIRECTORY = "reloads"
"""Below the state directory."""


class Owing(NamedTuple):
    """``reason``: why the command failed last; empty where it was not come to."""

    destination: str
    command: Tuple[str, ...]
    reason: str


class Owed:
    """For one thread at a time. ``state``: the state directory, None to remember in memory only."""

    def __init__(self, state: Optional[str]) -> None:
        self._directory = None if state is None else os.path.join(state, DIRECTORY)
        self._known: Dict[str, Owing] = {}
        self._told = False

    def owes(self, destination: str) -> bool:
        """Whether the service that reads this file has yet to be told of it."""
        path = os.path.realpath(destination)
        if path in self._known:
            return True
        return self._directory is not None and os.path.exists(self._file(path))

    def note(self, destination: str, command: Sequence[str], reason: str = "") -> None:
        """From now on it is owed; with ``reason``, it has just failed."""
        path = os.path.realpath(destination)
        owing = self._known[path] = Owing(path, tuple(command), reason)
        if self._directory is None:
            return
        text = json.dumps(owing._asdict(), sort_keys=True) + "\n"
        try:
            os.makedirs(self._directory, mode=0o755, exist_ok=True)
            replace(self._file(path), text.encode("utf-8", "backslashreplace"))
        except (DestinationError, OSError) as error:
            if not self._told:
                self._told = True
                _log.info("an owed reload is remembered in memory only", reason=str(error))

    def settle(self, destination: str) -> None:
        """It has been done, or is not needed any more."""
        path = os.path.realpath(destination)
        self._known.pop(path, None)
        if self._directory is None:
            return
        try:
            os.unlink(self._file(path))
            sync_directory(self._directory)
        except OSError:
            pass

    def _file(self, path: str) -> str:
        assert self._directory is not None
        return os.path.join(self._directory, hashlib.sha256(os.fsencode(path)).hexdigest()[:32] + ".json")


def listed(state: str) -> List[Owing]:
    """The reloads that this host owes, by destination: for whoever reports how things stand."""
    directory = os.path.join(state, DIRECTORY)
    found = []
    try:
        names = [name for name in os.listdir(directory) if name.endswith(".json") and not name.startswith(".")]
    except OSError:
        return []
    for name in names:
        try:
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                told = json.load(file)
            found.append(Owing(str(told["destination"]), tuple(map(str, told["command"])), str(told["reason"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.debug("a note of an owed reload cannot be read", file=name, reason=str(error))
    return sorted(found)

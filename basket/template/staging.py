"""A new version of a file beside the old one, under a name of ours, and the removal of those that a killed process left.

A staged file is locked (flock) for as long as its process works on it: so whoever finds one that can be locked knows that
nobody does, even where process numbers mean nothing (containers), or mean somebody else by now.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import uuid
from types import TracebackType
from typing import Optional, Set, Type

from basket.errors import DestinationError
from basket.logs import Log

_log = Log("basket.template")

_MARK = ".zester-"
_SUFFIX = ".staged"
_NAME_MOST = 180
"""Bytes of the destination's name in that of the staged file; file systems take 255 bytes."""

_UNLOCKED_MOST = 60.0
"""Seconds after which an unlocked file is nobody's, although the process that its name tells is alive: between making
a file and locking it there is a moment, but not so long a one."""


_making: Set[str] = set()
"""The names of this process's own staged files: between making and locking one, another thread must not take it for
abandoned. (Adding to and looking into a set is one step each.)"""


def staged_name(destination: str) -> str:
    """A name that no pattern for configuration files catches: hidden, and with an ending of its own."""
    base = _short(os.path.basename(destination))
    return f".{base}{_MARK}{os.getpid()}-{uuid.uuid4().hex[:8]}{_SUFFIX}"


def _short(base: str) -> str:
    return os.fsdecode(os.fsencode(base)[:_NAME_MOST])


class Staged:
    """The file while it is being made; use with ``with``. What has not been moved away at the end is removed."""

    def __init__(self, destination: str) -> None:
        self.path = os.path.join(os.path.dirname(destination), staged_name(destination))
        self._descriptor = -1

    def __enter__(self) -> Staged:
        _making.add(self.path)
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            _making.discard(self.path)
            raise DestinationError(f"{os.path.dirname(self.path)}: no file can be made here: {error.strerror}") from error
        _lock(self._descriptor)
        return self

    def fill(self, content: bytes, *, mode: int, owner: int, group: int) -> None:
        """Write it, give it mode and owner, and have it on the disk. OSError as it comes."""
        view = memoryview(content)
        while view:
            view = view[os.write(self._descriptor, view) :]
        found = os.fstat(self._descriptor)
        if (found.st_uid, found.st_gid) != (owner, group):
            os.fchown(self._descriptor, owner, group)
        os.fchmod(self._descriptor, mode)  # last: a change of owner takes bits away
        os.fsync(self._descriptor)

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass  # it has become the destination
        except OSError as problem:
            _log.warning("a staged file cannot be removed", file=self.path, reason=problem.strerror)
        finally:
            _making.discard(self.path)
            os.close(self._descriptor)


def sweep(destination: str, *, now: float) -> int:
    """Remove what processes that are gone have left beside ``destination``; how many. ``now``: ``time.time()``."""
    directory, base = os.path.split(destination)
    ours = re.compile(re.escape(f".{_short(base)}{_MARK}") + r"(\d+)-[0-9a-f]{8}" + re.escape(_SUFFIX) + r"\Z")
    removed = 0
    try:
        names = os.listdir(directory or ".")
    except OSError:
        return 0
    for name in names:
        found = ours.match(name)
        if found is not None and _abandoned(os.path.join(directory, name), int(found[1]), now):
            try:
                os.unlink(os.path.join(directory, name))
                removed += 1
            except OSError:
                pass
    return removed


def _abandoned(path: str, pid: int, now: float) -> bool:
    if path in _making:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not _lock(descriptor):
            return False
        # Our own number and not locked: it is that of a process before us, as in a container, where all are number 1.
        return pid == os.getpid() or not _alive(pid) or now - found.st_mtime > _UNLOCKED_MOST
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Whether it is ours now. Where a file system has no locks, it is taken to be."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True


def sync_directory(directory: str) -> None:
    """Have a rename on the disk. Some file systems cannot sync a directory, and do not need to."""
    try:
        descriptor = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)

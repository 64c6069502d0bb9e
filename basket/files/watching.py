"""Notices that a file now says something else, however it was changed: in place, renamed over, or by another symbolic link.

What to do then is the listener's affair.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from typing import Any, Callable, Dict, Iterable, Optional, Set, Tuple

from basket.files.symlinks import hops
from basket.logs import Log

LONGEST_WAIT = 2.0
"""Seconds from the first sign of a change to the call, even where changes do not cease."""

_JOIN_LIMIT = 2.0
_POLLED = 4  # looks of our own are this much rarer where watchdog looks for itself
_READING = ("opened", "closed_no_write")  # what our own look at a file causes, too
_CHUNK = 1 << 16

_log = Log(__name__)


class FileWatch:
    """Calls ``on_change`` after the content of one of ``paths`` has changed, once for each round of changes.

    What stands in the files when this object is made is what later content is compared with: so make it before the files
    are read, and start it after. ``quiet``: seconds without a further change before the call. ``recheck``: seconds between
    two looks at the files themselves, which find what no event told of (a directory made anew, a network file system);
    also the interval of polling where inotify cannot be had.

    ``on_change`` runs on a thread of ours, never twice at once; it may block, and may call stop(). What it raises is logged.
    A file that vanishes, or cannot be read any more, counts as changed. start() and stop() may be called twice, from any
    thread.
    """

    def __init__(self, paths: Iterable[str], on_change: Callable[[], None], *, quiet: float = 0.3, recheck: float = 15.0) -> None:
        self._paths = tuple(dict.fromkeys(os.path.abspath(path) for path in paths))
        self._on_change = on_change
        self._quiet = quiet
        self._recheck = recheck
        self._seen = {path: _look(path) for path in self._paths}
        self._lock = threading.Lock()
        self._round: Optional[_Watching] = None

    def start(self) -> None:
        """Watch from here on. Returns at once."""
        with self._lock:
            if self._round is None:
                self._round = _Watching(self._paths, self._compare, self._quiet, self._recheck)
                self._round.start()

    def stop(self) -> None:
        """Watch no longer. No call begins after this has returned, unless it takes longer than two seconds to end."""
        with self._lock:
            watching, self._round = self._round, None
        if watching is not None:
            watching.stop()

    def _compare(self, thorough: bool) -> None:
        """Calls on_change if a file has other content than before. Without ``thorough``, reads only what looks touched."""
        changed = False
        for path in self._paths:
            before = self._seen[path]
            if thorough or _signature(path) != before[0]:
                now = self._seen[path] = _look(path)
                changed = changed or now[1] != before[1]
        if changed:
            try:
                self._on_change()
            except Exception as error:
                _log.error("handling a changed file failed", error=f"{type(error).__name__}: {error}")


class _Watching:
    """One span from start to stop: a thread that waits, and watchdog's threads that wake it."""

    def __init__(self, paths: Tuple[str, ...], compare: Callable[[bool], None], quiet: float, recheck: float) -> None:
        self._paths = paths
        self._compare = compare
        self._quiet = quiet
        self._recheck = recheck
        self._condition = threading.Condition()
        self._stopping = False
        self._first = self._last = 0.0  # of the events not yet dealt with, by the monotonic clock; 0 is none
        self._observer: Any = None
        self._polling = False
        self._watched: Dict[str, Tuple[Any, Tuple[int, int]]] = {}  # directory -> watchdog's handle, and which it is
        self._names: Dict[str, Set[str]] = {}
        self._gone: Set[str] = set()
        self._thread = threading.Thread(target=self._run, name="basket-files", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_LIMIT)

    def dispatch(self, event: Any) -> None:
        """Called by watchdog, on a thread of its own, with each event in a watched directory."""
        if event.event_type in _READING:
            return
        paths = {os.fsdecode(path) for path in (event.src_path, getattr(event, "dest_path", "")) if path}
        # Of a watched directory itself only its end is news; that it was modified is said with every event in it.
        ended = {path for path in paths if path in self._names and event.event_type in ("deleted", "moved")}
        if ended or any(os.path.basename(path) in self._names.get(os.path.dirname(path), ()) for path in paths):
            with self._condition:
                self._gone |= ended
                self._last = time.monotonic()
                self._first = self._first or self._last
                self._condition.notify_all()

    def _run(self) -> None:
        try:
            told = True  # whatever happened before we watched
            while not self._stopping:
                # First watch, then look: the other way round, a change in between would be missed.
                try:
                    self._follow()
                    self._compare(told)
                except Exception as error:  # whatever it was, the next change must still be noticed
                    _log.error("looking for changed files failed", error=f"{type(error).__name__}: {error}")
                told = self._wait()
        finally:
            self._unwatch()

    def _wait(self) -> bool:
        """Until changes have come to rest (True), it is time for another look (False), or stop()."""
        with self._condition:
            # Polling looks by itself; then our own look is for directories that come into being only.
            pause = self._recheck * _POLLED if self._polling else self._recheck
            if not self._condition.wait_for(lambda: self._stopping or bool(self._first), pause):
                return False
            while not self._stopping:
                now = time.monotonic()
                rest = min(self._last + self._quiet, self._first + LONGEST_WAIT) - now
                if rest <= 0:
                    break
                self._condition.wait(rest)
            self._first = self._last = 0.0
            return True

    def _follow(self) -> None:
        """Watches the directories that matter now, and no others."""
        wanted: Dict[str, Set[str]] = {}
        for path in self._paths:
            for directory, names in hops(path).items():
                wanted.setdefault(directory, set()).update(names)
        with self._condition:
            gone, self._gone = self._gone, set()
            self._names = wanted
        for directory, (handle, which) in list(self._watched.items()):
            # The number alone does not tell: a directory made anew often gets that of the one deleted.
            if directory not in wanted or directory in gone or _which(directory) != which:
                del self._watched[directory]
                self._quietly(self._observer.unschedule, handle)
        for directory in wanted:
            if directory not in self._watched:
                self._watch(directory)

    def _watch(self, directory: str) -> None:
        which = _which(directory)
        if which is None:
            return
        try:
            if self._observer is None:
                self._observer = self._make_observer()
            self._watched[directory] = (self._observer.schedule(self, directory), which)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            pass  # it has just gone, or may be passed through but not listed: the next look tells
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread to be had
            if self._polling:
                _log.warning("a directory cannot be watched", directory=directory, error=str(error))
                return
            _log.warning(
                "inotify cannot be used, so files are polled instead",
                every=f"{self._recheck:g}s",
                error=getattr(error, "strerror", None) or str(error),
            )
            self._unwatch()
            self._polling = True
            for other in list(self._names):
                if other not in self._watched:
                    self._watch(other)

    def _make_observer(self) -> Any:
        # It calls it an error when a watch is ended while an event is on its way.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL)
        # Not at the top: those who watch nothing need not carry it.
        if self._polling:
            from watchdog.observers.polling import PollingObserver

            observer: Any = PollingObserver(timeout=self._recheck)
        else:
            from watchdog.observers import Observer

            observer = Observer()
        observer.name = "basket-watchdog"
        observer.start()
        return observer

    def _unwatch(self) -> None:
        observer, self._observer = self._observer, None
        self._watched.clear()
        if observer is not None:
            self._quietly(observer.stop)
            self._quietly(observer.join, _JOIN_LIMIT)

    @staticmethod
    def _quietly(call: Callable[..., Any], *arguments: Any) -> None:
        try:
            call(*arguments)
        except (OSError, KeyError, RuntimeError) as error:
            # Of a directory that is gone, the kernel has ended the watch already.
            _log.debug("ending a watch failed", error=f"{type(error).__name__}: {error}")


def _which(directory: str) -> Optional[Tuple[int, int]]:
    try:
        found = os.stat(directory)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def _signature(path: str) -> Tuple[int, ...]:
    """What changes when a file is touched, without opening it: reading would be an event, and wake us again."""
    try:
        found = os.stat(path)
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _look(path: str) -> Tuple[Tuple[int, ...], bytes]:
    """The signature, and a digest of the content; or of the reason why there is none."""
    import hashlib

    signature = _signature(path)  # first: what is written between the two is then found at the next look
    digest = hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe or a device may have no end
                return signature, b"not a regular file"
            for chunk in iter(lambda: os.read(descriptor, _CHUNK), b""):
                digest.update(chunk)
        finally:
            os.close(descriptor)
    except OSError as error:
        return signature, f"error {error.errno}".encode()
    return signature, digest.digest()

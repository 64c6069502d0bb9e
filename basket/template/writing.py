"""Puts a new version in the place of a file: whole or not at all, and not where nothing would change.

Order: stage beside it, write, flush to disk, owner and mode, ``check``, keep the old one if wanted, rename, flush the
directory. Up to the rename the old file has not been touched, whatever ends the process.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from dataclasses import dataclass
from typing import Callable, Optional

from basket.errors import DestinationError
from basket.logs import Log
from basket.template.staging import Staged, sweep, sync_directory

_log = Log("basket.template")

NEW_FILE_MODE = 0o644
"""Of a file that was not there before, whatever the umask: the services that read it run under other users."""

BACKUP_SUFFIX = ".bak"

_BUSY = (errno.EBUSY, errno.EXDEV)
"""What a rename over a file that is mounted there by itself (a container's bind mount) is answered with."""


@dataclass(frozen=True)
class Written:
    """``changed``: the content is new. ``in_place``: it could not be renamed into place, so it was written over."""

    path: str
    changed: bool
    in_place: bool = False


def replace(
    destination: str,
    content: bytes,
    *,
    mode: Optional[int] = None,
    owner: Optional[str] = None,
    group: Optional[str] = None,
    backup: bool = False,
    check: Optional[Callable[[str], None]] = None,
) -> Written:
    """Make ``content`` that of the file ``destination``.

    ``mode``, ``owner`` and ``group`` (names, or numbers as text) are those of the old file where None; without an old file
    0644 and this process's. ``check`` is called with the staged file's path, and may raise: then nothing is replaced.
    ``backup``: keep the old version, with its mode and owner, as ``destination`` + ".bak".

    A symbolic link stays, and what it points to is replaced. DestinationError where it cannot be done. Blocks on the disk.
    """
    path = os.path.realpath(destination)  # a rename over the link would replace the link itself
    try:
        old = _look(path)
        swept = sweep(path, now=time.time())
        if swept:
            _log.info("removed what a killed process had left", beside=path, files=swept)
        wanted_owner = _user(owner) if owner is not None else old.st_uid if old else os.geteuid()
        wanted_group = _group(group) if group is not None else old.st_gid if old else None
        wanted_mode = mode if mode is not None else stat.S_IMODE(old.st_mode) if old else NEW_FILE_MODE
        before = _read(path) if old else None
        if old is not None and before == content:
            _adjust(path, old, wanted_mode, wanted_owner, old.st_gid if wanted_group is None else wanted_group)
            return Written(path, False)
        with Staged(path) as staged:
            made = os.stat(staged.path)
            gid = made.st_gid if wanted_group is None else wanted_group
            staged.fill(content, mode=wanted_mode, owner=wanted_owner, group=gid)
            if check is not None:
                check(staged.path)
            if backup and before is not None and old is not None:
                _keep(path, before, old)
            return Written(path, True, in_place=_into_place(staged.path, path, content, old))
    except PermissionError as error:
        hint = ""
        if error.filename is None:  # fchown, fchmod
            hint = "; it must stay its owner's, and this user may not give files away: set owner and group, or run as root"
        raise DestinationError(f"{destination}: cannot be written: {error.strerror}{hint}") from error
    except OSError as error:
        raise DestinationError(f"{destination}: cannot be written: {error.strerror or error}") from error


def current(destination: str) -> Optional[bytes]:
    """What the file holds now; None where there is none. DestinationError where it cannot be told."""
    path = os.path.realpath(destination)
    try:
        return _read(path) if _look(path) is not None else None
    except OSError as error:
        raise DestinationError(f"{destination}: cannot be read: {error.strerror or error}") from error


def _look(path: str) -> Optional[os.stat_result]:
    try:
        found = os.lstat(path)  # links were followed; one that is left is a loop
    except FileNotFoundError:
        directory = os.path.dirname(path)
        if not os.path.isdir(directory):
            raise DestinationError(f"{path}: there is no directory {directory}") from None
        return None
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_IFDIR: "a directory", stat.S_IFLNK: "a symbolic link in a circle"}
        what = kinds.get(stat.S_IFMT(found.st_mode), "no regular file")
        raise DestinationError(f"{path}: is {what}, so it is not replaced")
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _adjust(path: str, old: os.stat_result, mode: int, owner: int, group: int) -> None:
    """The content is right, but who may read it was changed in the configuration."""
    if (old.st_uid, old.st_gid) != (owner, group):
        os.chown(path, owner, group)
        _log.info("owner set", file=path, owner=owner, group=group)
    if stat.S_IMODE(old.st_mode) != mode:
        os.chmod(path, mode)
        _log.info("mode set", file=path, mode=f"{mode:04o}")


def _keep(path: str, content: bytes, old: os.stat_result) -> None:
    # A copy, not a link: a file that is written in place would change under its second name too.
    kept = path + BACKUP_SUFFIX
    sweep(kept, now=time.time())
    with Staged(kept) as staged:
        staged.fill(content, mode=stat.S_IMODE(old.st_mode), owner=old.st_uid, group=old.st_gid)
        os.replace(staged.path, kept)


def _into_place(staged: str, path: str, content: bytes, old: Optional[os.stat_result]) -> bool:
    """True where it had to be written in place."""
    try:
        os.replace(staged, path)
    except OSError as error:
        if error.errno not in _BUSY or old is None:
            raise
        _log.warning("cannot be renamed over, since it is mounted by itself: written in place, so not in one step", file=path)
        _write_over(path, content)
        return True
    sync_directory(os.path.dirname(path))
    return False


def _write_over(path: str, content: bytes) -> None:
    """New bytes first, then the new length: there is no moment at which the file is empty."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        at = 0
        while at < len(content):
            at += os.pwrite(descriptor, content[at:], at)
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _user(name: str) -> int:
    if name.isdigit():
        return int(name)
    import pwd

    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise DestinationError(f"owner: there is no user {name!r} on this host") from None


def _group(name: str) -> int:
    if name.isdigit():
        return int(name)
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise DestinationError(f"group: there is no group {name!r} on this host") from None

"""Which directories decide what a path leads to: its own, and those that hold a symbolic link on the way. Only looks."""

from __future__ import annotations

import os
import stat
from typing import Dict, List, Set

_MOST_LINKS = 40
"""As many as the kernel follows before it calls it a loop."""


def hops(path: str) -> Dict[str, Set[str]]:
    """Directory (free of links) -> the names in it that matter to ``path``: each link, and the file at the end.

    Where something on the way is missing, it ends with the directory that would hold it, so that its coming is noticed.
    Listing or reading is not needed and not done: it would wake up whoever watches these directories.
    """
    found: Dict[str, Set[str]] = {}
    here = "/"
    todo = _parts(os.path.abspath(path))
    links = 0
    while todo:
        name = todo.pop()
        if name == "..":
            here = os.path.dirname(here)
            continue
        whole = os.path.join(here, name)
        try:
            mode = os.lstat(whole).st_mode
            target = os.readlink(whole) if stat.S_ISLNK(mode) else None
        except OSError:  # missing, or out of our sight
            found.setdefault(here, set()).add(name)
            return found
        if target is not None:
            found.setdefault(here, set()).add(name)
            links += 1
            if links > _MOST_LINKS:
                return found
            here = "/" if target.startswith("/") else here
            todo.extend(_parts(target))
        elif todo and stat.S_ISDIR(mode):
            here = whole
        else:
            found.setdefault(here, set()).add(name)
            return found
    return found


def _parts(path: str) -> List[str]:
    """The names in ``path``, the last first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]

"""A look at this host that may hang (a dead disk, a resolver), bounded in time although nothing can end it.

It runs on a thread of its own. One that is late is left to itself, and as long as it hangs the same look is not tried
again, so that hanging looks cannot pile up.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Optional


class Late(Exception):
    """The look did not come back in time, or an earlier one still hangs."""


class _Look:
    def __init__(self, name: str, look: Callable[[], Any]) -> None:
        self.value: Any = None
        self.error: Optional[BaseException] = None
        self.done = threading.Event()
        self._look = look
        threading.Thread(target=self._run, name=f"basket-look-{name}", daemon=True).start()

    def _run(self) -> None:
        try:
            self.value = self._look()
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()


_lock = threading.Lock()
_hanging: Dict[str, _Look] = {}


def watched(name: str, look: Callable[[], Any], *, timeout: float) -> Any:
    """What ``look()`` gives or raises; Late after ``timeout`` seconds, or at once while an earlier look of that name hangs."""
    with _lock:
        earlier = _hanging.get(name)
        if earlier is not None:
            if not earlier.done.is_set():
                raise Late("still hanging since an earlier time")
            del _hanging[name]
    started = _Look(name, look)
    if not started.done.wait(timeout):
        with _lock:
            _hanging[name] = started
        raise Late(f"no result after {timeout:g} s")
    if started.error is not None:
        raise started.error
    return started.value

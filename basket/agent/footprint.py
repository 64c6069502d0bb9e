"""Keeps the resident memory of a process that sleeps most of the time small. Of use with glibc, without effect elsewhere.

Measured with Python 3.11 on x86-64, five functions, facts and heartbeats: 35.4 MB without, 32.7 MB with both.
"""

from __future__ import annotations

from typing import Any, Optional

_M_ARENA_MAX = -8  # malloc.h


def _libc() -> Optional[Any]:
    try:
        import ctypes  # costs nothing here: the file watch needs it, too

        return ctypes.CDLL(None)
    except Exception:
        return None


def one_arena() -> None:
    """Let all threads allocate from one arena; by default each new thread gets one of its own, and keeps it. 1.8 MB."""
    try:
        _libc().mallopt(_M_ARENA_MAX, 1)  # type: ignore[union-attr]
    except AttributeError:  # no C library to be had, or one without it
        pass


def trim() -> None:
    """Give back what importing and the first round have left over. 0.9 MB; takes a millisecond."""
    import gc

    gc.collect()
    try:
        _libc().malloc_trim(0)  # type: ignore[union-attr]
    except AttributeError:
        pass

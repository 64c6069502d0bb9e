"""A file's text, bounded, and never by waiting on something that is not a file."""

from __future__ import annotations

import os
import stat

from basket.functions.outcome import OUTPUT_MAX, as_text, size_text


def read_file(path: str, *, limit: int = OUTPUT_MAX) -> str:
    """The whole text of a regular file. ValueError or OSError says what is wrong with it."""
    # A pipe without a writer would block the open itself; O_NONBLOCK changes nothing for a regular file.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise ValueError(f"{path} is a directory, not a file")
        if not stat.S_ISREG(mode):
            raise ValueError(f"{path} is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise ValueError(f"{path} is larger than {size_text(limit)}")
    return as_text(content, path)

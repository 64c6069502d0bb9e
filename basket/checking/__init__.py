"""Is this host set up right? Each check a line: what was looked at, how it is, what to do about it. Changes nothing lasting.

``result`` is what a check says; ``host`` looks at the configuration and the files it names, ``server`` at NATS and its
buckets, ``grants`` tries what the credentials allow, ``running`` computes the configured functions once. ``checks`` puts
them in order and leaves out what cannot be looked at after an earlier failure.
"""

from __future__ import annotations

from basket.checking.checks import run
from basket.checking.result import FAILED, OK, WARNING, Area, Result

__all__ = ["FAILED", "OK", "WARNING", "Area", "Result", "run"]

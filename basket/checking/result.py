"""What one check says. Imports nothing of ours."""

from __future__ import annotations

import enum
from dataclasses import dataclass

OK, WARNING, FAILED = "ok", "warning", "FAILED"


class Area(enum.Enum):
    """Whose matter a failure is: the file's writer's, the server's operator's, or that of one function."""

    CONFIGURATION = "configuration"
    SERVER = "server"
    FUNCTION = "function"


@dataclass(frozen=True)
class Result:
    """``check``: one or two words, what was looked at. ``state``: ``ok``, ``warning`` or ``FAILED``. ``what``: one line, how
    it is. ``advice``: what to do, empty where nothing needs doing."""

    area: Area
    check: str
    state: str
    what: str
    advice: str = ""

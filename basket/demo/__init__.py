"""The demo: the main job on this machine in seconds, with real processes, explained as it happens.

``signals`` turns Ctrl-C and SIGTERM into an orderly end, ``stage`` holds the processes and the files, ``peels`` is who
takes part, ``story`` is what is shown.
"""

from __future__ import annotations

from basket.demo.story import run

__all__ = ["run"]

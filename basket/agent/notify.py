"""What the agent tells systemd: started, reloading, alive, stopping. Datagrams to $NOTIFY_SOCKET; nothing without one."""

from __future__ import annotations

import os
import time
from typing import Callable, MutableMapping, Optional

from basket.logs import Log

log = Log("basket.agent")


class Notify:
    """For the main thread. Made once: it takes the variables out of the environment, so that no child speaks in our name."""

    def __init__(
        self, environ: Optional[MutableMapping[str, str]] = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        environ = os.environ if environ is None else environ
        self._address = environ.pop("NOTIFY_SOCKET", "")
        self._clock = clock
        for_us = environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        told = environ.pop("WATCHDOG_USEC", "")
        self.watchdog = int(told) / 1e6 if self._address and for_us and told.isdigit() and int(told) > 0 else 0.0
        """Seconds within which systemd wants to hear that we are alive; 0 where it does not."""

    def ready(self, status: str) -> None:
        """Started, or done with reloading. ``status``: what `systemctl status` shows."""
        self._tell("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        self._tell(f"STATUS={text}")

    def reloading(self) -> None:
        """``ready`` follows. The time is what a unit of Type=notify-reload wants, on the same clock as systemd's."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(self._clock() * 1e6)}")

    def alive(self) -> None:
        if self.watchdog:
            self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        import socket

        # A leading @ stands for the zero byte of an abstract address.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as one:
                one.sendto("\n".join(line.replace("\n", " ") for line in lines).encode("utf-8", "replace"), address)
        except OSError as error:
            log.debug("systemd cannot be told", reason=error.strerror or str(error))

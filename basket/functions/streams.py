"""What a child process prints and answers, each within its bound, and the request it is handed. No waiting here."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import Any, Callable, Dict, Optional

from basket.functions.outcome import OUTPUT_MAX

HEADER = 8
"""Bytes of length before each message on the channel."""

_CHUNK = 65536
_TAIL = 4096  # bytes kept of standard error


class Streams:
    """The pipes of one process, and its channel where it has one: then what it prints is kept like its errors."""

    def __init__(self, process: subprocess.Popen[bytes], channel: Optional[socket.socket], request: Optional[bytes]) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self.overflowed = False
        self.channel = channel
        self.unsent = b"" if request is None else len(request).to_bytes(HEADER, "big") + request
        self._answer = bytearray()
        self.open: Dict[Any, Callable[[bytes], None]] = {}
        if channel is not None:
            self.open[channel] = self._answer.extend
        if process.stdout is not None:
            self.open[process.stdout] = self._complain if channel is not None else self.output.extend
        if process.stderr is not None:
            self.open[process.stderr] = self._complain
        self._files = list(self.open)
        for file in self._files:
            os.set_blocking(file.fileno(), False)

    def _complain(self, data: bytes) -> None:
        self.errors += data
        del self.errors[:-_TAIL]

    def busy(self) -> bool:
        """Whether somebody still holds standard output or error."""
        return any(file is not self.channel for file in self.open)

    def reply(self) -> Optional[bytes]:
        """The answer, once it is whole."""
        size = int.from_bytes(self._answer[:HEADER], "big")
        whole = len(self._answer) >= HEADER and len(self._answer) >= HEADER + size
        return bytes(self._answer[HEADER : HEADER + size]) if whole else None

    def receive(self, file: Any) -> Optional[int]:
        """Take what is there now: how many bytes. None at the end of that stream, which is then forgotten."""
        try:
            data = os.read(file.fileno(), _CHUNK)
        except BlockingIOError:
            return 0
        except OSError:  # a reset channel
            data = b""
        if data:
            self.open[file](data)
        self.overflowed = self.overflowed or len(self.output) > OUTPUT_MAX or len(self._answer) > 2 * OUTPUT_MAX
        if data and not self.overflowed:
            return len(data)
        del self.open[file]
        return None

    def send(self) -> None:
        """Hand over as much of the request as is taken now."""
        if self.channel is None:
            return
        try:
            self.unsent = self.unsent[self.channel.send(self.unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # it closed its end unread; its status will say why
            self.unsent = b""

    def drain(self) -> None:
        """What was printed before the end and not read yet. Bounded, since a process that left the group may go on printing."""
        for file in list(self.open):
            for _ in range(OUTPUT_MAX // _CHUNK + 1):
                if not self.receive(file):
                    break

    def close(self) -> None:
        for file in self._files:
            file.close()

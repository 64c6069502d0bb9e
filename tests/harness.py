"""What tests share that is no fixture: waiting for a condition, the agent as a process, what a process holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import basket

ROOT = Path(__file__).resolve().parents[1]
PAUSE = threading.Event()  # never set

LONG = 60.0
"""Seconds that a busy machine is given for what takes a second on an idle one."""


def wait_for(condition, timeout=LONG, what="it", every=0.02):
    """The first true result of ``condition``; an unreachable server, or a value that is not there, counts as not yet."""
    deadline = time.monotonic() + timeout
    while True:
        last = None
        try:
            result = condition()
        except (basket.ServerError, basket.MissingError, basket.OutcomeUnknownError, OSError) as error:
            result, last = None, error
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {timeout:g} s; last: {last!r}")
        PAUSE.wait(every)


def alive(pid):
    """Whether the process runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class AgentProcess:
    """``zester-basket agent`` as a process of its own, with a configuration file and a log in ``directory``."""

    def __init__(self, directory, url):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.file = directory / "basket.toml"
        self.log_file = directory / "agent.log"
        self.state = directory / "state"
        self.url = url
        self.process = None

    def text(self, text="", *, nats="", peel='id = "web-01"', basket=""):
        head = f"[peel]\n{peel}\nstate = {json.dumps(str(self.state))}\n[nats]\nurl = {json.dumps(self.url)}\n{nats}"
        return f"{head}\n" + (f"[basket]\n{basket}\n" if basket else "") + f"{text}\n"

    def write(self, text="", **more):
        """The whole file, renamed over the former one."""
        staged = self.file.with_suffix(".new")
        staged.write_text(self.text(text, **more))
        staged.replace(self.file)
        return self

    def start(self, *options, before=None, **popen):
        argv = [sys.executable, "-m", "basket", "agent", "--config", str(self.file), *options]
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(argv, stderr=log, stdout=log, cwd=ROOT, preexec_fn=before, **popen)
        wait_for(lambda: "agent starting" in self.log or self.process.poll() is not None, what="the agent's start")
        return self

    @property
    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def lines(self, part):
        return [line for line in self.log.splitlines() if part in line]

    def says(self, part, timeout=LONG):
        """Wait until the log has a line with ``part``; those lines."""
        return wait_for(lambda: self.lines(part), timeout, f"{part!r} in the log:\n{self.log}\n")

    @property
    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    @property
    def children(self):
        """How many processes descend from it and still run."""
        import psutil

        kids = psutil.Process(self.process.pid).children(recursive=True)
        return len([kid for kid in kids if kid.is_running() and kid.status() != psutil.STATUS_ZOMBIE])

    @property
    def resident(self):
        """Megabytes."""
        return resident(self.process.pid)

    def end(self, number=signal.SIGTERM, within=LONG):
        """Its exit status and how many seconds it took; nothing unexpected stands in the log."""
        begun = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(within)
        bad = [line for line in self.log.splitlines() if "Traceback" in line or "unexpected error" in line]
        assert not bad, self.log
        return status, time.monotonic() - begun

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


def resident(pid="self"):
    """Megabytes of memory that the process occupies now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def ours():
    """The names of the threads of this package that run in this process, sorted."""
    return sorted(t.name for t in threading.enumerate() if t.name.startswith("basket-"))


def open_files(pid="self"):
    return len(os.listdir(f"/proc/{pid}/fd"))

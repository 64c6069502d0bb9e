"""Whole processes: what the agent holds and how often it wakes, and what a single command costs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

from bench.asking import Sizes
from bench.fleet import FUNCTION, Fleet, address, peel_id
from bench.pairs import alternate
from bench.report import OURS, Figure, Goal

ROOT = Path(__file__).resolve().parents[2]

CONFIGURATION = """
[peel]
id = "bench-{heartbeat}"
state = "{state}"
[nats]
url = "{url}"
[agent]
heartbeat = {heartbeat}
[facts]
custom = {{ role = "measured" }}
[basket.functions]
"network.ip_addrs" = "5m"
"disk.usage" = "5m"
"memory.usage" = "5m"
"system.load" = "5m"
"custom.version" = {{ value = "2.1.0" }}
"""

IDLE_CLIENT = """
import asyncio, sys, msgpack, nats

async def main(url):
    nc = await nats.connect(url)
    kv = await nc.jetstream().key_value("basket")
    watcher = await kv.watch("peel-000001.network.ip_addrs")
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""

_never = threading.Event()


def _environment() -> Dict[str, str]:
    """Ours without what was set for finding this bench; the package is found from any directory."""
    # With bytecode, as an installation has it: without, a checkout is compiled anew at every start.
    without = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**without, "PYTHONPATH": str(ROOT)}


def idle(fleet: Fleet, sizes: Sizes) -> Iterator[Figure]:
    """All at once, since each but sleeps."""
    directory = Path(fleet.server.store).parent / f"{Path(fleet.server.store).name}-agents"
    directory.mkdir()
    started: List[Any] = []

    def start(*argv: str) -> int:
        with open(directory / f"{len(started)}.log", "wb") as log:
            started.append(subprocess.Popen([sys.executable, *argv], env=_environment(), stdout=log, stderr=log))
        return int(started[-1].pid)

    def agent(heartbeat: int) -> int:
        file = directory / f"heartbeat-{heartbeat}.toml"
        file.write_text(CONFIGURATION.format(url=fleet.server.url, heartbeat=heartbeat, state=directory))
        return start("-m", "basket", "agent", "--config", str(file))

    try:
        pids = [agent(10), agent(0), start("-c", IDLE_CLIENT, fleet.server.url)]
        _until_published(fleet, ["bench-10", "bench-0"], started)
        _never.wait(min(3.0, sizes.idle))  # the agent gives back what starting has left over
        before = [_switches(pid) for pid in pids]
        begun = time.monotonic()
        _never.wait(sizes.idle)
        passed = time.monotonic() - begun
        beating, silent, client = [((_switches(pid) - count) / passed,) for pid, count in zip(pids, before)]
        memory = [(_resident(pid),) for pid in pids]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(10)
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()
    client_is = "nats-py with one kv.watch"
    yield Figure("agent resident", memory[0], memory[2], client_is, "MB", Goal(34.0, OURS))
    yield Figure("agent wake-ups a second, heartbeats", beating, client, client_is, "/s", Goal(2.0, OURS))
    yield Figure("agent wake-ups a second, none", silent, client, client_is, "/s", Goal(0.3, OURS))


def _until_published(fleet: Fleet, ids: Sequence[str], processes: Sequence[Any], timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not all(len(fleet.basket.functions(one)) == 5 for one in ids):
        dead = [process.pid for process in processes if process.poll() is not None]
        if dead or time.monotonic() > deadline:
            raise RuntimeError(f"the agents did not publish within {timeout:g} s (ended: {dead})")
        _never.wait(0.1)


def _switches(pid: int) -> int:
    """How often its threads have gone to sleep so far."""
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        count += int(status.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return count


def _resident(pid: int) -> float:
    """MB."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1000


def command(fleet: Fleet, sizes: Sizes) -> Iterator[Figure]:
    """``zester-basket get`` from its start to its end, beside a Python that does nothing but import."""
    script = Path(sys.executable).with_name("zester-basket")
    program = [str(script)] if script.exists() else [sys.executable, "-m", "basket"]
    get = [*program, "get", peel_id(1), FUNCTION, "--server", fleet.server.url, "--format", "value"]
    importing = [sys.executable, "-c", "import nats, msgpack"]
    processor: Tuple[List[float], List[float]] = ([], [])

    def run(argv: Sequence[str], expected: str, into: List[float]) -> Callable[[], float]:
        def sample() -> float:
            begun, used = time.perf_counter(), _children()
            output = subprocess.run(argv, env=_environment(), stdout=subprocess.PIPE, text=True, check=True).stdout
            assert output.strip() == expected, output
            wall = time.perf_counter() - begun
            into.append(_children() - used)
            return wall

        return sample

    ours, raw = alternate(run(get, address(1), processor[0]), run(importing, "", processor[1]), sizes.pairs)
    against = 'python -c "import nats, msgpack"'
    yield Figure("zester-basket get, wall time", ours, raw, against, goal=Goal(1.5))
    yield Figure("zester-basket get, processor time", tuple(processor[0][1:]), tuple(processor[1][1:]), against, goal=Goal(1.5))


def _children() -> float:
    """Processor seconds of the children that have ended."""
    times = os.times()
    return times.children_user + times.children_system

"""An hour's work and more, compressed: memory, threads, files and what the server keeps for us stay flat, figures printed.

The numbers are a part of the whole so that it fits into a test run; the variable ``BASKET_SOAK=1`` asks for all: 100,000
refreshes, 10,000 reconnections of watches, 10,000 reloads.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from breaking import consumers, stream_info
from harness import LONG, ROOT, open_files, ours, resident, wait_for

import basket

pytestmark = pytest.mark.chaos

WHOLE = os.environ.get("BASKET_SOAK", "") not in ("", "0")
REFRESHES = 100_000 if WHOLE else 10_000
RECONNECTIONS = 10_000 if WHOLE else 1_500
CUTS = 2_000 if WHOLE else 200
RELOADS = 10_000 if WHOLE else 2_000

AGENT = """
import json, os, signal, sys, threading
from basket import config, logs
from basket.agent import daemon, deliver
from basket.agent.daemon import Agent, _FilesChanged

what, target, url, state = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
logs.setup(stream=open(os.devnull, "w"))
figures, count = [], 0

def sample():
    with open("/proc/self/status") as file:
        kb = next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
    files = len(os.listdir("/proc/self/fd"))
    figures.append({"count": count, "mb": kb / 1024, "threads": threading.active_count(), "files": files})

def step():
    global count
    count += 1
    # The first tenth warms up.
    if count in (target // 10, target // 2, target):
        sample()
    if count == target:
        os.kill(os.getpid(), signal.SIGTERM)

def text(number):
    lines = [f'[peel]\\nid = "soak-01"\\nstate = "{state}"\\n[nats]\\nurl = "{url}"\\n[basket.functions]']
    if what == "refreshes":
        lines += [f'"fixed.f{n}" = {{ value = {n}, interval = "100ms" }}' for n in range(120)]
        lines += [f'"moving.f{n}" = {{ function = "system.uptime", interval = "100ms" }}' for n in range(80)]
    else:
        lines += [f'"kept.f{n}" = {{ value = {n}, interval = "1h" }}' for n in range(20)]
        lines += [f'"other.f{number % 7}" = {{ value = {number} }}']
        lines += [f'"kept.rescheduled" = {{ value = 1, interval = "{1 + number % 5}h" }}']
        lines += [f'[facts]\\ncustom = {{ number = {number % 3} }}\\n[nodegroups]\\na = "role:x{number % 4}"']
    return "\\n".join(lines)

def reload():
    loaded = config.parse(text(count))
    if what == "reloads":
        if agent._connection.basket is not None:  # what connecting costs is not counted
            step()
        agent._mailbox.post(_FilesChanged())  # the next one at once
    return loaded

if what == "refreshes":
    compute = deliver.compute
    lock = threading.Lock()
    def counted(*arguments):
        value = compute(*arguments)
        with lock:
            step()
        return value
    deliver.compute = counted

agent = Agent(config.parse(text(0)), reload=reload)
if what == "reloads":
    agent._mailbox.post(_FilesChanged())
status = agent.run()
print(json.dumps({"status": status, "figures": figures}))
"""


def run_agent(what, target, server):
    ended = subprocess.run(
        [sys.executable, "-c", AGENT, what, str(target), server.url, str(server.store)],
        capture_output=True,
        text=True,
        timeout=1800,
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    told = json.loads(ended.stdout)
    assert told["status"] == 0
    return told["figures"]


def show(what, figures):
    print()
    for figure in figures:
        print(f"{what}: " + ", ".join(f"{key} {value:.1f}" if key == "mb" else f"{key} {value}" for key, value in figure.items()))


def flat(figures, *, mb, threads):
    first, last = figures[0], figures[-1]
    assert last["mb"] - first["mb"] < mb, figures
    assert abs(last["threads"] - first["threads"]) <= threads, figures
    assert last["files"] - first["files"] <= 3, figures


def test_refreshes(server):
    """Fails where a run of a function leaves anything behind: a thread, an entry in the schedule, a task on the loop."""
    begun = time.monotonic()
    figures = run_agent("refreshes", REFRESHES, server)
    figures[-1]["seconds"] = round(time.monotonic() - begun)
    show("refreshes", figures)
    # Workers live as long as their job, so their number varies by as many as may run at once.
    flat(figures, mb=3, threads=10)
    info = stream_info(server)
    assert info["state"]["messages"] == 200
    print(f"written: {info['state']['last_seq']}")


def test_reloads(server, basket_for):
    """Fails where a version of the configuration leaves anything behind: functions, watched files, retired values."""
    begun = time.monotonic()
    figures = run_agent("reloads", RELOADS, server)
    figures[-1]["seconds"] = round(time.monotonic() - begun)
    show("reloads", figures)
    flat(figures, mb=3, threads=8)
    names = basket_for(server, "r-01").functions("soak-01")
    assert len([name for name in names if name.startswith("kept.")]) == 21
    (kept,) = basket_for(server, "r-02").get("soak-01", "kept.f7")
    assert kept.revision <= 25, "an untouched function was written again"


def look(b, count):
    gc.collect()
    return {"count": count, "mb": resident(), "threads": threading.active_count(), "files": open_files(), "tasks": _tasks(b)}


def _tasks(b):
    """How many tasks the loop has."""
    import asyncio

    found = []
    told = threading.Event()

    def count():
        found.append(len(asyncio.all_tasks()))
        told.set()

    b._link.call(count)
    assert told.wait(LONG)
    return found[0]


def test_reconnections_of_watches(server, basket_for, proxy_for):
    """Fails where a watch that begins anew leaves its consumer, subscription, task or table behind."""
    proxy = proxy_for(server)
    b = basket_for(proxy.url, timeout=LONG)
    writer = basket_for(server, "w-01", timeout=LONG)
    writer.publish_many({f"custom.n{i}": "x" * 100 for i in range(50)})
    heard = []
    watch = b.watch("*", [f"custom.n{i}" for i in range(50)], callback=lambda change: heard.append(change.value))
    wait_for(lambda: len(heard) == 50)
    (feed,) = [one for one in b._live._feeds.values() if one._wanted]
    begun = time.monotonic()
    figures = []

    def again(count):
        for _ in range(count):
            before = feed.reads
            b._link.call(feed.connection_changed)
            wait_for(lambda before=before: feed.reads > before and feed.current, what="everything read anew", every=0.001)

    done = 0
    for part in (RECONNECTIONS // 10, RECONNECTIONS * 4 // 10, RECONNECTIONS // 2):
        again(part)
        done += part
        figures.append(look(b, done))
    figures[-1]["seconds"] = round(time.monotonic() - begun)
    show("watches begun anew", figures)
    flat(figures, mb=6, threads=1)
    assert figures[-1]["tasks"] <= figures[0]["tasks"] + 2
    assert len(heard) == 50, "what did not change was told again"

    begun, figures = time.monotonic(), []
    for part in (CUTS // 10, CUTS * 4 // 10, CUTS // 2):
        for _ in range(part):
            made = b.connections
            proxy.cut()
            wait_for(
                lambda made=made: b.connections > made and feed.current, what="the watch on its next connection", every=0.002
            )
        figures.append(look(b, b.connections))
    figures[-1]["seconds"] = round(time.monotonic() - begun)
    show("connections cut", figures)
    # The proxy's own threads for the last connections may still be ending.
    flat(figures, mb=6, threads=6)
    assert len(heard) == 50
    writer.publish("custom.n7", "new")
    wait_for(lambda: heard[-1] == "new")
    wait_for(lambda: len(consumers(server)) == 1, what="one consumer")
    watch.stop()
    wait_for(lambda: not consumers(server), what="no consumer")
    assert ours() == ["basket-loop"]


def test_calls(server, basket_for, proxy_for):
    """Fails where a call, answered or timed out, leaves a waiter, a task or a reply behind."""
    b = basket_for(server, timeout=LONG)
    b.publish("custom.a", 1)
    proxy = proxy_for(server)
    slow = basket_for(proxy.url, timeout=LONG)
    proxy.delay = 0.01
    figures, done, late = [], 0, 0
    begun = time.monotonic()
    total = REFRESHES // 2
    for part in (total // 10, total * 4 // 10, total // 2):
        for number in range(part):
            if number % 50 == 0:
                b.publish("custom.a", number)
            if number % 20 == 0:
                try:
                    slow.value("web-01", "custom.a", timeout=0.001)
                except basket.BasketTimeoutError:
                    late += 1
            b.value("web-01", "custom.a")
        done += part
        figures.append(look(b, done))
    figures[-1]["seconds"] = round(time.monotonic() - begun)
    show("calls", figures)
    flat(figures, mb=3, threads=2)
    assert late > total // 40 and slow.connections == 1
    assert not b._link.pending and not slow._link.pending

"""Whatever is killed while files are rendered, each of them is whole: the renderer, the agent, the server and its store."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import basket

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).resolve().parents[2]
PAUSE = threading.Event()  # never set

RENDERS = 1000
LINES = 100

# Forks a process that renders a file anew as fast as it can, kills it at some moment, looks at what it left, and again.
# (Forks, since a Python that starts takes longer than many renderings.) Prints renderings, kills, and staged files found.
NURSERY = """
import os, random, signal, sys, time
import basket.template.environment, basket.template.delivery, basket.template.owed, basket.config
from basket.entry import Entry
from basket.template import Renderer
from basket.template.writing import replace

source, place, progress, renders, lines = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
out, kept = place + "/out", place + "/out.bak"
rng = random.Random(4)

class Basket:
    timeout, scope, groups, number = 1.0, None, {}, 0
    def get(self, target, function, **options):
        return [Entry(f"web-{i:03}", function, f"{self.number}", 1, 1, None, None) for i in range(lines)]

def render(number):
    basket = Basket()
    renderer = Renderer(basket)
    with open(progress, "ab", buffering=0) as done:
        while True:
            number += 1
            basket.number = number
            renderer.write(source, out, backup=number % 4 == 0)
            done.write(b"x")

def whole(path):
    # Each version says in every line which one it is.
    text = open(path).read().splitlines()
    return len(text) == lines + 1 and text[-1] == "end" and len({line.split()[3] for line in text[:-1]}) == 1

def count():
    return os.stat(progress).st_size

open(progress, "wb").close()
kills = left = 0
while count() < renders:
    before = count()
    pid = os.fork()
    if not pid:
        try:
            render(before + kills)
        finally:
            os._exit(1)
    while count() == before:
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "it ended by itself"
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.2))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    kills += 1
    left += len([name for name in os.listdir(place) if name.endswith(".staged")])
    assert whole(out), open(out).read()
    assert not os.path.exists(kept) or whole(kept), open(kept).read()
replace(out, b"x", backup=True)
assert sorted(os.listdir(place)) == ["out", "out.bak"], os.listdir(place)
print(count(), kills, left)
"""

TEMPLATE = "{% for e in basket('*', 'a') %}\nline {{ loop.index }} {{ e.peel_id }} {{ e.value }}\n{% endfor %}\nend\n"


def test_a_renderer_killed_at_any_moment_leaves_a_whole_file_and_the_next_one_cleans_up(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "t.j2").write_text(TEMPLATE)
    paths = [str(tmp_path / name) for name in ("t.j2", "etc", "progress")]
    argv = [sys.executable, "-c", NURSERY, *paths, str(RENDERS), str(LINES)]
    made = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    renders, kills, left = map(int, made.stdout.split())
    assert renders >= RENDERS and kills > 20 and left, f"{kills} kills hit nothing worth testing"


def test_agents_killed_and_a_server_killed_and_wiped_never_empty_or_tear_a_file(server, tmp_path):
    rng = random.Random(7)
    stop = threading.Event()
    seen, bad, version = set(), [], [0]
    out, source, config = tmp_path / "out", tmp_path / "t.j2", tmp_path / "agent.toml"
    # No min: it is not this that keeps the file from being emptied.
    source.write_text("{% for e in basket('web-*', 'a') %}\n{{ e.value }}\n{% endfor %}\nend\n")
    config.write_text(
        f'[peel]\nid = "me"\nstate = "{tmp_path}/state"\n[nats]\nurl = "{server.url}"\n[facts]\npublish = false\n'
        f'[[template]]\nsource = "{source}"\ndestination = "{out}"\nwait = ["20ms", "100ms"]\n'
    )
    peel = basket.connect(server.url, peel_id="web-01", timeout=1.0)
    second = basket.connect(server.url, peel_id="web-02", timeout=1.0)

    def publish():
        while not stop.wait(0.01):
            version[0] += 1
            try:
                peel.publish("a", version[0])
                second.publish("a", "second")
            except basket.BasketError:
                pass

    def look():
        while not stop.wait(0.001):
            if out.exists():
                text = out.read_text()
                seen.add(text)
                if not text.endswith("second\nend\n") or text.count("\n") != 3:
                    bad.append(text)

    def begin():
        with open(tmp_path / "log", "ab") as log:
            argv = [sys.executable, "-m", "basket", "agent", "--config", str(config)]
            return subprocess.Popen(argv, cwd=ROOT, stderr=log, stdout=log)

    def written(since, timeout=15.0):
        deadline = time.monotonic() + timeout
        while len(seen) < since + 2:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
            PAUSE.wait(0.02)

    for connection in (peel, second):
        connection.publish("a", "0" if connection is peel else "second")
    threads = [threading.Thread(target=target) for target in (publish, look)]
    for thread in threads:
        thread.start()
    process = begin()
    try:
        for turn in range(4):
            written(len(seen))
            PAUSE.wait(rng.uniform(0.0, 0.2))
            if turn % 2:
                server.kill()
                shutil.rmtree(server.store / "jetstream")
                server.start()
            else:
                process.kill()
                process.wait()
                process = begin()
        written(len(seen), 45.0)
        assert process.poll() is None
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        process.kill()
        process.wait()
        peel.close()
        second.close()
    assert not bad, bad[:3]
    assert len(seen) > 8

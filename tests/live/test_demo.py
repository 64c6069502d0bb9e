"""`zester-basket demo` as a newcomer meets it: it tells its story, ends with 0, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from basket.demo.signals import Signals
from basket.demo.stage import Stage
from basket.errors import BasketError

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = re.compile(r"its data in (/\S+)\.")


def start(**streams):
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    environ.pop("BASKET_CONFIG", None)
    return subprocess.Popen(
        [sys.executable, "-m", "basket", "demo"], env=environ, stdin=subprocess.DEVNULL, cwd="/", text=True, **streams
    )


def processes_with(text):
    """The command lines of living processes that name ``text``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


def assert_nothing_left(directory):
    assert not os.path.exists(directory)
    assert processes_with(directory) == []


def test_it_tells_the_whole_story_and_cleans_up():
    started = time.monotonic()
    process = start(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, ""), out
    assert time.monotonic() - started < 20
    assert_nothing_left(DIRECTORY.search(out).group(1))
    assert re.search(r"web-01 +linux +yes", out)
    assert "web-02  192.0.2.12:8080" in out
    assert re.search(r"here: 2\.1\.0 became 2\.2\.0 \d+ ms later", out)
    assert "backend web\n         server web-01 192.0.2.11:8080 check\n         server web-02 192.0.2.12:8080 check\n" in out
    assert "db-01" not in out.partition("HAProxy backend:")[2].partition("6. ")[0]
    assert re.search(r"server web-03 192\.0\.2\.13:8080 check", out.partition("A third web server")[2])


@pytest.mark.parametrize(
    ("number", "after", "status"),
    [
        (signal.SIGINT, "1. ", 130),
        (signal.SIGTERM, "2. ", 143),
        (signal.SIGHUP, "web-02.toml agent &", 129),
        (signal.SIGTERM, "3. ", 143),
        (signal.SIGINT, "5. ", 130),
    ],
)
def test_interrupted_anywhere_it_leaves_nothing_behind(number, after, status):
    process = start(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out = ""
    while after not in out:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        out += line
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == status
    assert "Traceback" not in said
    assert signal.Signals(number).name in said
    assert_nothing_left(DIRECTORY.search(out).group(1))


def test_a_reader_that_goes_away_leaves_nothing_behind():
    """`zester-basket demo | head -3`."""
    process = start(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out = process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    assert_nothing_left(DIRECTORY.search(out).group(1))


def test_an_agent_that_fails_is_told_with_its_reason():
    """Otherwise the demo would wait half a minute for a peel that will never come."""
    with Signals() as signals:
        stage = Stage(signals)
        stage.directory.mkdir()
        try:
            stage.start_agent("web-01", stage.write("web-01.toml", "[peel]\nnmae = 1\n"))
            with pytest.raises(BasketError, match=r"the agent web-01 ended with 2: .*nmae"):
                stage.wait("nothing", lambda: False)
        finally:
            stage.close()
    assert_nothing_left(str(stage.directory))

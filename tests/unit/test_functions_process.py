"""Ending what hangs: with all it started, within its time, and all at once when the agent stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from harness import alive, wait_for

from basket.errors import FunctionError
from basket.functions import define, run, stop_all
from basket.functions import group as groups
from basket.functions import process as processes


def sh(script):
    return define("custom.it", {"command": script, "shell": True})


def pids_in(path, count=1):
    wait_for(lambda: path.exists() and len(path.read_text().split()) >= count, 5, f"{count} pids in {path}")
    return [int(word) for word in path.read_text().split()]


def ended(pids):
    wait_for(lambda: not any(alive(pid) for pid in pids), 5, f"the end of {[pid for pid in pids if alive(pid)]}")


@pytest.fixture(params=["pidfd", "polling"])
def waiting(request, monkeypatch):
    """Old kernels and Python 3.8 have no pidfd; both ways must do."""
    if request.param == "pidfd" and not hasattr(os, "pidfd_open"):
        pytest.skip("this Python has no pidfd_open")
    if request.param == "polling":
        monkeypatch.delattr(os, "pidfd_open", raising=False)


def test_a_hanging_command_is_ended_with_its_grandchildren(tmp_path, waiting):
    pids = tmp_path / "pids"
    began = time.monotonic()
    with pytest.raises(FunctionError) as caught:
        run(sh(f"echo waiting >&2; sleep 300 & echo $! $$ > {pids}; (sleep 300; true) & sleep 300"), timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 1.2
    assert caught.value.reason == "still running after 0.3 s, so it was ended: waiting"
    ended(pids_in(pids, 2))


def test_one_that_ignores_sigterm_is_killed(tmp_path):
    pids = tmp_path / "pids"
    began = time.monotonic()
    with pytest.raises(FunctionError, match="still running"):
        run(sh(f"trap '' TERM; sleep 300 & echo $! $$ > {pids}; while :; do sleep 300; done"), timeout=0.2)
    assert time.monotonic() - began < 0.2 + groups.GRACE + 1
    ended(pids_in(pids, 2))


def test_one_that_tidies_up_on_sigterm_has_the_time_to(tmp_path):
    done = tmp_path / "done"
    with pytest.raises(FunctionError, match="still running"):
        run(sh(f"(trap 'sleep 0.1; echo tidy > {done}; exit' TERM; sleep 300 & wait); true"), timeout=0.3)
    assert done.read_text() == "tidy\n"


def test_one_that_exits_and_leaves_somebody_with_its_pipe(tmp_path, waiting):
    pids = tmp_path / "pids"
    began = time.monotonic()
    assert run(sh(f"echo value; sleep 300 & echo $! > {pids}; exit 0"), timeout=20) == "value"
    assert time.monotonic() - began < 2
    ended(pids_in(pids))


def test_one_whose_daemon_leaves_the_group_holding_the_pipe(tmp_path):
    pids = tmp_path / "pids"
    escape = f"import os, time; os.setsid(); open({str(pids)!r}, 'w').write(str(os.getpid())); time.sleep(300)"
    began = time.monotonic()
    script = f'{sys.executable} -c "{escape}" & while [ ! -s {pids} ]; do sleep 0.01; done; echo value'
    try:
        assert run(sh(script), timeout=20) == "value"
        assert time.monotonic() - began < 5
    finally:
        for pid in pids_in(pids):
            os.kill(pid, signal.SIGKILL)


def test_one_that_closes_its_output_and_hangs(waiting):
    with pytest.raises(FunctionError, match="still running"):
        run(sh("exec >&- 2>&-; sleep 300"), timeout=0.2)


@pytest.mark.parametrize("script", ["yes", "yes >&2", "yes | cat"])
def test_endless_output_ends_and_takes_no_memory(script):
    with pytest.raises(FunctionError, match=r"printed more than 1 MiB|still running"):
        run(sh(script), timeout=0.4)


def test_no_zombies_and_no_open_groups_are_left():
    for script in ("exit 0", "exit 1", "sleep 300"):
        try:
            run(sh(script), timeout=0.1)
        except FunctionError:
            pass
    assert groups._open == set()
    try:
        zombie = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        zombie = None
    assert zombie is None


def start_many(tmp_path, script, count):
    reasons = []

    def work():
        try:
            reasons.append(run(sh(script), timeout=60))
        except FunctionError as error:
            reasons.append(error.reason)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, reasons, pids_in(tmp_path / "pids", count)


def test_stop_all_ends_everything_at_once(tmp_path):
    threads, reasons, pids = start_many(tmp_path, f"echo $$ >> {tmp_path / 'pids'}; sleep 300", 8)
    began = time.monotonic()
    stop_all()
    assert time.monotonic() - began < 0.9
    assert not any(alive(pid) for pid in pids), "gone when stop_all returns, since the agent exits then"
    for thread in threads:
        thread.join(5)
    assert reasons == ["ended, since the agent is stopping"] * 8
    stop_all()
    assert run(sh("echo again"), timeout=5) == "again"


def test_stop_all_kills_what_ignores_it_and_a_second_call_does_so_at_once(tmp_path):
    threads, reasons, pids = start_many(tmp_path, f"trap '' TERM; echo $$ >> {tmp_path / 'pids'}; while :; do sleep 300; done", 2)
    first = threading.Thread(target=stop_all)
    began = time.monotonic()
    first.start()
    wait_for(lambda: all(group.stopped for group in list(groups._open)), 5, "the first call's signal", every=0.005)
    stop_all()
    assert time.monotonic() - began < 0.8
    for thread in [first, *threads]:
        thread.join(5)
    ended(pids)
    assert reasons == ["ended, since the agent is stopping"] * 2


@pytest.mark.parametrize("stops", [1, 2])
def test_stop_all_reaches_a_process_that_is_just_starting(monkeypatch, stops):
    real = subprocess.Popen
    started = []

    def slow_start(*args, **kwargs):
        stoppers = [threading.Thread(target=stop_all) for _ in range(stops)]
        for number, stopper in enumerate(stoppers):
            stopper.start()
            if number == 0:
                wait_for(lambda: all(group.stopped for group in list(groups._open)), 5, "a word to stop", every=0.005)
        started.extend(stoppers)
        return real(*args, **kwargs)

    monkeypatch.setattr(processes.subprocess, "Popen", slow_start)
    began = time.monotonic()
    with pytest.raises(FunctionError, match="the agent is stopping"):
        run(sh("sleep 300"), timeout=60)
    for stopper in started:
        stopper.join(5)
    assert time.monotonic() - began < 3


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    pids = tmp_path / "pids"
    code = (
        "from basket.functions import define, run\n"
        f"run(define('x', {{'command': 'sleep 300 & echo $! $$ > {pids}; wait', 'shell': True}}), timeout=60)\n"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    found = pids_in(pids, 2)
    program.send_signal(signal.SIGINT)
    program.wait(5)
    ended(found)


def test_a_forked_child_does_not_end_its_parents_functions(tmp_path):
    threads, _, pids = start_many(tmp_path, f"echo $$ >> {tmp_path / 'pids'}; sleep 300", 1)
    child = os.fork()
    if child == 0:
        try:
            stop_all()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert alive(pids[0])
    stop_all()
    for thread in threads:
        thread.join(5)

"""Python functions of the configuration: each call in a process of its own, which is ended when it hangs."""

from __future__ import annotations

import datetime
import os
import sys
import textwrap
import threading
import time

import pytest
from harness import alive, wait_for

from basket.errors import FunctionError
from basket.functions import define, run, stop_all

MODULE = """
    import datetime, os, sys, threading, time

    LIMIT = 3

    def plain(*, times=1, word="x"):
        print("this is noise"); sys.stderr.write("so is this\\n"); os.write(1, b"and this")
        return word * times

    def kinds():
        when = datetime.datetime(2024, 5, 1, tzinfo=datetime.timezone.utc)
        return {"n": None, "b": b"\\x00\\xff", "t": when, 7: [1.5, True, (1, 2)]}

    class Pool:
        @staticmethod
        def current():
            return os.getpid()

    def fails(): raise ValueError("no pool\\nat \\x1b[31mall")
    def leaves(): raise SystemExit("bye")
    def dies(): os.abort()
    def quits(): sys.stderr.write("out of luck\\n"); sys.stderr.flush(); os._exit(0)
    def bad(): return {"a": [object()]}
    def large(): return "x" * 2_000_000
    def chatty():
        print("x" * 3_000_000)
        return "done"
    def path(): return sys.path
    def given(): return sys.argv
    def stdin(): return sys.stdin.read()

    def lingers(where):
        # the value is there, but a thread keeps the process
        threading.Thread(target=time.sleep, args=(300,)).start()
        open(where, "w").write(str(os.getpid()))
        return "kept"

    def hangs(where):
        import subprocess
        child = subprocess.Popen(["sleep", "300"])
        open(where, "w").write(f"{os.getpid()} {child.pid}")
        time.sleep(300)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "mysite_pools.py").write_text(textwrap.dedent(MODULE))
    (folder / "mysite_broken.py").write_text("import no_such_dependency\n")
    (folder / "mysite_noisy.py").write_text("1/0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(folder)])
        yield folder


def value(site, what, timeout=10.0, **arguments):
    return run(define("custom.it", {"python": what, **arguments}), timeout=timeout)


def reason(site, what, timeout=10.0, **arguments):
    with pytest.raises(FunctionError) as caught:
        value(site, what, timeout, **arguments)
    assert caught.value.reason.isprintable()
    return caught.value.reason


def until_gone(pids):
    wait_for(lambda: not any(alive(pid) for pid in pids), 5, f"the end of {pids}")


def test_what_it_prints_does_not_spoil_what_it_returns(site, capfd):
    assert value(site, "mysite_pools:plain", times=3, word="ab") == "ababab"
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", ""), "the agent's log is not for others to write to"
    assert value(site, "mysite_pools:chatty") == "done"


def test_values_of_every_kind_come_back(site):
    assert value(site, "mysite_pools:kinds") == {
        "n": None,
        "b": b"\x00\xff",
        "t": datetime.datetime(2024, 5, 1, tzinfo=datetime.timezone.utc),
        7: [1.5, True, [1, 2]],
    }


def test_it_runs_in_another_process_with_our_import_path(site):
    assert value(site, "mysite_pools:Pool.current") != os.getpid()
    assert value(site, "mysite_pools:path") == [entry for entry in sys.path if isinstance(entry, str)]
    assert value(site, "mysite_pools:given") == ["-c"]
    assert value(site, "mysite_pools:stdin") == ""
    assert "mysite_pools" not in sys.modules


def test_a_module_in_the_working_directory_is_not_taken_for_the_standard_librarys(site, tmp_path, monkeypatch):
    (tmp_path / "socket.py").write_text("raise SystemExit('hijacked')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert value(site, "mysite_pools:plain") == "x"


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("no_such_module:f", "there is no module 'no_such_module' on the import path"),
        ("mysite_pools.sub:f", "there is no module 'mysite_pools.sub'"),
        ("mysite_broken:f", "importing mysite_broken failed: ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("mysite_noisy:f", "importing mysite_noisy failed: ZeroDivisionError: division by zero"),
        ("mysite_pools:nope", "mysite_pools has no 'nope'"),
        ("mysite_pools:Pool.nope", "mysite_pools has no 'Pool.nope'"),
        ("mysite_pools:LIMIT", "mysite_pools:LIMIT is a int, which cannot be called"),
        ("mysite_pools:fails", "ValueError: no pool; at \\x1b[31mall"),
        ("mysite_pools:leaves", "SystemExit: bye"),
        ("mysite_pools:dies", "killed by SIGABRT"),
        ("mysite_pools:quits", "ended without a result: out of luck"),
        ("mysite_pools:bad", "returned what cannot be published: the value['a'][0] is a object"),
        ("mysite_pools:large", "more than 1 MiB"),
    ],
)
def test_every_failure_has_its_reason(site, what, says):
    assert says in reason(site, what)


def test_arguments_it_does_not_take(site):
    assert "TypeError" in reason(site, "mysite_pools:plain", colour="red")


def test_a_hanging_one_is_ended_with_its_children(site, tmp_path):
    where = tmp_path / "pids"
    began = time.monotonic()
    assert "still running after 1 s" in reason(site, "mysite_pools:hangs", 1.0, where=str(where))
    assert time.monotonic() - began < 2.5
    until_gone([int(word) for word in where.read_text().split()])


def test_one_whose_process_stays_after_its_answer_is_ended(site, tmp_path):
    where = tmp_path / "pids"
    assert value(site, "mysite_pools:lingers", 20.0, where=str(where)) == "kept"
    until_gone([int(where.read_text())])


def test_stop_all_ends_python_functions_too(site, tmp_path):
    where = tmp_path / "pids"
    seen = []

    def work():
        seen.append(reason(site, "mysite_pools:hangs", 60.0, where=str(where)))

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 5
    while not (where.exists() and len(where.read_text().split()) == 2):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    stop_all()
    thread.join(5)
    assert seen == ["ended, since the agent is stopping"]
    until_gone([int(word) for word in where.read_text().split()])

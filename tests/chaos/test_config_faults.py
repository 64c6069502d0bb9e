"""The configuration changed under a running agent in every way that files are changed: what it says counts, junk changes nothing,
and what did not change is not touched."""

from __future__ import annotations

import os
import shutil
import signal
import sys

import pytest
from harness import LONG, PAUSE, ROOT, wait_for

pytestmark = pytest.mark.chaos


@pytest.fixture
def running(server, agent_for, basket_for, tmp_path):
    """An agent whose function ``custom.runs`` counts its own runs, once an hour; ``running.weight(n)`` is the text of a file."""
    made = Running(agent_for(server.url), basket_for(server, "r-01", timeout=20), tmp_path)
    made.agent.file.write_text(made.weight(0))
    made.agent.start()
    made.holds(0)
    wait_for(lambda: made.reader.value("web-01", "custom.runs") == "1")
    made.first = {name: made.revision(name) for name in ("custom.runs", "custom.fixed")}
    yield made


class Running:
    def __init__(self, agent, reader, directory):
        self.agent = agent
        self.reader = reader
        self.runs = directory / "runs"
        self.script = directory / "count"
        self.script.write_text(f"echo run >> {self.runs}; wc -l < {self.runs}")
        self.first = {}

    def weight(self, number, more=""):
        return self.agent.text(
            f"""
[basket.functions]
"custom.runs" = {{ command = ["sh", "{self.script}"], interval = "1h" }}
"custom.fixed" = {{ value = 1 }}
"custom.weight" = {{ value = {number} }}
{more}"""
        )

    def revision(self, name):
        (entry,) = self.reader.get("web-01", name)
        return entry.revision

    def holds(self, number, timeout=LONG):
        wait_for(lambda: self.reader.value("web-01", "custom.weight") == number, timeout, f"weight {number}:\n{self.agent.log}\n")

    def untouched(self):
        """What no change concerned was neither run nor written again, and nothing unexpected stands in the log."""
        assert self.runs.read_text().count("run") == 1
        assert {name: self.revision(name) for name in self.first} == self.first
        assert self.agent.end()[0] == 0


def test_in_place_renamed_over_deleted_and_made_again(running):
    """Fails where the watch is on the file instead of its name, or where a missing file counts as an empty configuration."""
    file = running.agent.file
    file.write_text(running.weight(1))
    running.holds(1)
    for number in (2, 3):
        staged = file.with_suffix(".new")
        staged.write_text(running.weight(number))
        staged.replace(file)
        running.holds(number)
    file.unlink()
    running.agent.says("not taken over")
    assert running.reader.value("web-01", "custom.weight") == 3
    file.write_text(running.weight(4))
    running.holds(4)
    moved = file.with_name("elsewhere.toml")
    file.rename(moved)
    wait_for(lambda: len(running.agent.lines("not taken over")) == 2)
    moved.rename(file)
    running.agent.says("can be read again")
    with open(file, "a") as open_file:  # appended to, as by echo >>
        open_file.write('"custom.extra" = { value = 1 }\n')
    wait_for(lambda: running.reader.value("web-01", "custom.extra") == 1)
    running.untouched()


def test_symlinks_swapped_as_kubernetes_does(running, tmp_path):
    """Fails where only the last link is looked at: there a directory in the middle of the path is exchanged."""
    mount = tmp_path / "mount"
    for name, number in (("..one", 1), ("..two", 2)):
        (mount / name).mkdir(parents=True)
        (mount / name / "basket.toml").write_text(running.weight(number))
    (mount / "..data").symlink_to("..one")
    (mount / "basket.toml").symlink_to("..data/basket.toml")
    staged = tmp_path / "link"
    staged.symlink_to(mount / "basket.toml")
    staged.replace(running.agent.file)
    running.holds(1)
    (mount / "..new").symlink_to("..two")
    (mount / "..new").rename(mount / "..data")
    running.holds(2)
    shutil.rmtree(mount / "..one")  # what the kubelet does next
    (mount / "..three").mkdir()
    (mount / "..three" / "basket.toml").write_text(running.weight(3))
    (mount / "..new").symlink_to("..three")
    (mount / "..new").rename(mount / "..data")
    running.holds(3)
    running.untouched()


JUNK = [
    b"",
    b"\x00" * 4096,
    b"\xff\xfe[peel]",
    b"[peel]\nid = ",
    b"a = " + b"[" * 50_000,
    b"[basket.functions]\n'custom.weight' = { vaule = 1 }\n",
    b"[nats]\nurl = 'http://example.org'\n",
    b"[peel]\nid = 'not a peel id'\n",
]


def test_junk_changes_nothing_and_is_told_with_its_line(running):
    """Fails where the running configuration is given up before the new one has proved good. An empty file is the exception that
    is none: it is a valid configuration, without functions; so it is not among the junk."""
    file = running.agent.file
    for number, junk in enumerate(JUNK[1:], 1):
        before = len(running.agent.lines("not taken over"))
        file.write_bytes(junk)
        wait_for(lambda before=before: len(running.agent.lines("not taken over")) > before, what=f"a word about {junk[:40]!r}")
        assert "basket.toml" in running.agent.lines("not taken over")[-1]
        assert running.reader.value("web-01", "custom.weight") == number - 1
        file.write_text(running.weight(number))
        running.holds(number)
    assert all(len(line) < 600 for line in running.agent.lines("not taken over"))
    running.untouched()


def test_a_file_written_in_pieces_is_taken_over_whole(running):
    """Fails where the first piece, a valid configuration with less in it, retires what the next piece would bring."""
    whole = running.weight(5, "".join(f'"more.f{n}" = {{ value = {n} }}\n' for n in range(100)))
    with open(running.agent.file, "w", buffering=1) as file:
        for start in range(0, len(whole), 400):
            file.write(whole[start : start + 400])
            file.flush()
            PAUSE.wait(0.02)
    running.holds(5)
    wait_for(lambda: running.reader.value("web-01", "more.f99") == 99)
    assert not running.agent.lines("function retired")
    running.untouched()


def test_a_writer_that_stops_in_the_middle_is_waited_for(running):
    """Fails where half a file ends anything: whether it parses or not, the whole one puts it right."""
    whole = running.weight(6)
    half = whole[: whole.index('"custom.weight" = ') + 20]
    running.agent.file.write_text(half)
    running.agent.says("not taken over")
    running.agent.file.write_text(whole)
    running.holds(6)
    running.untouched()


def test_sighup_without_a_change_touches_nothing(running):
    """Fails where a reload starts everything anew, as most daemons do."""
    for _ in range(20):
        running.agent.process.send_signal(signal.SIGHUP)
    running.agent.says("configuration unchanged")
    running.agent.file.write_text(running.weight(7))
    running.holds(7)
    running.untouched()


def test_many_versions_in_a_hurry_end_with_the_last(running):
    """Fails where changes are applied out of order, or one during another is missed."""
    for number in range(1, 200):
        staged = running.agent.file.with_suffix(".new")
        staged.write_text(running.weight(number))
        staged.replace(running.agent.file)
    running.holds(199)
    wait_for(lambda: running.reader.value("web-01", "custom.weight") == 199)
    running.untouched()


NO_INOTIFY = """
import ctypes
import basket.files.watching
import watchdog.observers.inotify_c as inotify
def refuse(*arguments):
    ctypes.set_errno({number})
    return -1
inotify.{function} = refuse
# Polling every 15 seconds is for production.
basket.files.watching.FileWatch.__init__.__kwdefaults__.update(recheck=0.5)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
@pytest.mark.parametrize(
    ("function", "number"),
    [("inotify_init", 38), ("inotify_init", 24), ("inotify_add_watch", 28)],
    ids=["absent", "too-many-instances", "too-many-watches"],
)
def test_without_inotify_it_polls_and_says_so(server, agent_for, basket_for, tmp_path, function, number):
    """Fails where the limit of a busy host (28, "no space left on device") ends the agent, or leaves it deaf without a word."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(NO_INOTIFY.format(function=function, number=number))
    agent = agent_for(server.url).write('[basket.functions]\n"custom.weight" = { value = 1 }')
    agent.start(env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])})
    reader = basket_for(server, "r-01")
    wait_for(lambda: reader.value("web-01", "custom.weight") == 1)
    (line,) = agent.says("inotify cannot be used, so files are polled instead")
    print(line)
    agent.write('[basket.functions]\n"custom.weight" = { value = 2 }')
    wait_for(lambda: reader.value("web-01", "custom.weight") == 2)
    assert len(agent.lines("inotify cannot")) == 1
    assert agent.end()[0] == 0

"""The agent where credentials, the clock, the disk and its own functions fail: it stays, says why, and recovers by itself."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest
from breaking import Plain
from harness import LONG, PAUSE, ROOT, alive, resident, wait_for

import basket
from basket import identity
from basket.config import PeelSection

pytestmark = pytest.mark.chaos

COUNTING = """
[basket.functions]
"custom.counter" = {{ file = "{0}", interval = "200ms" }}
"""


def guarded(password):
    return f'authorization {{ user: "web", password: "{password}" }}'


def reload(server, config):
    """Another configuration for a running server."""
    # The name and the store came with the command line, which a reload does not look at.
    store = f'jetstream {{ store_dir: "{server.store}" }}'
    (server.store / "server.conf").write_text(f"server_name: {server.name}\n{store}\n{config}")
    os.kill(server.process.pid, signal.SIGHUP)
    server.config = config


def login(server, password):
    """Whether the server takes this password now."""
    try:
        basket.connect(server.url, peel_id="probe-01", user="web", password=password, timeout=2).close()
    except basket.AuthError:
        return False
    return True


@pytest.mark.parametrize("first", ["server", "file"])
def test_a_rotated_password_is_taken_from_its_file(server_with, agent_for, tmp_path, first):
    """Fails where the password file is read once only, or where a refusal ends the agent. The order must not matter: whoever
    changes both cannot do it at the same moment."""
    server = server_with(guarded("one"))
    secret, counter = tmp_path / "secret", tmp_path / "counter"
    secret.write_text("one\n")
    counter.write_text("1")
    agent = agent_for(server.url).write(COUNTING.format(counter), nats=f'user = "web"\npassword_file = "{secret}"').start()
    with basket.connect(server.url, peel_id="r-01", user="web", password="one", timeout=20) as reader:
        wait_for(lambda: reader.value("web-01", "custom.counter") == "1")

    def rotate_server():
        reload(server, guarded("two"))
        wait_for(lambda: login(server, "two"), what="the server's new password")
        if first == "server":
            wait_for(lambda: "refused these credentials" in agent.log, what="the refusal in the log")

    def rotate_file():
        staged = tmp_path / "secret.new"
        staged.write_text("two\n")
        staged.replace(secret)
        if first == "file":
            agent.says("cannot connect")

    steps = [rotate_server, rotate_file]
    for step in steps if first == "server" else reversed(steps):
        step()
    counter.write_text("2")
    with basket.connect(server.url, peel_id="r-01", user="web", password="two", timeout=20) as reader:
        wait_for(lambda: reader.value("web-01", "custom.counter") == "2", what="the value under the new password")
    assert "one" not in [word.strip("'\"") for word in agent.log.split()]  # no secret in the log
    assert agent.end()[0] == 0


def test_an_nkey_seed_rotated_in_its_file_is_used_at_the_next_attempt(server_with, agent_for, tmp_path):
    """Fails where the credentials of the start are kept for later connections."""
    nkeys = pytest.importorskip("nkeys")

    def made():
        seed = bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
        return seed, nkeys.from_seed(bytearray(seed)).public_key.decode()

    (seed, public), (other_seed, other_public) = made(), made()

    def users(key):
        return f'authorization {{ users = [ {{ nkey: {key} }}, {{ user: "reader", password: "r" }} ] }}'

    server = server_with(users(public))
    file, counter = tmp_path / "seed", tmp_path / "counter"
    file.write_bytes(seed)
    counter.write_text("1")
    agent = agent_for(server.url).write(COUNTING.format(counter), nats=f'nkey_seed = "{file}"').start()
    with basket.connect(server.url, peel_id="r-01", user="reader", password="r", timeout=20) as reader:
        wait_for(lambda: reader.value("web-01", "custom.counter") == "1")
        reload(server, users(other_public))
        wait_for(lambda: "refused these credentials" in agent.log, what="the refusal in the log")
        file.write_bytes(other_seed)
        counter.write_text("2")
        wait_for(lambda: reader.value("web-01", "custom.counter") == "2", what="the value under the new key")
    assert seed.decode() not in agent.log and other_seed.decode() not in agent.log
    assert agent.end()[0] == 0


JUMPING_CLOCK = """
import time
_real, _path = time.time, {path!r}
def _shifted():
    try:
        with open(_path) as file:
            return _real() + float(file.read() or 0)
    except (OSError, ValueError):
        return _real()
time.time = _shifted
"""


def test_a_clock_that_jumps_does_not_stop_the_schedule(server, agent_for, basket_for, tmp_path):
    """Fails where anything waits by the wall clock: set back by a day, it would wait for a day."""
    site = tmp_path / "site"
    site.mkdir()
    shift, counter = tmp_path / "shift", tmp_path / "counter"
    (site / "sitecustomize.py").write_text(JUMPING_CLOCK.format(path=str(shift)))
    counter.write_text("start")
    agent = agent_for(server.url).write(COUNTING.format(counter))
    agent.start(env={**os.environ, "PYTHONPATH": str(site)})
    reader = basket_for(server, "r-01")
    wait_for(lambda: reader.value("web-01", "custom.counter") == "start")
    for jump in ("-86400", "86400", "-4000000", "4000000", "0"):
        shift.write_text(jump)
        counter.write_text(jump)
        wait_for(lambda jump=jump: reader.value("web-01", "custom.counter") == jump, 20, f"a value after a jump to {jump}")
        server.kill()  # and reconnecting does not depend on it either
        server.start()
    counter.write_text("end")
    wait_for(lambda: reader.value("web-01", "custom.counter") == "end", 20)
    (entry,) = reader.get("web-01", "custom.counter")
    assert entry.updated is not None
    assert len(agent.lines("2")) < 200, "it logs all the time"
    assert agent.end()[0] == 0


def test_a_full_disk_keeps_the_peel_from_pinning_its_id_and_from_nothing_else(tmp_path, caplog):
    """Fails where half a file is left behind, which the next start would refuse, or where the agent does not start."""
    section = PeelSection(id=None, state=str(tmp_path / "state"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # every write to a file fails, as on a full disk
    try:
        made = identity.peel_id(section, pin=True, host_name=lambda: ("web-01.example.org", True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert made == "web-01_example_org"
    assert "could not be pinned" in caplog.text or not caplog.records
    assert os.listdir(tmp_path / "state") == []
    assert identity.peel_id(section, pin=True, host_name=lambda: ("web-01.example.org", True)) == made
    assert (tmp_path / "state" / "node-id").read_text() == made + "\n"


def test_a_full_tmpfs_for_the_state_directory(tmp_path):
    """The same with a file system that is really full, where we may mount one."""
    state = tmp_path / "tiny"
    state.mkdir()
    if (
        os.getuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(state)], capture_output=True).returncode
    ):
        pytest.skip("mounting needs root")
    try:
        with pytest.raises(OSError), open(state / "ballast", "wb", buffering=0) as file:
            while True:
                if file.write(b"x" * 4096) < 4096:
                    raise OSError
        section = PeelSection(id=None, state=str(state))
        assert identity.peel_id(section, pin=True, host_name=lambda: ("web-01", True)) == "web-01"
        assert os.listdir(state) == ["ballast"]
    finally:
        subprocess.run(["umount", str(state)], check=True)


def test_a_log_that_cannot_be_written_ends_nothing(server, agent_for, basket_for, tmp_path):
    """Fails where a full disk under the log ends the agent, or fills its memory."""
    counter = tmp_path / "counter"
    counter.write_text("1")
    agent = agent_for(server.url).write(COUNTING.format(counter))
    with open("/dev/full", "wb") as full:
        argv = [sys.executable, "-m", "basket", "agent", "--config", str(agent.file)]
        agent.process = subprocess.Popen(argv, stdout=full, stderr=full, cwd=ROOT)
    reader = basket_for(server, "r-01")
    wait_for(lambda: reader.value("web-01", "custom.counter") == "1")
    counter.write_text("2")
    wait_for(lambda: reader.value("web-01", "custom.counter") == "2")
    agent.process.terminate()
    assert agent.process.wait(LONG) == 0


def test_a_server_whose_store_is_full_is_said_and_used_again_once_there_is_room(server_with, agent_for, basket_for, tmp_path):
    """Fails where "no space" is taken for success or for a lost connection, or where the value is given up."""
    server = server_with("jetstream { max_file_store: 300000 }")
    b = basket_for(server, "filler-01")
    counter = tmp_path / "counter"
    counter.write_text("first")
    agent = agent_for(server.url).write(COUNTING.format(counter)).start()
    wait_for(lambda: b.value("web-01", "custom.counter") == "first")
    written = []
    with pytest.raises(basket.JetStreamError, match=r"(?i)insufficient|resource|storage") as told:
        for number in range(200):
            b.publish(f"custom.n{number}", "x" * 20_000)
            written.append(number)
    print(f"store full after {len(written)} values: {told.value}")
    assert isinstance(b.value("filler-01", f"custom.n{written[-1]}"), str)  # reading goes on
    for number in range(50):  # up to the last byte
        try:
            b.publish(f"small.n{number}", "x" * 200)
        except basket.JetStreamError:
            break
    counter.write_text("second")
    agent.says("cannot write now, trying on")
    assert any("insufficient" in line or "resource" in line or "storage" in line for line in agent.lines("cannot write now"))
    with pytest.raises(basket.JetStreamError):  # each write of ours needs room for itself
        for _ in range(100):
            b.publish("custom.more", "y" * 20_000)
    wait_for(lambda: _make_room(server), what="room in the store")
    wait_for(lambda: b.value("web-01", "custom.counter") == "second", what="the value that waited")
    assert agent.end()[0] == 0


def _make_room(server):
    with Plain(server) as plain:
        return plain.ask("$JS.API.STREAM.PURGE.KV_basket", {"filter": "$KV.basket.filler-01.>"}).get("success")


def test_functions_that_misbehave_harm_neither_each_other_nor_the_host(server, agent_for, basket_for, tmp_path):
    """Fails where a function's children outlive it, where endless output is kept, where SIGTERM is all that is tried, or where
    one of these holds up the others."""
    counter = tmp_path / "counter"
    counter.write_text("1")
    (tmp_path / "rogue.py").write_text(
        """
import os, signal, sys, time
def forks():
    for _ in range(5):
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
    return "parent"
def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(1000)
def prints():
    while True:
        sys.stdout.write("x" * 65536)
def raises():
    raise SystemExit(3)
def huge():
    return "x" * 50_000_000
def unpackable():
    return object()
"""
    )
    (tmp_path / "bomb").write_text("for i in 1 2 3 4 5 6 7 8; do (trap '' TERM; sleep 1000) & done; wait")
    # A path for python functions comes from the environment, as for any script.
    agent = agent_for(server.url).write(
        f"""
[basket.functions]
"rogue.yes" = {{ command = ["yes"], interval = "1s", timeout = "1s" }}
"rogue.prints" = {{ python = "rogue:prints", interval = "1s", timeout = "1s" }}
"rogue.deaf" = {{ python = "rogue:deaf", interval = "1s", timeout = "1s" }}
"rogue.forks" = {{ python = "rogue:forks", interval = "1s", timeout = "2s" }}
"rogue.bomb" = {{ command = ["sh", "{tmp_path}/bomb"], interval = "1s", timeout = "1s" }}
"rogue.raises" = {{ python = "rogue:raises", interval = "1s" }}
"rogue.huge" = {{ python = "rogue:huge", interval = "1s" }}
"rogue.unpackable" = {{ python = "rogue:unpackable", interval = "1s" }}
"rogue.missing" = {{ command = ["/nowhere/at/all"], interval = "1s" }}
"custom.counter" = {{ file = "{counter}", interval = "200ms" }}
"""
    )
    agent.start(env={**os.environ, "PYTHONPATH": str(tmp_path)})
    reader = basket_for(server, "r-01")
    wait_for(lambda: reader.value("web-01", "custom.counter") == "1")
    names = ["yes", "deaf", "bomb", "raises", "huge", "unpackable", "missing"]
    for name in names:
        agent.says(f"function=rogue.{name} ")
    most_children = most_memory = most_threads = 0
    for number in range(2, 40):
        counter.write_text(str(number))
        wait_for(lambda number=number: reader.value("web-01", "custom.counter") == str(number), 20, "the good function's value")
        PAUSE.wait(0.15)
        most_children = max(most_children, agent.children)
        most_memory = max(most_memory, resident(agent.process.pid))
        most_threads = max(most_threads, agent.threads)
    print(f"with 9 rogues: at most {most_children} children, {most_threads} threads, {most_memory:.0f} MB")
    assert most_children < 60 and most_threads < 40 and most_memory < 120
    for name in names:
        assert len(agent.lines(f"function=rogue.{name} ")) <= 3, agent.log  # told once, again only for another reason
    pids = _descendants(agent.process.pid)
    status, seconds = agent.end()
    assert status == 0 and seconds < 15
    wait_for(lambda: not [pid for pid in pids if alive(pid)], 10, "the end of every child")


def _descendants(pid):
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]

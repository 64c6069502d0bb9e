"""Files are replaced whole or not at all: modes and owners, links, mounts, leftovers of a killed process, backups."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from basket.errors import CommandFailedError, DestinationError
from basket.template import writing
from basket.template.writing import replace

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root may give files away")


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def names(directory):
    return sorted(os.listdir(directory))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "hosts"
    path.write_bytes(b"old")
    return path


def test_a_new_file_can_be_read_by_the_services_that_need_it(tmp_path):
    before = os.umask(0o077)
    try:
        assert replace(str(tmp_path / "new"), b"x").changed
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_bytes() == b"x" and mode_of(tmp_path / "new") == 0o644
    assert names(tmp_path) == ["new"], "nothing staged is left behind"


def test_an_old_file_keeps_its_mode(file):
    file.chmod(0o4751)
    assert replace(str(file), b"new").changed
    assert file.read_bytes() == b"new" and mode_of(file) == 0o4751


@as_root
def test_an_old_file_keeps_its_owner_and_configured_ones_win(file):
    os.chown(file, 12345, 23456)
    replace(str(file), b"new")
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 23456)
    replace(str(file), b"newer", mode=0o600, owner="0", group="root")
    assert (file.stat().st_uid, file.stat().st_gid, mode_of(file)) == (0, 0, 0o600)


def test_mode_and_owner_are_set_before_the_rename(file, monkeypatch):
    # Else there would be a moment in which a secret is readable by everybody, or a file by nobody.
    seen = []
    real = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append((mode_of(a), Path(a).read_bytes())), real(a, b)))
    replace(str(file), b"new", mode=0o640)
    assert seen == [(0o640, b"new")]


def test_it_is_on_the_disk_before_the_rename_and_the_rename_after(file, monkeypatch):
    order = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (order.append("dir" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"), real_sync(fd))
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("rename"), real_replace(a, b)))
    replace(str(file), b"new")
    assert order == ["file", "rename", "dir"]


def test_identical_bytes_write_nothing_and_run_nothing(file):
    before = file.stat()
    assert not replace(str(file), b"old", backup=True, check=lambda path: pytest.fail("nothing to check")).changed
    after = file.stat()
    assert (before.st_ino, before.st_mtime_ns, before.st_ctime_ns) == (after.st_ino, after.st_mtime_ns, after.st_ctime_ns)
    assert names(file.parent) == ["hosts"]


def test_a_mode_that_was_configured_later_holds_for_unchanged_content_too(file):
    assert not replace(str(file), b"old", mode=0o600).changed
    assert mode_of(file) == 0o600


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "hosts").write_bytes(b"old")
    (tmp_path / "hosts").symlink_to("real/hosts")
    replace(str(tmp_path / "hosts"), b"new")
    assert (tmp_path / "hosts").is_symlink() and (tmp_path / "real" / "hosts").read_bytes() == b"new"
    assert names(tmp_path / "real") == ["hosts"]


def test_a_link_to_a_file_that_is_not_there_yet_stays(tmp_path):
    (tmp_path / "hosts").symlink_to("real")
    replace(str(tmp_path / "hosts"), b"new")
    assert (tmp_path / "hosts").is_symlink() and (tmp_path / "real").read_bytes() == b"new"


def test_the_check_sees_the_new_content_and_may_stop_it(file):
    seen = []

    def check(path):
        seen.append((os.path.dirname(path), Path(path).read_bytes(), file.read_bytes()))
        raise CommandFailedError("no", step="check", reason="no")

    with pytest.raises(CommandFailedError):
        replace(str(file), b"new", check=check)
    assert seen == [(str(file.parent), b"new", b"old")]
    assert file.read_bytes() == b"old" and names(file.parent) == ["hosts"]


@pytest.mark.parametrize("content", [b"new and longer", b"n", b""])
def test_a_mounted_file_is_written_in_place_and_that_is_said(file, monkeypatch, caplog, content):
    inode = file.stat().st_ino

    def busy(a, b):
        raise OSError(errno.EBUSY, "Device or resource busy", a)

    monkeypatch.setattr(os, "replace", busy)
    written = replace(str(file), content)
    assert written.changed and written.in_place
    assert file.read_bytes() == content and file.stat().st_ino == inode
    assert names(file.parent) == ["hosts"]
    assert "written in place" in caplog.text


@as_root
def test_a_real_bind_mount(tmp_path):
    (tmp_path / "outside").write_bytes(b"old and long")
    (tmp_path / "hosts").write_bytes(b"")
    code = (
        "import sys; from basket.template.writing import replace; w = replace(sys.argv[1], b'new'); print(w.in_place, w.changed)"
    )
    script = 'mount --bind "$1/outside" "$1/hosts" && exec "$0" -c "$2" "$1/hosts"'
    argv = ["unshare", "-m", "sh", "-c", script, sys.executable, str(tmp_path), code]
    made = subprocess.run(argv, capture_output=True, text=True)
    if made.stderr.startswith(("unshare:", "mount:")):
        pytest.skip(f"no mounts here: {made.stderr.strip()}")
    assert made.stdout == "True True\n", made.stderr
    assert (tmp_path / "outside").read_bytes() == b"new"
    assert names(tmp_path) == ["hosts", "outside"]


def test_another_failing_rename_leaves_the_old_file(file, monkeypatch):
    def full(a, b):
        raise OSError(errno.ENOSPC, "No space left on device", a)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DestinationError, match="No space left"):
        replace(str(file), b"new")
    assert file.read_bytes() == b"old" and names(file.parent) == ["hosts"]


def test_a_disk_that_is_full_while_staging_leaves_the_old_file(file, monkeypatch):
    def full(fd, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DestinationError, match="No space left"):
        replace(str(file), b"new")
    assert file.read_bytes() == b"old" and names(file.parent) == ["hosts"]


def test_a_short_write_is_gone_on_with(file, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:2])))
    replace(str(file), b"new content")
    assert file.read_bytes() == b"new content"


def test_one_backup_is_kept_with_mode(file):
    file.chmod(0o600)
    replace(str(file), b"two", backup=True)
    replace(str(file), b"three", backup=True, mode=0o644)
    assert (file.parent / "hosts.bak").read_bytes() == b"two" and mode_of(file.parent / "hosts.bak") == 0o600
    assert file.read_bytes() == b"three" and names(file.parent) == ["hosts", "hosts.bak"]


def test_a_new_file_has_no_backup(tmp_path):
    replace(str(tmp_path / "new"), b"x", backup=True)
    assert names(tmp_path) == ["new"]


@pytest.mark.parametrize(
    "what,told", [("missing/hosts", "no directory"), (".", "a directory"), ("pipe", "no regular file"), ("loop", "circle")]
)
def test_what_cannot_be_replaced_is_told(tmp_path, what, told):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DestinationError, match=told):
        replace(str(tmp_path / what), b"x")


@pytest.mark.parametrize("option", [{"owner": "nobody-of-that-name"}, {"group": "nobody-of-that-name"}])
def test_an_unknown_owner_is_told(file, option):
    with pytest.raises(DestinationError, match=r"there is no (user|group) 'nobody-of-that-name'"):
        replace(str(file), b"new", **option)
    assert file.read_bytes() == b"old"


@as_root
def test_a_file_that_cannot_be_given_back_to_its_owner_is_not_taken(file):
    # A configuration of root that another user may replace must not become that user's without a word.
    os.chown(file, 0, 0)
    os.chmod(file.parent, 0o777)
    for above in file.parents:
        if str(above).startswith("/tmp/"):
            os.chmod(above, os.stat(above).st_mode | 0o755)
    code = (
        "import os, sys; from basket.template.writing import replace\n"
        "from basket.errors import DestinationError\n"
        "os.setgid(12345); os.setuid(12345)\n"
        "try: replace(sys.argv[1], b'new')\nexcept DestinationError as e: print(e)"
    )
    made = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True)
    assert "may not give files away" in made.stdout, made.stderr
    assert file.read_bytes() == b"old" and names(file.parent) == ["hosts"]


# -- what a killed process leaves -------------------------------------------------------------------


def leftover(directory, pid, name="hosts", age=0.0):
    path = directory / f".{name}.zester-{pid}-0123abcd.staged"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_leftovers_of_the_dead_are_removed_and_nothing_else(file):
    gone = [leftover(file.parent, dead_pid()), leftover(file.parent, os.getpid())]
    others = [
        leftover(file.parent, dead_pid(), name="other"),
        file.parent / ".hosts.zester-1-xyz.staged",
        file.parent / ".hosts.swp",
        file.parent / "hosts.zester-1-0123abcd.staged",
    ]
    for other in others:
        other.write_bytes(b"")
    replace(str(file), b"old")  # though there is nothing to write
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in others)


def test_what_a_living_process_works_on_is_left_alone(file):
    # Of another user's process, or in another container, the number says nothing: the lock does.
    code = (
        "import sys; from basket.template.staging import Staged\n"
        "with Staged(sys.argv[1]) as s: print(s.path, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        path = process.stdout.readline().strip()
        os.utime(path, (0, 0))
        replace(str(file), b"new")
        assert os.path.exists(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        replace(str(file), b"new")
        assert not os.path.exists(path)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_young_unlocked_file_of_a_living_process_is_left_for_a_while(file):
    # Between making a file and locking it there is a moment.
    young, old = leftover(file.parent, os.getppid(), age=1.0), leftover(file.parent, 1, age=120.0)
    replace(str(file), b"new")
    assert young.exists() and not old.exists()


def test_a_link_in_place_of_a_leftover_is_not_followed(file, tmp_path):
    (tmp_path / "precious").write_bytes(b"x")
    link = file.parent / f".hosts.zester-{dead_pid()}-0123abcd.staged"
    link.symlink_to(tmp_path / "precious")
    replace(str(file), b"new")
    assert (tmp_path / "precious").exists()


def test_many_at_once_leave_one_whole_file(file):
    # Two agents by mistake, or a render by hand beside the agent.
    contents = [bytes([65 + number]) * 50_000 for number in range(6)]

    errors = []

    def write(content):
        try:
            for _ in range(5):
                replace(str(file), content)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert file.read_bytes() in contents and names(file.parent) == ["hosts"]


def test_a_long_name_still_fits(tmp_path):
    path = tmp_path / ("ö" * 125)
    assert replace(str(path), b"x").changed
    assert writing.current(str(path)) == b"x" and writing.current(str(tmp_path / "none")) is None

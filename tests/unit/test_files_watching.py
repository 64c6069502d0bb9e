"""A change of a file is noticed, however it was made, and nobody is woken for anything else."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from basket.files.symlinks import hops
from basket.files.watching import FileWatch

QUIET = 0.05


class Calls:
    """Counts the calls of on_change, and can be waited for."""

    def __init__(self) -> None:
        self.count = 0
        self._condition = threading.Condition()

    def __call__(self) -> None:
        with self._condition:
            self.count += 1
            self._condition.notify_all()

    def wait(self, count: int, timeout: float = 5.0) -> None:
        with self._condition:
            assert self._condition.wait_for(lambda: self.count >= count, timeout), f"{self.count} calls instead of {count}"

    def stay(self, count: int, seconds: float) -> None:
        with self._condition:
            assert not self._condition.wait_for(lambda: self.count != count, seconds), f"{self.count} calls, not {count}"


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def watch(calls: Calls) -> Iterator[Callable[..., FileWatch]]:
    made: List[FileWatch] = []

    def start(*paths: Any, **options: Any) -> FileWatch:
        # A re-check so rare that only an event can explain a call.
        options.setdefault("recheck", 60.0)
        watching = FileWatch([str(path) for path in paths], options.pop("on_change", calls), quiet=QUIET, **options)
        watching.start()
        made.append(watching)
        eventually(lambda: settled(watching))
        return watching

    yield start
    for watching in made:
        watching.stop()


def eventually(true: Callable[[], bool], timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        pause.wait(0.005)


def settled(watching: FileWatch) -> bool:
    """Every directory that is there is being watched."""
    inner = watching._round
    assert inner is not None
    return bool(inner._names) and all(d in inner._watched for d in inner._names if os.access(d, os.R_OK))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "zester" / "basket.toml"
    path.parent.mkdir()
    path.write_text("one")
    return path


def test_an_edit_in_place_is_noticed(watch: Any, calls: Calls, file: Path) -> None:
    watch(file)
    file.write_text("two")
    calls.wait(1)
    file.write_text("three")
    calls.wait(2)


def test_a_rename_over_the_file_is_noticed_again_and_again(watch: Any, calls: Calls, file: Path) -> None:
    watch(file)
    for count in (1, 2, 3):
        staged = file.with_name("staged")
        staged.write_text(f"version {count}")
        staged.replace(file)
        calls.wait(count)


def test_the_same_size_and_time_do_not_hide_a_change(watch: Any, calls: Calls, file: Path) -> None:
    watch(file)
    before = file.stat()
    file.write_text("eno")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    calls.wait(1)


def test_a_swapped_symlink_is_noticed(watch: Any, calls: Calls, tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: basket.toml -> ..data/basket.toml, ..data -> ..<time>, swapped by rename."""
    mount = tmp_path / "mount"
    for name, text in (("..1", "one"), ("..2", "two"), ("..3", "three")):
        (mount / name).mkdir(parents=True)
        (mount / name / "basket.toml").write_text(text)
    (mount / "..data").symlink_to("..1")
    (mount / "basket.toml").symlink_to("..data/basket.toml")
    watching = watch(mount / "basket.toml")
    for count, name in ((1, "..2"), (2, "..3")):
        (mount / "..tmp").symlink_to(name)
        (mount / "..tmp").replace(mount / "..data")
        calls.wait(count)
    eventually(lambda: settled(watching))
    (mount / "..3" / "basket.toml").write_text("four")
    calls.wait(3)


def test_a_link_in_the_middle_of_the_path_is_noticed(watch: Any, calls: Calls, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc" / "basket.toml").write_text(name)
    (tmp_path / "current").symlink_to(tmp_path / "a")
    watch(tmp_path / "current" / "etc" / "basket.toml")
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(tmp_path / "current")
    calls.wait(1)


def test_the_file_behind_a_link_is_noticed(watch: Any, calls: Calls, tmp_path: Path, file: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    watch(link)
    file.write_text("two")
    calls.wait(1)


def test_untouched_content_causes_no_call(watch: Any, calls: Calls, file: Path) -> None:
    watch(file)
    file.write_text("one")
    os.utime(file)
    file.chmod(0o600)
    file.with_name("other.toml").write_text("news")
    staged = file.with_name("staged")
    staged.write_text("one")
    staged.replace(file)
    calls.stay(0, QUIET + 0.5)


def test_reading_the_file_causes_no_call_and_no_look_at_it(watch: Any, calls: Calls, file: Path, monkeypatch: Any) -> None:
    """The listener reads the file itself: it must not wake itself up for ever."""
    watching = watch(file)
    looks: List[bool] = []
    monkeypatch.setattr(watching._round, "_compare", looks.append)
    for _ in range(20):
        file.read_text()
    calls.stay(0, QUIET + 0.3)
    assert looks == []


def test_many_changes_at_once_make_one_call(watch: Any, calls: Calls, file: Path) -> None:
    watch(file, file.with_name("template.j2"))
    for number in range(30):
        file.write_text(str(number))
        file.with_name("template.j2").write_text(str(number))
    calls.wait(1)
    calls.stay(1, QUIET * 4 + 0.2)


def test_changes_without_end_do_not_put_the_call_off_for_ever(calls: Calls, file: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("basket.files.watching.LONGEST_WAIT", 0.5)
    watching = FileWatch([str(file)], calls, quiet=0.4, recheck=60.0)
    watching.start()
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(0.1):
            number += 1
            file.write_text(str(number))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        calls.wait(1, timeout=2.5)
    finally:
        stop.set()
        writer.join()
        watching.stop()


def test_a_file_that_vanishes_and_comes_back(watch: Any, calls: Calls, file: Path) -> None:
    watch(file)
    file.unlink()
    calls.wait(1)
    file.write_text("two")
    calls.wait(2)


def test_a_directory_that_comes_later(watch: Any, calls: Calls, tmp_path: Path) -> None:
    path = tmp_path / "later" / "still" / "basket.toml"
    watching = watch(path)
    path.parent.mkdir(parents=True)
    eventually(lambda: str(path.parent) in watching._round._watched)
    path.write_text("one")
    calls.wait(1)


def test_a_directory_deleted_and_made_anew(watch: Any, calls: Calls, file: Path) -> None:
    watching = watch(file)
    for count in (1, 3):
        file.unlink()
        file.parent.rmdir()
        calls.wait(count)
        file.parent.mkdir()
        eventually(lambda: settled(watching) and str(file.parent) in watching._round._watched)
        file.write_text(f"after {count}")
        calls.wait(count + 1)


def test_a_directory_replaced_in_a_blink(watch: Any, calls: Calls, file: Path, monkeypatch: Any) -> None:
    """The new directory often has the inode number of the old one, and the kernel's watch is gone all the same."""
    monkeypatch.setattr("basket.files.watching._which", lambda directory: (1, 1) if os.path.isdir(directory) else None)
    watching = watch(file)
    before = watching._round._watched[str(file.parent)]
    file.unlink()
    file.parent.rmdir()
    file.parent.mkdir()
    file.write_text("two")
    calls.wait(1)
    eventually(lambda: watching._round._watched.get(str(file.parent), before) is not before)
    file.write_text("three")
    calls.wait(2)


def test_without_any_event_the_next_look_finds_the_change(watch: Any, calls: Calls, file: Path, monkeypatch: Any) -> None:
    """Network file systems tell of no change that another host made."""
    watching = watch(file, recheck=0.1)
    monkeypatch.setattr(watching._round, "dispatch", lambda event: None)
    file.write_text("two")
    calls.wait(1)


def test_what_changed_before_the_start_counts(calls: Calls, file: Path) -> None:
    """Between reading the configuration and starting to watch it somebody may have saved it."""
    watching = FileWatch([str(file)], calls, quiet=QUIET, recheck=60.0)
    file.write_text("two")
    watching.start()
    try:
        calls.wait(1)
    finally:
        watching.stop()


def _limit_reached(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, "inotify watch limit reached")


@pytest.mark.parametrize("where", ["making", "scheduling"])
def test_without_inotify_files_are_polled_and_one_warning_says_so(
    watch: Any, calls: Calls, file: Path, monkeypatch: Any, caplog: Any, where: str
) -> None:
    import watchdog.observers

    if where == "making":
        monkeypatch.setattr(watchdog.observers, "Observer", _limit_reached)
    else:
        monkeypatch.setattr(watchdog.observers.Observer, "schedule", _limit_reached)
    other = file.parent.parent / "other.toml"
    other.write_text("one")
    with caplog.at_level(logging.WARNING, logger="basket"):
        watching = watch(file, other, recheck=0.2)
        file.write_text("two two")
        calls.wait(1)
        other.write_text("two two")
        calls.wait(2)
    assert [record.getMessage() for record in caplog.records] == ["inotify cannot be used, so files are polled instead"]
    assert "limit" in caplog.records[0].fields["error"]
    from watchdog.observers.polling import PollingObserver

    assert isinstance(watching._round._observer, PollingObserver)


def test_a_listener_that_fails_is_logged_and_called_again(watch: Any, calls: Calls, file: Path, caplog: Any) -> None:
    def fail() -> None:
        calls()
        raise ValueError("no good")

    watch(file, on_change=fail)
    for count in (1, 2):
        file.write_text(f"version {count}")
        calls.wait(count)
    eventually(lambda: len(caplog.records) == 2)
    assert "no good" in caplog.records[0].fields["error"]


def test_start_and_stop_twice_leave_no_thread(calls: Calls, file: Path) -> None:
    before = set(threading.enumerate())
    watching = FileWatch([str(file)], calls, quiet=QUIET, recheck=60.0)
    watching.stop()
    for count in (1, 2):
        watching.start()
        watching.start()
        file.write_text(f"version {count}")
        calls.wait(count)
        watching.stop()
        watching.stop()
    file.write_text("not watched now")
    calls.stay(2, QUIET + 0.2)
    # One thread of watchdog's is kept by some of its versions, and shared by all observers.
    eventually(lambda: not [t for t in set(threading.enumerate()) - before if t.name.startswith("basket")])


def test_stop_from_the_listener_does_not_wait_for_itself(calls: Calls, file: Path) -> None:
    box: List[FileWatch] = []

    def end() -> None:
        box[0].stop()
        calls()

    box.append(FileWatch([str(file)], end, quiet=QUIET, recheck=60.0))
    box[0].start()
    began = time.monotonic()
    file.write_text("two")
    calls.wait(1)
    assert time.monotonic() - began < 1.5


def test_stop_is_instant(watch: Any, file: Path) -> None:
    watching = watch(file)
    began = time.monotonic()
    watching.stop()
    assert time.monotonic() - began < 0.5


def test_a_pipe_in_place_of_the_file_does_not_hang(calls: Calls, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    watching = FileWatch([str(tmp_path / "pipe"), str(tmp_path / "loop"), str(tmp_path)], calls, quiet=QUIET)
    watching.start()
    watching.stop()
    assert calls.count == 0


def test_hops_names_the_directory_of_every_link(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "real" / "deep").mkdir(parents=True)
    (root / "real" / "deep" / "file").write_text("")
    (root / "one").symlink_to("real")
    (root / "two").symlink_to(f"{root}/one/../one/deep")
    found = hops(str(root / "two" / "file"))
    assert found == {str(root): {"two", "one"}, str(root / "real" / "deep"): {"file"}}
    assert hops(str(root / "none" / "deep" / "file")) == {str(root): {"none"}}
    assert hops("/") == {}

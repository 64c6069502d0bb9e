"""What was published outlasts the agent, and a bad state directory costs that memory and nothing else."""

from __future__ import annotations

import os

import pytest

from basket.agent import ledger


def test_what_is_written_is_read(tmp_path):
    path = str(tmp_path / "state" / "published.web-01")
    ledger.write(path, frozenset(["custom.a", "b/c=d", ledger.FACTS]))
    assert ledger.read(path) == {"custom.a", "b/c=d", ledger.FACTS}
    assert os.listdir(tmp_path / "state") == ["published.web-01"]
    ledger.write(path, frozenset())
    assert os.listdir(tmp_path / "state") == []


@pytest.mark.parametrize(
    ("content", "known"),
    [
        (b"", set()),
        (b"\0\0\0\0", set()),
        (b"custom.a\ncustom.b", {"custom.a"}),  # cut short: the rest may be the name of something else
        (b"\xff\xfe\n../../etc\ncustom.a\n> *\n\n", {"custom.a"}),
    ],
)
def test_a_damaged_file_names_nothing_that_is_no_function(tmp_path, content, known):
    path = tmp_path / "published.web-01"
    path.write_bytes(content)
    assert ledger.read(str(path)) == known


def test_a_file_that_is_missing_or_none_names_nothing(tmp_path):
    assert ledger.read(str(tmp_path / "published.web-01")) == frozenset()
    assert ledger.read(str(tmp_path)) == frozenset()


class Tasks:
    def once(self, name, activity, delay=0.0):
        self.run = activity.prepare


def test_another_id_takes_the_file_along(tmp_path):
    tasks = Tasks()
    book = ledger.Ledger(tasks, None)
    assert book.open(str(tmp_path), "web-01") == frozenset()
    book.keep(frozenset(["a"]))
    tasks.run()()
    assert book.open(str(tmp_path), "web-01") == frozenset()
    book.open(str(tmp_path), "web-02")
    book.keep(frozenset(["a"]))
    tasks.run()()
    assert os.listdir(tmp_path) == ["published.web-02"]

"""How a thread waits for answers: it must end once, never too late, and never by somebody else's answer."""

from __future__ import annotations

import threading
import time

import pytest

from basket.bus.headers import Reply, header, status
from basket.bus.waiters import PART, BatchWaiter, ManyWaiter, Waiter
from basket.errors import ClosedError

ENTRY = b"NATS/1.0\r\nNats-Stream: S\r\nNats-Subject: a\r\nNats-Sequence: 1\r\nNats-Num-Pending: 3\r\n\r\n"
END = b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\n\r\n"


def _soon(seconds=5.0):
    return time.monotonic() + seconds


def _data(headers, data):
    return data


def _data_of_run(chunk, at, common, taken):
    """A run here is lines of data."""
    taken.extend(chunk[at:].split())
    return len(chunk)


def _batch(gathered=None):
    """A waiter whose ``gather`` notes what it gets."""
    return BatchWaiter("s", _data, _data_of_run, (gathered if gathered is not None else []).extend)


@pytest.mark.parametrize(
    "headers,code",
    [
        (None, 0),
        (b"", 0),
        (b"NATS/1.0\r\n\r\n", 0),
        (b"NATS/1.0\r\nA: 1\r\n\r\n", 0),
        (b"NATS/1.0 503\r\n\r\n", 503),
        (b"NATS/1.0 404 Message Not Found\r\n\r\n", 404),
        (END, 204),
        (b"NATS/1.0 abc\r\n\r\n", 0),
        (b"NATS/1.0 ", 0),
        ({"Status": "503"}, 503),
        ({"A": "1"}, 0),
        ({"Status": "x"}, 0),
    ],
)
def test_inline_status(headers, code):
    assert status(headers) == code


def test_a_header_is_the_last_of_its_name():
    block = b"NATS/1.0\r\nA: 1\r\nB:2\r\nA:  3 \r\n\r\n"
    assert (header(block, "A"), header(block, "B"), header(block, "C")) == ("3", "2", None)
    assert header({"A": "1"}, "A") == "1"
    assert header(None, "A") is None


@pytest.mark.parametrize("data", [b"", b"junk", b"[1]", b"5", b"\xff"])
def test_an_answer_that_is_no_json_object_is_an_empty_one(data):
    assert Reply(None, data).json() == {}


def test_an_answer_ends_the_wait():
    waiter = Waiter("s")
    threading.Timer(0.01, waiter.fill, (b"", None, b"x")).start()
    assert waiter.wait(_soon()) is True
    assert waiter.reply.data == b"x"


def test_the_deadline_ends_the_wait():
    waiter = Waiter("s")
    begun = time.monotonic()
    assert waiter.wait(begun + 0.02) is False
    assert time.monotonic() - begun < 1
    assert Waiter("s").wait(begun - 5) is False
    ended = Waiter("s")
    ended.drop()
    assert ended.wait(float("inf")) is True


def test_an_end_counts_once():
    waiter = Waiter("s")
    waiter.fail(ClosedError("x"))
    waiter.drop()
    waiter.fail(ClosedError("y"))
    assert waiter.wait(_soon()) is True


def test_a_batch_ends_with_its_status():
    waiter = _batch()
    assert waiter.fill(b"", ENTRY, b"1") is False
    assert waiter.fill(b"", ENTRY, b"") is False  # an empty value is no end
    assert waiter.fill(b"", END, b"") is True
    assert waiter.wait(_soon())
    assert (waiter.taken, waiter.end, waiter.single) == ([b"1", b""], 204, False)


def test_a_batch_is_not_ended_by_a_value_that_looks_like_an_end():
    waiter = _batch()
    poison = END[:-2] + ENTRY[len(b"NATS/1.0\r\n") :]
    assert waiter.fill(b"", poison, b"") is False
    assert waiter.fill(b"", ENTRY, b"2") is False
    assert waiter.fill(b"", END, b"") is True
    assert waiter.wait(_soon())
    assert waiter.taken == [b"", b"2"]


def test_a_server_that_knows_no_batches_is_recognised():
    waiter = _batch()
    assert waiter.fill(b"", ENTRY.replace(b"Nats-Num-Pending: 3\r\n", b""), b"1") is True
    assert waiter.single is True


@pytest.mark.parametrize("sizes", [[1], [3, 1], [PART, 5], [PART + 1, PART, 2, 3 * PART]])
def test_a_batch_that_comes_in_runs_is_whole_and_in_order(sizes):
    gathered = []
    waiter = _batch(gathered)
    sent = [b"%d" % n for n in range(sum(sizes))]
    left = list(sent)
    for size in sizes:
        run, left = left[:size], left[size:]
        chunk = b" ".join(run)
        assert waiter.fill_run(b"", chunk, 0, b"") == len(chunk)
    assert waiter.fill(b"", ENTRY, b"last") is False
    assert waiter.fill(b"", END, b"") is True
    assert waiter.wait(_soon())
    assert waiter.taken == gathered == [*sent, b"last"]
    assert waiter.end == 204


def test_a_long_batch_is_gathered_while_it_comes():
    first = threading.Event()
    gathered = []

    def gather(part):
        gathered.extend(part)
        first.set()

    waiter = BatchWaiter("s", _data, _data_of_run, gather)

    def come():
        waiter.fill_run(b"", b"x " * PART, 0, b"")
        if first.wait(5):  # else it never ends, and the wait below fails
            waiter.fill(b"", ENTRY, b"y")
            waiter.fill(b"", END, b"")

    thread = threading.Thread(target=come)
    thread.start()
    assert waiter.wait(_soon(10))
    thread.join()
    assert gathered == [b"x"] * PART + [b"y"]


def test_a_batch_ends_with_the_connection_and_at_the_deadline():
    dropped = _batch()
    dropped.fill_run(b"", b"x " * (PART + 1), 0, b"")
    assert dropped.wait(_soon(0.01)) is False  # some came, but not the end
    dropped.drop()
    assert dropped.wait(_soon()) is True
    assert dropped.dropped


def test_of_two_answers_to_a_batch_that_was_asked_twice_one_counts():
    """Two replicas of a cluster may both answer, interleaved, and one may know less."""
    gathered = []
    waiter = _batch(gathered)
    waiter.token = b"7"
    assert (waiter.address(), waiter.address()) == ("7.1", "7.2")
    assert waiter.fill(b"2", ENTRY, b"new") is False
    assert waiter.fill(b"1", ENTRY, b"old") is False
    assert waiter.fill_run(b"1", b"old old", 0, b"") == 0
    assert waiter.fill(b"1", END, b"") is False
    assert waiter.fill(b"2", END, b"") is True
    assert waiter.wait(_soon())
    assert gathered == [b"new"]


def test_many_end_with_the_last_of_them():
    waiter = ManyWaiter(["a", "b", "c"])
    assert waiter.fill(b"2", None, b"C") is False
    assert waiter.fail_one(0, ClosedError("x")) is False
    assert waiter.fill(b"2", None, b"C again") is False
    assert waiter.fill(b"1", None, b"B") is True
    assert waiter.wait(_soon())
    assert sorted(waiter.replies) == [1, 2]
    assert list(waiter.errors) == [0]


def test_many_that_are_all_refused_end_too():
    waiter = ManyWaiter(["a"])
    assert waiter.fail_one(0, ClosedError("x")) is True
    assert waiter.wait(_soon())

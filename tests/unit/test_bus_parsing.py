"""The short way through nats-py's parser: whatever the pieces in which the bytes come, nothing is lost, mixed up or late."""

from __future__ import annotations

import asyncio
import random

import pytest
from nats.protocol.parser import Parser

from basket.bus import parsing
from basket.bus.parsing import BurstParser

OURS, RUNS, FOREIGN = 1, 2, 9
"""Subscriptions: single messages to us, runs to us, and one that nats-py serves itself."""


class Client:
    """Stands where nats-py's client stands and notes what it is called with, in order."""

    def __init__(self, seen):
        self.seen = seen

    async def _process_msg(self, sid, subject, reply, data, headers):
        self.seen.append((sid, bytes(subject), bytes(reply), headers or None, data))

    async def _process_ping(self):
        self.seen.append("ping")

    async def _process_pong(self):
        self.seen.append("pong")

    async def _process_err(self, text):
        self.seen.append(text)

    async def _process_info(self, info):
        self.seen.append(info)


def message(sid, subject, data, headers=None, reply=""):
    name = f"{subject} {sid}" + (f" {reply}" if reply else "")
    if headers is None:
        return f"MSG {name} {len(data)}\r\n".encode() + data + b"\r\n"
    return f"HMSG {name} {len(headers)} {len(headers) + len(data)}\r\n".encode() + headers + data + b"\r\n"


HEAD = b"NATS/1.0\r\nNats-Subject: $KV.basket.web-01.a.b\r\n\r\n"

STREAM = [
    message(RUNS, "_INBOX.a.1", b"one", HEAD),
    message(RUNS, "_INBOX.a.1", b"two", HEAD),
    b"PING\r\n",
    message(RUNS, "_INBOX.a.1", b"", HEAD),
    message(RUNS, "_INBOX.a.1", b"MSG _INBOX.a.1 2 3\r\nabc\r\n", HEAD),  # a value that looks like the protocol
    message(RUNS, "_INBOX.a.2", b"another asker", HEAD),
    message(RUNS, "_INBOX.a.2", b"with a reply", HEAD, reply="7"),
    message(OURS, "x.y", b"", None),
    message(OURS, "x.y", b"plain", None, reply="$JS.ACK.1"),
    message(OURS, "x.y", b"plain", None, reply="77"),
    message(FOREIGN, "x.y", b"not ours", HEAD),
    message(OURS, "x.y", b"\r\n" * 40, HEAD),
    b"+OK\r\n",
    b"-ERR 'permissions violation'\r\n",
    b"PONG\r\n",
    message(RUNS, "_INBOX.a.3", b"x" * 70_000, HEAD),
    message(RUNS, "_INBOX.a.3", b"", b"NATS/1.0 204 EOB\r\n\r\n"),
]


def parsed(make, chunks):
    """What came out, in order, of these chunks."""
    seen = []

    def take(subject, reply, headers, data):
        seen.append((OURS if subject == b"x.y" else RUNS, subject, reply, headers, data))

    def take_run(subject, chunk, at, common):
        """Takes all but the last of a run, as somebody might who looks at headers."""
        while chunk.startswith(common, at):
            line_end = chunk.index(b"\r\n", at) + 2
            head, whole = (int(size) for size in chunk[at + len(common) : line_end].split())
            end = line_end + whole + 2
            if not chunk.startswith(common, end):
                break
            seen.append((RUNS, subject, b"", chunk[line_end : line_end + head], chunk[line_end + head : line_end + whole]))
            at = end
        return at

    parser = make(Client(seen), {OURS: take, RUNS: take}, {RUNS: take_run})

    async def feed():
        for chunk in chunks:
            await parser.parse(chunk)

    asyncio.run(feed())
    assert not parser.buf
    return seen


def pieces(data, sizes):
    at = 0
    while at < len(data):
        size = next(sizes)
        yield data[at : at + size]
        at += size


def plain(client, takers, run_takers):
    return Parser(client)


DATA = b"".join(STREAM)
EXPECTED = parsed(plain, [DATA])


def test_it_fits_the_nats_py_that_is_installed():
    assert parsing.is_as_expected()


def test_all_at_once_gives_what_nats_py_gives():
    assert parsed(BurstParser, [DATA]) == EXPECTED


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 113, 1000, 32768])
def test_pieces_of_any_size_give_the_same(size):
    data = DATA if size > 10 else DATA.replace(b"x" * 70_000, b"").replace(b"70049", b"49").replace(b"70050", b"50")
    assert parsed(BurstParser, pieces(data, iter(lambda: size, None))) == parsed(plain, [data])


def test_pieces_of_random_sizes_give_the_same():
    numbers = random.Random(7)
    for _ in range(60):
        assert parsed(BurstParser, pieces(DATA, iter(lambda: numbers.randrange(1, 400), None))) == EXPECTED


def test_a_batch_is_handed_out_in_runs():
    runs, singly = [], []
    one = message(RUNS, "_INBOX.a.1", b"value", HEAD)

    def take_run(subject, chunk, at, common):
        assert chunk.startswith(common, at) and common == b"HMSG _INBOX.a.1 2 "
        runs.append(chunk.count(common, at))
        return len(chunk)

    parser = BurstParser(Client([]), {RUNS: lambda *message: singly.append(message)}, {RUNS: take_run})
    asyncio.run(parser.parse(one * 500))
    assert (runs, singly) == ([500], [])


def test_what_is_left_of_a_run_comes_one_by_one():
    singly = []
    parser = BurstParser(
        Client([]), {RUNS: lambda *message: singly.append(message)}, {RUNS: lambda subject, chunk, at, common: at}
    )
    asyncio.run(parser.parse(message(RUNS, "_INBOX.a.1", b"value", HEAD) * 3))
    assert singly == [(b"_INBOX.a.1", b"", HEAD, b"value")] * 3


def test_a_receiver_that_fails_ends_nothing():
    seen = []

    def fail(*message):
        seen.append(message)
        raise RuntimeError("a mistake of ours")

    parser = BurstParser(Client([]), {OURS: fail, RUNS: fail}, {RUNS: fail})
    one, run = message(OURS, "x.y", b"1"), message(RUNS, "_INBOX.a.1", b"2", HEAD) * 2
    asyncio.run(parser.parse(one + run + one + run))
    assert len(seen) == 6  # what is left of a run comes one by one


def test_a_subscription_that_ends_meanwhile_gets_nothing_more():
    got = []
    takers = {OURS: lambda *message: (got.append(message), takers.clear())}
    left = []
    asyncio.run(BurstParser(Client(left), takers, {}).parse(message(OURS, "x.y", b"1") * 3))
    assert len(got) == 1
    assert len(left) == 2  # nats-py drops what belongs to no subscription

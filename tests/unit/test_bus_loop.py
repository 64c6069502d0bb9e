"""The loop's thread: shared, named, gone with its last user, and never waiting for itself."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings

import pytest

from basket.bus import loop as loops
from basket.errors import BasketTimeoutError, ClosedError, WrongThreadError


@pytest.fixture
def thread():
    thread = loops.acquire()
    yield thread
    loops.release(thread)


def _named():
    return [t for t in threading.enumerate() if t.name == "basket-loop"]


async def _answer(value):
    return value


async def _for_ever(cancelled):
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.set()


def test_one_thread_for_all_and_none_after_the_last():
    assert _named() == []
    first, second = loops.acquire(), loops.acquire()
    assert first is second
    assert len(_named()) == 1
    loops.release(first)
    assert first.run(lambda: _answer(5), 5) == 5
    loops.release(second)
    assert _named() == []
    again = loops.acquire()
    assert again.run(lambda: _answer(6), 5) == 6
    loops.release(again)
    assert _named() == []


def test_a_timeout_cancels_the_work(thread):
    cancelled = threading.Event()
    with pytest.raises(BasketTimeoutError):
        thread.run(lambda: _for_ever(cancelled), 0.02)
    assert cancelled.wait(5)


def test_errors_of_the_work_come_back(thread):
    async def fails():
        raise asyncio.TimeoutError("its own")

    with pytest.raises(asyncio.TimeoutError, match="its own"):
        thread.run(lambda: fails(), 5)


@pytest.fixture
def complaints():
    """What Python would have said on stderr."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")

        def said():
            gc.collect()
            return [str(one.message) for one in seen if "never awaited" in str(one.message)]

        yield said


def test_a_call_from_the_loops_own_thread_raises_and_leaves_no_warning(thread, complaints):
    caught = []
    done = threading.Event()

    def on_the_loop():
        try:
            thread.run(lambda: _answer(1), 1)
        except BaseException as error:
            caught.append(type(error))
        done.set()

    thread.call(on_the_loop)
    assert done.wait(5)
    assert caught == [WrongThreadError]
    assert complaints() == []


def test_work_that_the_end_of_the_loop_cuts_short_says_closed():
    thread = loops.acquire()
    begun, raised = threading.Event(), []

    async def work():
        begun.set()
        await asyncio.Event().wait()

    def wait():
        try:
            thread.run(lambda: work(), 30)
        except BaseException as error:
            raised.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert begun.wait(5)
    loops.release(thread)
    waiting.join(5)
    assert not waiting.is_alive()
    assert isinstance(raised[0], ClosedError)


def test_a_call_after_the_end_is_refused_without_a_warning(complaints):
    thread = loops.acquire()
    loops.release(thread)
    with pytest.raises(ClosedError):
        thread.run(lambda: _answer(1), 1)
    with pytest.raises(RuntimeError):
        thread.call(print)
    assert complaints() == []

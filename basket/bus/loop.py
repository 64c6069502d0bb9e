"""The one asyncio loop of the process, on the thread ``basket-loop``. It knows nothing of NATS.

The thread starts with the first connection and ends with the last. After ``fork()`` the child forgets the inherited
loop without touching it (its sockets and its epoll set belong to the parent) and makes its own when it needs one.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Coroutine, List, Optional, TypeVar

from basket.errors import BasketTimeoutError, ClosedError, WrongThreadError

T = TypeVar("T")

JOIN_TIMEOUT = 5.0
"""Seconds to wait for the thread to end once it was told to."""

generation = 0
"""Counts the forks between the first process and this one: what was made under another number is not ours to use."""

exiting = False
"""Whether the interpreter is on its way out."""

_lock = threading.Lock()
_rebirth = threading.Lock()
_running: Optional[LoopThread] = None
_unclosed: weakref.WeakSet[Any] = weakref.WeakSet()
_inherited: List[Any] = []  # never looked at: kept so that no destructor touches what the parent still uses


class _Lookups(ThreadPoolExecutor):
    """What asyncio cannot do on the loop itself, which here is looking up host names, on threads that nobody waits for: its own
    executor would be joined at the interpreter's exit, and a name server that hangs would hold up the end of the process."""

    def submit(self, function: Callable[..., Any], *args: Any, **options: Any) -> Future[Any]:  # type: ignore[override]
        future: Future[Any] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **options))
                except BaseException as error:
                    future.set_exception(error)

        threading.Thread(target=work, name="basket-lookup", daemon=True).start()
        return future


class LoopThread:
    """An event loop on a thread of its own. Use ``acquire`` and ``release``, not the class."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(_Lookups())
        self.users = 0
        self._thread = threading.Thread(target=self._run, name="basket-loop", daemon=True)
        self._thread.start()
        self.ident = self._thread.ident

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            if tasks:
                # Gathered, so that nothing is destroyed while pending, which asyncio would report on stderr.
                self.loop.run_until_complete(asyncio.wait(tasks, timeout=2))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Run ``function(*args)`` on the loop's thread, soon. Any thread; RuntimeError once the loop is closed."""
        self.loop.call_soon_threadsafe(function, *args)

    def run(self, make: Callable[[], Coroutine[Any, Any, T]], timeout: float) -> T:
        """Run the coroutine that ``make`` gives on the loop and wait for its result; on a timeout, or Ctrl-C, it is cancelled.

        It is made there, not here: Ctrl-C may come between any two steps, and would leave one behind that nobody awaits.
        """
        self.refuse_own_thread()
        # A bare lock, taken now and released by the end of the task: Ctrl-C may come between any two steps of a Condition, as
        # in a Future, and leave it broken.
        ended = threading.Lock()
        ended.acquire()
        tasks: List[asyncio.Task[T]] = []

        def begin() -> None:
            task = self.loop.create_task(make())
            task.add_done_callback(done)
            tasks.append(task)

        def done(task: asyncio.Task[T]) -> None:
            if not task.cancelled():
                task.exception()  # looked at, should nobody wait any more
            ended.release()

        def give_up() -> None:
            for task in tasks:
                task.cancel()

        answered = False
        try:
            try:
                self.loop.call_soon_threadsafe(begin)
            except RuntimeError:
                raise ClosedError("this Basket is closed") from None
            answered = ended.acquire(timeout=max(0.001, min(timeout, threading.TIMEOUT_MAX)))
        finally:
            if not answered:
                try:
                    self.loop.call_soon_threadsafe(give_up)
                except RuntimeError:  # the loop has ended, and cancelled everything
                    pass
        if not answered:
            raise BasketTimeoutError(f"no answer within {timeout:g} s")
        try:
            return tasks[0].result()
        except asyncio.CancelledError:
            raise ClosedError("this Basket was closed while the call was waiting") from None

    def refuse_own_thread(self) -> None:
        """WrongThreadError where the caller is the loop's own thread, which would wait for itself."""
        if threading.get_ident() == self.ident:
            raise WrongThreadError("a blocking call on the basket-loop thread would wait for itself; make it on another thread")

    def stop(self) -> None:
        """End the loop and its thread; not joined when called on that very thread."""
        try:
            self.loop.call_soon_threadsafe(self.loop.stop)
        except RuntimeError:
            return
        if threading.get_ident() != self.ident:
            self._thread.join(JOIN_TIMEOUT)


def acquire() -> LoopThread:
    """The process's loop thread, started if there is none. Each call is to be paired with one ``release``."""
    global _running
    with _lock:
        if _running is None:
            _running = LoopThread()
        _running.users += 1
        return _running


def release(thread: LoopThread) -> None:
    """Give back what ``acquire`` gave; the last user ends the thread."""
    global _running
    with _lock:
        thread.users -= 1
        last = thread.users == 0
        if last and _running is thread:
            _running = None
    if last:
        thread.stop()


def keep_untouched(inherited: Any) -> None:
    """Keep what a fork left us for ever, so that no destructor closes what the parent still uses."""
    _inherited.append(inherited)


def fork_lock() -> threading.Lock:
    """Held while a connection is made anew after a fork. Never one that was held when the fork happened."""
    return _rebirth


def _after_fork_in_child() -> None:
    global generation, _lock, _rebirth, _running, _unclosed
    generation += 1
    # Another thread of the parent may have held the old ones at the moment of the fork.
    _lock = threading.Lock()
    _rebirth = threading.Lock()
    _unclosed = weakref.WeakSet()
    if _running is not None:
        _inherited.append(_running)
        _running = None


def close_at_exit(thing: Any) -> None:
    """Have ``thing.close()`` called at the interpreter's exit, should it still be there."""
    _unclosed.add(thing)


def _at_exit() -> None:
    # Whoever forgot to close: in order, for a daemon thread cut off in the middle of asyncio may complain.
    global exiting
    exiting = True
    for thing in list(_unclosed):
        thing.close()
    with _lock:
        thread = _running
    if thread is not None:
        thread.stop()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)

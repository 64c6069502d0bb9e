"""The main thread wakes when it should, sleeps when it should, and signal handlers cannot block it."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time

from basket.agent.mailbox import Mailbox


def test_letters_arrive_in_order_and_at_once():
    box = Mailbox()
    for n in range(3):
        box.post(n)
    assert box.take(10.0) == [0, 1, 2]


def test_without_a_letter_it_sleeps_for_the_whole_time():
    box = Mailbox()
    box.post("old")
    assert box.take(0) == ["old"]
    begun = time.monotonic()
    assert box.take(0.05) == []
    assert time.monotonic() - begun >= 0.05  # not earlier, or the agent would spin until its time has come


def test_a_letter_from_another_thread_ends_the_sleep():
    box = Mailbox()
    threading.Timer(0.05, box.post, ["letter"]).start()
    begun = time.monotonic()
    assert box.take(None) == ["letter"]
    assert time.monotonic() - begun < 5


def test_a_signal_handler_may_post_while_the_main_thread_waits_or_posts():
    box = Mailbox()
    before = signal.signal(signal.SIGUSR1, lambda number, frame: box.post("signal"))
    try:
        for _ in range(200):
            threading.Timer(0.0, os.kill, [os.getpid(), signal.SIGUSR1]).start()
            got = []
            while "signal" not in got:
                box.post("own")
                got += box.take(1.0)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_very_many_letters_do_not_block_the_sender():
    box = Mailbox()
    for n in range(200_000):  # far more than fit into the pipe
        box.post(n)
    assert len(box.take(None)) == 200_000
    for _ in range(100):  # the bytes left in the pipe cause short sleeps at most, and are used up
        box.take(0.01)
    begun = time.monotonic()
    box.take(0.05)
    assert time.monotonic() - begun >= 0.05


def test_pipes_are_given_back_with_the_box():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        Mailbox().post("letter")
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before

"""Bounds on what is read: anybody may have written it, and it must cost no more than it is worth."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from basket.codec import MAX_DEPTH, decode, encode
from basket.errors import DecodeError
from basket.shape import check_shape


@pytest.mark.parametrize(
    "data",
    [
        (b"\xdd\x00\x0f\x00\x00" * 1000).ljust(1 << 20, b"\x01"),  # a thousand arrays in one another, a million items each
        (b"\xdc\xff\xff" * 1000).ljust(66_000, b"\x01"),
        (b"\xdf\x00\x07\x00\x00" * 1000).ljust(1 << 20, b"\x01"),
        b"\x91" * 1_000_000,
    ],
)
def test_a_bomb_costs_nothing(data):
    tracemalloc.start()
    begun = time.perf_counter()
    with pytest.raises(DecodeError):
        decode(data)
    took, (_, peak) = time.perf_counter() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 0.5
    assert peak < 4 * len(data) + 100_000


def test_as_deep_as_is_written_and_no_deeper():
    """What walks through a value (JSON, a template) recurses: it must not end in a RecursionError."""
    deepest = b"\x91" * MAX_DEPTH + b"\x01"
    assert decode(deepest)
    with pytest.raises(DecodeError, match="levels deep"):
        decode(b"\x91" + deepest)
    with pytest.raises(DecodeError, match="levels deep"):
        decode(b"\x81\x01" * (MAX_DEPTH + 1) + b"\x01")


@pytest.mark.parametrize(
    "value",
    [
        [[index, {"a": [index] * 3}] for index in range(2000)],
        {str(index): [1.5, None, True, b"\xdd" * 40, "é" * 40] for index in range(500)},
        [b"\xdd" * 100_000, "\u00dd" * 10_000],
        list(range(-70_000, 70_000)),
        [2**40, -(2**40), 2**63, 1e300, "x" * 300, "x" * 70_000, b"x" * 70_000, {}, []] * 50,
    ],
)
def test_what_is_large_or_looks_odd_is_read_all_the_same(value):
    data = encode(value)
    check_shape(data, MAX_DEPTH)
    assert decode(data) == value


def test_extensions_are_stepped_over():
    import msgpack

    sizes = (1, 2, 4, 8, 16, 3, 300, 70_000)
    data = msgpack.packb([msgpack.ExtType(5, b"\xdd" * size) for size in sizes] * 20 + [[]] * 200)
    check_shape(data, 2)
    assert len(decode(data)) == 360

"""How many steps a backtracking search can take at worst, judged from the parsed regular expression.

The bound is generous and knows only the plain constructs. What it does not know counts as endless, so an error here can
make a pattern slower (it gets a clock), never dangerous.

Two numbers describe a piece of a pattern on a text of n characters: ``ways``, the number of different ends it can be
made to try from one start, and ``steps``, the most it does while it tries them all. A sequence multiplies the ways of
what stands before with the steps of what comes after: exactly what backtracking does.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Tuple

ENDLESS = float("inf")
_LENGTHS = (16, 32, 64, 256, 1024, 4096, 16384, 65536, 1 << 20)

_Bound = Tuple[float, float]
_MATCHES_ONE = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "CATEGORY"})
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})


def parsed(pattern: str, flags: int) -> Any:
    """The standard library's own tree of a pattern that ``re`` has accepted."""
    parser: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
    return parser.parse(pattern, flags)


def harmless_length(tree: Any, limit: int, *, multiline: bool = False) -> int:
    """The longest text (of a few sizes) on which a search is sure to stay under ``limit`` steps; -1 where none is."""
    best = -1
    try:
        anchored = (
            not multiline
            and len(tree) > 0
            and str(tree[0][0]) == "AT"
            and str(tree[0][1]) in ("AT_BEGINNING", "AT_BEGINNING_STRING")
        )
        for length in _LENGTHS:
            _, steps = _sequence(tree, length)
            # An anchored search still looks at each start, and fails there at once.
            total = steps + length if anchored else steps * (length + 1)
            if total > limit:
                break
            best = length
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError):
        return -1  # a tree of another shape than this Python's: judge nothing
    return best


def expanded_size(tree: Any) -> float:
    """How large the pattern gets when its repeats are written out, as the ``regex`` package does."""
    size: float = 0
    for kind, what in tree:
        name = str(kind)
        if name in _REPEATS or name == "POSSESSIVE_REPEAT":
            low, high, body = what
            copies = low if int(high) > 1_000_000 else int(high)
            size += max(1, copies) * expanded_size(body)
        elif name == "BRANCH":
            size += sum(expanded_size(branch) for branch in what[1])
        elif name == "SUBPATTERN":
            size += expanded_size(what[-1])
        elif name == "ATOMIC_GROUP":
            size += expanded_size(what)
        elif name in ("ASSERT", "ASSERT_NOT"):
            size += expanded_size(what[1])
        elif name == "GROUPREF_EXISTS":
            size += sum(expanded_size(branch) for branch in what[1:] if branch)
        else:
            size += 1
    return size


def _sequence(items: Any, length: int) -> _Bound:
    ways, steps = 1.0, 0.0
    for kind, what in items:
        more, cost = _item(str(kind), what, length)
        steps += ways * cost
        ways *= more
        if steps == ENDLESS:
            break
    return ways, steps


def _item(kind: str, what: Any, length: int) -> _Bound:
    if kind == "IN":
        return 1.0, float(len(what))  # a set is tried member by member
    if kind in _MATCHES_ONE or kind == "AT":
        return 1.0, 1.0
    if kind == "SUBPATTERN":
        return _sequence(what[-1], length)
    if kind == "BRANCH":
        bounds = [_sequence(branch, length) for branch in what[1]]
        return sum(ways for ways, _ in bounds), sum(steps + 1 for _, steps in bounds)
    if kind in _REPEATS:
        return _repeat(what, length)
    return ENDLESS, ENDLESS


def _repeat(what: Any, length: int) -> _Bound:
    low, high, body = what
    ways, steps = _sequence(body, length)
    if _least(body) == 0:
        return ENDLESS, ENDLESS  # a body that can be empty: how often it runs is anybody's guess
    most = min(int(high), length)
    if ways == 1:
        return float(max(1, most - low + 1)), max(1, most) * steps
    if ways == ENDLESS or most > 64:
        return ENDLESS, ENDLESS
    reached = [ways**count for count in range(most + 1)]
    return max(1.0, sum(reached[low:])), 1.0 + steps * sum(reached[:-1])


def _least(items: Any) -> int:
    return int(items.getwidth()[0])

"""Regular expressions of targets: read once, with every error located, and searched without ever hanging.

A text short enough for the pattern to be harmless on it (see ``costs``) is searched with the standard library.
Everything else goes to the ``regex`` package, which can be told to give up, on an allowance that a whole matcher shares.
``regex`` is imported only then: it costs two megabytes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from basket.target import costs, words
from basket.target.allowance import Allowance

MAX_PATTERN = 4096
"""Longest pattern, in characters."""
MAX_EXPANDED = 20_000
"""Largest pattern once its repeats are written out. ``(a{1000}){1000}`` takes ``regex`` a second and 400 MB to read."""
MAX_PARENTHESES = 50
"""Deepest nesting: what reads patterns is recursive, in the standard library too."""
HARMLESS_STEPS = 10_000
"""So few steps (about a tenth of a millisecond) that no clock is needed."""

_QUANTIFIER = re.compile(r"\{(?:\d+(?:,\d*)?|,\d*)\}")
_COUNT = re.compile(r"\d+")
_PROPERTY = re.compile(r"\\[pP]\{[^{}]*\}")
# What regex and Go read but (this Python's) re may not: \pL, \p{Greek}, atomic groups, possessive repeats.
_BEYOND_RE = re.compile(r"\\[pP]|\(\?>|[*+?}]\+")
# What regex has and no other reader of targets: recursion, verbs, named lists. Not to be let in by the fallback.
_ONLY_REGEX = re.compile(r"\(\?(?:R|&|P>|[-+]?\d|\|)|\(\*|\\[LGKmMXR]")


class PatternError(ValueError):
    """A pattern that cannot be read. ``index`` counts characters of the pattern from 0."""

    def __init__(self, problem: str, index: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.index = index


class Pattern(NamedTuple):
    """A pattern that has been read: its source for either engine, and up to which length ``quick`` may search."""

    source: str
    flags: int
    quick: Optional[Callable[[str], Any]]
    harmless: int


@lru_cache(maxsize=256)
def read(pattern: str, *, ignore_case: bool = False) -> Pattern:
    """The pattern, ready to be searched; PatternError where it cannot be read."""
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"a pattern of {len(pattern)} characters, at most {MAX_PATTERN} are allowed")
    source, origins, beyond = _normalize(pattern)
    flags = int(re.IGNORECASE) if ignore_case else 0
    if not beyond:
        try:
            quick = re.compile(source, flags)
        except (re.error, OverflowError, RecursionError, MemoryError, Warning) as error:
            if not _BEYOND_RE.search(pattern):
                raise _located(error, origins) from None
        else:
            tree = costs.parsed(source, flags)
            if costs.expanded_size(tree) > MAX_EXPANDED:
                raise PatternError("its repeats multiply to a pattern too large to read")
            length = costs.harmless_length(tree, HARMLESS_STEPS, multiline=bool(quick.flags & re.MULTILINE))
            return Pattern(source, flags, quick.search, length)
    _check_by_regex(pattern, source, flags, origins)
    return Pattern(source, flags, None, -1)


def _check_by_regex(pattern: str, source: str, flags: int, origins: List[int]) -> None:
    foreign = _ONLY_REGEX.search(pattern)
    if foreign:
        raise PatternError(f"{foreign[0]!r} is not understood here", foreign.start())
    copies = 1
    for quantifier in _QUANTIFIER.finditer(pattern):
        copies *= max([1, *map(int, _COUNT.findall(quantifier[0][:12]))])
        if copies > MAX_EXPANDED:
            raise PatternError("its repeats multiply to a pattern too large to read", quantifier.start())
    engine = _engine()
    try:
        engine.compile(source, _flags_of(engine, flags))
    except (engine.error, OverflowError, RecursionError, MemoryError, ValueError, Warning) as error:
        raise _located(error, origins) from None


def _engine() -> Any:
    return import_module("regex")


def _compiled(ready: Pattern, allowance: Allowance) -> Any:
    engine = _engine()
    try:
        return engine.compile(ready.source, _flags_of(engine, ready.flags))
    except engine.error as error:  # re could read it, so it is some corner of the language
        raise allowance.error(f"the pattern {ready.source[:80]!r} cannot be searched safely: {error}") from None


def _flags_of(engine: Any, flags: int) -> int:
    """The same flags in the numbers of the other engine."""
    return int(engine.V0) | (int(engine.IGNORECASE) if flags & re.IGNORECASE else 0)


def _located(error: BaseException, origins: List[int]) -> PatternError:
    problem = str(getattr(error, "msg", "")) or str(error) or "too large or too deeply nested"
    if isinstance(error, RecursionError):
        problem = "too deeply nested"
    index = getattr(error, "pos", None)
    if not isinstance(index, int):
        return PatternError(problem)
    return PatternError(problem, origins[index] if index < len(origins) else origins[-1] + 1 if origins else 0)


def _normalize(pattern: str) -> Tuple[str, List[int], bool]:
    """The pattern so that both engines read the same, where each of its characters came from, and whether it holds
    ``[:alpha:]``, which only ``regex`` knows.

    A brace that opens no quantifier is a literal to ``re`` and an approximate match to ``regex``; some marks inside a
    set are reserved by either; ``\\z`` is how Go writes ``\\Z``.
    """
    made: List[str] = []
    origins: List[int] = []
    posix = False
    depth = at = 0

    def add(text: str, origin: int) -> None:
        made.append(text)
        same = pattern.startswith(text, origin)
        origins.extend(range(origin, origin + len(text)) if same else [origin] * len(text))

    while at < len(pattern):
        mark = pattern[at]
        start = at
        if mark == "\\":
            named = _PROPERTY.match(pattern, at)
            at = named.end() if named else at + 2
            text = pattern[start:at]
            add("\\Z" if text == "\\z" else text, start)
            continue
        if mark == "[":
            end = words.class_end(pattern, at)
            posix = _add_class(pattern, at, end, add) or posix
            at = end
            continue
        at += 1
        if mark == "{" and not _QUANTIFIER.match(pattern, start):
            add("\\{", start)
            continue
        if mark == "(":
            depth += 1
            if depth > MAX_PARENTHESES:
                raise PatternError(f"parentheses nested more than {MAX_PARENTHESES} deep", start)
        elif mark == ")":
            depth -= 1
        add(mark, start)
    return "".join(made), origins, posix


def _add_class(pattern: str, at: int, end: int, add: Callable[[str, int], None]) -> bool:
    """Adds the set from ``at`` to ``end``; True where it holds a named class."""
    posix = False
    add("[", at)
    at += 1
    if pattern.startswith("^", at):
        add("^", at)
        at += 1
    while at < end:
        named = words.POSIX_CLASS.match(pattern, at)
        if named and named.end() <= end:
            posix = True
            add(named[0], at)
            at = named.end()
        elif pattern[at] == "\\":
            add(pattern[at : at + 2], at)
            at += 2
        else:
            add("\\" + pattern[at] if pattern[at] in "[&~|" else pattern[at], at)
            at += 1
    return posix


def searcher(pattern: str, allowance: Allowance, *, ignore_case: bool = False) -> Callable[[str], bool]:
    """A test whether the pattern is found in a text; what it costs beyond the harmless comes out of the allowance."""
    ready = read(pattern, ignore_case=ignore_case)
    allowance.guards = True
    quick, harmless = ready.quick, ready.harmless
    guarded = _guarded(pattern, ready, allowance)
    if quick is None or harmless < 0:
        return guarded
    search: Callable[[str], Any] = quick
    return lambda text: search(text) is not None if len(text) <= harmless else guarded(text)


def _guarded(pattern: str, ready: Pattern, allowance: Allowance) -> Callable[[str], bool]:
    compiled: List[Any] = []
    what = f"the pattern {pattern[:80]!r}"

    def search(text: str) -> bool:
        if allowance.left <= 0:
            raise allowance.exhausted(what)
        if not compiled:
            compiled.append(_compiled(ready, allowance))
        begun = allowance.begin()
        try:
            found = compiled[0].search(text, timeout=allowance.left) is not None
        except (TimeoutError, MemoryError):
            raise allowance.exhausted(what) from None
        allowance.charge(begun, what)
        return found

    return search

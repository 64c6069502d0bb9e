"""Shell globs: read, checked, and compiled to a test of linear cost. Knows neither peels nor facts.

``*`` any run of characters, ``?`` one, ``[...]`` one of a set, ``[!...]`` and ``[^...]`` one outside it. Between stars
every piece has a fixed length, so the leftmost place of each piece is always good enough: no backtracking, whatever
the text.
"""

from __future__ import annotations

import re
from typing import Any, Callable, List, Optional

WILD = re.compile(r"[*?\[]")
_FOREIGN = re.compile(r"[^a-zA-Z0-9_.-]")
_ALLOWED = "letters, digits, '-', '_', '.' and the wildcards * ? [...]"
_STAR = "*"
_ANY = "."


class GlobError(ValueError):
    """A glob that cannot be read. ``index`` counts characters of the pattern from 0."""

    def __init__(self, problem: str, index: int, expected: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.index = index
        self.expected = expected


class _Token:
    """One step of a pattern: ``kind`` is ``*``, ``?``, ``[`` or the empty string for a literal character."""

    __slots__ = ("index", "kind", "text")

    def __init__(self, kind: str, text: str, index: int) -> None:
        self.kind = kind
        self.text = text
        self.index = index


def _read(pattern: str, *, strict: bool) -> List[_Token]:
    """The steps of the pattern. A ``[`` that is never closed is an error where strict, a literal otherwise."""
    found = []
    at = 0
    while at < len(pattern):
        mark = pattern[at]
        if mark in "*?":
            found.append(_Token(mark, mark, at))
            at += 1
            continue
        end = -1
        if mark == "[":
            first = at + 2 if pattern.startswith(("!", "^"), at + 1) else at + 1
            end = pattern.find("]", first + 1)  # a bracket that comes first is a member, not the end
            if end < 0 and strict:
                raise GlobError("this '[' is never closed", at, "']'")
        if end < 0:
            found.append(_Token("", mark, at))
            at += 1
            continue
        found.append(_Token("[", _class(pattern, at, first, end), at))
        at = end + 1
    return found


def _class(pattern: str, at: int, first: int, end: int) -> str:
    """A set of characters as a regular expression."""
    source = "[^" if first == at + 2 else "["
    index = first
    while index < end:
        low = high = pattern[index]
        if pattern.startswith("-", index + 1) and index + 2 < end:
            high = pattern[index + 2]
            if high < low:
                raise GlobError(f"the range {pattern[index : index + 3]} runs backwards", index, "the smaller end first")
            index += 2
        index += 1
        source += re.escape(low) if high == low else f"{re.escape(low)}-{re.escape(high)}"
    return source + "]"


def check(pattern: str, *, blanks: bool = False) -> None:
    """GlobError where the pattern could never match a peel id: a foreign character, a set that is not closed."""
    for token in _read(pattern, strict=True):
        if not token.kind and _FOREIGN.match(token.text) and not (blanks and token.text.isspace()):
            raise GlobError(f"a peel id cannot hold {token.text!r}", token.index, _ALLOWED)


def is_plain_id(pattern: str) -> bool:
    """Whether ``check`` passes without allowing blanks."""
    try:
        check(pattern)
    except GlobError:
        return False
    return True


def underscored(pattern: str) -> str:
    """The pattern with dots turned to ``_``, save those inside ``[...]``: how a host name is written as a peel id."""
    if "." not in pattern:
        return pattern
    made = list(pattern)
    for token in _read(pattern, strict=False):
        if token.kind == "" and token.text == ".":
            made[token.index] = "_"
    return "".join(made)


_Piece = Callable[[str, int], int]
"""Finds itself in a text from a position on, and returns where it ends there, or -1."""


def compile_glob(pattern: str, *, ignore_case: bool = False) -> Callable[[str], bool]:
    """A test of a whole text. With ``ignore_case`` the texts must come in lower case."""
    if ignore_case:
        pattern = _lowered(pattern)
    tokens = _read(pattern, strict=False)
    if not any(token.kind for token in tokens):
        return pattern.__eq__
    runs: List[List[_Token]] = [[]]
    for token in tokens:
        if token.kind == _STAR:
            runs.append([])
        else:
            runs[-1].append(token)
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    if len(runs) == 1:
        whole = re.compile(_source(runs[0]), flags).fullmatch
        return lambda text: whole(text) is not None
    simple = _simple(runs)
    return simple if simple is not None else _general(runs, flags)


def _lowered(pattern: str) -> str:
    """Lower case outside sets; inside them a range could be turned round, and the flag sees to it."""
    made = list(pattern)
    for token in _read(pattern, strict=False):
        if not token.kind:
            made[token.index] = token.text.lower()
    return "".join(made)


def _simple(runs: List[List[_Token]]) -> Optional[Callable[[str], bool]]:
    """The shapes nearly every glob has, by the methods of str; None for the others."""
    texts = [_literal(run) for run in runs]
    first, last = texts[0], texts[-1]
    if first is None or last is None:
        return None
    if len(runs) == 2:
        if not last:
            return lambda text: text.startswith(first)
        if not first:
            return lambda text: text.endswith(last)
        least = len(first) + len(last)
        return lambda text: text.startswith(first) and text.endswith(last) and len(text) >= least
    middle = [text for text in texts[1:-1] if text != ""]
    if not middle and not first and not last:
        return lambda text: True
    if len(middle) == 1 and middle[0] is not None and not first and not last:
        inner = middle[0]
        return lambda text: inner in text
    return None


def _literal(run: List[_Token]) -> Optional[str]:
    return None if any(token.kind for token in run) else "".join(token.text for token in run)


def _source(run: List[_Token]) -> str:
    return "".join(_ANY if token.kind == "?" else token.text if token.kind else re.escape(token.text) for token in run)


def _general(runs: List[List[_Token]], flags: int) -> Callable[[str], bool]:
    first = re.compile(_source(runs[0]), flags).match
    last = re.compile(_source(runs[-1]), flags).fullmatch
    tail = len(runs[-1])
    pieces = [_piece(run, flags) for run in runs[1:-1] if run]

    def matches(text: str) -> bool:
        opening: Any = first(text)
        if opening is None:
            return False
        at = opening.end()
        end = len(text) - tail
        for piece in pieces:
            at = piece(text, at)
            if at < 0:
                return False
        return at <= end and last(text, end) is not None

    return matches


def _piece(run: List[_Token], flags: int) -> _Piece:
    literal = _literal(run)
    if literal is not None:
        needle, length = literal, len(literal)

        def find(text: str, at: int) -> int:
            place = text.find(needle, at)
            return place if place < 0 else place + length

        return find
    search = re.compile(_source(run), flags).search

    def search_piece(text: str, at: int) -> int:
        found = search(text, at)
        return -1 if found is None else found.end()

    return search_piece

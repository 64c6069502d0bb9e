"""Where the words of a target expression end, and how a word is quoted. Shared by the parser and the printing, so that
what is printed is read back the same.

A quoted word stands between double quotes; a doubled quote inside it is one quote, and nothing else is special there
(a backslash stays what it is, since patterns are full of them).
"""

from __future__ import annotations

import re
from typing import Callable, NamedTuple, Tuple

BLANKS = re.compile(r"\s*")
KEYWORD = re.compile(r'(and|or|not)(?=[\s()"]|\Z)', re.IGNORECASE)
PREFIX = re.compile(r"([A-Za-z])@")
OPERATOR = re.compile(r"!=|>=|<=|>|<")
WORD = re.compile(r'[^\s()",:]+')
"""The longest word that can be a peel id or a glob: a comma makes it a list, a colon a fact."""
ENTRY = re.compile(r'[^\s()",]+')
"""An entry of a list."""
PATH = re.compile(r'[^\s()":]+')
"""A fact's dotted path."""
SOLID = re.compile(r'[^\s()"]+')
"""A word that may hold colons and commas: a network, a group's name."""

POSIX_CLASS = re.compile(r"\[:\^?[a-z]+:\]")
"""A named class such as ``[:alpha:]``, which stands inside the brackets of a class."""

_VALUE_STOP = re.compile(r'[\s()"]')
_PATTERN_STOP = re.compile(r"[\s()\[\\]")


class Word(NamedTuple):
    """A word as read: its text without quotes, and where the text begins in the expression."""

    text: str
    start: int
    quoted: bool = False

    def position(self, index: int) -> int:
        """Where the character ``index`` of the text stands in the expression."""
        return self.start + index + (self.text.count('"', 0, index) if self.quoted else 0)


def read_quoted(expression: str, at: int) -> Tuple[Word, int]:
    """The quoted word that opens at ``at``, and where it ends; ValueError where it is not closed."""
    end = at + 1
    while True:
        end = expression.index('"', end)
        if not expression.startswith('""', end):
            text = expression[at + 1 : end].replace('""', '"')
            return Word(text, at + 1, quoted=True), end + 1
        end += 2


def quote(text: str) -> str:
    """The text as a quoted word."""
    return '"' + text.replace('"', '""') + '"'


def value_end(expression: str, at: int) -> int:
    """Where the unquoted value of a fact ends: at a blank, a quote, or a parenthesis that is not balanced inside it."""
    opened = []
    end = len(expression)
    for stop in _VALUE_STOP.finditer(expression, at):
        if stop[0] == "(":
            opened.append(stop.start())
        elif stop[0] == ")" and opened:
            opened.pop()
        else:
            end = stop.start()
            break
    return opened[0] if opened else end


def pattern_end(expression: str, at: int) -> int:
    """Where an unquoted regular expression ends: at a blank or a closing parenthesis that is not its own.

    Escapes, ``[...]`` and balanced parentheses belong to it, with the blanks inside them.
    """
    depth = 0
    while True:
        stop = _PATTERN_STOP.search(expression, at)
        if stop is None:
            return len(expression)
        at = stop.end()
        mark = stop[0]
        if mark == "\\":
            at += 1  # whatever it escapes, even a blank
        elif mark == "[":
            at = class_end(expression, at - 1)
        elif mark == "(":
            depth += 1
        elif mark == ")":
            if depth == 0:
                return at - 1
            depth -= 1
        elif depth == 0:
            return at - 1


def class_end(pattern: str, at: int) -> int:
    """The position after the ``[...]`` of a regular expression that opens at ``at``; the end where it is never closed."""
    at += 1
    if pattern.startswith("^", at):
        at += 1
    if pattern.startswith("]", at):  # the first one is a member, not the end
        at += 1
    while at < len(pattern):
        mark = pattern[at]
        if mark == "\\":
            at += 2
        elif mark == "]":
            return at + 1
        else:
            named = POSIX_CLASS.match(pattern, at)
            at = named.end() if named else at + 1
    return len(pattern)


def print_word(text: str, end: Callable[[str, int], int]) -> str:
    """The text bare where ``end`` reads all of it back, quoted otherwise."""
    return text if text and not text.startswith('"') and end(text, 0) == len(text) else quote(text)

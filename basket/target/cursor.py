"""A place in the text of an expression: what the parser moves along, and where every error is raised from."""

from __future__ import annotations

from typing import NoReturn, Optional

from basket.errors import TargetError
from basket.target import words
from basket.target.words import Word

MAX_DEPTH = 50
"""Deepest nesting of parentheses, ``not`` and named groups together. Reading and matching are recursive."""


class Cursor:
    """The text, how far it has been read, and how deep in parentheses, ``not`` and groups that is."""

    def __init__(self, text: str, depth: int) -> None:
        self.text = text
        self.at = 0
        self.depth = depth
        self.deepest = depth

    def quoted(self) -> Word:
        try:
            word, self.at = words.read_quoted(self.text, self.at)
        except ValueError:
            self.fail("this quote is never closed", expected="'\"'")
        return word

    def solid(self) -> Word:
        """A word that ends only at a blank, a parenthesis or a quote; or a quoted one."""
        if self.text.startswith('"', self.at):
            return self.quoted()
        found = words.SOLID.match(self.text, self.at)
        word = Word(found[0] if found else "", self.at)
        self.at += len(word.text)
        return word

    def blanks(self) -> None:
        found = words.BLANKS.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def back_over_blanks(self) -> None:
        while self.text[self.at - 1].isspace():
            self.at -= 1

    def comma_follows(self) -> bool:
        """Whether the next thing after blanks is a comma."""
        found = words.BLANKS.match(self.text, self.at)
        return self.text.startswith(",", found.end() if found else self.at)

    def keyword(self, word: str) -> bool:
        self.blanks()
        found = words.KEYWORD.match(self.text, self.at)
        if found is None or found[1].lower() != word:
            return False
        self.at = found.end()
        return True

    def deeper(self, levels: int = 1, *, at: Optional[int] = None) -> None:
        self.depth += levels
        self.deepest = max(self.deepest, self.depth)
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} deep", at=at)

    def fail(self, problem: str, *, at: Optional[int] = None, expected: str = "") -> NoReturn:
        position = min(self.at if at is None else at, len(self.text))
        raise TargetError(problem, expression=self.text, position=position, expected=expected)

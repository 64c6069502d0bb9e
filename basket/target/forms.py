"""Reads one matcher: globs, lists, facts, patterns, networks, each from where its prefix ends. The grammar that joins them
is in ``parser``; where words end is decided in ``words``.
"""

from __future__ import annotations

import re
from typing import List

from basket.target import globs, patterns, subnets, words
from basket.target.cursor import Cursor
from basket.target.tree import Fact, Glob, Listed, Subnet, Target
from basket.target.words import Word

MAX_VALUE = 4096
"""Longest glob or fact value, in characters."""

_NOT_IN_PATHS = re.compile(r'[\s()"]')
_NOT_IN_LISTS = re.compile(r"[^a-zA-Z0-9_.-]")


class Forms(Cursor):
    """A cursor that can read every matcher except a named group. A text of the wrong form is a TargetError."""

    def plain(self) -> Target:
        """A matcher without prefix: a list where a comma follows, a fact where it holds a colon, else a glob."""
        start = self.at
        if self.text[start] == '"':
            word = self.quoted()
            if self.comma_follows():
                self.at = start
                return self.listed(start)
            prefix = words.PREFIX.match(word.text)
            if prefix:
                self.fail(f"{prefix[0]!r} inside quotes", at=word.start, expected="quotes around what follows the prefix only")
            path, colon, value = word.text.partition(":")
            if colon:
                self.check_path(Word(path, word.start, quoted=True))
                if not value:
                    self.fail("no value after the colon", at=self.at - 1, expected="a value")
                return self.compared(path, "==", Word(value, word.position(len(path) + 1), quoted=True))
            return self.glob(word)
        found = words.WORD.match(self.text, start)
        end = found.end() if found else start
        self.at = end
        if self.text.startswith(":", end):
            self.at = start
            return self.fact(self.path(""))
        if self.comma_follows():
            self.at = start
            return self.listed(start)
        return self.glob(Word(self.text[start:end], start))

    def glob(self, word: Word) -> Target:
        if not word.text:
            self.fail("an empty name", at=word.start, expected="a peel id or a glob")
        self.check_length(word)
        try:
            globs.check(word.text, blanks=word.quoted)
        except globs.GlobError as error:
            self.fail(error.problem, at=word.position(error.index), expected=error.expected)
        return Glob(word.text)

    def listed(self, start: int) -> Target:
        ids: List[str] = []
        while True:
            self.blanks()
            if not words.KEYWORD.match(self.text, self.at):
                self.entry(ids)
            if not self.comma_follows():
                break
            self.blanks()
            self.at += 1
        if not ids:
            self.fail("a list without a name", at=start, expected="peel ids with commas between them")
        self.back_over_blanks()
        return Listed(tuple(ids))

    def entry(self, ids: List[str]) -> None:
        if self.text.startswith('"', self.at):
            word = self.quoted()
        else:
            found = words.ENTRY.match(self.text, self.at)
            word = Word(found[0] if found else "", self.at)
            self.at += len(word.text)
        foreign = _NOT_IN_LISTS.search(word.text)
        if foreign:
            wild = globs.WILD.match(foreign[0])
            hint = "'or' between patterns" if wild else "exact peel ids with commas between them"
            problem = "a list holds exact ids, no patterns" if wild else f"a peel id cannot hold {foreign[0]!r}"
            self.fail(problem, at=word.position(foreign.start()), expected=hint)
        if word.text:
            ids.append(word.text)

    def path(self, prefix: str) -> str:
        """The dotted path of a fact; leaves the colon behind."""
        found = words.PATH.match(self.text, self.at)
        word = Word(found[0] if found else "", self.at)
        self.at += len(word.text)
        if not self.text.startswith(":", self.at):
            self.fail(f"no colon after {prefix}{word.text}", expected="':' and a value")
        self.check_path(word)
        self.at += 1
        return word.text

    def check_path(self, word: Word) -> None:
        if not word.text:
            self.fail("no fact before the colon", at=word.start, expected="a fact such as os.name")
        if not all(word.text.split(".")):
            index = 0 if word.text.startswith(".") else (word.text + ".").index("..") + 1
            self.fail("an empty part in the fact's path", at=word.position(index), expected="names with single dots between")
        foreign = _NOT_IN_PATHS.search(word.text)
        if foreign:
            self.fail(
                f"{foreign[0]!r} in the fact's path", at=word.position(foreign.start()), expected="quotes around the value only"
            )

    def fact(self, path: str) -> Target:
        found = words.OPERATOR.match(self.text, self.at)
        operator = found[0] if found else "=="
        self.at += len(found[0]) if found else 0
        if self.text.startswith('"', self.at):
            word = self.quoted()
        else:
            word = Word(self.text[self.at : words.value_end(self.text, self.at)], self.at)
            self.at += len(word.text)
            if not word.text:
                after = repr(operator) if found else "the colon"
                self.fail(f"no value after {after}", expected='a value, in quotes where it holds blanks, "" for the empty one')
        return self.compared(path, operator, word)

    def compared(self, path: str, operator: str, word: Word) -> Target:
        self.check_length(word)
        if operator in ("==", "!="):
            try:
                globs.compile_glob(word.text, ignore_case=True)
            except globs.GlobError as error:
                self.fail(error.problem, at=word.position(error.index), expected=error.expected)
        return Fact(path, operator, word.text)

    def pattern(self, prefix: str, *, ignore_case: bool = False) -> str:
        if self.text.startswith('"', self.at):
            word = self.quoted()
        else:
            word = Word(self.text[self.at : words.pattern_end(self.text, self.at)], self.at)
            self.at += len(word.text)
        if not word.text:
            self.fail(f"no pattern after {prefix}", at=word.start, expected="a regular expression")
        try:
            patterns.read(word.text, ignore_case=ignore_case)
        except patterns.PatternError as error:
            self.fail(
                f"bad regular expression: {error.problem}",
                at=word.position(error.index),
                expected="a pattern that ends at a blank outside parentheses, or in quotes",
            )
        return word.text

    def subnet(self) -> Target:
        word = self.solid()
        try:
            return Subnet(subnets.read(word.text))
        except ValueError as error:
            self.fail(str(error), at=word.start, expected="a network such as 10.0.0.0/8 or 2001:db8::/32")

    def check_length(self, word: Word) -> None:
        if len(word.text) > MAX_VALUE:
            self.fail(f"a word of {len(word.text)} characters, at most {MAX_VALUE} are allowed", at=word.start)

"""Reads a target expression into its tree. Every error says where it stands and what was expected there.

    either = both ("or" both)*        both = negated ("and" negated)*
    negated = "not" negated | primary      primary = "(" either ")" | matcher

Here are the grammar and the named groups; the single matchers are read in ``forms``, and what a tree means is in
``matching``.
"""

from __future__ import annotations

from typing import Dict, Mapping, NamedTuple, Optional, Tuple

from basket.errors import TargetError
from basket.target import words
from basket.target.forms import Forms
from basket.target.tree import FactRegex, Group, Not, Regex, Target, all_of, any_of

MAX_LENGTH = 256 * 1024
"""Longest expression, in characters: room for a list of ten thousand ids."""
MAX_MATCHERS = 4096
"""Most matchers in one expression, named groups written out: groups that refer to groups could double at each step."""

_NAMED = 5
"""Groups named in a message; of more, how many they are."""

_IN_A_GROUP = "in the named group"
_PREFIXES = "ELGIPSN"
_A_MATCHER = "a matcher such as web*, E@, L@, G@, P@, S@, N@ or key:value"


def parse(expression: str, groups: Optional[Mapping[str, str]] = None) -> Target:
    """The tree of an expression; ``groups`` are the expressions that ``N@name`` stands for.

    Raises TargetError, and nothing else, for whatever cannot be read: with the position and what was expected there.
    """
    if not isinstance(expression, str):
        raise TargetError(f"a target is a string, not {type(expression).__name__}", expression=repr(expression)[:200])
    try:
        return _Parser(expression, groups or {}, (), 0, {}).whole()
    except RecursionError:  # the caller's own stack was nearly full
        raise TargetError("nested too deeply", expression=expression[:200]) from None


class _Read(NamedTuple):
    """A named group that has been read, and what it adds to an expression that refers to it."""

    tree: Target
    matchers: int
    height: int


class _Parser(Forms):
    """One pass over one expression. A named group is read by a parser of its own, with the same depth and cache."""

    def __init__(
        self,
        text: str,
        groups: Mapping[str, str],
        chain: Tuple[str, ...],
        depth: int,
        read: Dict[str, _Read],
    ) -> None:
        super().__init__(text, depth)
        self.matchers = 0
        self._groups = groups
        self._chain = chain
        self._read = read

    def whole(self) -> Target:
        if len(self.text) > MAX_LENGTH:
            problem = f"{len(self.text)} characters, at most {MAX_LENGTH} are allowed"
            raise TargetError(problem, expression=self.text[:200] + "...", position=0)
        self.blanks()
        if self.at == len(self.text):
            self.fail("nothing here", expected=_A_MATCHER)
        tree = self.either()
        if self.at < len(self.text):
            if self.text[self.at] == ")":
                self.fail("this ')' closes nothing", expected="'and', 'or' or the end")
            self.fail("two matchers side by side", expected="'and' or 'or' between them")
        return tree

    def either(self) -> Target:
        parts = [self.both()]
        while self.keyword("or"):
            parts.append(self.both())
        return any_of(*parts)

    def both(self) -> Target:
        parts = [self.negated()]
        while self.keyword("and"):
            parts.append(self.negated())
        return all_of(*parts)

    def negated(self) -> Target:
        nots = 0
        while self.keyword("not"):
            self.deeper()
            nots += 1
        part = self.primary()
        self.depth -= nots
        for _ in range(nots):
            part = Not(part)
        self.blanks()
        return part

    def primary(self) -> Target:
        self.blanks()
        if self.at == len(self.text):
            self.fail("the expression ends here", expected=_A_MATCHER)
        mark = self.text[self.at]
        if mark == "(":
            return self.parentheses()
        if mark == ")":
            self.fail("nothing before this ')'", expected=_A_MATCHER)
        keyword = words.KEYWORD.match(self.text, self.at)
        if keyword:
            self.fail(f"nothing before {keyword[0]!r}", expected=_A_MATCHER)
        self.matchers += 1
        if self.matchers > MAX_MATCHERS:
            self.fail(f"more than {MAX_MATCHERS} matchers in one expression")
        tree = self.matcher()
        if self.at < len(self.text) and self.text[self.at] != ")" and not self.text[self.at].isspace():
            self.fail(f"{self.text[self.at]!r} inside a word", expected="a blank, or the whole word in quotes")
        return tree

    def parentheses(self) -> Target:
        start = self.at
        self.deeper()
        self.at += 1
        tree = self.either()
        if self.at == len(self.text):
            self.fail("this '(' is never closed", at=start, expected="')'")
        if self.text[self.at] != ")":
            self.fail("two matchers side by side", expected="'and', 'or' or ')'")
        self.at += 1
        self.depth -= 1
        return tree

    def matcher(self) -> Target:
        prefix = words.PREFIX.match(self.text, self.at)
        if prefix is None:
            return self.plain()
        letter = prefix[1]
        if letter not in _PREFIXES:
            self.fail(f"unknown prefix {prefix[0]!r}", expected="one of E@ L@ G@ I@ P@ S@ N@")
        start, self.at = self.at, prefix.end()
        if letter in "GI":
            return self.fact(self.path(prefix[0]))
        if letter == "E":
            return Regex(self.pattern(prefix[0]))
        if letter == "P":
            path = self.path(prefix[0])
            return FactRegex(path, self.pattern(f"{prefix[0]}{path}:", ignore_case=True))
        if letter == "L":
            return self.listed(start)
        if letter == "S":
            return self.subnet()
        return self.group(start)

    def group(self, start: int) -> Target:
        name = self.solid().text
        if not name:
            self.fail("no name after N@", expected="the name of a configured group")
        if name in self._chain:
            circle = " -> ".join((*self._chain[self._chain.index(name) :], name))
            self.fail(f"the named group {name!r} refers to itself: {circle}", at=start)
        expression = self._groups.get(name)
        if expression is None:
            self.fail(f"unknown named group {name!r}", at=start, expected=self.known_groups(name))
        self.deeper()
        if name not in self._read:
            self._read[name] = self.read_group(name, expression, start)
        tree, matchers, height = self._read[name]
        self.deeper(height, at=start)  # it may have been read where the nesting was less deep
        self.depth -= 1 + height
        self.matchers += matchers
        if self.matchers > MAX_MATCHERS:
            self.fail(f"more than {MAX_MATCHERS} matchers, named groups written out", at=start)
        return Group(name, tree)

    def read_group(self, name: str, expression: str, start: int) -> _Read:
        if not isinstance(expression, str):
            self.fail(f"the named group {name!r} is not a string", at=start)
        inner = _Parser(expression, self._groups, (*self._chain, name), self.depth, self._read)
        try:
            return _Read(inner.whole(), inner.matchers, inner.deepest - self.depth)
        except TargetError as error:
            problem = error.problem
            if not problem.startswith(_IN_A_GROUP):  # of groups in groups, only the one where the mistake stands is told
                problem = f"{_IN_A_GROUP} {name!r}, {error.expression[:200]!r}, at character {error.position + 1}: {problem}"
            self.fail(problem, at=start, expected=error.expected)

    def known_groups(self, name: str) -> str:
        if not self._groups:
            return "no group, since none is configured"
        from difflib import get_close_matches

        names = sorted(known for known in self._groups if isinstance(known, str))
        near = get_close_matches(name, names, n=3)
        if near:
            return f"one of the configured groups, perhaps {' or '.join(map(repr, near))}"
        more = len(names) - _NAMED
        return f"one of the configured groups: {', '.join(map(repr, names[:_NAMED]))}" + (f" and {more} more" if more > 0 else "")

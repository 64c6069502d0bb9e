"""A tree compiled to one function of a peel's id and facts.

Everything that does not depend on the peel is done while compiling: ten thousand peels are matched in milliseconds.
"""

from __future__ import annotations

from time import monotonic
from typing import Any, Callable, List, Mapping

from basket.errors import TargetError
from basket.target import globs, patterns, subnets, values
from basket.target.allowance import Allowance
from basket.target.tree import And, Fact, FactRegex, Glob, Group, Listed, Not, Or, Regex, Subnet, Target

Matcher = Callable[[str, Mapping[str, Any]], bool]


def matcher(tree: Target, *, budget: float = 2.0, clock: Callable[[], float] = monotonic) -> Matcher:
    """A function that says whether a peel, given its id and facts, is meant by the target.

    Facts may be broken in any way: then they match nothing. Regular expressions that are costly on what peels published
    may take ``budget`` seconds over the life of the function; after that it raises TargetError. Any thread.
    """
    allowance = Allowance(budget, str(tree), clock)
    matches = _compile(tree, allowance)
    return _naming_the_peel(matches) if allowance.guards else matches


def _naming_the_peel(matches: Matcher) -> Matcher:
    """Says at which peel the time ran out: most likely the one whose facts are to blame."""

    def named(peel: str, facts: Mapping[str, Any]) -> bool:
        try:
            return matches(peel, facts)
        except TargetError as error:
            problem = f"{error.problem}, the last of them {peel!r}"
            raise TargetError(problem, expression=error.expression, expected=error.expected) from None

    return named


def _compile(tree: Target, allowance: Allowance) -> Matcher:
    if isinstance(tree, (And, Or)):
        parts = [_compile(part, allowance) for part in tree.parts]
        return _all(parts) if isinstance(tree, And) else _any(parts)
    if isinstance(tree, Not):
        inner = _compile(tree.part, allowance)
        return lambda peel, facts: not inner(peel, facts)
    if isinstance(tree, Group):
        return _compile(tree.tree, allowance)
    if isinstance(tree, Glob):
        return _glob(tree.pattern)
    if isinstance(tree, Listed):
        ids = frozenset(form for name in tree.ids for form in (name, name.replace(".", "_")))
        return lambda peel, facts: peel in ids
    if isinstance(tree, Regex):
        found = patterns.searcher(tree.pattern, allowance)
        return lambda peel, facts: found(peel)
    if isinstance(tree, Fact):
        return _fact(tree.path, values.comparison(tree.operator, tree.value, allowance, f"the value {tree.value[:80]!r}"))
    if isinstance(tree, FactRegex):
        search = patterns.searcher(tree.pattern, allowance, ignore_case=True)
        return _fact(tree.path, values.any_element(search, allowance, f"the pattern {tree.pattern[:80]!r}"))
    if isinstance(tree, Subnet):
        inside = subnets.membership(tree.network)
        return lambda peel, facts: inside(facts)
    raise TypeError(f"not a target: {type(tree).__name__}")


def _glob(pattern: str) -> Matcher:
    # An id holds no dot, so a pattern with one means how the id is written; the pattern as it stands is for callers that
    # pass host names.
    plain = globs.compile_glob(pattern)
    form = globs.underscored(pattern)
    if form == pattern:
        return lambda peel, facts: plain(peel)
    underscored = globs.compile_glob(form)
    return lambda peel, facts: underscored(peel) or plain(peel)


def _all(parts: List[Matcher]) -> Matcher:
    if len(parts) == 2:
        first, second = parts
        return lambda peel, facts: first(peel, facts) and second(peel, facts)

    def every(peel: str, facts: Mapping[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110 (a generator here costs twice as much, ten thousand times)
            if not part(peel, facts):
                return False
        return True

    return every


def _any(parts: List[Matcher]) -> Matcher:
    if len(parts) == 2:
        first, second = parts
        return lambda peel, facts: first(peel, facts) or second(peel, facts)

    def some(peel: str, facts: Mapping[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110
            if part(peel, facts):
                return True
        return False

    return some


def _fact(path: str, test: values.Test) -> Matcher:
    """A test of the value at a dotted path; False where the path leads nowhere."""
    keys = tuple(path.split("."))
    if len(keys) == 1:
        key = keys[0]

        def at_root(peel: str, facts: Mapping[str, Any]) -> bool:
            if type(facts) is not dict:
                return test(values.walk(facts, keys))
            value = facts.get(key)
            return value is not None and test(value)

        return at_root
    if len(keys) == 2:
        section, key = keys

        def in_section(peel: str, facts: Mapping[str, Any]) -> bool:
            if type(facts) is not dict:
                return test(values.walk(facts, keys))
            inner = facts.get(section)
            if type(inner) is not dict:
                return test(values.walk(facts, keys))
            value = inner.get(key)
            return value is not None and test(value)

        return in_section
    return lambda peel, facts: test(values.walk(facts, keys))

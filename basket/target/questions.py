"""What can be told about a target without any peel: whether it needs facts, which ids it can match at most, and how to
ask another implementation for it.
"""

from __future__ import annotations

import re
from typing import FrozenSet, Iterable, Optional, Tuple

from basket.keys import is_peel_id
from basket.target import globs, words
from basket.target.tree import And, Fact, FactRegex, Glob, Group, Listed, Not, Or, Regex, Subnet, Target

_NOT_IN_GO = re.compile(r"\(\?(?!:|i\)|s\)|P<)|\\[1-9Zupx]|[*+?}]\+|\{,|\s")
"""What Go's regular expressions lack or read otherwise: lookaround, references, atomic and possessive parts, blanks that
would end the pattern there."""


def needs_facts(tree: Target) -> bool:
    """Whether facts can change the outcome."""
    if isinstance(tree, (And, Or)):
        return any(map(needs_facts, tree.parts))
    if isinstance(tree, Not):
        return needs_facts(tree.part)
    if isinstance(tree, Group):
        return needs_facts(tree.tree)
    return isinstance(tree, (Fact, FactRegex, Subnet))


def matches_factless(tree: Target) -> bool:
    """Whether a peel of which no facts are known might match: by its id, or under a ``not``."""
    if isinstance(tree, And):
        return all(map(matches_factless, tree.parts))
    if isinstance(tree, Or):
        return any(map(matches_factless, tree.parts))
    if isinstance(tree, Not):
        return True
    if isinstance(tree, Group):
        return matches_factless(tree.tree)
    return not isinstance(tree, (Fact, FactRegex, Subnet))


def exact_ids(tree: Target) -> Optional[FrozenSet[str]]:
    """A set of peel ids beyond which the target cannot match, as they stand in keys; None where any id could."""
    if isinstance(tree, Group):
        return exact_ids(tree.tree)
    if isinstance(tree, Listed):
        return _ids(tree.ids)
    if isinstance(tree, Glob):
        return None if globs.WILD.search(tree.pattern) else _ids((tree.pattern,))
    if isinstance(tree, Or):
        every = [exact_ids(part) for part in tree.parts]
        known = [ids for ids in every if ids is not None]
        return frozenset().union(*known) if len(known) == len(every) else None
    if isinstance(tree, And):
        known = [ids for ids in map(exact_ids, tree.parts) if ids is not None]
        return frozenset.intersection(*known) if known else None
    return None


def _ids(names: Iterable[str]) -> FrozenSet[str]:
    """The names as peel ids, without those that no peel can have."""
    return frozenset(filter(is_peel_id, (name.replace(".", "_") for name in names)))


def shared_expression(tree: Target) -> Optional[Tuple[str, str]]:
    """The target as ``(expression, type)`` for the resolve service, or None where it is beyond the shared grammar.

    A server that does not know a form answers with an empty list, so what is not surely shared is not sent.
    """
    text = _shared(tree)
    if text is None:
        return None
    while isinstance(tree, Group):
        tree = tree.tree
    return text, "glob" if isinstance(tree, Glob) else "compound"


def _shared(tree: Target) -> Optional[str]:
    if isinstance(tree, (And, Or)):
        parts = [_shared_part(part, tree) for part in tree.parts]
        known = [part for part in parts if part is not None]
        word = " and " if isinstance(tree, And) else " or "
        return word.join(known) if len(known) == len(parts) else None
    if isinstance(tree, Not):
        part = _shared_part(tree.part, tree)
        return None if part is None or part.startswith("not ") else f"not {part}"
    if isinstance(tree, Group):
        return _shared(tree.tree)
    if isinstance(tree, Glob):
        printed = str(tree)
        return None if printed.startswith('"') or "[!" in printed else printed
    if isinstance(tree, Regex):
        return None if _NOT_IN_GO.search(tree.pattern) or '"' in tree.pattern else str(tree)
    if isinstance(tree, Fact):
        return _shared_fact(tree)
    if isinstance(tree, (Listed, Subnet)):
        printed = str(tree)
        return None if '"' in printed else printed
    return None


def _shared_part(part: Target, around: Target) -> Optional[str]:
    """A part in parentheses where it binds looser than what stands around it. Groups are seen through: they expand."""
    text = _shared(part)
    while isinstance(part, Group):
        part = part.tree
    looser = isinstance(part, Or) or (isinstance(part, And) and not isinstance(around, Or))
    return f"({text})" if text is not None and looser else text


def _shared_fact(tree: Fact) -> Optional[str]:
    value = tree.value
    if not value or '"' in value or "[!" in value or value.startswith(("!", "<", ">", "=")):
        return None
    operator = "" if tree.operator == "==" else tree.operator
    plain = words.value_end(value, 0) == len(value) and "(" not in value
    return f"G@{tree.path}:{operator}{value if plain else words.quote(value)}"

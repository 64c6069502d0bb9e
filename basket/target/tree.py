"""The tree that a target expression becomes: one frozen class for each kind of matcher, and how each is printed.

``str(tree)`` gives an expression that parses to an equal tree (given the same named groups). Reading is in ``parser``,
matching in ``matching``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from basket.target import globs, words


class Target:
    """A parsed target; immutable, hashable, compared by value. ``str()`` prints it as an expression."""

    __slots__ = ()


@dataclass(frozen=True)
class Glob(Target):
    """Peels whose id matches a shell glob; without a wildcard, the one peel of that name."""

    pattern: str

    def __str__(self) -> str:
        text = self.pattern
        bare = words.WORD.fullmatch(text) and not words.KEYWORD.fullmatch(text) and globs.is_plain_id(text)
        return text if bare else words.quote(text)


@dataclass(frozen=True)
class Regex(Target):
    """Peels in whose id the regular expression is found (searched, not anchored)."""

    pattern: str

    def __str__(self) -> str:
        return "E@" + words.print_word(self.pattern, words.pattern_end)


@dataclass(frozen=True)
class Listed(Target):
    """Peels named one by one."""

    ids: Tuple[str, ...]

    def __str__(self) -> str:
        return "L@" + ",".join(words.quote(name) if words.KEYWORD.fullmatch(name) else name for name in self.ids)


@dataclass(frozen=True)
class Fact(Target):
    """Peels with a fact that compares so. ``operator`` is one of ``== != >= <= > <``; the first two take globs."""

    path: str
    operator: str
    value: str

    def __str__(self) -> str:
        operator = "" if self.operator == "==" else self.operator
        if self.value.startswith(("!", "<", ">", "=")):  # it would be read as an operator
            return f"G@{self.path}:{operator}{words.quote(self.value)}"
        return f"G@{self.path}:{operator}{words.print_word(self.value, words.value_end)}"


@dataclass(frozen=True)
class FactRegex(Target):
    """Peels with a fact in which the regular expression is found, ignoring case."""

    path: str
    pattern: str

    def __str__(self) -> str:
        return f"P@{self.path}:{words.print_word(self.pattern, words.pattern_end)}"


@dataclass(frozen=True)
class Subnet(Target):
    """Peels with an address in the network, which is written in its shortest form."""

    network: str

    def __str__(self) -> str:
        return "S@" + self.network


@dataclass(frozen=True)
class Group(Target):
    """A named target of the configuration, with the tree that the name stood for when it was parsed."""

    name: str
    tree: Target

    def __str__(self) -> str:
        return "N@" + (self.name if words.SOLID.fullmatch(self.name) else words.quote(self.name))


@dataclass(frozen=True)
class And(Target):
    """All of the parts, none of which is itself an And."""

    parts: Tuple[Target, ...]

    def __str__(self) -> str:
        return " and ".join(f"({part})" if isinstance(part, Or) else str(part) for part in self.parts)


@dataclass(frozen=True)
class Or(Target):
    """Any of the parts, none of which is itself an Or."""

    parts: Tuple[Target, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


@dataclass(frozen=True)
class Not(Target):
    """Everything but the part."""

    part: Target

    def __str__(self) -> str:
        return f"not ({self.part})" if isinstance(self.part, (And, Or)) else f"not {self.part}"


def all_of(*parts: Target) -> Target:
    """The And of the parts, flat: an And among them is dissolved, and a single part stays itself. A scope is joined to a target
    so: trees, so that it holds for every branch of an ``or``."""
    flat = tuple(leaf for part in parts for leaf in (part.parts if isinstance(part, And) else (part,)))
    return flat[0] if len(flat) == 1 else And(flat)


def any_of(*parts: Target) -> Target:
    """The Or of the parts, flat."""
    flat = tuple(leaf for part in parts for leaf in (part.parts if isinstance(part, Or) else (part,)))
    return flat[0] if len(flat) == 1 else Or(flat)

"""A scope's template: ``{{ facts.… }}`` filled in from this peel's own facts. What comes out is parsed like any target.

A fact is data, never syntax: whatever is not plainly a word goes in quoted, with its wildcards disarmed, so that a fact
such as ``a or *`` cannot widen the scope.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping

from basket.errors import ConfigError
from basket.target.values import text_of, walk
from basket.target.words import quote

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FACT = re.compile(r"\s*facts\.([^\s{}.|()]+(?:\.[^\s{}.|()]+)*)\s*")
_PLAIN = re.compile(r"[a-zA-Z0-9_./-]+")
_WILD = re.compile(r"[*?\[]")
_IN_PATTERN = re.compile(r"(?:^|[\s(])[EP]@[^\s\"]*(?:\"[^\"]*)?\Z")
_BEFORE_WORD = re.compile(r"(?:^|[\s(,:@]|[:<>!]=|:[<>])\Z")
_AFTER_WORD = re.compile(r"[\s),]|\Z")

_Word = Callable[[str, "re.Match[str]"], str]


def fill_scope(template: str, facts: Mapping[str, Any]) -> str:
    """The scope with every ``{{ facts.a.b }}`` replaced by that fact; ConfigError names what is missing or unusable."""
    return _fill(template, lambda path, hole: _word(path, walk(facts, path.split(".")), hole))


def _fill(template: str, word: _Word) -> str:
    def replaced(hole: re.Match[str]) -> str:
        fact = _FACT.fullmatch(hole[1])
        if fact is None:
            raise ConfigError(f"scope {template!r}: {hole[0]} is not understood; only {{{{ facts.… }}}} is")
        try:
            return word(fact[1], hole)
        except ConfigError as error:
            raise ConfigError(f"scope {template!r}: {error}") from None

    filled = _HOLE.sub(replaced, template)
    if "{{" in _HOLE.sub("", template):
        raise ConfigError(f"scope {template!r}: a '{{{{' is never closed")
    return filled


def _word(path: str, value: Any, hole: re.Match[str]) -> str:
    """The fact's text as it may stand in the hole."""
    if value is None:
        raise ConfigError(f"this peel has no fact {path!r}")
    text = text_of(value)
    if text is None:
        raise ConfigError(f"the fact {path!r} is not one value that could be compared")
    if not text.strip():
        raise ConfigError(f"the fact {path!r} is empty")
    if _PLAIN.fullmatch(text):
        return text
    before = hole.string[: hole.start()]
    disarmed = quote(_WILD.sub(lambda wild: f"[{wild[0]}]", text))
    if _IN_PATTERN.search(before):
        raise ConfigError(f"the fact {path!r} is {text[:80]!r}, which cannot stand in a regular expression as it is")
    if before.count('"') % 2:  # the template has quotes around it
        return disarmed[1:-1]
    if not _BEFORE_WORD.search(before) or not _AFTER_WORD.match(hole.string, hole.end()):
        raise ConfigError(f"the fact {path!r} is {text[:80]!r}: put quotes around the whole word it is part of")
    return disarmed

"""A scope's template: ``{{ facts.… }}`` filled in from this peel's own facts. What comes out is parsed like any target.

A fact is data, never syntax: whatever is not plainly a word goes in quoted, with its wildcards disarmed, so that a fact
such as ``a or *`` cannot widen the scope.
"""

from __future__ import annotations

import re
from typing import Any, Callable

from basket.errors import ConfigError, MissingError
from basket.target.values import text_of
from basket.target.words import quote

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FACT = re.compile(r"\s*facts\.([^\s{}.|()]+(?:\.[^\s{}.|()]+)*)\s*")
_PLAIN = re.compile(r"[a-zA-Z0-9_./-]+")
_WILD = re.compile(r"[*?\[]")
_IN_PATTERN = re.compile(r"(?:^|[\s(])[EP]@[^\s\"]*(?:\"[^\"]*)?\Z")
_BEFORE_WORD = re.compile(r"(?:^|[\s(,:@]|[:<>!]=|:[<>])\Z")
_AFTER_WORD = re.compile(r"[\s),]|\Z")


def fill_scope(template: str, fact: Callable[[str], Any]) -> str:
    """The scope with every ``{{ facts.a.b }}`` replaced by ``fact("a.b")``, which raises MissingError where there is none.

    ConfigError names what is missing or unusable.
    """

    def filled(hole: re.Match[str]) -> str:
        named = _FACT.fullmatch(hole[1])
        if named is None:
            raise ConfigError(f"scope {template!r}: {hole[0]} is not understood; only {{{{ facts.… }}}} is")
        try:
            return _word(named[1], fact(named[1]), hole)
        except (ConfigError, MissingError) as error:
            raise ConfigError(f"scope {template!r}: {error}") from None

    scope = _HOLE.sub(filled, template)
    if "{{" in _HOLE.sub("", template):
        raise ConfigError(f"scope {template!r}: a '{{{{' is never closed")
    return scope


def _word(path: str, value: Any, hole: re.Match[str]) -> str:
    """The fact's text as it may stand in the hole."""
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

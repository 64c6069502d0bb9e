"""Targets: strings that select peels. Parsed to a tree, compiled to a function of ``(peel_id, facts)``; no I/O."""

from __future__ import annotations

from basket.target.matching import Matcher, matcher
from basket.target.parser import parse
from basket.target.questions import exact_ids, matches_factless, needs_facts, shared_expression
from basket.target.scope import fill_scope
from basket.target.tree import Target, all_of

__all__ = [
    "Matcher",
    "Target",
    "all_of",
    "exact_ids",
    "fill_scope",
    "matcher",
    "matches_factless",
    "needs_facts",
    "parse",
    "shared_expression",
]

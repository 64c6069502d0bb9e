"""The targets of the file: [nodegroups], and the scope of [basket]."""

from __future__ import annotations

import re
from typing import Dict, Mapping

from basket.config.reading import Table, kind
from basket.errors import ConfigError, TargetError

_GROUP = re.compile(r"[A-Za-z0-9_.-]+\Z")
_GROUP_BY_FACT = re.compile(r"N@[^\s()]*\{\{")


def read_nodegroups(root: Table) -> Mapping[str, str]:
    """Name -> target. ConfigError for what can be no name or no target, and for groups that refer to themselves."""
    groups = Table(root.document, ("nodegroups",), root.mapping("nodegroups"))
    found: Dict[str, str] = {}
    for name, value in groups.values.items():
        if isinstance(value, dict):
            raise groups.error(name, "expected a target, not a table; a name with a dot needs quotes around it")
        if not _GROUP.match(name):
            raise groups.error(name, "the name of a group is made of letters, digits, '-', '_' and '.'")
        if not isinstance(value, str):
            raise groups.error(name, f'expected a target, such as "role:webserver or L@edge-01", not {kind(value)}')
        found[name] = value
    # Each by itself first: a mistake in one is not that of the groups which refer to it.
    for meant in (dict.fromkeys(found, "*"), found):
        for name, expression in found.items():
            _check(groups, name, expression, meant)
    return found


def read_scope(table: Table, default: str, nodegroups: Mapping[str, str]) -> str:
    """The scope as it is written, with its facts not filled in. ConfigError for what can be none."""
    scope = table.values.get("scope", default)
    if not isinstance(scope, str):
        raise table.error("scope", f'expected a target, such as "G@site:a", not {kind(scope)}')
    if not scope.strip():
        return ""  # the default, said aloud
    if _GROUP_BY_FACT.search(scope):
        return scope  # which group that is, and whether there is such a one, shows when the facts are there
    filled = scope
    if "{{" in scope:
        from basket.target import fill_scope

        try:
            filled = fill_scope(scope, lambda path: "127.0.0.1")  # an address may stand where a word may
        except ConfigError as error:
            raise table.error("scope", str(error)) from error
    _check(table, "scope", filled, nodegroups)
    return scope


def _check(table: Table, key: str, expression: str, groups: Mapping[str, str]) -> None:
    from basket.target import parse  # not wanted where there is no target

    try:
        parse(expression, groups)
    except TargetError as error:
        raise table.error(key, str(error)) from error

"""The list of functions that have a name of their own: the built-in ones, then those of other packages."""

from __future__ import annotations

from typing import List

from basket.functions.builtin import BUILTINS, Builtin


def catalogue(*, plugins: bool = True) -> List[Builtin]:
    """Every named function, for people. Dotted facts are functions too; ``basket.facts.KNOWN`` lists those.

    Functions of other packages are all imported, in a process of its own, and so this takes some 100 ms; one that cannot
    be loaded says so in its summary. Without ``plugins`` nothing is started or imported, and this takes no time.
    """
    listed = [
        Builtin(name, entry.summary, {key: argument.description for key, argument in entry.arguments.items()})
        for name, entry in BUILTINS.items()
    ]
    if not plugins:
        return listed
    from basket.functions.python import PythonError, all_plugins

    try:
        rows = all_plugins(load=True)
    except PythonError:
        try:
            rows = all_plugins(load=False)  # one of them hangs, or ends the process: their names are still known
        except PythonError:
            rows = []
    taken = {row.name for row in listed}
    listed += [Builtin(row["name"], row["summary"], row["arguments"], row["source"]) for row in rows if row["name"] not in taken]
    return listed

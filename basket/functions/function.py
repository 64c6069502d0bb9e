"""A checked function, as the configuration holds it. Imports nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

ENTRY_POINT_GROUP = "zester_basket.functions"
"""Where other distributions register functions; see the package's docstring."""


@dataclass(frozen=True, eq=False)
class Function:
    """What to compute under ``name``. Made by ``define()``, computed by ``run()``.

    ``what`` depends on ``kind``: "builtin" its name, "fact" a dotted path, "value" the value, "command" a tuple of
    arguments or (for a shell) a string, "file" a path, "python" and "plugin" a "module:callable".
    ``arguments`` are those of the function; for commands and files the settings ``json`` and ``shell``.
    """

    name: str
    kind: str
    what: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Function):
            return NotImplemented
        return self._exact() == other._exact()

    def __hash__(self) -> int:
        return hash(self._exact())

    def _exact(self) -> str:
        # A reload compares functions to find what changed: there 1, 1.0 and true, equal to Python, are not the same.
        return repr((self.name, self.kind, self.what, sorted(self.arguments.items())))

"""A Basket in memory for the tests of templates: values, and how it fails."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from basket.entry import Entry


class FakeBasket:
    """``values``: function -> peel -> value; an Exception as value is one that cannot be decoded."""

    def __init__(self, values: Optional[Dict[str, Dict[str, Any]]] = None, *, matching: int = 0) -> None:
        self.values = values or {}
        self.matching = matching
        self.timeout = 1.0
        self.scope = None
        self.groups: Dict[str, str] = {}
        self.calls: List[Any] = []
        self.fails: Optional[BaseException] = None

    def get(self, target: str, function: str, **options: Any) -> List[Entry]:
        self.calls.append((target, function, options))
        if self.fails is not None:
            raise self.fails
        found = sorted(self.values.get(function, {}).items())
        return [
            Entry(peel, function, None, 7, 1, True, str(value))
            if isinstance(value, Exception)
            else Entry(peel, function, value, 7, 1, True, None)
            for peel, value in found
        ]

    def peels(self, target: str) -> List[str]:
        return [f"peel-{number}" for number in range(self.matching)]

"""The Jinja2 environment of one rendering: strict, sandboxed, and with nothing of a peel's ever taken for a template.

The only module that imports Jinja2, and it is imported when something is rendered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Iterator, List, Optional, Tuple

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from basket.template.filters import FILTERS
from basket.template.values import Origin, Withheld, guard, refuse_within


class Facts(Mapping):  # type: ignore[type-arg]
    """This peel's own facts, collected when a template first looks at them."""

    def __init__(self, collect: Callable[[], Mapping[str, Any]]) -> None:
        self._collect = collect
        self._known: Optional[Mapping[str, Any]] = None

    @property
    def used(self) -> bool:
        """Whether anybody looked."""
        return self._known is not None

    def _all(self) -> Mapping[str, Any]:
        if self._known is None:
            self._known = {key: guard(value, Origin(str(key))) for key, value in self._collect().items()}
        return self._known

    def __getitem__(self, key: Any) -> Any:
        return self._all()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(dict(self._all()))


class Loader(FileSystemLoader):
    """Loads from the template's own directory, and remembers which files it was asked for."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory, encoding="utf-8", followlinks=True)
        self.files: List[str] = []

    def get_source(self, environment: Any, template: str) -> Tuple[str, str, Callable[[], bool]]:
        source, filename, fresh = super().get_source(environment, template)
        if filename not in self.files:
            self.files.append(filename)
        return source, filename, fresh


class Environment(SandboxedEnvironment):
    """With the filters of ours, and ``basket`` and ``facts`` as globals, so that macros of other files see them too."""

    def __init__(self, loader: Loader, basket: Callable[..., Any], facts: Facts) -> None:
        super().__init__(
            loader=loader,
            undefined=StrictUndefined,
            finalize=_finalize,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self.filters.update(FILTERS)
        self.tests["string"] = lambda value: isinstance(value, (str, Withheld))
        self.globals.update(basket=basket, facts=facts)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        # Methods of strings read their arguments' text without asking: they refuse what is no string, but cannot say whose.
        if isinstance(getattr(__obj, "__self__", None), str):
            refuse_within([args, kwargs])
        return super().call(__context, __obj, *args, **kwargs)


def _finalize(value: Any) -> Any:
    """What is about to be printed. A list is refused for what is in it, too: nobody means its Python spelling."""
    refuse_within(value)
    return value

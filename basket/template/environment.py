"""The Jinja2 environment of one rendering: strict, sandboxed, and with nothing of a peel's ever taken for a template; and
what Jinja2 complains of, in our words.

The only module that imports Jinja2, and it is imported when something is rendered.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Callable, Iterator, List, Optional, Tuple

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateNotFound, TemplateSyntaxError
from jinja2 import TemplateError as JinjaError
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from basket.errors import TemplateError
from basket.template.filters import FILTERS
from basket.template.values import Origin, Withheld, guard, refuse_within

_PLAIN = {"'basket.template.environment.Facts object'": "facts", "'basket.entry.Entry object'": "an entry"}
"""Jinja2's names for what it looked into, and ours."""


class Facts(Mapping):  # type: ignore[type-arg]
    """This peel's own facts, collected when a template first looks at them."""

    def __init__(self, collect: Callable[[], Mapping[str, Any]]) -> None:
        self._collect = collect
        self._known: Optional[Mapping[str, Any]] = None

    @property
    def _used(self) -> bool:
        """Whether anybody looked. (Without the underscore it would hide a fact of that name.)"""
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


def read(source: str, loader: Loader, basket: Callable[..., Any], facts: Facts) -> Template:
    """The template at ``source``, an absolute path, ready to be rendered; ``loader`` is one of its directory. Errors as Jinja2
    and the file system have them, but TemplateError where there is no such file."""
    if not os.path.isfile(source):  # a pipe would be waited for
        what = "is no regular file" if os.path.exists(source) else "there is no such template"
        raise TemplateError(what, file=source)
    return Environment(loader, basket, facts).get_template(os.path.basename(source))


def parse(source: str) -> None:
    """TemplateError with file and line where ``source`` cannot be parsed, or be read. Renders nothing."""
    source = os.path.abspath(source)
    try:
        read(source, Loader(os.path.dirname(source)), list, Facts(dict))
    except (JinjaError, OSError, UnicodeDecodeError) as error:
        raise mistake(error, source) from error


def mistake(error: Exception, file: str, line: Optional[int] = None, more: str = "") -> TemplateError:
    """``error`` in words, with its place: ``file`` and ``line``, where it does not know better. ``more`` is said behind what
    came up when the template was rendered."""
    if isinstance(error, TemplateSyntaxError):
        return TemplateError(error.message or "cannot be parsed", file=error.filename or file, line=error.lineno)
    return TemplateError(_words(error) + more, file=file, line=line)


def _words(error: Exception) -> str:
    if isinstance(error, TemplateNotFound):
        return f"there is no template {error.name!r} in the same directory"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}"
    if isinstance(error, UnicodeEncodeError):
        return "renders to text that is not valid Unicode (it holds a lone surrogate)"
    text = str(error)
    if isinstance(error, JinjaError):
        for name, plain in _PLAIN.items():
            text = text.replace(name, plain)
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

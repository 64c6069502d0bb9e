"""One template to its text: what it asked for, what came of it, and every error with template, line, target and function."""

from __future__ import annotations

import copy
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from basket.errors import BasketError, ConfigError, TemplateError
from basket.expect import Expectations
from basket.template.asking import Answer, Asking, Dropped, Query

if TYPE_CHECKING:
    from basket.client import Basket
    from basket.config import Config


class Attempt(NamedTuple):
    """What came of one rendering: ``text``, or ``error``. The rest is known either way.

    ``sources``: the files that were read, the template first. ``facts``: whether this peel's own facts were looked at.
    ``asked``: every query in its order; ``answers``: what was answered.
    """

    text: Optional[str]
    error: Optional[BasketError]
    sources: Tuple[str, ...]
    facts: bool
    asked: Tuple[Query, ...]
    answers: Mapping[Query, Answer]

    @property
    def dropped(self) -> Tuple[Dropped, ...]:
        """The values that were left out."""
        return tuple(dict.fromkeys(one for answer in self.answers.values() for one in answer.dropped))

    @property
    def empty(self) -> Mapping[Query, int]:
        """The queries that were answered with nothing at all, each with how many peels its target selects."""
        return {query: answer.matched or 0 for query, answer in self.answers.items() if not (answer.entries or answer.dropped)}


def require_jinja() -> None:
    """ConfigError where templates cannot be rendered, since Jinja2 is not installed. Does not import it."""
    import importlib.util

    try:
        found = importlib.util.find_spec("jinja2") is not None
    except ValueError:  # somebody has put something else into its place
        found = False
    if not found:
        raise ConfigError("templates need Jinja2, which is not installed: pip install 'zester-basket[template]'")


class Renderer:
    """Renders templates with the values of one Basket. Any thread; it keeps nothing from one template to the next.

    ``config`` (a Config, or the path of one) says what values must look like ([basket.expect]) and what custom facts there
    are. ``facts`` is called for this peel's facts, where a template looks at them; by default they are collected.
    """

    def __init__(
        self,
        basket: Basket,
        *,
        config: Union[Config, str, None] = None,
        expect: Optional[Mapping[str, Any]] = None,
        facts: Optional[Callable[[], Mapping[str, Any]]] = None,
    ) -> None:
        if isinstance(config, str):
            from basket.config import load

            config = load(config, functions=False)
        custom: Mapping[str, Any] = {} if config is None else config.facts.custom
        wanted = expect if expect is not None else {} if config is None else config.basket.expect
        try:
            self._expectations = Expectations(wanted)
        except ValueError as error:
            raise ConfigError(f"expect: {error}") from None
        self.basket = basket
        self._state = None if config is None else config.peel.state
        self._facts = facts or (lambda: _collected(custom))

    def text(self, source: str) -> str:
        """The text that ``source``, the path of a template, renders to now.

        TemplateError (with file and line) for what is wrong with it or the values in it, TooFewError, RefusedValuesError,
        UnprintableError; ServerError where NATS cannot be asked. Blocks as long as the queries in it do.
        """
        attempt = self.attempt(source)
        if attempt.error is not None:
            raise attempt.error
        assert attempt.text is not None
        return attempt.text

    def write(
        self,
        source: str,
        destination: str,
        *,
        check: Sequence[str] = (),
        reload: Sequence[str] = (),
        mode: Optional[int] = None,
        owner: Optional[str] = None,
        group: Optional[str] = None,
        backup: bool = False,
        timeout: float = 30.0,
    ) -> bool:
        """Make ``destination`` what ``source`` renders to now; True if its content changed.

        ``check`` and ``reload`` are commands as lists, each ended after ``timeout`` seconds; ``{path}`` in the first is the
        staged file, in the second the destination. Where nothing would change, neither runs (but a reload that failed
        before does). Without ``mode``, ``owner``, ``group`` the old file's stay; a new file gets 0644.

        Errors as of ``text``, before which nothing was touched; DestinationError; CommandFailedError, whose ``step`` says
        whether it was the check (nothing was replaced) or the reload (the file is the new one). Blocks; any thread.
        """
        from basket.config.sections import TemplateSection
        from basket.template import delivery
        from basket.template.owed import Owed

        section = TemplateSection(
            os.path.abspath(source),
            os.path.abspath(destination),
            check=tuple(check),
            reload=tuple(reload),
            timeout=timeout,
            mode=mode,
            owner=owner,
            group=group,
            backup=backup,
        )
        owed = Owed(self._state)
        return delivery.finish(delivery.deliver(section, self, owed), owed)

    def attempt(self, source: str) -> Attempt:
        """Render ``source``; every error that belongs to it is in the result. ConfigError where Jinja2 is missing."""
        require_jinja()
        from basket.template.environment import Facts, Loader, read

        source = os.path.abspath(source)
        loader = Loader(os.path.dirname(source))
        asking = Asking(self.basket, self._expectations)
        facts = Facts(self._facts)
        text: Optional[str] = None
        error: Optional[BasketError] = None
        try:
            text = read(source, loader, asking.basket, facts).render()
            text.encode("utf-8")
        except Exception as raised:
            text, error = None, _told(raised, source, loader.files, asking)
        sources = tuple(dict.fromkeys([source, *loader.files]))
        return Attempt(text, error, sources, facts._used, tuple(asking.asked), dict(asking.answers))


def _collected(custom: Mapping[str, Any]) -> Mapping[str, Any]:
    from basket.facts import collect

    return collect(custom)


def _told(error: Exception, source: str, files: Any, asking: Asking) -> BasketError:
    """The error as it is told: with the template's file and line, and with what was asked."""
    from basket.template.environment import mistake
    from basket.template.filters import FilterError

    file, line = _place(error.__traceback__, files) or (source, None)
    told: BasketError
    if isinstance(error, TemplateError):
        told = error if error.file is not None else type(error)(error.problem, file=file, line=line)
    elif isinstance(error, FilterError):
        from basket.errors import RefusedValuesError

        origin = asking.origin_of(error.value)
        problem = f"{origin} {error}" if origin is not None else f"a value {error}{_asked(asking)}"
        told = RefusedValuesError(problem, file=file, line=line)
    elif isinstance(error, BasketError):
        # Its own kind stays: it says whether trying again may help.
        told = copy.copy(error)
        where = file if line is None else f"{file}:{line}"
        told.args = (f"{where}: {asking.asked[-1] if asking.asked else 'facts'}: {error}",)
    else:
        told = mistake(error, file, line, _asked(asking))
    told.__cause__ = error if told is not error else error.__cause__
    return told


def _asked(asking: Asking) -> str:
    """Which values are at hand: they are what the template stumbled over, as a rule."""
    if not asking.asked:
        return ""
    names: Dict[str, None] = dict.fromkeys(str(query) for query in asking.asked[-3:])
    return f" (asked: {', '.join(names)})"


def _place(trace: Optional[TracebackType], files: Any) -> Optional[Tuple[str, int]]:
    """The innermost line of a template: Jinja2 puts the templates' own lines into the traceback."""
    place = None
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name in files:
            place = (name, trace.tb_lineno)
        trace = trace.tb_next
    return place

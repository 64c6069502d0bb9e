"""Values from other machines made inert: text with a line break or another control character in it cannot be printed.

Such text is put into a ``Withheld``, which is no ``str``. Whatever would turn it into one (printing, joining, formatting,
slicing, any filter) raises, and says which peel and function it came from; so it cannot matter how deep in a list or map it
stood, or through how many variables it went. Two ways lead out: the filters ``multiline`` and ``json``. All other text is
plain: it holds no control character, and nothing a template does with it can make one appear that the template itself does
not name.
"""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple, NoReturn, Optional

from basket.errors import UnprintableError
from basket.expect import CONTROL

_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


class Origin(NamedTuple):
    """Where a value came from. ``peel_id`` None: it is one of this peel's own facts, and ``function`` its path."""

    function: str
    peel_id: Optional[str] = None
    target: str = ""

    def __str__(self) -> str:
        if self.peel_id is None:
            return f"this peel's fact {self.function}"
        return f"the value of {self.function} from peel {self.peel_id} (target {self.target!r})"


class Withheld:
    """Text that may not be printed. It can be compared, sorted, searched, measured, and used as a key."""

    __slots__ = ("_origin", "_text")

    def __init__(self, text: str, origin: Origin) -> None:
        self._text = text
        self._origin = origin

    def _refuse(self, *_: Any) -> NoReturn:
        found = CONTROL.search(self._text)
        char = found.group() if found else ""
        what = "a line break" if char in _BREAKS else f"the control character {ascii(char)[1:-1]}"
        raise UnprintableError(f"{self._origin} holds {what}; '| multiline' prints it all the same")

    __str__ = _refuse
    __format__ = _refuse
    __iter__ = _refuse
    __reversed__ = _refuse
    __getitem__ = _refuse
    __add__ = __radd__ = __mod__ = __rmod__ = __mul__ = __rmul__ = _refuse

    def __getattr__(self, name: str) -> Any:
        if hasattr(str, name) and not name.startswith("_"):
            self._refuse()
        raise AttributeError(f"text has no attribute {name!r}")

    def __repr__(self) -> str:  # what a list prints of its elements: every control character is an escape there
        return ascii(self._text)

    def __len__(self) -> int:
        return len(self._text)

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(self._text)

    def __contains__(self, part: Any) -> bool:
        return text_of(part) in self._text

    def __eq__(self, other: Any) -> bool:
        return bool(self._text == text_of(other))

    def __lt__(self, other: Any) -> Any:
        return self._text < text_of(other)

    def __gt__(self, other: Any) -> Any:
        return self._text > text_of(other)

    def __le__(self, other: Any) -> Any:
        return self._text <= text_of(other)

    def __ge__(self, other: Any) -> Any:
        return self._text >= text_of(other)


def text_of(value: Any) -> Any:
    """The text itself of a Withheld; anything else as it is."""
    return value._text if isinstance(value, Withheld) else value


def origin_of(value: Any) -> Optional[Origin]:
    """Where a Withheld came from; None of anything else."""
    return value._origin if isinstance(value, Withheld) else None


def guard(value: Any, origin: Origin) -> Any:
    """A copy of ``value``, inert. How deep it is nested, ``codec`` has bounded for all who walk it."""
    if isinstance(value, str):
        return value if value.isprintable() or not CONTROL.search(value) else Withheld(value, origin)
    if isinstance(value, dict):
        return {guard(key, origin): guard(item, origin) for key, item in value.items()}
    if isinstance(value, list):
        return [guard(item, origin) for item in value]
    return value


def freed(value: Any) -> Any:
    """A copy of ``value`` with the text in it printable: somebody has said that it may be."""
    if isinstance(value, Withheld):
        return value._text
    if isinstance(value, dict):
        return {freed(key): freed(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(freed(item) for item in value)
    return value


def refuse_within(value: Any) -> None:
    """UnprintableError where ``value`` is or contains text that may not be printed."""
    if isinstance(value, Withheld):
        value._refuse()
    if isinstance(value, dict):
        for key, item in value.items():
            refuse_within(key)
            refuse_within(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            refuse_within(item)


def texts(value: Any) -> Iterator[Any]:
    """Every scalar in ``value``, keys included: to find out where one came from."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    else:
        yield value

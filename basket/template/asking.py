"""``basket(target, function, ...)`` as a template calls it: what it asked, what it got, what was left out and why.

Four outcomes are kept apart. Nothing matches, or what matches has no data: the list is empty, and that is an answer, unless
``min`` says otherwise. There are values, and none of them is usable: RefusedValuesError. The server cannot be asked: its
error. The last two never look like an empty list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple

from basket.errors import RefusedValuesError, TemplateError, TooFewError
from basket.expect import CONTROL, Expectations
from basket.template import values
from basket.template.values import Origin, guard, texts

if TYPE_CHECKING:
    from basket.client import Basket
    from basket.entry import Entry

_NAMED = 3
"""Peels named in a message; of more, how many they are."""


class Query(NamedTuple):
    """What a template asked for."""

    target: str
    function: str
    max_age: Optional[float] = None
    online_only: bool = False

    def __str__(self) -> str:
        return f"basket({self.target!r}, {self.function!r})"

    @property
    def passing(self) -> bool:
        """Whether the answer changes by the mere passing of time, which no change of a value announces."""
        return self.online_only or self.max_age is not None


class Dropped(NamedTuple):
    """A value that was left out. ``reason`` begins with "is", "has" or "cannot"."""

    peel_id: str
    function: str
    reason: str

    def __str__(self) -> str:
        return f"{self.function} of {self.peel_id} {self.reason}"


class Answer(NamedTuple):
    """``matched``: how many peels the target selects; only known where no value was found."""

    entries: Tuple[Entry, ...]
    dropped: Tuple[Dropped, ...]
    matched: Optional[int]


class Asking:
    """The questions of one rendering. The same question twice is asked once, so that one file does not contradict itself."""

    def __init__(self, basket: Basket, expectations: Expectations) -> None:
        self._basket = basket
        self._expectations = expectations
        self.answers: Dict[Query, Answer] = {}
        self.asked: List[Query] = []
        """Every question in its order, those that failed too."""

    def basket(self, target: Any, function: Any, min: Any = 0, max_age: Any = None, online_only: Any = False) -> List[Any]:
        """The entries, sorted by peel id. TooFewError where there are fewer than ``min``."""
        query = _query(target, function, max_age, online_only)
        if isinstance(min, bool) or not isinstance(min, int) or min < 0:
            raise TemplateError(f"{query}: min is a whole number, 0 or more, not {min!r}")
        answer = self.answers.get(query)
        if answer is None:
            self.asked.append(query)
            answer = self.answers[query] = self._ask(query)
        if answer.dropped and len(answer.entries) < (min or 1):
            raise RefusedValuesError(f"{query}: {_counted(answer, min)}; {_listed([str(one) for one in answer.dropped])}")
        if len(answer.entries) < min:
            raise TooFewError(f"{query}: {_counted(answer, min)}")
        return [_inert(entry, query) for entry in answer.entries]

    basket.__qualname__ = "basket"  # as a template calls it, in what Python says of wrong arguments

    def _ask(self, query: Query) -> Answer:
        try:
            found = self._basket.get(
                query.target, query.function, max_age=query.max_age, online_only=query.online_only, stale_ok=False
            )
            good, dropped = [], []
            for entry in found:
                reason = self._reason(entry)
                if reason is None:
                    good.append(entry)
                else:
                    dropped.append(Dropped(entry.peel_id, entry.function, reason))
            matched = None if found else len(self._basket.peels(query.target))
        except ValueError as error:  # a word that cannot be read; all else is the outcome of something
            raise TemplateError(f"{query}: {error}") from error
        return Answer(tuple(good), tuple(dropped), matched)

    def _reason(self, entry: Entry) -> Optional[str]:
        """Why this value may not be used; None where it may."""
        if entry.error is not None:
            return f"cannot be decoded: {entry.error}"
        if CONTROL.search(entry.peel_id):
            return "has a peel id with control characters"
        return self._expectations.reason(entry.function, entry.value)

    def origin_of(self, value: Any) -> Optional[Origin]:
        """Where a value that a template came to hold was found."""
        known = values.origin_of(value)
        if known is not None:
            return known
        for query, answer in self.answers.items():
            for entry in answer.entries:
                if any(type(part) is type(value) and part == value for part in texts(entry.value)):
                    return Origin(query.function, entry.peel_id, query.target)
        return None


def _inert(entry: Entry, query: Query) -> Entry:
    """Made anew at each call: what a template does to one list must not show in the next."""
    return entry._replace(value=guard(entry.value, Origin(query.function, entry.peel_id, query.target)))


def _query(target: Any, function: Any, max_age: Any, online_only: Any) -> Query:
    for name, word in (("target", target), ("function", function)):
        if not isinstance(word, str):
            raise TemplateError(f"basket(): {name} is a string, not {word!r}")
    if max_age is not None:
        from basket.config import duration

        try:
            max_age = duration(max_age)
        except ValueError as error:
            raise TemplateError(f"basket({target!r}, {function!r}): max_age: {error}") from None
    return Query(target, function, max_age, bool(online_only))


def _counted(answer: Answer, least: int) -> str:
    """How many there are, and why not more."""
    if answer.dropped:
        total = len(answer.entries) + len(answer.dropped)
        usable = f"{len(answer.entries)} of {total} values can be used"
        return usable + (f", at least {least} needed" if least > len(answer.entries) else "")
    if answer.entries:
        return f"{len(answer.entries)} {'entry' if len(answer.entries) == 1 else 'entries'}, at least {least} needed"
    if not answer.matched:
        return f"no peel matches, at least {least} needed"
    match = "1 peel matches" if answer.matched == 1 else f"{answer.matched} peels match"
    return f"{match}, none has data that counts, at least {least} needed"


def _listed(reasons: List[str]) -> str:
    more = len(reasons) - _NAMED
    return "; ".join(reasons[:_NAMED]) + (f"; and {more} more" if more > 0 else "")

"""One template all the way to its file: render, doubt, check, replace; and the reload commands of a round, each once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from basket.config.sections import TemplateSection
from basket.errors import BasketError, CommandFailedError, TooFewError
from basket.logs import Log
from basket.template import commands, writing
from basket.template.asking import Query
from basket.template.owed import Owed
from basket.template.rendering import Attempt, Renderer

_log = Log("basket.template")

Doubt = Callable[[Attempt], None]
"""Raises TooFewError where what was rendered must not be believed yet."""


@dataclass(frozen=True)
class Delivered:
    """``error``: why the file is as it was. ``reload``: the command that is now due, () for none."""

    section: TemplateSection
    attempt: Attempt
    changed: bool
    error: Optional[BasketError]
    reload: Tuple[str, ...] = ()


def deliver(section: TemplateSection, renderer: Renderer, owed: Owed, *, doubt: Optional[Doubt] = None) -> Delivered:
    """Bring one file up to date, but for its reload. Every error is in the result. Blocks; any thread."""
    attempt = renderer.attempt(section.source)
    if attempt.error is not None or attempt.text is None:
        return Delivered(section, attempt, False, attempt.error)
    noted = False

    def ready(staged: str) -> None:
        nonlocal noted
        if section.check:
            commands.run("check", commands.filled(section.check, staged), about=section.destination, timeout=section.timeout)
        # Before the file is replaced: were we to be killed right after it, the service would never hear of it.
        if section.reload and not owed.owes(section.destination):
            owed.note(section.destination, _reload(section))
            noted = True

    try:
        if attempt.empty:
            _wiped(section, renderer, attempt.empty)
        if doubt is not None:
            doubt(attempt)
        written = writing.replace(
            section.destination,
            attempt.text.encode("utf-8"),
            mode=section.mode,
            owner=section.owner,
            group=section.group,
            backup=section.backup,
            check=ready,
        )
    except BasketError as error:
        if noted:
            owed.settle(section.destination)
        return Delivered(section, attempt, False, error)
    if written.changed:
        _log.info("written", destination=section.destination, in_place=True if written.in_place else None)
    else:
        _log.debug("unchanged", destination=section.destination)
    due = bool(section.reload) and (written.changed or owed.owes(section.destination))
    return Delivered(section, attempt, written.changed, None, _reload(section) if due else ())


def reload(deliveries: Sequence[Delivered], owed: Owed) -> Dict[Tuple[str, ...], CommandFailedError]:
    """Run each reload command that is due once, however many files ask for it. Those that failed stay owed."""
    wanted: Dict[Tuple[str, ...], List[TemplateSection]] = {}
    for one in deliveries:
        if one.reload:
            wanted.setdefault(one.reload, []).append(one.section)
    failed: Dict[Tuple[str, ...], CommandFailedError] = {}
    for command, sections in wanted.items():
        about = ", ".join(section.destination for section in sections)
        try:
            commands.run("reload", command, about=about, timeout=max(section.timeout for section in sections))
        except CommandFailedError as error:
            failed[command] = error
            for section in sections:
                owed.note(section.destination, command, error.reason)
        else:
            for section in sections:
                owed.settle(section.destination)
    return failed


def finish(done: Delivered, owed: Owed) -> bool:
    """The end of a single delivery: raises why it failed, or else its reload where that fails. Whether the content changed."""
    if done.error is not None:
        raise done.error
    for failed in reload([done], owed).values():
        raise failed
    return done.changed


def _reload(section: TemplateSection) -> Tuple[str, ...]:
    return tuple(commands.filled(section.reload, section.destination))


def _wiped(section: TemplateSection, renderer: Renderer, empty: Iterable[Query]) -> None:
    """TooFewError where an empty answer comes from buckets that never held anything, while the file holds something: more
    likely the store was lost than everybody has left. Who leaves deletes, and that leaves a trace in the bucket."""
    if not writing.current(section.destination):
        return
    from basket.target import needs_facts, parse
    from basket.template.believing import stored

    held = stored(renderer.basket)
    scope = renderer.basket.scope
    for query in empty:
        by_facts = needs_facts(parse(query.target, renderer.basket.groups)) or (scope is not None and needs_facts(scope))
        if not held.values.messages or (by_facts and not held.facts.messages):
            bucket = "basket" if not held.values.messages else "facts"
            raise TooFewError(
                f"{query}: nobody has ever written to the bucket {bucket!r} of this server: it is new, or was wiped. "
                f"{section.destination} stays as it is until somebody does",
                file=section.source,
            )

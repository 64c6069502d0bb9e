"""What differs between the running configuration and a new version of it, in the agent's terms. Pure."""

from __future__ import annotations

from typing import NamedTuple, Tuple

from basket.config import Config, Scheduled


class Changes(NamedTuple):
    """``connection``: it has to be made anew, possibly to another server or as another peel; ``asking``: what queries mean."""

    connection: bool
    asking: bool
    added: Tuple[Scheduled, ...]
    redefined: Tuple[Scheduled, ...]
    rescheduled: Tuple[Scheduled, ...]
    removed: Tuple[str, ...]
    facts: bool
    custom: bool
    heartbeat: bool

    def __bool__(self) -> bool:
        return any(self)


def compare(old: Config, new: Config, *, renamed: bool = False) -> Changes:
    """A redefined function gives another value from now on; a rescheduled one the same value at other times. ``renamed``: this
    peel has another id, wherever that comes from; another state directory alone is no reason to connect anew."""
    before = {s.function.name: s for s in old.basket.functions}
    after = {s.function.name: s for s in new.basket.functions}
    known = [(before[name], s) for name, s in after.items() if name in before]
    custom = old.facts.custom != new.facts.custom
    return Changes(
        connection=renamed or (old.nats, old.basket.replicas) != (new.nats, new.basket.replicas),
        asking=(old.basket.scope, old.nodegroups) != (new.basket.scope, new.nodegroups) or custom,
        added=tuple(s for name, s in after.items() if name not in before),
        redefined=tuple(s for was, s in known if was.function != s.function),
        rescheduled=tuple(s for was, s in known if was.function == s.function and was != s),
        removed=tuple(name for name in before if name not in after),
        facts=(old.facts.publish, old.facts.interval) != (new.facts.publish, new.facts.interval),
        custom=custom,
        heartbeat=old.agent.heartbeat != new.agent.heartbeat,
    )

"""The long-running peel: publishes functions, facts and heartbeats by schedule, and follows its configuration.

``daemon`` is its life and owns the main thread (``once``: what ends it early; ``ending``: how it ends); ``following`` reads
the configuration again, ``changes`` compares versions of it. ``tasks`` runs what is due (``schedule``: when; ``workers``:
where). ``connection`` keeps the Basket. ``publishing`` decides what is written (``outbox``: what NATS holds; ``deliver``: the
blocking calls; ``ledger``: what outlasts the process), with ``describing`` for facts, ``beating`` for the heartbeat and
``comparing`` for what the buckets really hold. ``templates`` and ``resolving`` are the agent's hold on what others do.
``reporting`` tells how it does: to systemd (``notify``) and, where configured, over ``http`` (``vitals``: in numbers;
``metrics``: for Prometheus). ``mailbox``, ``retry``, ``faults``, ``troubles`` and ``footprint`` are small parts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Optional, Sequence

if TYPE_CHECKING:
    from basket.config import Config


def run(
    config: Config,
    *,
    servers: Sequence[str] = (),
    timeout: Optional[float] = None,
    once: bool = False,
) -> int:
    """Be the agent until SIGTERM or SIGINT, and return the exit status; on the main thread.

    ``servers`` and ``timeout`` (seconds) come from the command line and win over the configuration, also over later versions
    of it, which are read from the same file, or, where there was none, from wherever ``config.load`` finds one by then.
    ``once``: publish everything and leave, 1 where a function failed. BasketError where it cannot start, and, with ``once``,
    where NATS cannot be reached. Logging must have been set up (``basket.logs.setup``).
    """
    from basket.agent.daemon import Agent
    from basket.config import load

    def adjusted(loaded: Config) -> Config:
        return loaded if timeout is None else replace(loaded, nats=replace(loaded.nats, timeout=timeout))

    return Agent(adjusted(config), servers=servers, once=once, reload=lambda: adjusted(load(config.file))).run()

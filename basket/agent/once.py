"""``--once``: what has not been published yet, what failed, and with which status that ends."""

from __future__ import annotations

from typing import List, Set

from basket.agent.describing import FACTS
from basket.config import Config
from basket.errors import ConfigError
from basket.logs import Log

log = Log("basket.agent")


class Once:
    """For the main thread. ConfigError where there is nothing to publish: nobody asks for that on purpose."""

    def __init__(self, config: Config) -> None:
        self._pending: Set[str] = {scheduled.function.name for scheduled in config.basket.functions}
        self._count = len(self._pending)
        self._failed: List[str] = []
        if config.facts.publish:
            self._pending.add(FACTS)
        if not self._pending:
            raise ConfigError(
                "nothing to publish: there are no [basket.functions], and [facts] publish is false", file=config.file
            )

    @property
    def done(self) -> bool:
        """Whether everything has been published, or cannot be."""
        return not self._pending

    def settled(self, name: str, works: bool) -> None:
        """This function, or FACTS, is published, or cannot be."""
        if name in self._pending:
            self._pending.discard(name)
            if not works:
                self._failed.append(name)

    def status(self) -> int:
        """The exit status, with the reason in the log."""
        if self._pending:
            log.error("ended before everything was published", missing=",".join(sorted(self._pending)))
            return 1
        if self._failed:
            log.error("published, but not all", failed=",".join(self._failed))
            return 1
        log.info("published", functions=self._count)
        return 0

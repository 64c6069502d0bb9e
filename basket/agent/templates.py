"""The agent's templates: kept current by a thread of their own, which the schedule of functions never waits for.

What that is, is in ``basket.template``; it is loaded only where the configuration has templates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from basket.client import Basket
    from basket.config import Config
    from basket.template.live import Keeper


class Templates:
    """For the main thread. None of it blocks, but ``stop`` for a moment."""

    def __init__(self) -> None:
        self._keeper: Optional[Keeper] = None

    @staticmethod
    def require(config: Config) -> None:
        """ConfigError where there are templates and no Jinja2 to render them."""
        if config.templates:
            from basket.template.rendering import require_jinja

            require_jinja()

    def follow(self, config: Config, basket: Optional[Basket]) -> None:
        """Keep the templates of ``config`` current from now on, and no others."""
        if self._keeper is not None:
            self._keeper.apply(config)
        elif config.templates:
            from basket.template.live import Keeper

            self._keeper = Keeper(config)
            if basket is not None:
                self._keeper.use(basket)
            self._keeper.start()

    def use(self, basket: Basket) -> None:
        """There is a connection, the first or another one."""
        if self._keeper is not None:
            self._keeper.use(basket)

    def stop(self) -> None:
        """End it; what a template's command has started is ended by ``functions.stop_all``."""
        if self._keeper is not None:
            self._keeper.stop()

"""Templates: files made of the values in the basket, which no fault and no hostile peel can empty or forge.

For scripts::

    import basket
    from basket.template import Renderer

    with basket.connect() as b:
        renderer = Renderer(b, config="/etc/zester/basket.toml")    # config: for [basket.expect] and custom facts
        text = renderer.text("haproxy.cfg.j2")
        changed = renderer.write("haproxy.cfg.j2", "/etc/haproxy/haproxy.cfg",
                                 check=["haproxy", "-c", "-f", "{path}"], reload=["systemctl", "reload", "haproxy"])

Needs Jinja2 (``pip install 'zester-basket[template]'``), which is imported when something is rendered and not before.

``environment`` is the only module that knows Jinja2; ``asking`` is ``basket()``; ``values`` makes what peels say inert;
``filters`` are ours; ``rendering`` makes a text of one template; ``staging`` and ``writing`` replace files; ``commands`` runs
check and reload, ``owed`` remembers which reload is still due; ``delivery`` puts these together, and ``live`` keeps doing so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

_HOMES = {
    "Attempt": "basket.template.rendering",
    "Keeper": "basket.template.live",
    "Owing": "basket.template.owed",
    "Renderer": "basket.template.rendering",
    "listed": "basket.template.owed",
    "require_jinja": "basket.template.rendering",
}

__all__ = ["Attempt", "Keeper", "Owing", "Renderer", "listed", "require_jinja"]

if TYPE_CHECKING:
    from basket.template.live import Keeper as Keeper
    from basket.template.owed import Owing as Owing
    from basket.template.owed import listed as listed
    from basket.template.rendering import Attempt as Attempt
    from basket.template.rendering import Renderer as Renderer
    from basket.template.rendering import require_jinja as require_jinja


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))

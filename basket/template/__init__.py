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
check and reload, ``owed`` remembers which reload is still due; ``delivery`` puts these together, and ``live`` keeps doing so:
``interest`` and ``waiting`` tell it when, ``believing`` what not to write after a loss, ``complaints`` what to say.
"""

from __future__ import annotations

from basket.template.rendering import Renderer

__all__ = ["Renderer"]

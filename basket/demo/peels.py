"""Who takes part in the demo, and their configuration files. Pure, but for asking this host its name."""

from __future__ import annotations

import json
import socket
from typing import Callable, Dict, List, NamedTuple

from basket.errors import InvalidKeyError
from basket.keys import sanitize_peel_id

LOOKS_EVERY = "200ms"
"""How often the demo's agents look at their release file; a real one would look once a minute or less often."""


class DemoPeel(NamedTuple):
    """A peel beside this host. The addresses are from a range set aside for documentation."""

    peel_id: str
    role: str
    address: str


OTHERS = (
    DemoPeel("web-01", "webserver", "192.0.2.11:8080"),
    DemoPeel("web-02", "webserver", "192.0.2.12:8080"),
    DemoPeel("db-01", "database", "192.0.2.21:5432"),
)

NEWCOMER = DemoPeel("web-03", "webserver", "192.0.2.13:8080")
"""Comes later, to be found by a template."""

FIRST_RELEASE: Dict[str, str] = {"web-01": "2.1.0", "web-02": "2.1.0", "db-01": "15.6", "web-03": "2.2.0"}
NEXT_RELEASE = "2.2.0"


def this_host(name: Callable[[], str] = socket.gethostname) -> str:
    """The peel id of this host; ``this-host`` where it has no name of its own, or that of another peel of the demo."""
    try:
        made = sanitize_peel_id(name())
    except InvalidKeyError:
        return "this-host"
    return "this-host" if made in {other.peel_id for other in (*OTHERS, NEWCOMER)} else made


def asker_config(peel_id: str, url: str, state: str) -> str:
    """The configuration of whoever asks on this host."""
    return f"[peel]\nid = {_text(peel_id)}\nstate = {_text(state)}\n\n[nats]\nurl = {_text(url)}\n"


def host_config(peel_id: str, url: str, state: str) -> str:
    """The configuration of this host's agent: real functions, real facts."""
    functions = ["network.ip_addrs", "memory.usage", "disk.usage", "system.load", "os.platform"]
    return "\n".join([*_head(peel_id, url, state), *(f'"{name}" = "5m"' for name in functions), ""])


def peel_config(peel: DemoPeel, url: str, state: str, release: str) -> str:
    """The configuration of one of the others."""
    lines = [
        *_head(peel.peel_id, url, state),
        f'"service.address" = {{ value = {_text(peel.address)} }}',
        f'"custom.release" = {{ file = {_text(release)}, interval = "{LOOKS_EVERY}" }}',
        "",
        "[facts]",
        f"custom = {{ role = {_text(peel.role)} }}",
        "",
    ]
    return "\n".join(lines)


def template_config(source: str, destination: str) -> str:
    """What has an agent keep ``destination`` current; with a short quiet time, for nobody wants to wait for a demo."""
    return f"""
[[template]]
source = {_text(source)}
destination = {_text(destination)}
check = ["grep", "-q", "server", "{{path}}"]
wait = ["50ms", "1s"]

[basket.expect]
"service.address" = "/[0-9.]+:[0-9]+/"
"""


BACKEND_TEMPLATE = """\
backend web
{% for web in basket("role:webserver", "service.address", min=1) %}
    server {{ web.peel_id }} {{ web.value }} check
{% endfor %}
"""


def _head(peel_id: str, url: str, state: str) -> List[str]:
    return [
        "[peel]",
        f"id = {_text(peel_id)}",
        f"state = {_text(state)}",
        "",
        "[nats]",
        f"url = {_text(url)}",
        "",
        "[basket.functions]",
    ]


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # what JSON escapes, TOML escapes in the same way


def backend_script(url: str) -> str:
    """A program of a few lines that makes an HAProxy backend from an answer."""
    return f"""\
import basket

with basket.connect({_text(url)}) as b:
    print("backend web")
    for entry in b.get("role:webserver", "service.address"):
        print(f"    server {{entry.peel_id}} {{entry.value}} check")
"""

"""Parsed TOML to the sections: which keys there are, and what each may say."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple

from basket.addresses import check_together, check_url
from basket.config.reading import Document, Table, kind
from basket.config.scheduled import SHORTEST, entries, read_functions
from basket.config.secrets import check_one_way, key_path, secret
from basket.config.sections import (
    AgentSection,
    BasketSection,
    Config,
    FactsSection,
    NatsSection,
    PeelSection,
    TlsSection,
)
from basket.config.targets import read_nodegroups, read_scope
from basket.config.templates import TEMPLATE_KEYS, read_templates
from basket.errors import BasketError, InvalidKeyError
from basket.keys import check_peel_id

KEYS: Dict[str, Tuple[str, ...]] = {
    "[peel]": ("id", "state"),
    "[nats]": (
        "url",
        "user",
        "password",
        "password_file",
        "password_env",
        "token",
        "token_file",
        "token_env",
        "credentials",
        "nkey_seed",
        "tls",
        "timeout",
    ),
    "[nats.tls]": ("ca", "cert", "key", "first"),
    "[basket]": ("scope", "interval", "timeout", "replicas", "functions", "expect"),
    "[facts]": ("publish", "interval", "custom"),
    "[agent]": ("resolver", "heartbeat", "listen", "listen_anywhere"),
    "[[template]]": TEMPLATE_KEYS,
}
"""Every table whose keys are fixed, with these keys."""

TABLES = ("peel", "nats", "basket", "facts", "nodegroups", "agent", "template")

HEARTBEAT_LIMIT = 20.0
"""Seconds. Heartbeats expire 30 s after they were written, so that a peel with slower ones would look dead in between."""


def build(document: Document, data: Mapping[str, Any], environ: Mapping[str, str], *, functions: bool = True) -> Config:
    """The configuration in ``data``; ``functions`` as in load(). ConfigError for the first thing that is wrong with it."""
    root = Table(document, (), data, TABLES)
    defaults = Config()
    facts = _facts(_section(root, "facts"), defaults.facts)
    nodegroups = read_nodegroups(root)
    return Config(
        file=document.file,
        peel=_peel(_section(root, "peel"), defaults.peel),
        nats=_nats(_section(root, "nats"), defaults.nats, environ),
        basket=_basket(_section(root, "basket"), defaults.basket, nodegroups, facts.custom, functions=functions),
        facts=facts,
        nodegroups=nodegroups,
        agent=_agent(_section(root, "agent"), defaults.agent),
        templates=read_templates(root, KEYS),
    )


def _section(root: Table, name: str) -> Table:
    return root.table(name, KEYS[f"[{name}]"], KEYS)


def _peel(table: Table, defaults: PeelSection) -> PeelSection:
    peel_id = table.text("id", '"web-01"')
    if peel_id is not None:
        try:
            peel_id = check_peel_id(peel_id)
        except InvalidKeyError as error:
            raise table.error("id", str(error)) from None
    return PeelSection(id=peel_id, state=table.file_path("state") or defaults.state)


def _nats(table: Table, defaults: NatsSection, environ: Mapping[str, str]) -> NatsSection:
    urls = _urls(table) or defaults.url
    check_one_way(table, urls)
    tls = _tls(table.table("tls", KEYS["[nats.tls]"]), defaults.tls)
    try:
        check_together(urls, encrypted=tls != defaults.tls)
    except ValueError as error:
        raise table.error("url", str(error)) from None
    return NatsSection(
        url=urls,
        user=table.text("user"),
        password=secret(table, "password", environ),
        token=secret(table, "token", environ),
        credentials=key_path(table, "credentials"),
        nkey_seed=key_path(table, "nkey_seed"),
        tls=tls,
        timeout=table.seconds("timeout", defaults.timeout, 0.1, 3600.0),
        password_file=table.file_path("password_file"),
        token_file=table.file_path("token_file"),
    )


def _urls(table: Table) -> Optional[Tuple[str, ...]]:
    if "url" not in table.values:
        return None
    example = '"nats://nats-1:4222"'
    value = table.values["url"]
    urls = table.strings("url", f"[{example}]") if isinstance(value, list) else (value,)
    for index, url in enumerate(urls):
        if not isinstance(url, str):
            raise table.error("url", f"expected a string or a list of strings, such as {example}, not {kind(url)}")
        try:
            check_url(url)
        except ValueError as error:
            path = table.path + (("url", index) if isinstance(value, list) else ("url",))
            raise table.document.problem(path, str(error)) from None
    return urls


def _tls(table: Table, defaults: TlsSection) -> TlsSection:
    tls = TlsSection(
        ca=table.file_path("ca"),
        cert=table.file_path("cert"),
        key=table.file_path("key"),
        first=table.flag("first", defaults.first),
    )
    if tls.cert is not None and tls.key is None:
        raise table.error("cert", "stands without key; a client certificate needs its private key")
    if tls.key is not None and tls.cert is None:
        raise table.error("key", "stands without cert; a private key is used with its certificate")
    return tls


def _facts(table: Table, defaults: FactsSection) -> FactsSection:
    custom = table.mapping("custom")
    if custom:
        from basket.codec import encode
        from basket.facts import KNOWN

        sections = {path.split(".")[0] for path in KNOWN if "." in path}
        for name in sorted(sections.intersection(custom)):
            if not isinstance(custom[name], dict):
                raise table.error("custom", f"{name} would hide all facts under {name!r}; choose another name, or give a table")

        try:
            encode(custom)
        except BasketError as error:
            raise table.error("custom", f"cannot be published: {error}") from None
    return FactsSection(
        publish=table.flag("publish", defaults.publish),
        interval=table.seconds("interval", defaults.interval, SHORTEST),
        custom=custom,
    )


def _basket(
    table: Table, defaults: BasketSection, nodegroups: Mapping[str, str], custom_facts: Mapping[str, Any], *, functions: bool
) -> BasketSection:
    interval = table.seconds("interval", defaults.interval, SHORTEST)
    timeout = table.seconds("timeout", defaults.timeout, SHORTEST)
    return BasketSection(
        scope=read_scope(table, defaults.scope, nodegroups),
        interval=interval,
        timeout=timeout,
        replicas=table.whole("replicas", defaults.replicas, 1, 5),
        functions=read_functions(
            table.document,
            table.path + ("functions",),
            table.mapping("functions") if functions else {},
            interval=interval,
            timeout=timeout,
            custom_facts=custom_facts,
        ),
        expect=_expect(table),
    )


def _expect(table: Table) -> Mapping[str, Any]:
    from basket.expect import compiled

    found: Dict[str, Any] = {}
    for entry in entries(table.document, table.path + ("expect",), table.mapping("expect"), lambda *_: False):
        value = entry.written
        listed = value if isinstance(value, list) else [value]
        try:
            if not listed or not all(isinstance(item, str) for item in listed):
                raise ValueError(f'expected what a value must look like, such as "ip", not {kind(value)}')
            compiled(value)
        except ValueError as error:
            raise entry.error(str(error)) from None
        found[entry.name] = value
    return dict(sorted(found.items()))


def _agent(table: Table, defaults: AgentSection) -> AgentSection:
    heartbeat = table.seconds("heartbeat", defaults.heartbeat, 0.0)
    if heartbeat > HEARTBEAT_LIMIT:
        raise table.error(
            "heartbeat", f"{heartbeat:g}s is too long: heartbeats expire after 30s, so at most {HEARTBEAT_LIMIT:g}s"
        )
    if 0.0 < heartbeat < SHORTEST:
        raise table.error("heartbeat", f"must be 0, which turns it off, or at least {SHORTEST:g}s")
    anywhere = table.flag("listen_anywhere", defaults.listen_anywhere)
    return AgentSection(
        resolver=table.flag("resolver", defaults.resolver),
        heartbeat=heartbeat,
        listen=_listen(table, anywhere=anywhere),
        listen_anywhere=anywhere,
    )


def _listen(table: Table, *, anywhere: bool) -> Optional[Tuple[str, int]]:
    text = table.text("listen", '"127.0.0.1:9434"')
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    import ipaddress

    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
        if not port.isdigit() or int(port) > 65535 or (address.version == 6) != bracketed:
            raise ValueError
    except ValueError:
        raise table.error("listen", f'{text!r} is no address with a port, such as "127.0.0.1:9434" or "[::1]:9434"') from None
    if not (address.is_loopback or anywhere):
        problem = f"{host} can be reached from other machines, and whoever asks is answered"
        raise table.error("listen", f"{problem}: take 127.0.0.1, or say listen_anywhere = true")
    return str(address), int(port)

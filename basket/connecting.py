"""The one place that makes a Basket: from arguments, a configuration, or both (arguments win)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional, Tuple, Union

from basket import exposure
from basket.bus.settings import DEFAULT_URL, Settings
from basket.client import Basket
from basket.errors import BasketError, ConfigError
from basket.keys import check_peel_id

if TYPE_CHECKING:
    from basket.config import Config

Addresses = Union[None, str, List[str], Tuple[str, ...]]


def connect(
    url_or_list: Addresses = None,
    *,
    peel_id: Optional[str] = None,
    config: Union[str, os.PathLike[str], Config, None] = None,
    timeout: Optional[float] = None,
    user: Optional[str] = None,
    password: Optional[str] = None,
    token: Optional[str] = None,
    credentials: Optional[str] = None,
    nkey_seed: Optional[str] = None,
    tls_ca: Optional[str] = None,
    tls_cert: Optional[str] = None,
    tls_key: Optional[str] = None,
) -> Basket:
    """Connect to NATS and give the Basket, or raise: UnreachableError, AuthError, ConfigError, PermissionDeniedError.

    ``url_or_list``: one address or several; each is tried once, so that servers that are down are told at once. ``config``: a
    file's path, or a Config. With neither, this host's configuration holds, found where the command line finds it
    (``$BASKET_CONFIG``, ``/etc/zester/basket.toml``), or else ``nats://127.0.0.1:4222``; with an address alone no file is
    read. ``timeout``: seconds for connecting and for each later call (5, or what the configuration says). ``credentials`` and
    ``nkey_seed`` are paths of files.

    A connection lost later is rebuilt by itself, in the background; calls wait for it until their deadline.
    """
    return make(
        url_or_list,
        peel_id=peel_id,
        config=config,
        timeout=timeout,
        user=user,
        password=password,
        token=token,
        credentials=credentials,
        nkey_seed=nkey_seed,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
    ).open()


def make(
    url_or_list: Addresses = None,
    *,
    peel_id: Optional[str] = None,
    config: Union[str, os.PathLike[str], Config, None] = None,
    timeout: Optional[float] = None,
    **ways_in: Optional[str],
) -> Basket:
    """As ``connect``, but without connecting yet: ``open`` does that."""
    if isinstance(config, os.PathLike):
        config = os.fspath(config)
    if isinstance(config, str) or (config is None and url_or_list is None):
        from basket.config import load

        config = load(config, functions=False)
    who = _peel_id(peel_id, config)
    settings = _settings(url_or_list, ways_in, config, who)
    for path in (settings.credentials, settings.nkey_seed, settings.tls_key, *(exposure.secrets(config) if config else ())):
        exposure.secret_file(path)
    if config is None:
        return Basket(settings, peel_id=who, timeout=5.0 if timeout is None else timeout, fill=filler({}))
    return Basket(
        settings,
        peel_id=who,
        timeout=config.nats.timeout if timeout is None else timeout,
        groups=config.nodegroups,
        scope=config.basket.scope,
        fill=filler(config.facts.custom),
        replicas=config.basket.replicas,
    )


def filler(custom: Mapping[str, Any]) -> Callable[[str], str]:
    """What fills a scope's ``{{ facts.… }}`` from this peel's own facts; those are read that it asks for. ``custom``: the
    configured ones."""

    def fill(scope: str) -> str:
        if "{{" not in scope:
            return scope
        from basket.facts import lookup
        from basket.target import fill_scope

        return fill_scope(scope, lambda path: lookup(path, custom))

    return fill


def _peel_id(explicit: Optional[str], config: Optional[Config]) -> Union[str, Callable[[], str]]:
    if explicit is not None:
        return check_peel_id(explicit)
    from basket.config import PeelSection
    from basket.identity import peel_id

    section = PeelSection() if config is None else config.peel
    if section.id is not None:
        return peel_id(section)
    try:
        return peel_id(section)
    except BasketError:
        # Asking needs no name: who wants to publish is told then.
        return lambda: peel_id(section)


def _settings(addresses: Addresses, ways_in: Any, config: Optional[Config], who: Union[str, Callable[[], str]]) -> Settings:
    """Arguments over configuration; a way to prove who we are that is given as argument replaces the configured ones."""
    name, inbox = (f"zester-basket {who}", f"_INBOX_{who}") if isinstance(who, str) else ("zester-basket", "_INBOX")
    given = {key: value for key, value in ways_in.items() if value is not None}
    if isinstance(addresses, str):
        addresses = [part.strip() for part in addresses.split(",") if part.strip()]
    if addresses is not None and not addresses:
        # Never the default: an unset variable in a script would talk to another server.
        raise ConfigError("no server address: give one such as nats://127.0.0.1:4222, or none at all for the configured one")
    if ("user" in given) != ("password" in given):
        raise ConfigError("user and password go together")
    if config is None:
        return Settings(urls=tuple(addresses or (DEFAULT_URL,)), name=name, inbox=inbox, **given)
    nats = config.nats
    known = {
        "tls_ca": nats.tls.ca,
        "tls_cert": nats.tls.cert,
        "tls_key": nats.tls.key,
        "tls_first": nats.tls.first,
    }
    said = any("@" in address for address in addresses or ())  # an address may say who is calling
    if not said and not any(key in given for key in ("user", "password", "token", "credentials", "nkey_seed")):
        known.update(
            user=nats.user,
            password=nats.password,
            token=nats.token,
            password_file=nats.password_file,
            token_file=nats.token_file,
            credentials=nats.credentials,
            nkey_seed=nats.nkey_seed,
        )
    known.update(given)
    return Settings(urls=tuple(addresses or nats.url), name=name, inbox=inbox, **known)  # type: ignore[arg-type]

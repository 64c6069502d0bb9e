"""The order of the checks: from the file to the server to the values. Each result is given as soon as it is known."""

from __future__ import annotations

from typing import Generator, Iterator, Optional, Sequence

from basket.checking import host
from basket.checking.result import FAILED, Area, Result
from basket.config import Config, load
from basket.errors import BasketError


def run(
    path: Optional[str] = None,
    *,
    servers: Sequence[str] = (),
    timeout: Optional[float] = None,
    functions: bool = True,
    reader: bool = False,
    reads: str = "",
) -> Iterator[Result]:
    """Check the configuration at ``path`` (None: where ``config.load`` finds it) and the server it names, or ``servers``.

    ``timeout``: seconds for connecting and for each question, instead of the configured ones. ``functions``: also run each
    configured function once. ``reader`` and ``reads`` are those of ``grants.tried``. Blocks between results; raises nothing
    but Ctrl-C.
    """
    try:
        config = load(path)
    except BasketError as error:
        yield Result(Area.CONFIGURATION, "configuration", FAILED, str(error), "mend it; nothing else can be looked at before")
        return
    yield host.configuration(config)
    who = host.identity(config)
    yield who
    yield from host.files(config)
    yield from host.templates(config)
    limit = yield from _server(config, servers, timeout, who.state != FAILED, reader, reads)
    if functions and config.basket.functions:
        from basket.checking import running

        yield from running.functions(config, limit)


def _server(
    config: Config, servers: Sequence[str], timeout: Optional[float], named: bool, reader: bool, reads: str
) -> Generator[Result, None, int]:
    """Everything about the server, as far as it goes. Its value: the most bytes that a value may have, 0 for not known."""
    from basket.checking import grants, server
    from basket.connecting import make

    limit = 0
    try:
        one = make(list(servers) or None, config=config, timeout=timeout)
    except BasketError as error:
        yield Result(Area.CONFIGURATION, "server", FAILED, str(error), "see [nats] in the configuration")
        return limit
    with one:
        connected = server.reach(one)
        yield connected
        if connected.state == FAILED:
            return limit
        limit = one.buckets[0].link.max_payload
        yield from server.greeting(one)
        usable = True
        for result in server.buckets(one, limited=bool(reads)):
            yield result
            usable = usable and result.state != FAILED
        if usable:
            yield server.clock(one)
            if named:
                yield from grants.tried(one, reader=reader, reads=reads)
    return limit

"""From the options every command takes to a configuration and a connection."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
from typing import TYPE_CHECKING, Any, FrozenSet, Iterator, List, Optional

from basket.cli.exits import UsageError
from basket.errors import TargetError

if TYPE_CHECKING:
    from basket.client import Basket
    from basket.config import Config


def configuration(args: argparse.Namespace, *, functions: bool = False) -> Config:
    """The configuration file that ``--config`` or the environment names, else the default one, else defaults.

    ``functions``: read [basket.functions] too. Who runs none does without: a mistake there, or a package of functions that
    is broken, must not keep ``get`` from its answer.
    """
    from basket import config

    return config.load(args.config, functions=functions)


def servers(args: argparse.Namespace) -> List[str]:
    """Every URL that ``--server`` gave; empty where the configuration decides."""
    from basket.addresses import check_url

    try:
        return [check_url(url.strip()) for given in args.servers for url in given.split(",")]
    except ValueError as error:
        raise UsageError(f"--server: {error}") from error


def connect(args: argparse.Namespace, config: Config, *, peel_id: Optional[str] = None) -> Basket:
    """A connection for this command, to be closed by it (``with``). Raises what ``basket.connect`` raises."""
    import basket

    log(args)
    return basket.connect(servers(args) or None, config=config, peel_id=peel_id, timeout=args.timeout)


def log(args: argparse.Namespace) -> None:
    """With ``-v`` what happens underneath is told on standard error; without it an error is told once, by its exit."""
    if args.verbose:
        from basket import logs

        logs.setup(verbose=True)
    else:
        logging.getLogger().addHandler(logging.NullHandler())


def check_target(args: argparse.Namespace, config: Config) -> Optional[FrozenSet[str]]:
    """TargetError for a TARGET or a ``--scope`` that cannot be read, before anyone is asked anything; else the only peels
    that TARGET can mean, None where it could mean any."""
    from basket import target

    tree = target.parse(args.target, config.nodegroups)
    if args.scope and "{{" not in args.scope:
        try:
            target.parse(args.scope, config.nodegroups)
        except TargetError as error:
            raise TargetError(
                f"in --scope: {error.problem}", expression=args.scope, position=error.position, expected=error.expected
            ) from error
    return target.exact_ids(tree)


@contextlib.contextmanager
def ending_commands() -> Iterator[None]:
    """Whatever functions and templates start in here is ended with it, however it is left; a SIGTERM leaves it too.

    A command runs in a session of its own: neither Ctrl-C nor a SIGTERM for us would reach it.
    """
    from basket import functions

    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        functions.stop_all()
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)

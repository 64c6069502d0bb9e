"""From the options every command takes to a configuration and a connection."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING, FrozenSet, List, Optional

from basket.cli.exits import UsageError

if TYPE_CHECKING:
    from basket.client import Basket
    from basket.config import Config


def configuration(args: argparse.Namespace) -> Config:
    """The configuration file that ``--config`` or the environment names, else the default one, else defaults."""
    from basket import config

    if args.config == "":
        raise UsageError("--config needs the path of a file")
    return config.load(args.config)


def servers(args: argparse.Namespace) -> List[str]:
    """Every URL that ``--server`` gave; empty where the configuration decides."""
    from basket.config import check_url

    try:
        return [check_url(url.strip()) for given in args.servers for url in given.split(",")]
    except ValueError as error:
        raise UsageError(f"--server: {error}") from error


def connect(args: argparse.Namespace, config: Config, *, peel_id: Optional[str] = None) -> Basket:
    """A connection for this command, to be closed by it (``with``). Raises what ``basket.connect`` raises."""
    import basket

    log(args)
    return basket.connect(servers(args) or None, config=config, peel_id=peel_id, timeout=args.timeout or config.nats.timeout)


def log(args: argparse.Namespace) -> None:
    """With ``-v`` what happens underneath is told on standard error; without it an error is told once, by its exit."""
    if args.verbose:
        from basket import logs

        logs.setup(verbose=True)
    else:
        logging.getLogger().addHandler(logging.NullHandler())


def check_target(expression: str, config: Config) -> Optional[FrozenSet[str]]:
    """TargetError for an expression that cannot be read, before anyone is asked anything; else the only peels that it can
    mean, None where it could mean any."""
    from basket import target

    return target.exact_ids(target.parse(expression, config.nodegroups))

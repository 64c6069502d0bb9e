"""``agent``: the long-running peel. What it does is in ``basket.agent``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from basket.cli import exits
from basket.errors import BasketError

if TYPE_CHECKING:
    from basket.cli.parser import Commands


def add(commands: Commands) -> None:
    parser = commands.add(
        "agent",
        _run,
        summary="publish this host's configured functions and facts until told to stop",
        examples=[
            "zester-basket --config /etc/zester/basket.toml agent",
            "zester-basket agent --once",
        ],
        notes="SIGTERM and Ctrl-C end it, with status 0. It logs on standard error, one line each.",
    )
    parser.add_argument(
        "--once", action="store_true", help="publish everything once and leave; status 1 where a function failed, naming it"
    )
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="default: %(default)s")


def _run(args: argparse.Namespace) -> int:
    from basket import agent, logs
    from basket.cli import session

    logs.setup(form=args.log_format, verbose=args.verbose)
    try:
        config = session.configuration(args, functions=True)
        return agent.run(config, servers=session.servers(args), timeout=args.timeout, once=args.once)
    except BasketError as error:
        if args.log_format == logs.TEXT:
            raise
        # Whoever reads the log as JSON reads its last line as JSON too.
        logs.Log("basket.agent").error("agent cannot run", error=str(error))
        return exits.code(error)

"""``check``: what is wrong with this host's setup, and what to do. What is looked at is in ``basket.checking``."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Dict, Iterable, List

from basket.cli import answers, exits, output
from basket.visible import visible

if TYPE_CHECKING:
    from basket.checking import Result
    from basket.cli.parser import Commands

NOTES = """\
Exit status: 0 all is well, warnings allowed; 1 a function failed; 2 the configuration is wrong; 3 the server cannot be
reached, or does not allow what a peel does."""


def add(commands: Commands) -> None:
    parser = commands.add(
        "check",
        _run,
        summary="say what is wrong with configuration, server, grants and functions, and what to do",
        examples=[
            "zester-basket check",
            "zester-basket check --no-functions --format json",
            "zester-basket --config /etc/zester/new.toml check",
        ],
        notes="Run it as the agent's user. It publishes check.probe for a moment, and makes buckets that are missing.\n\n"
        + NOTES,
    )
    parser.add_argument("--no-functions", action="store_true", help="do not run the configured functions")
    parser.add_argument("--reader", action="store_true", help="this peel writes nothing: do not try to")
    parser.add_argument(
        "--reads",
        metavar="FUNCTION",
        default="",
        help="try to read this function, where not all may be read (then no facts either)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")


def _run(args: argparse.Namespace) -> int:
    from basket import checking
    from basket.cli import session

    session.log(args)
    results: List[Result] = []
    with session.ending_commands():
        for result in checking.run(
            args.config,
            servers=session.servers(args),
            timeout=args.timeout,
            functions=not args.no_functions,
            reader=args.reader,
            reads=args.reads,
        ):
            results.append(result)
            if args.format == "text":
                output.lines(lines(result))
                output.flush()
    if args.format == "json":
        output.lines(answers.array([record(result) for result in results]))
    return status(results)


def lines(result: Result) -> List[str]:
    """How it is, and below it what to do."""
    shown = [f"{result.state:<8} {result.check}: {visible(result.what)}"]
    return [*shown, f"         -> {visible(result.advice)}"] if result.advice else shown


def record(result: Result) -> Dict[str, str]:
    """The same as plain JSON types."""
    made = dataclasses.asdict(result)
    return {**made, "area": result.area.value, "state": result.state.lower()}


def status(results: Iterable[Result]) -> int:
    """The exit status: of all that failed, what has to be mended first."""
    from basket.checking import FAILED, Area

    failed = {result.area for result in results if result.state == FAILED}
    for area, code in ((Area.CONFIGURATION, exits.USAGE), (Area.SERVER, exits.SERVER), (Area.FUNCTION, exits.NOTHING)):
        if area in failed:
            return code
    return exits.OK

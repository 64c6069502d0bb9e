"""``functions``: what can be published, and what one function gives here and now. No server is asked."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Sequence, Tuple

from basket import jsonform
from basket.cli import answers, exits, output
from basket.cli.exits import UsageError

if TYPE_CHECKING:
    from basket.cli.parser import Commands
    from basket.config import Config
    from basket.functions import Function


def add(commands: Commands) -> None:
    parser = commands.add(
        "functions",
        _run,
        summary="list the built-in functions, or run one here and print its value",
        examples=[
            "zester-basket functions",
            "zester-basket functions os.name",
            "zester-basket functions network.ip_addrs cidr=192.0.2.0/24 list=true",
        ],
        notes="A NAME that the configuration defines runs as defined there. No server is needed.\n\n" + jsonform.STATED,
    )
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="run this function: a built-in, a dotted fact, or a configured one"
    )
    parser.add_argument(
        "arguments",
        metavar="KEY=VALUE",
        nargs="*",
        help="arguments of a built-in; VALUE is JSON where it reads as JSON, else a string",
    )
    parser.add_argument(
        "--format", choices=("table", "value", "json"), help="default: table for the list, value for one function's value"
    )


def _run(args: argparse.Namespace) -> int:
    from basket import functions
    from basket.cli import session

    config = session.configuration(args, functions=True)
    if args.name is None:
        output.lines(listing(functions.catalogue(), args.format or "table"))
        return exits.OK
    function, timeout = _chosen(config, args.name, arguments(args.arguments))
    with session.ending_commands():
        value = functions.run(function, timeout=args.timeout or timeout, custom_facts=config.facts.custom)
    try:
        output.lines([jsonform.dumps(value) if args.format == "json" else answers.in_value(value)])
    except jsonform.TooDeep as error:
        raise UsageError(f"the value of {args.name} cannot be shown: {error}") from error
    return exits.OK


def _chosen(config: Config, name: str, given: Dict[str, Any]) -> Tuple[Function, float]:
    """The function as configured, unless arguments say otherwise; and its timeout in seconds."""
    from basket import functions

    for scheduled in config.basket.functions:
        if scheduled.function.name == name and not given:
            return scheduled.function, scheduled.timeout
    return functions.define(name, given, custom_facts=config.facts.custom), config.basket.timeout


def arguments(given: Sequence[str]) -> Dict[str, Any]:
    """``key=value`` words as a mapping: ``list=true`` is a boolean, ``interface=eth0`` a string."""
    made: Dict[str, Any] = {}
    for word in given:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{word!r} is no argument of a function; it looks like key=value, such as interface=eth0")
        if key in made:
            raise UsageError(f"the argument {key!r} is given twice")
        try:
            made[key] = json.loads(text)
        except (ValueError, RecursionError):
            made[key] = text
    return made


def listing(builtins: Sequence[Any], form: str) -> Iterator[str]:
    """The lines of the list: each function with its summary, its arguments indented below it."""
    if form == "json":
        yield from answers.array(
            [
                {"name": one.name, "summary": one.summary, "arguments": dict(one.arguments), "source": one.source}
                for one in builtins
            ]
        )
        return
    if form == "value":
        for one in builtins:
            yield one.name
        return
    rows: List[Tuple[str, str]] = []
    for one in builtins:
        origin = "" if one.source == "built-in" else f" (from {one.source})"
        rows.append((one.name, one.summary + origin))
        for name, description in one.arguments.items():
            for index, line in enumerate(textwrap.wrap(f"{name}: {description}", 90) or [name]):
                rows.append(("", "  " + ("  " if index else "") + line))
    yield from output.table(("NAME", "SUMMARY"), rows)
    yield ""
    yield "Any dotted fact is a function too, such as os.name, memory.total, default_ipv4 or a custom fact."

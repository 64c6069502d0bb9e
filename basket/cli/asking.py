"""``get``, ``list`` and ``peels``: the commands that ask. How their answers look is in ``answers``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, List, Sequence

from basket import jsonform
from basket.cli import answers, exits, output
from basket.cli.output import message
from basket.cli.parser import duration

if TYPE_CHECKING:
    from basket.cli.parser import Commands
    from basket.client import Basket


def add(commands: Commands) -> None:
    get = commands.add(
        "get",
        _get,
        summary="show what the matched peels publish under a function name",
        examples=[
            "zester-basket get 'web*' network.ip_addrs",
            "zester-basket get 'role:webserver and not web-03' disk.usage --format json",
            "for address in $(zester-basket get 'L@web-01,web-02' network.ip_addrs --format value); do ...; done",
        ],
        notes=f"""\
formats: table (for people), json (one array), jsonl (an object a line), value (bare values, one a line: strings as
they are but with control characters as \\n or \\x1b, everything else as compact JSON).

{jsonform.STATED}""",
    )
    get.add_argument(
        "target", metavar="TARGET", help="which peels: 'web*', role:webserver, 'L@a,b', E@^web-\\d+$, with and/or/not"
    )
    get.add_argument("function", metavar="FUNCTION", help="the name they publish it under, such as network.ip_addrs")
    get.add_argument("--format", choices=("table", "json", "jsonl", "value"), default="table", help="default: %(default)s")
    get.add_argument("--online", action="store_true", help="leave out peels that are not known to be alive")
    get.add_argument(
        "--max-age",
        metavar="TIME",
        type=duration,
        help="leave out values written longer ago than this, unless their peel is alive",
    )
    get.add_argument("--scope", metavar="TARGET", help="instead of the configured scope; '' for none")

    listing = commands.add(
        "list",
        _list,
        summary="list the functions that a peel publishes",
        examples=["zester-basket list web-01"],
    )
    listing.add_argument("peel", metavar="PEEL", help="the peel's id")
    listing.add_argument("--format", choices=("value", "json"), default="value", help="default: %(default)s")

    peels = commands.add(
        "peels",
        _peels,
        summary="list peels: id, operating system, whether alive, when last seen",
        examples=["zester-basket peels", "zester-basket peels 'G@os.family:debian' --format value"],
    )
    peels.add_argument("target", metavar="TARGET", nargs="?", default="*", help="which peels (default: all)")
    peels.add_argument("--format", choices=("table", "json", "jsonl", "value"), default="table", help="default: %(default)s")
    peels.add_argument("--online", action="store_true", help="only those known to be alive")
    peels.add_argument("--scope", metavar="TARGET", help="instead of the configured scope; '' for none")


def _get(args: argparse.Namespace) -> int:
    from basket.cli import session
    from basket.keys import check_function

    config = session.configuration(args)
    check_function(args.function)
    named = session.check_target(args, config)
    with session.connect(args, config) as basket:
        entries = basket.get(args.target, args.function, max_age=args.max_age, online_only=args.online, scope=args.scope)
        found = answers.shown(entries)
        matched: List[str] = []
        complete = named is not None and named.issubset(one.peel_id for one in found)
        if not complete and (args.format == "table" or not any(one.good for one in found)):
            matched = _matched(basket, args)
        output.lines(answers.get(found, args.format, matched, "(no data)" if args.max_age is None else "(nothing that new)"))
    for one in found:
        if not one.good:
            message(f"{one.peel_id}: {args.function} cannot be read: {one.error}")
    if any(one.good for one in found):
        return exits.OK
    if not found:
        message(_nothing(args, len(matched), config.basket.scope if args.scope is None else args.scope))
    return exits.NOTHING


def _matched(basket: Basket, args: argparse.Namespace) -> List[str]:
    if args.online:
        return [peel.peel_id for peel in basket.peel_info(args.target, scope=args.scope) if peel.online]
    return basket.peels(args.target, scope=args.scope)


def _nothing(args: argparse.Namespace, matched: int, scope: str) -> str:
    within = f" within the scope {scope!r}" if scope else ""
    if not matched:
        return f"no peel{_alive(args)} matches {args.target!r}{within}; 'zester-basket peels' lists them"
    new = "" if args.max_age is None else f" written within the last {args.max_age:g} s"
    if matched == 1:
        told = f"1 peel{_alive(args)} matches {args.target!r}{within}, and it has no {args.function}{new}"
    else:
        alive = " that are alive" if args.online else ""
        told = f"{matched} peels{alive} match {args.target!r}{within}, none has {args.function}{new}"
    return f"{told}; 'zester-basket list PEEL' shows what a peel publishes"


def _alive(args: argparse.Namespace) -> str:
    return " that is alive" if args.online else ""


def _list(args: argparse.Namespace) -> int:
    from basket.cli import session
    from basket.keys import check_peel_id

    config = session.configuration(args)
    peel_id = check_peel_id(args.peel)
    with session.connect(args, config) as basket:
        functions = basket.functions(peel_id)
    output.lines(answers.listing(functions, args.format))
    if functions:
        return exits.OK
    message(f"{peel_id} publishes nothing, or there is no such peel; 'zester-basket peels' lists them")
    return exits.NOTHING


def _peels(args: argparse.Namespace) -> int:
    from basket.cli import session

    config = session.configuration(args)
    session.check_target(args, config)
    with session.connect(args, config) as basket:
        peels: Sequence[Any] = basket.peel_info(args.target, scope=args.scope)
    if args.online:
        peels = [peel for peel in peels if peel.online]
    output.lines(answers.peels(peels, args.format))
    if peels:
        return exits.OK
    scope = config.basket.scope if args.scope is None else args.scope
    within = f" within the scope {scope!r}" if scope else ""
    if args.target == "*" and not within and not args.online:
        message("no peel has published anything on this server yet; 'zester-basket agent --help' starts one")
    else:
        message(f"no peel{_alive(args)} matches {args.target!r}{within}")
    return exits.NOTHING

"""``watch``: every value that is there, then each change as it happens, a line each, until Ctrl-C."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Callable, Optional

from basket import jsonform
from basket.cli import answers, exits, output
from basket.cli.output import message
from basket.visible import visible

if TYPE_CHECKING:
    from basket.cli.parser import Commands
    from basket.client import Basket

LOOK = 1.0
"""Seconds between looks at the connection, so that an outage is told; changes themselves come at once."""

GONE = "(gone)"


def add(commands: Commands) -> None:
    watch = commands.add(
        "watch",
        _watch,
        summary="show what the matched peels publish, then every change as it happens, until Ctrl-C",
        examples=[
            "zester-basket watch role:webserver network.ip_addrs",
            "zester-basket watch '*' custom.app_version --format json | while read -r change; do ...; done",
        ],
        notes=f"""\
A peel whose value is deleted, or that no longer matches, is shown as {GONE}; in JSON as {{"kind": "delete", ...}}. An outage
is told on standard error; afterwards what differs is shown, and nothing twice.

{jsonform.STATED}""",
    )
    watch.add_argument("target", metavar="TARGET", help="which peels, as for get")
    watch.add_argument("function", metavar="FUNCTION", help="the name they publish it under")
    watch.add_argument("--format", choices=("text", "json", "jsonl"), default="text", help="json: one object a line")
    watch.add_argument("--count", metavar="N", type=_count, help="leave after N lines")
    watch.add_argument("--scope", metavar="TARGET", help="instead of the configured scope; '' for none")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines from 1 up")
    return int(text)


def _watch(args: argparse.Namespace) -> int:
    from basket.cli import session
    from basket.keys import check_function

    config = session.configuration(args)
    check_function(args.function)
    session.check_target(args, config)
    with session.connect(args, config) as basket, basket.watch(args.target, args.function, scope=args.scope) as changes:
        shown = 0
        told = _outage_teller(basket)
        try:
            while args.count is None or shown < args.count:
                change = changes.wait(LOOK)
                told()
                if change is not None:
                    output.lines([_line(change, args.format)])
                    output.flush()  # whoever reads it wants it now
                    shown += 1
        except KeyboardInterrupt:  # the way to end it
            pass
    return exits.OK


def _line(change: Any, form: str) -> str:
    if change.kind == "delete":
        record = {"kind": change.kind, "peel": change.peel_id, "function": change.function, "revision": change.revision}
        return jsonform.dumps(record) if form != "text" else f"{visible(change.peel_id)}  {GONE}"
    one = answers.shown([change])[0]
    if form != "text":
        return jsonform.dumps({"kind": change.kind, **one.record})
    return f"{visible(one.peel_id)}  {visible(one.cell) if one.good else visible(f'(undecodable: {one.error})')}"


def _outage_teller(basket: Basket) -> Callable[[], None]:
    """Tells when the connection is lost and when it is back, each once."""
    lost: Optional[str] = None

    def look() -> None:
        nonlocal lost
        status = basket.status()
        if status.state == "suspended" and lost is None:
            lost = str(status.error or "no connection to NATS")
            message(f"{lost}; waiting for it to come back")
        elif status.state == "connected" and lost is not None:
            lost = None
            message("connected again")

    return look

"""``publish`` and ``delete``: the commands that write. Data goes nowhere but to the server; messages to standard error."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from basket.cli import exits
from basket.cli.exits import UsageError
from basket.cli.output import message
from basket.visible import visible

if TYPE_CHECKING:
    from basket.cli.parser import Commands
    from basket.client import Basket

STDIN_LIMIT = 64 * 1024 * 1024
"""Most bytes read from standard input: the largest payload that any NATS server can be set to accept."""


def add(commands: Commands) -> None:
    publish = commands.add(
        "publish",
        _publish,
        summary="share one value under this peel's id, once",
        description="Share one value under this peel's id, once. VALUE is a string, unless --json is given.",
        examples=[
            "zester-basket publish custom.app_version 2.1.0",
            'zester-basket publish custom.pool --json \'{"weight": 10, "drain": false}\'',
            "zester-basket publish custom.ca - < /etc/ssl/site-ca.pem",
        ],
    )
    publish.add_argument("function", metavar="FUNCTION", help="the name to publish it under, such as custom.app_version")
    publish.add_argument("value", metavar="VALUE", help="the value; '-' reads standard input, without its last line break")
    publish.add_argument("--json", action="store_true", help="VALUE is JSON")
    publish.add_argument("--peel", metavar="ID", help="publish under this id instead of this peel's own")

    delete = commands.add(
        "delete",
        _delete,
        summary="remove published values",
        description="Remove a value of this peel, or of another (--peel), or all of a peel's (--all).",
        examples=[
            "zester-basket delete custom.app_version",
            "zester-basket delete --peel web-07 custom.app_version",
            "zester-basket delete --peel web-07 --all --yes",
        ],
    )
    delete.add_argument("function", metavar="FUNCTION", nargs="?", help="the name it is published under")
    delete.add_argument("--peel", metavar="ID", help="of this peel instead of this one")
    delete.add_argument("--all", action="store_true", help="everything the peel publishes")
    delete.add_argument("--yes", action="store_true", help="do not ask before another peel's values are removed")


def _publish(args: argparse.Namespace) -> int:
    from basket.cli import session
    from basket.codec import encode
    from basket.keys import check_function, check_peel_id

    config = session.configuration(args)
    check_function(args.function)
    if args.peel is not None:
        check_peel_id(args.peel)
    text = _from_stdin() if args.value == "-" else args.value
    value = parse_json(text) if args.json else text
    encode(value)  # what cannot be carried is refused before anyone is asked
    with session.connect(args, config, peel_id=args.peel) as basket:
        revision = basket.publish(args.function, value)
        message(f"published {basket.peel_id}.{args.function}, revision {revision}")
    return exits.OK


def _from_stdin() -> str:
    if sys.stdin is None:
        raise UsageError("standard input is closed, so there is no value to read from it")
    data = sys.stdin.buffer.read(STDIN_LIMIT + 1)
    if len(data) > STDIN_LIMIT:
        raise UsageError(f"standard input holds more than {STDIN_LIMIT} bytes, which no server accepts")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input is not UTF-8 text: {error.reason} at byte {error.start + 1}") from error
    return text[:-1] if text.endswith("\n") else text


def parse_json(text: str) -> Any:
    """The value of strict JSON: no NaN, no key twice. UsageError names line and column."""
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise UsageError(f"VALUE is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise UsageError("VALUE is nested too deeply") from error
    except ValueError as error:
        raise UsageError(f"VALUE is not JSON: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is larger than any 64-bit float")
    return number


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return made


def _delete(args: argparse.Namespace) -> int:
    from basket.cli import session
    from basket.keys import check_function, check_peel_id

    if args.all == (args.function is not None):
        raise UsageError("delete needs a FUNCTION, or --all, and not both")
    config = session.configuration(args)
    if args.function is not None:
        check_function(args.function)
    peel_id = None if args.peel is None else check_peel_id(args.peel)
    with session.connect(args, config) as basket:
        if peel_id == _own(basket):
            peel_id = None  # named or not: nobody is asked, and the writes are our own, which name what they follow
        if peel_id is not None and not args.yes:
            agreed = _ask(basket, peel_id, args.function)
            if agreed is not None:
                return agreed
        owner = peel_id or basket.peel_id
        if args.function is None:
            # A peel of another name is gone for good, its facts too; our own agent goes on telling ours.
            forgotten = peel_id is not None and basket.delete_facts(peel_id)
            return _told_all(owner, basket.flush(peel_id), forgotten)
        return _told_one(owner, args.function, basket.delete(args.function, peel_id=peel_id))


def _own(basket: Basket) -> Optional[str]:
    from basket.errors import BasketError

    try:
        return basket.peel_id
    except BasketError:  # a host without a name of its own: then everything is somebody else's
        return None


def _told_one(peel_id: str, function: str, there: bool) -> int:
    if there:
        message(f"deleted {peel_id}.{function}")
        return exits.OK
    message(f"{peel_id} has no {function}, so nothing was deleted; 'zester-basket list {peel_id}' shows what it has")
    return exits.NOTHING


def _told_all(peel_id: str, removed: int, forgotten: bool = False) -> int:
    if removed or forgotten:
        facts = ", and its facts" if forgotten else ""
        message(f"deleted {removed} value{'' if removed == 1 else 's'} of {peel_id}{facts}")
        return exits.OK
    message(f"{peel_id} publishes nothing, so nothing was deleted; 'zester-basket peels' lists the peels")
    return exits.NOTHING


def _ask(basket: Basket, peel_id: str, function: Optional[str]) -> Optional[int]:
    """None to go on, else the exit status: nothing there, or not wanted. UsageError where there is nobody to ask."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"this removes what another peel ({peel_id}) publishes: add --yes, since there is no terminal to ask on")
    names = [name for name in basket.functions(peel_id) if function in (None, name)]
    if not names:
        return _told_all(peel_id, 0) if function is None else _told_one(peel_id, function, False)
    more = ", ..." if len(names) > 5 else ""
    what = f"{peel_id}.{function}" if function else f"all {len(names)} values of {peel_id} ({', '.join(names[:5])}{more})"
    sys.stderr.write(visible(f"Delete {what}? [y/N] "))
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return None
    message("nothing was deleted")
    return exits.NOTHING

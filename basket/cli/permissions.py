"""``permissions``: what the NATS server must let one peel do, as text to paste; and what only an operator can close."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from basket.cli import exits, output
from basket.cli.exits import UsageError
from basket.cli.output import message

if TYPE_CHECKING:
    from basket.cli.parser import Commands


def add(commands: Commands) -> None:
    parser = commands.add(
        "permissions",
        _run,
        summary="print the permissions that a peel needs on the NATS server, and nothing more",
        examples=[
            "zester-basket permissions web-01                                 a block for the server's configuration",
            "zester-basket permissions lb-01 --reader --functions 'network.*'",
            'eval "nsc add user web-01 $(zester-basket permissions web-01 --jwt-args)"',
            "zester-basket permissions --accounts                             the accounts to put such users in",
            "zester-basket permissions --protect --server nats://operator:…@nats-1:4222",
        ],
        notes="""\
A peel writes its own keys only, reads everything and hears only its own replies. It may not make buckets: --protect, run once
with an operator's credentials, makes them, and has them refuse what no permission can forbid.""",
    )
    parser.add_argument("peel", metavar="PEEL", nargs="?", help="the peel's id; a reader needs one too, for its own inbox")
    parser.add_argument("--reader", action="store_true", help="it reads, and writes nothing")
    parser.add_argument(
        "--functions",
        metavar="NAMES",
        action="append",
        default=[],
        help="the only values it may read: 'network.*', 'disk.usage'; may be given again, or hold several with commas. "
        "It still sees who is alive, but no facts",
    )
    parser.add_argument("--facts", action="store_true", help="with --functions: it may read facts, and so target by them")
    parser.add_argument("--resolver", action="store_true", help="it answers target resolution requests ([agent] resolver)")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--jwt-args", action="store_true", help="print arguments of 'nsc add user' instead")
    forms.add_argument("--accounts", action="store_true", help="print the accounts that keep replies from being misused")
    forms.add_argument("--protect", action="store_true", help="make the buckets and protect them, as an operator")


def _run(args: argparse.Namespace) -> int:
    if args.accounts or args.protect:
        if args.peel or args.reader or args.functions or args.facts or args.resolver:
            raise UsageError(f"--{'accounts' if args.accounts else 'protect'} is about no peel in particular, and goes alone")
        return _protect(args) if args.protect else _accounts()
    from basket import permissions

    if not args.peel:
        raise UsageError("which peel? 'zester-basket permissions web-01'")
    names = [name.strip() for given in args.functions for name in given.split(",")]
    if args.facts and not names:
        raise UsageError("--facts goes with --functions: without it, facts are granted anyway")
    granted = permissions.permissions(
        args.peel, reader=args.reader, functions=names, facts=args.facts if names else None, resolver=args.resolver
    )
    output.lines([permissions.as_nsc(granted)] if args.jwt_args else permissions.as_block(granted))
    return exits.OK


def _accounts() -> int:
    from basket import permissions

    output.lines(permissions.as_accounts().splitlines())
    return exits.OK


def _protect(args: argparse.Namespace) -> int:
    from basket.cli import session

    with session.connect(args, session.configuration(args)) as basket:
        changed = basket.protect_buckets()
    message(f"protected: {', '.join(changed)}" if changed else "the buckets were protected already")
    return exits.OK

"""The argument parser: the options every command takes, and the list of commands. Each command adds itself."""

from __future__ import annotations

import argparse
import importlib
import re
from typing import Any, Callable, NoReturn, Optional, Sequence

from basket import __version__
from basket.cli.output import PROGRAM
from basket.visible import visible

EPILOG = """\
examples:
  zester-basket demo                                  see it work on this machine, in seconds
  zester-basket get 'web*' network.ip_addrs           one value of many peels
  zester-basket get role:webserver disk.usage --format json
  zester-basket watch role:webserver network.ip_addrs and every change of them, as it happens
  zester-basket publish custom.app_version 2.1.0      share a value of this peel

exit status: 0 at least one value; 1 reached, but nothing there; 2 wrong usage, configuration, target or template;
3 NATS unreachable, timed out, or refused; 4 a check or reload command failed; 130 Ctrl-C
"""


def duration(text: str) -> float:
    """An argument such as ``5s`` or ``1h30m``, in seconds; more than none."""
    from basket.config import duration as parse

    try:
        seconds = parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not longer than no time at all")
    return seconds


def _shared(*, first: bool) -> _Parser:
    """The options that may stand before or after the command.

    After it they have no default, so that leaving them out does not undo what stood before it.
    """
    absent = None if first else argparse.SUPPRESS
    shared = _Parser(add_help=False)
    group = shared.add_argument_group("options of every command")
    group.add_argument(
        "--config", metavar="FILE", default=absent, help="configuration (else $BASKET_CONFIG, else /etc/zester/basket.toml)"
    )
    group.add_argument(
        "--server",
        metavar="URL",
        action="append",
        # Two names, since an "append" after the command would start a new list and lose the one before it.
        dest="servers_before" if first else "servers_after",
        default=[] if first else argparse.SUPPRESS,
        help="NATS server, instead of [nats] url; may be given again, or hold several with commas. Every user of this host "
        "sees a password in it (ps): better keep that in the configuration",
    )
    group.add_argument(
        "--timeout", metavar="TIME", type=duration, default=absent, help="how long to wait for an answer: 500ms, 5s, 1m30s"
    )
    group.add_argument(
        "-v", "--verbose", action="store_true", default=False if first else argparse.SUPPRESS, help="say more on standard error"
    )
    return shared


class _Parser(argparse.ArgumentParser):
    """Errors in one line after the program's name, as every other error of ours; what begins as a negative number is a value."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # As in newer Pythons. Older ones take "-5s" for an option, and say that the one before it lacks its argument.
        self._negative_number_matcher = re.compile(r"-\.?\d")

    def error(self, text: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: {visible(text)}\nTry '{self.prog} --help'.\n")


class Commands:
    """What a command module adds itself to."""

    def __init__(self, parser: _Parser) -> None:
        self._adding = parser.add_subparsers(metavar="COMMAND", dest="command", title="commands")
        self._shared = _shared(first=False)

    def add(
        self,
        name: str,
        run: Callable[[argparse.Namespace], int],
        *,
        summary: str,
        description: str = "",
        examples: Sequence[str],
        notes: str = "",
    ) -> argparse.ArgumentParser:
        """A parser for the command ``name``; ``run`` does it and returns the exit status."""
        shown = "\n".join(["examples:" if len(examples) > 1 else "example:", *(f"  {example}" for example in examples)])
        parser = self._adding.add_parser(
            name,
            help=summary,
            description=description or f"{summary[:1].upper()}{summary[1:]}.",
            epilog=f"{notes}\n\n{shown}" if notes else shown,
            parents=[self._shared],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        parser.set_defaults(run=run)
        return parser


_HOMES = {
    "get": "asking",
    "list": "asking",
    "peels": "asking",
    "watch": "watching",
    "publish": "writing",
    "delete": "writing",
    "agent": "agent",
    "render": "render",
    "check": "check",
    "functions": "functions",
    "import-salt": "importing",
    "permissions": "permissions",
    "server": "server",
    "completion": "completion",
    "demo": "demo",
}
"""The module of each command, in the order of the help."""

_WITH_VALUE = ("--config", "--server", "--timeout")


def command_of(arguments: Sequence[str]) -> Optional[str]:
    """The command that these arguments most likely call; None where it is not plain to see."""
    rest = iter(arguments)
    for argument in rest:
        if argument in _WITH_VALUE:
            next(rest, None)
        elif not argument.startswith("-"):
            return argument if argument in _HOMES else None
        elif argument not in ("-v", "--verbose") and not argument.startswith(tuple(f"{name}=" for name in _WITH_VALUE)):
            return None
    return None


def build(command: Optional[str] = None) -> argparse.ArgumentParser:
    """The whole parser, or the part that ``command`` needs: a short call shall not pay for all the others."""
    homes = _HOMES.values() if command is None else [_HOMES[command]]
    parser = _Parser(
        prog=PROGRAM,
        description="Machines share small values with each other through NATS JetStream.",
        epilog=EPILOG,
        parents=[_shared(first=True)],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = Commands(parser)
    for home in dict.fromkeys(homes):
        importlib.import_module(f"basket.cli.{home}").add(commands)
    return parser

"""The man page, from the parser that prints ``--help``. ``bin/man`` writes man/zester-basket.1 with it; no part of the package.

A generator of our own, since the layout of argparse's help differs between Python versions, and the file is kept in git.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import Iterator, List, Tuple

from basket import __version__
from basket.cli.output import PROGRAM
from basket.cli.parser import build

_INTRODUCTION = """\
Machines share small values with each other through NATS JetStream. An agent on every machine, a peel, publishes its
addresses, its disk use, or what a command prints; any other asks for the values of all peels that a target selects, or
watches them change."""

_FILES = (
    ("/etc/zester/basket.toml", "the configuration; every setting with its default is in conf/basket.toml"),
    ("/var/lib/zester/node-id", "the pinned id of this peel"),
    (
        "/var/lib/zester/published.<peel id>",
        "what the agent of this peel publishes, to delete what leaves the configuration while it is stopped",
    ),
)
_VARIABLES = (
    ("BASKET_CONFIG", "the configuration file, where --config names none"),
    ("NO_COLOR", "no colour, whatever its value"),
)


def page() -> str:
    """The whole page, in the man macros."""
    parser = build()
    lines = [
        f'.TH ZESTER-BASKET 1 "" "{PROGRAM} {__version__}" "User Commands"',
        ".SH NAME",
        f"{_plain(PROGRAM)} \\- {_plain('share small values between machines through NATS JetStream')}",
        ".SH SYNOPSIS",
        f".B {_plain(PROGRAM)}",
        "[\\fIoptions\\fR] \\fICOMMAND\\fR ...",
        ".SH DESCRIPTION",
        _plain(" ".join(_INTRODUCTION.split())),
    ]
    commands = _commands(parser)
    lines += [".SH OPTIONS", *_options(parser, skip=())]
    lines.append(".SH COMMANDS")
    shared = {option for action in parser._actions for option in action.option_strings}
    for name in commands.choices:
        lines += _command(name, commands.choices[name], skip=tuple(shared))
    lines += [".SH FILES", *_pairs(_FILES), ".SH ENVIRONMENT", *_pairs(_VARIABLES)]
    lines += [".SH EXAMPLES AND EXIT STATUS", *_verbatim(parser.epilog or "")]
    return "\n".join(lines) + "\n"


def _commands(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    return next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))


def _command(name: str, parser: argparse.ArgumentParser, *, skip: Tuple[str, ...]) -> Iterator[str]:
    positional = [action for action in parser._actions if not action.option_strings]
    yield f".SS {_plain(name)} {' '.join(_argument(action) for action in positional)}".rstrip()
    yield _plain(" ".join((parser.description or "").split()))
    for action in positional:
        if action.help:
            yield from (".TP", f"\\fI{_plain(_name(action))}\\fR", _plain(_help(action, parser)))
    yield from _options(parser, skip=skip)
    yield from _verbatim(parser.epilog or "")


def _options(parser: argparse.ArgumentParser, *, skip: Tuple[str, ...]) -> Iterator[str]:
    for action in parser._actions:
        if not action.option_strings or action.option_strings[-1] in skip or action.help == argparse.SUPPRESS:
            continue
        value = "" if action.nargs == 0 else f" \\fI{_plain(_name(action))}\\fR"
        shown = ", ".join(f"\\fB{_plain(option)}\\fR{value}" for option in action.option_strings)
        yield from (".TP", shown, _plain(_help(action, parser)))


def _argument(action: argparse.Action) -> str:
    name = f"\\fI{_plain(_name(action))}\\fR"
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [{name} ...]"}.get(str(action.nargs), name)


def _name(action: argparse.Action) -> str:
    if action.choices is not None and action.metavar is None:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    values = {**vars(action), "prog": parser.prog}
    text = (action.help or "") % values
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _pairs(pairs: Tuple[Tuple[str, str], ...]) -> Iterator[str]:
    for name, meaning in pairs:
        yield from (".TP", f"\\fI{_plain(name)}\\fR", _plain(meaning))


def _verbatim(text: str) -> List[str]:
    """Text whose lines are to stay as they are."""
    return [".PP", ".nf", *(_plain(line) if line else ".sp" for line in text.strip("\n").split("\n")), ".fi"] if text else []


def _plain(text: str) -> str:
    """``text`` with everything that troff would take for a command of its own made harmless."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")
    text = text.replace("~", "\\(ti").replace("…", "...").replace("→", "->")
    return re.sub(r"^\.", r"\\&.", text)


if __name__ == "__main__":
    sys.stdout.buffer.write(page().encode("utf-8"))

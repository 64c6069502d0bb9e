"""``import-salt``: a minion's mine as our configuration on standard output, what is lost on standard error."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from basket.cli import exits, output
from basket.errors import ConfigError

if TYPE_CHECKING:
    from basket.cli.parser import Commands
    from basket.salt import Note

NOTES = """\
FILE is a minion's configuration, a file of minion.d, or a pillar, rendered where it holds Jinja; `-` is standard input, as
in: salt-call --out=yaml pillar.items | zester-basket import-salt -
Of several files the later counts. Needs PyYAML: pip install 'zester-basket[salt]'.
Exit status: 0 something was translated (standard error says what was not); 1 there was nothing; 2 a file cannot be read."""


def add(commands: Commands) -> None:
    parser = commands.add(
        "import-salt",
        _run,
        summary="turn a Salt minion's mine_functions into our configuration, on standard output",
        examples=[
            "zester-basket import-salt /etc/salt/minion > basket.toml",
            "zester-basket import-salt /etc/salt/minion.d/*.conf pillar/mine.sls",
        ],
        notes=NOTES,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="YAML with mine_functions in it; - for standard input")


def _run(args: argparse.Namespace) -> int:
    from basket import salt

    mine = salt.Mine()
    for path in args.files:
        salt.read(_text(path), path, mine)
    translation = salt.translate(mine)
    output.lines([translation.text.rstrip("\n")] if mine.functions else [])
    for note in translation.differs:
        output.message(f"note: {_shown(note)}")
    for note in translation.lost:
        output.message(f"not translated: {_shown(note)}")
    if not mine.functions:
        output.message("no mine_functions in there")
    return exits.OK if translation.functions else exits.NOTHING


def _shown(note: Note) -> str:
    about = ": ".join(part for part in (note.file, note.name, note.problem) if part)
    return f"{about}; nearest: {note.nearest}" if note.nearest else about


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8", file=path) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=path) from error

"""``completion``: a shell's completion script, made from the parser by shtab. Static: at a Tab nothing of ours is started."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Iterator

from basket.cli import exits, output
from basket.cli.exits import UsageError
from basket.cli.output import PROGRAM

if TYPE_CHECKING:
    from basket.cli.parser import Commands

SHELLS = ("bash", "zsh", "fish")
_FILES, _DIRECTORIES, _FUNCTIONS = ("FILE", "SRC", "DEST"), ("DIR",), ("FUNCTION", "NAME")

NOTES = """\
Where to put it:
  bash  /etc/bash_completion.d/zester-basket, or ~/.local/share/bash-completion/completions/zester-basket
  zsh   a file _zester-basket in a directory of $fpath, such as /usr/local/share/zsh/site-functions
  fish  ~/.config/fish/completions/zester-basket.fish
Needs shtab where it is made, not where it is used: pip install 'zester-basket[completion]'."""


def add(commands: Commands) -> None:
    parser = commands.add(
        "completion",
        _run,
        summary="print a completion script for bash, zsh or fish",
        examples=["zester-basket completion bash > /etc/bash_completion.d/zester-basket"],
        notes=NOTES,
    )
    parser.add_argument("shell", choices=SHELLS, help="which shell it is for")


def _run(args: argparse.Namespace) -> int:
    output.lines([script(args.shell).rstrip("\n")])
    return exits.OK


def script(shell: str) -> str:
    """The script for ``shell``. UsageError where shtab is missing, or too old for it."""
    from basket.cli.parser import build
    from basket.functions import catalogue

    try:
        import shtab
    except ImportError:
        raise UsageError("completion scripts are made by shtab: pip install 'zester-basket[completion]'") from None
    if shell not in shtab.SUPPORTED_SHELLS:
        raise UsageError(f"this shtab ({shtab.__version__}) knows no {shell}: make the script with a newer Python and shtab")
    parser = build()
    names = " ".join(one.name for one in catalogue(plugins=False))
    for action in _actions(parser):
        # Read by shtab; argparse itself knows nothing of it.
        known: Any = action
        if action.metavar in _FILES:
            known.complete = shtab.FILE
        elif action.metavar in _DIRECTORIES:
            known.complete = shtab.DIRECTORY
        elif action.metavar in _FUNCTIONS:
            known.complete = {"bash": "_zester_basket_functions", "zsh": f"({names})", "fish": names}
    preamble = f'_zester_basket_functions() {{ compgen -W "{names}" -- "$1"; }}' if shell == "bash" else ""
    made: str = shtab.complete(parser, shell=shell, root_prefix=PROGRAM.replace("-", "_"), preamble=preamble)
    return made


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Of the parser and of every command's."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)

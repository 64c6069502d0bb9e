"""One run of the command line from arguments to exit status: parse, run the command, tell its error."""

from __future__ import annotations

import sys
from typing import Optional, Sequence

from basket.cli import exits, output


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command (default: ``sys.argv``) and return its exit status. Raises nothing but SystemExit's kin."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    output.prepare()
    verbose = False
    try:
        from basket.cli.parser import build, command_of

        parser = build(command_of(arguments))
        try:
            args = parser.parse_args(arguments)
            if args.command is None:
                parser.error("which command? 'zester-basket --help' lists them")
        except SystemExit as leaving:  # --help, --version, wrong usage: argparse has said all
            output.flush()
            return leaving.code if isinstance(leaving.code, int) else exits.USAGE
        verbose = args.verbose
        args.servers = [*args.servers_before, *getattr(args, "servers_after", [])]
        status: int = args.run(args)
        output.flush()
        return status
    except BrokenPipeError:
        output.abandon()  # `| head`: the reader had enough
        return exits.OK
    except (Exception, KeyboardInterrupt) as error:
        status = exits.tell(error, verbose=verbose)
        try:
            output.flush()
        except (BrokenPipeError, output.OutputError):
            output.abandon()
        return status

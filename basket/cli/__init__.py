"""The command line: argparse, output formats, exit codes. What a command does is in the rooms it calls.

Importing this package, ``--help`` and ``--version`` load neither NATS nor asyncio: every command module imports the
room it needs inside the function that runs it.
"""

from __future__ import annotations

from basket.cli.program import main

__all__ = ["main"]

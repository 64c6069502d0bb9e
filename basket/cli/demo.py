"""``demo``: the whole thing on this machine in seconds. What it does is in ``basket.demo``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from basket.cli.parser import Commands


def add(commands: Commands) -> None:
    commands.add(
        "demo",
        _run,
        summary="see it work: a server, this host's facts, three more peels, queries, a change, an HAProxy backend",
        description="Everything runs on this machine, on a free port and in a temporary directory, and is gone at the end.",
        examples=["zester-basket demo"],
    )


def _run(args: argparse.Namespace) -> int:
    from basket.demo import run

    return run()

"""The command: measures everything, or what ``--only`` names, and tells it as a table, as JSON and as a plot."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import replace
from importlib import metadata
from typing import Any, Dict, List, Optional, Sequence

from bench.asking import MEASURES, ON_OLD_SERVERS, QUICK, Measure, Sizes, mirrored
from bench.changing import changes
from bench.costs import costs, plot
from bench.fleet import Fleet
from bench.processes import command, idle
from bench.report import Figure, as_json, missed, table

ALL: List[Measure] = [*MEASURES, ("change", changes), ("idle", idle), ("command", command), ("mirror", mirrored)]


def tell(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def measure(sizes: Sizes, only: Sequence[str] = (), about: Optional[Dict[str, Any]] = None) -> List[Figure]:
    """The figures on the server of this environment."""
    chosen = [(name, take) for name, take in ALL if not only or name in only]
    if not chosen:
        return []
    figures: List[Figure] = []
    with Fleet(sizes.values, sizes.with_facts) as fleet:
        if about is not None:
            about["server"] = fleet.version
        for name, take in chosen:
            tell(name)
            figures += take(fleet, sizes)
    return figures


def measure_old(sizes: Sizes, binary: str, only: Sequence[str] = ()) -> List[Figure]:
    """Those that an older server makes different, on the one whose binary is given. Without goals: they are set for 2.11."""
    figures: List[Figure] = []
    with Fleet(sizes.values, sizes.with_facts, binary=binary) as fleet:
        for name, take in MEASURES:
            if name in ON_OLD_SERVERS and (not only or name in only):
                tell(f"{name}, server {fleet.version}")
                figures += (replace(one, name=f"{fleet.version}: {one.name}", goal=None) for one in take(fleet, sizes))
    return figures


def _arguments(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench", description="This package beside plain nats-py, on one server.")
    parser.add_argument("--json", metavar="FILE", help="write all samples there")
    parser.add_argument("--plot", metavar="FILE", help="draw the cost of reading N values there (PNG); needs matplotlib")
    parser.add_argument("--only", metavar="NAME", action="append", default=[], choices=[name for name, _ in ALL] + ["plot"])
    parser.add_argument("--pairs", metavar="N", type=int, help="how often each is measured (default: 9)")
    parser.add_argument("--quick", action="store_true", help="small numbers: only shows that it runs")
    parser.add_argument("--old-server", metavar="PATH", help="measure also on this nats-server, such as 2.10")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a goal is missed")
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> int:
    options = _arguments(argv)
    sizes = QUICK if options.quick else Sizes()
    if options.pairs:
        sizes = replace(sizes, pairs=options.pairs)
    about: Dict[str, Any] = {
        "python": platform.python_version(),
        "nats-py": metadata.version("nats-py"),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    figures = measure(sizes, options.only, about)
    if options.old_server:
        figures += measure_old(sizes, options.old_server, options.only)
    points: List[Dict[str, Any]] = []
    if options.plot and not (options.only and "plot" not in options.only):
        points = costs(sizes, tell)
        if not plot(points, options.plot):
            tell("no plot: matplotlib is not there (pip install 'zester-basket[bench]'); the JSON holds its points")
    if figures:
        print(table(figures))
        print(", ".join(f"{key} {value}" for key, value in about.items()))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(as_json(figures, about, points), file, indent=1)
            file.write("\n")
    for name in missed(figures):
        tell(f"goal missed: {name}")
    return 1 if options.strict and missed(figures) else 0


if __name__ == "__main__":
    sys.exit(main())

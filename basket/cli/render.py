"""``render``: one template, once or kept current. What it does is in ``basket.template``."""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Iterator, List, Tuple

from basket.cli import exits, output
from basket.cli.exits import UsageError
from basket.cli.output import message
from basket.visible import visible

if TYPE_CHECKING:
    from basket.cli.parser import Commands
    from basket.config import Config, TemplateSection
    from basket.template import Renderer
    from basket.template.rendering import Attempt

STDOUT = "-"


def add(commands: Commands) -> None:
    parser = commands.add(
        "render",
        _render,
        summary="make a file of a template and the values in the basket",
        examples=[
            "zester-basket render hosts.j2",
            "zester-basket render haproxy.cfg.j2 /etc/haproxy/haproxy.cfg --dry-run",
            "zester-basket render haproxy.cfg.j2 /etc/haproxy/haproxy.cfg \\\n"
            "      --check 'haproxy -c -f {path}' --reload 'systemctl reload haproxy'",
            "zester-basket render allowed.nft.j2 /etc/nftables.d/allowed.nft --watch",
        ],
        notes="""\
In a template (Jinja2): basket(target, function, min=0, max_age=None, online_only=False) gives entries with peel_id and
value; facts are this peel's own. Filters: ip, cidr, hostname, port, json, shell_quote, multiline.

DEST is replaced whole or not at all; where nothing changes, nothing is written and nothing runs. Where the configuration
has a [[template]] of this source and destination, its check, reload, mode, owner, group, backup and wait are used.

exit status: 0 up to date; 1 fewer entries than min, or none that can be used; 2 a mistake in the template or its
surroundings; 3 NATS unreachable; 4 check failed (DEST is as it was) or reload failed (DEST is new; it runs again next time)""",
    )
    parser.add_argument("source", metavar="SRC", help="the template")
    parser.add_argument(
        "destination", metavar="DEST", nargs="?", default=STDOUT, help="the file to make; '-' for standard output"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="keep DEST current until Ctrl-C or SIGTERM")
    how.add_argument("--dry-run", action="store_true", help="show how DEST would change, and change and run nothing")
    parser.add_argument("--check", metavar="COMMAND", help="run on the new file, {path}, before it replaces DEST; no shell")
    parser.add_argument("--reload", metavar="COMMAND", help="run after DEST has changed; no shell")
    parser.add_argument("--mode", metavar="MODE", type=_mode, help="permissions, such as 0640 (default: as DEST has; 0644)")
    parser.add_argument("--backup", action="store_true", default=None, help="keep the old version as DEST.bak")


def _mode(text: str) -> int:
    from basket.config.templates import file_mode

    try:
        return file_mode(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _render(args: argparse.Namespace) -> int:
    from basket.cli import session
    from basket.template import Renderer
    from basket.template.rendering import require_jinja

    config = session.configuration(args)
    require_jinja()
    section = _section(args, config)
    about_files = (args.watch, args.dry_run, args.check, args.reload, args.mode is not None, args.backup)
    if args.destination == STDOUT and any(about_files):
        raise UsageError("--watch, --dry-run, --check, --reload, --mode and --backup need a DEST that is a file")
    with session.ending_commands(), session.connect(args, config) as basket:
        if args.watch:
            return _keep(args, config, section, basket)
        renderer = Renderer(basket, config=config)
        if args.dry_run:
            return _compare(renderer, section)
        return _once(renderer, section, config, to_stdout=args.destination == STDOUT)


def _section(args: argparse.Namespace, config: Config) -> TemplateSection:
    """The configured template of this source and destination, else one without anything; options win."""
    from basket.config import TemplateSection

    source, destination = os.path.abspath(args.source), os.path.abspath(args.destination)
    section = TemplateSection(source, destination)
    for known in config.templates:
        if (os.path.abspath(known.source), os.path.abspath(known.destination)) == (source, destination):
            section = known
    given = {
        "check": None if args.check is None else _words("--check", args.check),
        "reload": None if args.reload is None else _words("--reload", args.reload),
        "mode": args.mode,
        "backup": args.backup,
    }
    return replace(section, **{key: value for key, value in given.items() if value is not None})


def _words(option: str, command: str) -> Tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if not words:
        raise UsageError(f"{option} is empty")
    return words


def _once(renderer: Renderer, section: TemplateSection, config: Config, *, to_stdout: bool) -> int:
    from basket.template import delivery
    from basket.template.owed import Owed

    if to_stdout:
        output.data(_text(renderer.attempt(section.source)).encode("utf-8"))
        return exits.OK
    owed = Owed(config.peel.state)
    done = delivery.deliver(section, renderer, owed)
    _tell(done.attempt)
    changed = delivery.finish(done, owed)
    message(f"{section.destination} written" if changed else f"{section.destination} is up to date")
    return exits.OK


def _text(attempt: Attempt) -> str:
    _tell(attempt)
    if attempt.error is not None or attempt.text is None:
        raise attempt.error or AssertionError("neither text nor error")
    return attempt.text


def _tell(attempt: Attempt) -> None:
    """What the file does not say: which values were left out, and why a list is empty."""
    for one in attempt.dropped:
        message(f"left out: {one}")
    if attempt.error is not None:
        return
    for query, matched in attempt.empty.items():
        why = f"none of the {matched} peels that match has data that counts" if matched else "no peel matches"
        message(f"{query} is empty: {why}")


def _compare(renderer: Renderer, section: TemplateSection) -> int:
    from basket.template import writing

    new = _text(renderer.attempt(section.source))
    old = (writing.current(section.destination) or b"").decode("utf-8", "replace")
    colour = sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    shown = list(difference(old, new, section.destination, colour=colour))
    output.lines(shown)
    if not shown:
        message(f"{section.destination} would not change")
    return exits.OK


def difference(old: str, new: str, name: str, *, colour: bool) -> Iterator[str]:
    """The lines of a unified diff; in colour, and harmless for a terminal, where one reads them."""
    marks = {"+": "32", "-": "31", "@": "36"}
    for line in difflib.unified_diff(_lines(old), _lines(new), name, f"{name} (rendered)", lineterm=""):
        for part in line.split("\0"):
            if not colour:
                yield part
                continue
            plain = visible(part.replace("\t", "    "))
            mark = "1" if part.startswith(("+++", "---")) else marks.get(part[:1])
            yield f"\x1b[{mark}m{plain}\x1b[0m" if mark else plain


def _lines(text: str) -> List[str]:
    """At line feeds only, as every other diff; the mark of a missing one at the end goes on a line of its own."""
    parts = [line.replace("\0", "\\x00") for line in text.split("\n")]
    if parts[-1] == "":
        return parts[:-1]
    return [*parts[:-1], parts[-1] + "\0\\ No newline at end of file"]


def _keep(args: argparse.Namespace, config: Config, section: TemplateSection, basket: Any) -> int:
    from basket import logs
    from basket.template.live import Keeper

    logs.setup(verbose=args.verbose)  # its news are what this command is run for
    keeper = Keeper(replace(config, templates=(section,)))
    keeper.use(basket)
    keeper.start()
    try:
        threading.Event().wait()
    except (KeyboardInterrupt, SystemExit):  # the ways to end it
        pass
    finally:
        from basket import functions

        functions.stop_all()
        keeper.stop()
    return exits.OK

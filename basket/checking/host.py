"""What can be looked at without a server: the configuration, this peel's id, files that hold secrets, templates."""

from __future__ import annotations

import os
import shutil
from typing import Iterator

from basket import exposure
from basket.checking.result import FAILED, OK, WARNING, Area, Result
from basket.config import DEFAULT_FILE, Config
from basket.errors import BasketError

_HERE = Area.CONFIGURATION


def configuration(config: Config) -> Result:
    """Which file was read, and how much stands in it."""
    if config.file is None:
        what = f"no file: neither --config nor $BASKET_CONFIG names one, and there is no {DEFAULT_FILE}; defaults hold"
        return Result(_HERE, "configuration", WARNING, what, f"write {DEFAULT_FILE}; conf/basket.toml shows every setting")
    count = len(config.basket.functions)
    what = f"{config.file}: {count} function{'s' * (count != 1)}"
    if config.templates:
        what += f", {len(config.templates)} template{'s' * (len(config.templates) != 1)}"
    if not count and not config.templates:
        advice = 'name what to publish under [basket.functions], such as "network.ip_addrs" = "5m"'
        return Result(_HERE, "configuration", WARNING, f"{config.file}: an agent would publish no value", advice)
    return Result(_HERE, "configuration", OK, what)


def identity(config: Config) -> Result:
    """Under which id this peel publishes, and where that comes from."""
    from basket.identity import PIN_FILE, peel_id

    pin = os.path.join(config.peel.state, PIN_FILE)
    try:
        who = peel_id(config.peel)
    except BasketError as error:
        return Result(_HERE, "peel id", FAILED, str(error))
    if config.peel.id is not None:
        return Result(_HERE, "peel id", OK, f"{who}, from [peel] id")
    if os.path.exists(pin):
        return Result(_HERE, "peel id", OK, f"{who}, pinned in {pin}")
    return Result(_HERE, "peel id", OK, f"{who}, from the name of this host; the agent pins it in {pin}")


def files(config: Config) -> Iterator[Result]:
    """Who may read the secrets, and write what decides what runs here: the configuration names commands."""
    secrets = exposure.secrets(config)
    for path in secrets:
        try:
            os.stat(path)
        except OSError as error:
            yield Result(_HERE, "secrets", FAILED, f"{path}: {error.strerror}", "mend the path, or put the file there")
            continue
        if not os.access(path, os.R_OK):
            advice = "run this check as the agent's user, or give the file to it"
            yield Result(_HERE, "secrets", FAILED, f"{path} cannot be read by this user", advice)
    exposed = list(exposure.found(config))
    for one in exposed:
        what = f"{one.path} (mode {one.mode}): {one.problem}"
        yield Result(_HERE, "files", WARNING, what, f"{one.advice} {one.path}")
    if not exposed:
        yield Result(_HERE, "files", OK, "secrets are closed to others, and so is what decides what runs here")


def templates(config: Config) -> Iterator[Result]:
    """Whether the sources are there and can be parsed, and the destinations' directories are there."""
    for section in config.templates:
        directory = os.path.dirname(section.destination)
        if not os.path.isdir(directory):
            yield Result(_HERE, "template", FAILED, f"{section.destination}: there is no directory {directory}")
        elif not os.access(directory, os.W_OK):
            advice = "run this check as the agent's user, or let it write there"
            yield Result(_HERE, "template", WARNING, f"{section.destination}: {directory} cannot be written by this user", advice)
        for what, argv in (("check", section.check), ("reload", section.reload)):
            if argv and shutil.which(argv[0]) is None:
                problem = f"{section.destination}: its {what} command {argv[0]} is not on this host's PATH"
                yield Result(_HERE, "template", FAILED, problem, "install it, or write its whole path")
        yield _parsed(section.source)
    if any(section.reload for section in config.templates):
        yield from _owed(config.peel.state)


def _owed(state: str) -> Iterator[Result]:
    """Services that have not been told of their new file."""
    from basket.template.owed import listed

    for owing in listed(state):
        why = f"failed: {owing.reason}" if owing.reason else "has not been run since the file was replaced"
        what = f"{owing.destination}: its reload command {' '.join(owing.command)} {why}"
        yield Result(_HERE, "template", FAILED, what, "mend that; it is run again when the template is rendered next")


def _parsed(source: str) -> Result:
    try:
        from basket.template.environment import parse
    except ImportError:
        return Result(_HERE, "template", FAILED, f"{source}: Jinja2 is missing", "pip install 'zester-basket[template]'")
    try:
        parse(source)
    except BasketError as error:
        return Result(_HERE, "template", FAILED, str(error))
    return Result(_HERE, "template", OK, source)

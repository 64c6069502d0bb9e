"""Files that others may read or write though they should not: warned about, once each. Looks at modes only, changes none."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Iterator, List, NamedTuple, Optional, Set, Tuple

from basket.logs import Log

if TYPE_CHECKING:
    from basket.config import Config

_log = Log(__name__)
_warned: Set[Tuple[str, str]] = set()


class Exposed(NamedTuple):
    """A file and its permissions, what others can do with it, and what to do about that."""

    path: str
    mode: str
    problem: str
    advice: str


class _Rule(NamedTuple):
    """Permission bits that others must not have."""

    bits: int
    problem: str
    advice: str


_SECRET = _Rule(0o077, "others than its owner can read this file with a secret in it", "chmod 600")
_TRUSTED = _Rule(0o022, "others than its owner can write this file, which decides what runs here", "chmod go-w")


def secret_file(path: Optional[str]) -> None:
    """Warn where ``path``, a file with a secret in it, can be read by others than its owner."""
    _warn(_look(path, _SECRET))


def configured(config: Config) -> None:
    """Warn about everything that ``found`` finds."""
    for exposed in found(config):
        _warn(exposed)


def found(config: Config) -> Iterator[Exposed]:
    """The configuration file itself, the secrets it names, and the commands and modules that it has run: what is too open."""
    looks = [(path, _SECRET) for path in secrets(config)]
    if config.file is not None:
        looks += [(config.file, _TRUSTED), (os.path.dirname(config.file), _TRUSTED)]
    for path in _run_here(config):
        looks += [(path, _TRUSTED), (os.path.dirname(path), _TRUSTED)]
    for path, rule in dict.fromkeys(looks):
        exposed = _look(path, rule)
        if exposed is not None:
            yield exposed


def secrets(config: Config) -> List[str]:
    """The files that hold a secret: the named ones, and the configuration where a password or token stands in it."""
    nats = config.nats
    named = (nats.password_file, nats.token_file, nats.credentials, nats.nkey_seed, nats.tls.key)
    literal = (nats.password and not nats.password_file) or (nats.token and not nats.token_file)
    own = config.file if literal or any("@" in url for url in nats.url) else None
    return [path for path in (*named, own) if path is not None]


def _run_here(config: Config) -> Iterator[str]:
    import shutil  # the agent has it anyway, a short command may not need it

    for scheduled in config.basket.functions:
        function = scheduled.function
        if function.kind == "command" and isinstance(function.what, tuple):
            found = shutil.which(function.what[0])
            if found:
                yield os.path.abspath(found)
        elif function.kind == "python":
            # Where the import would find it; importing it to be sure would run it.
            top = str(function.what).partition(":")[0].split(".")[0]
            for directory in filter(None, sys.path):
                for name in (f"{top}.py", os.path.join(top, "__init__.py")):
                    if os.path.isfile(os.path.join(directory, name)):
                        yield os.path.abspath(os.path.join(directory, name))


def _look(path: Optional[str], rule: _Rule) -> Optional[Exposed]:
    try:
        status = os.stat(path) if path is not None else None
    except OSError:  # whoever opens it says so
        return None
    if path is None or status is None:
        return None
    excess = status.st_mode & rule.bits
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        return None  # as /tmp: others may add files there, and not replace ours
    if excess & 0o020 and status.st_gid == 0:
        excess &= ~0o020  # root's own group
    return Exposed(path, f"{stat.S_IMODE(status.st_mode):04o}", rule.problem, rule.advice) if excess else None


def _warn(exposed: Optional[Exposed]) -> None:
    if exposed is not None and (exposed.path, exposed.problem) not in _warned:
        _warned.add((exposed.path, exposed.problem))
        _log.warning(f"{exposed.problem}: {exposed.advice} it", file=exposed.path, mode=exposed.mode)

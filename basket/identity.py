"""Who this peel is: configured, pinned in the state directory, or made from the host's name.

Pinning keeps the id when the host is renamed or its DNS changes: its keys stay its own.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Callable, Optional, Tuple

from basket import hostname
from basket.errors import ConfigError, InvalidKeyError
from basket.keys import check_peel_id, sanitize_peel_id
from basket.logs import Log

if TYPE_CHECKING:
    from basket.config import PeelSection

PIN_FILE = "node-id"

_PIN_LONGEST = 4096

_log = Log(__name__)


def peel_id(
    config_section: PeelSection,
    *,
    pin: bool = False,
    host_name: Optional[Callable[[], Tuple[str, bool]]] = None,
) -> str:
    """The id of this peel: the configured one, else the pinned one, else that of the host's full name.

    With ``pin`` (for the agent), an id made from the host name is written to ``node-id`` in the state directory, once; where
    that cannot be done, it is logged and the id is used all the same. Blocks for two seconds at most, and only where it has
    to ask for the host name (``host_name`` replaces that: the name, and whether it can be relied on).

    InvalidKeyError for a configured id that cannot be one; ConfigError for a pinned file with something else in
    it, and where the host name gives no id.
    """
    if config_section.id is not None:
        return check_peel_id(config_section.id)
    path = os.path.join(config_section.state, PIN_FILE)
    pinned = _read_pin(path)
    if pinned is not None:
        return pinned
    name, reliable = (host_name or full_host_name)()
    try:
        made = sanitize_peel_id(name)
    except InvalidKeyError as error:
        problem = f"this host calls itself {name!r}, which cannot serve as the id of a peel"
        advice = 'set id in the [peel] table of the configuration, such as id = "web-01", or give the host a name'
        raise ConfigError(f"{problem}: {advice} ({error})") from error
    if not pin:
        return made
    if not reliable:
        # Otherwise a bad minute of the DNS would settle the id for good.
        _log.warning("the full name of this host was not found in time; its short name serves for now, not pinned", peel=made)
        return made
    return _write_pin(path, made) or made


def full_host_name(*, limit: float = hostname.TIMEOUT) -> Tuple[str, bool]:
    """What ``hostname -f`` prints, and True; or the short name, and whether no longer one is to be had.

    False says that the resolver gave no answer within ``limit`` seconds, or could not ask.
    """
    short = socket.gethostname()
    full = hostname.canonical(short, timeout=limit) if short else ""
    if full:
        try:
            sanitize_peel_id(full)
        except InvalidKeyError:
            return short, True
    return full or short, full is not None


def _read_pin(path: str) -> Optional[str]:
    try:
        with open(path, "rb") as file:
            data = file.read(_PIN_LONGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        _log.info("the pinned peel id may not be read by this user; the host name serves instead", file=path)
        return None
    except OSError as error:
        raise ConfigError(f"cannot read the pinned peel id: {error.strerror or error}", file=path) from error
    advice = "delete the file to have it made anew, or set id in the [peel] table of the configuration"
    try:
        text = data.decode("ascii").strip()
        if not text:
            raise ConfigError(f"is empty, and should hold the pinned peel id: {advice}", file=path)
        return check_peel_id(text)
    except UnicodeDecodeError:
        raise ConfigError(f"holds no peel id but other bytes: {advice}", file=path) from None
    except InvalidKeyError as error:
        problem = f"holds no peel id ({error})" if len(text) < 200 else f"holds no peel id but {len(data)} bytes"
        raise ConfigError(f"{problem}: {advice}", file=path) from error


def _write_pin(path: str, made: str) -> Optional[str]:
    """Writes the pin; the id of another process that was faster, else None."""
    import tempfile  # once in the life of a host

    directory = os.path.dirname(path)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        descriptor, staged = tempfile.mkstemp(prefix=f".{PIN_FILE}.", dir=directory)  # 0600
        try:
            with open(descriptor, "wb") as file:
                file.write(made.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            first = _put_in_place(staged, path)
        finally:
            os.unlink(staged)
    except OSError as error:
        _log.info("the peel id could not be pinned", peel=made, file=path, error=error.strerror or str(error))
        return None
    if not first:
        return _read_pin(path)
    _log.info("peel id pinned", peel=made, file=path)
    return None


def _put_in_place(staged: str, path: str) -> bool:
    """False where another was first."""
    # A link fails where the name is taken, and a rename would replace it: the first of two writers must win.
    try:
        os.link(staged, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links. The last of two writers wins here, but no reader sees half a file.
        os.rename(staged, path)
        open(staged, "wb").close()  # for the unlink that follows
    return True

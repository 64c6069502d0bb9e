"""Finds the configuration file and reads it: the only I/O of this room, besides password files, token files, and the process
that looks for functions of other packages."""

from __future__ import annotations

import os
import re
from typing import Mapping, Optional, Tuple

from basket.config.building import build
from basket.config.reading import Document
from basket.config.sections import Config
from basket.errors import ConfigError

DEFAULT_FILE = "/etc/zester/basket.toml"
VARIABLE = "BASKET_CONFIG"

LONGEST_FILE = 4 * 1024 * 1024
"""Bytes. Far beyond any configuration written by people or tools; a log or a device named by mistake ends here."""

_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)\Z")


def load(path: Optional[str] = None, *, functions: bool = True, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in ``path``, else in the file that ``$BASKET_CONFIG`` names, else in /etc/zester/basket.toml.

    A file that was named must be there; without any, the defaults are returned. ConfigError for everything that is wrong
    with it. ``functions``: False, for who only asks, leaves [basket.functions] unread. Blocks on the file system, and some
    100 ms where functions of other packages are named (they are looked for by a process of their own).
    """
    if path is not None:
        if not path:
            raise ConfigError("the path of the configuration file is empty")
        found, origin = path, ""
    elif environ.get(VARIABLE):
        found, origin = environ[VARIABLE], f" (named by ${VARIABLE})"
    elif os.path.lexists(DEFAULT_FILE):  # a link that leads nowhere is somebody's mistake, not the absence of a configuration
        found, origin = DEFAULT_FILE, ""
    else:
        return Config()
    if "\0" in found:
        raise ConfigError(f"the path of the configuration file holds a NUL byte{origin}")
    found = os.path.abspath(found)  # whoever reads it again may have changed the working directory, and reads Config.file
    return parse(_read(found, origin), file=found, functions=functions, environ=environ)


def parse(text: str, *, file: Optional[str] = None, functions: bool = True, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in ``text``; ``file`` is its name for messages, the rest as for load()."""
    import tomli  # not wanted where there is no file

    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ConfigError("holds a NUL byte, so it is no TOML (or was cut short by a crash)", file=file, line=line)
    text = text[1:] if text.startswith("\ufeff") else text  # some editors write a byte order mark
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        problem, line_number = _told(str(error), text)
        raise ConfigError(f"not valid TOML: {problem}", file=file, line=line_number) from error
    except RecursionError:
        raise ConfigError("nested too deep to be read", file=file) from None
    except ValueError as error:  # an integer of thousands of digits
        raise ConfigError(f"not valid TOML: {error}", file=file) from error
    return build(Document(text, file), data, environ, functions=functions)


def _told(message: str, text: str) -> Tuple[str, Optional[int]]:
    """What the parser said, without the line; and the line."""
    found = _AT_LINE.search(message)
    if found:
        return f"{message[: found.start()]} (column {found[2]})", int(found[1])
    if message.endswith(" (at end of document)"):
        return message.replace("at end of document", "at the end of the file"), text.count("\n") + 1
    return message, None


def _read(path: str, origin: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(LONGEST_FILE + 1)
    except FileNotFoundError:
        what = "a symbolic link to nothing" if os.path.islink(path) else "there is no such file"
        raise ConfigError(what + origin, file=path) from None
    except IsADirectoryError:
        raise ConfigError(f"a directory, not a configuration file{origin}", file=path) from None
    except PermissionError:
        raise ConfigError(f"permission to read it is denied to this user{origin}", file=path) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}{origin}", file=path) from error
    if len(data) > LONGEST_FILE:
        raise ConfigError(f"larger than {LONGEST_FILE // 1048576} MiB, so hardly a configuration file{origin}", file=path)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ConfigError(f"is UTF-16; save it as UTF-8{origin}", file=path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"not UTF-8: byte 0x{data[error.start]:02x}; save it as UTF-8", file=path, line=line) from None

"""The ways to log in that [nats] offers: reads passwords and tokens from where they are kept, refuses contradictions.

Whatever is refused here, no message holds a secret.
"""

from __future__ import annotations

import re
from typing import Mapping, Optional, Sequence

from basket.addresses import has_secret
from basket.config.reading import Table

LONGEST_FILE = 64 * 1024
"""Bytes in a password or token file: larger, and it is the wrong file."""

_UNEXPANDED = re.compile(r"\$(\{\w+\}|[A-Z_][A-Z0-9_]*)\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SEED = re.compile(r"\s*S[A-Z][A-Z2-7]{20,}\s*\Z")


def secret(table: Table, name: str, environ: Mapping[str, str]) -> Optional[str]:
    """The password or token called ``name``: given as it is, as ``<name>_file``, or as ``<name>_env``."""
    given = [key for key in (name, f"{name}_file", f"{name}_env") if key in table.values]
    if not given:
        return None
    if len(given) > 1:
        raise table.error(given[1], f"{given[0]} stands there too; keep one of them")
    if given[0] == name:
        return _literal(table, name)
    if given[0].endswith("_file"):
        return _from_file(table, given[0])
    return _from_environment(table, given[0], environ)


def _literal(table: Table, name: str) -> str:
    # Not Table.text(): its message would do, but a password may hold any character that the file can hold.
    value = table.values[name]
    if not isinstance(value, str):
        raise table.error(name, "expected a string")
    if not value:
        raise table.error(name, "is empty; leave it out, or give it a value")
    if _UNEXPANDED.match(value):
        raise table.error(name, f'variables are not expanded; write {name}_env = "NAME" instead')
    return value


def _from_file(table: Table, key: str) -> str:
    path = table.file_path(key)
    assert path is not None
    try:
        with open(path, "rb") as file:
            data = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise table.error(key, f"cannot read {path!r}: {(error.strerror or str(error)).lower()}") from error
    if len(data) > LONGEST_FILE:
        raise table.error(key, f"{path!r} is larger than {LONGEST_FILE} bytes: not a file with one secret in it")
    try:
        value = data.decode("utf-8")
    except UnicodeDecodeError:
        raise table.error(key, f"{path!r} is not UTF-8 text") from None
    # Editors and `echo` end the line; whatever else stands there may belong to the secret.
    value = value[:-1] if value.endswith("\n") else value
    value = value[:-1] if value.endswith("\r") else value
    if not value:
        raise table.error(key, f"{path!r} is empty")
    if "\n" in value or "\0" in value:
        raise table.error(key, f"{path!r} holds more than one line: not a file with one secret in it")
    return value


def _from_environment(table: Table, key: str, environ: Mapping[str, str]) -> str:
    name = table.text(key, '"NATS_SECRET"')
    assert name is not None
    if not _VARIABLE.match(name):
        # Not shown: this may well be the secret itself, written into the wrong key.
        raise table.error(key, "expected the name of an environment variable, such as NATS_SECRET")
    shown = f"environment variable {name}" if name == name.upper() else "environment variable named here"
    value = environ.get(name)
    if value is None:
        raise table.error(key, f"the {shown} is not set")
    if not value:
        raise table.error(key, f"the {shown} is empty")
    return value


def key_path(table: Table, key: str) -> Optional[str]:
    """The path at ``credentials`` or ``nkey_seed``; somebody may well have put the content there."""
    value = table.values.get(key)
    if isinstance(value, str) and (_SEED.match(value) or "-----BEGIN" in value or "\n" in value):
        raise table.error(key, "expected the path of a file, not what stands in the file")
    return table.file_path(key)


def check_one_way(table: Table, urls: Sequence[str]) -> None:
    """Refuses two ways to log in side by side: which of them would count is nobody's guess."""
    given = table.values
    ways = [
        ("user", [key for key in ("user", "password", "password_file", "password_env") if key in given]),
        ("token", [key for key in ("token", "token_file", "token_env") if key in given]),
        ("credentials", [key for key in ("credentials",) if key in given]),
        ("nkey_seed", [key for key in ("nkey_seed",) if key in given]),
    ]
    used = [keys[0] for _, keys in ways if keys]
    if len(used) > 1:
        raise table.error(used[1], f"{used[0]} stands there too, and only one way to log in can be used; keep one of them")
    if used and any(map(has_secret, urls)):
        raise table.error("url", f"holds a user or token (before the @), and {used[0]} stands there too; keep one of them")
    passwords = [key for key in ways[0][1] if key != "user"]
    if "user" in given and not passwords:
        raise table.error("user", "stands without password, password_file or password_env")
    if passwords and "user" not in given:
        raise table.error(passwords[0], "stands without user")

"""On which line of a TOML text each key stands, for error messages. TOML parsers keep that to themselves.

Reads text that a parser has accepted already; where it loses its way all the same it stops and keeps what it has.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Sequence, Tuple, Union

Path = Tuple[Union[str, int], ...]

_GAP = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")|' + r"'''.*?'{3,5}(?!')|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'", re.DOTALL
)
_SCALAR = re.compile(r"[^,\]}#\r\n]+")


def key_lines(text: str) -> Dict[Path, int]:
    """Path of each key (list elements by their index) to the number of its line, from 1."""
    scan = _Scan(text)
    try:
        scan.document()
    except (_LostError, ValueError, RecursionError):  # ValueError: an escape in a key that means nothing
        pass
    return scan.found


def line_of(found: Dict[Path, int], path: Sequence[Union[str, int]]) -> Optional[int]:
    """The line of ``path``, or of the nearest thing around it that has one."""
    for length in range(len(path), 0, -1):
        line = found.get(tuple(path[:length]))
        if line is not None:
            return line
    return None


class _LostError(Exception):
    pass


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.line = 1
        self.found: Dict[Path, int] = {}
        self.arrays: Dict[Path, int] = {}  # [[table]] -> index of its last element

    def document(self) -> None:
        table: Path = ()
        while True:
            self.skip(_GAP)
            if self.place >= len(self.text):
                return
            if self.peek("["):
                table = self.header()
            else:
                self.pair(table)

    def header(self) -> Path:
        double = self.text.startswith("[[", self.place)
        self.place += 2 if double else 1
        line, keys = self.line, self.keys()
        path: Path = ()
        for position, key in enumerate(keys):
            path += (key,)
            if double and position == len(keys) - 1:
                self.arrays[path] = self.arrays.get(path, -1) + 1
            self.found.setdefault(path, line)
            if path in self.arrays:
                path += (self.arrays[path],)
        self.found.setdefault(path, line)
        self.place += 2 if double else 1
        return path

    def pair(self, table: Path) -> None:
        line, keys = self.line, self.keys()
        path = table
        for key in keys:
            path += (key,)
            self.found.setdefault(path, line)
        if not self.peek("="):
            raise _LostError
        self.place += 1
        self.skip(_BLANK)
        self.value(path)

    def keys(self) -> List[str]:
        keys = []
        while True:
            self.skip(_BLANK)
            bare = _BARE.match(self.text, self.place)
            keys.append(self.skip(_BARE) if bare else _unquoted(self.skip(_STRING)))
            self.skip(_BLANK)
            if not self.peek("."):
                return keys
            self.place += 1

    def value(self, path: Path) -> None:
        if self.peek('"') or self.peek("'"):
            self.skip(_STRING)
        elif self.peek("["):
            self.group("]", path)
        elif self.peek("{"):
            self.group("}", path)
        else:
            self.skip(_SCALAR)

    def group(self, end: str, path: Path) -> None:
        self.place += 1
        index = 0
        while True:
            self.skip(_GAP)
            if self.peek(end):
                self.place += 1
                return
            if end == "}":
                self.pair(path)
            else:
                self.found.setdefault(path + (index,), self.line)
                self.value(path + (index,))
                index += 1
            self.skip(_GAP)
            if self.peek(","):
                self.place += 1
            elif not self.peek(end):
                raise _LostError

    def peek(self, character: str) -> bool:
        return self.text.startswith(character, self.place)

    def skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.place)
        if match is None:
            raise _LostError
        self.place = match.end()
        self.line += match[0].count("\n")
        return match[0]


def _unquoted(written: str) -> str:
    if written.startswith("'"):
        return written[1:-1]
    if "\\" not in written:
        return written[1:-1]
    import tomli

    plain: str = tomli.loads("k = " + written)["k"]
    return plain

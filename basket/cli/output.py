"""Where the command line writes: data to standard output, messages to standard error, tables. Nothing else prints."""

from __future__ import annotations

import os
import sys
from typing import Iterable, List, Sequence

from basket.visible import visible, width

PROGRAM = "zester-basket"


class OutputError(Exception):
    """Standard output cannot be written (a full disk); a closed pipe stays a BrokenPipeError."""


def prepare() -> None:
    """Make standard output take every character: what its encoding lacks is written as an escape, not as a crash."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def lines(texts: Iterable[str]) -> None:
    """Each text as one line on standard output. The caller has made them safe (``visible``, or JSON)."""
    if sys.stdout is None:  # started with it closed: nobody wants the data
        return
    try:
        for text in texts:
            sys.stdout.write(text + "\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write the output: {error.strerror}") from error


def data(content: bytes) -> None:
    """Bytes as they are on standard output."""
    if sys.stdout is None:
        return
    flush()
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write the output: {error.strerror}") from error


def flush() -> None:
    """Write out what is buffered, so that an error shows here and not at the interpreter's exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write the output: {error.strerror}") from error


def abandon() -> None:
    """The reader has gone: what is still buffered goes nowhere, and the interpreter's own flush at exit finds no fault."""
    try:
        descriptor = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # a stream that is no file, in a test or an embedding program
        pass


def message(text: str, *detail: str) -> None:
    """One line for people on standard error, after the program's name; ``detail`` are lines below it, as they are."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write("".join([f"{PROGRAM}: {visible(text)}\n", *(f"{line}\n" for line in detail)]))
        sys.stderr.flush()
    except OSError:  # nobody reads the messages: that must not change what the command does
        pass


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> List[str]:
    """Lines of an aligned table. Cells are made visible here; the last column is not padded."""
    shown = [[_writable(visible(cell)) for cell in row] for row in (header, *rows)]
    columns = [max(width(row[i]) for row in shown) for i in range(len(header) - 1)]
    made = []
    for row in shown:
        padded = [cell + " " * (columns[i] - width(cell)) for i, cell in enumerate(row[:-1])]
        made.append("  ".join([*padded, row[-1]]).rstrip())
    return made


def _writable(text: str) -> str:
    """``text`` as standard output will show it, so that the columns stay straight where its encoding is poor."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text

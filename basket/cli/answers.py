"""How the answers of ``get``, ``list`` and ``peels`` look in each format. Pure: data in, lines out."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence

from basket import jsonform
from basket.cli.output import table
from basket.visible import visible


@dataclass(frozen=True)
class Shown:
    """One entry, ready to be shown: exactly one of ``error`` and the forms of its value is there."""

    peel_id: str
    error: Optional[str]
    cell: str  # in a table: on one line, not yet made visible
    bare: str  # in the value format
    record: Dict[str, Any]  # in the JSON formats, of plain JSON types

    @property
    def good(self) -> bool:
        return self.error is None


def shown(entries: Iterable[Any]) -> List[Shown]:
    """Every entry in all its forms. One that cannot be shown becomes an error entry and spoils no other."""
    made = []
    for entry in entries:
        error = entry.error
        plain = None
        cell = bare = ""
        if error is None:
            try:
                plain = jsonform.plain(entry.value)
                cell, bare = in_cell(entry.value), in_value(entry.value)
            except jsonform.TooDeep as deep:
                error = str(deep)
        record: Dict[str, Any] = {"peel": entry.peel_id, "function": entry.function}
        record.update({"value": plain} if error is None else {"error": str(error)})
        record["revision"] = entry.revision
        record["updated"] = time(entry.updated)
        record["online"] = entry.online
        made.append(Shown(entry.peel_id, None if error is None else str(error), cell, bare, record))
    return made


def in_cell(value: Any) -> str:
    """A value in a table: a string as it is, unless it is empty or has several lines; all else as readable JSON."""
    if isinstance(value, str) and value.strip() and not {"\n", "\r"} & set(value):
        return value
    return jsonform.readable(value)


def in_value(value: Any) -> str:
    """A bare value on a line of its own: a string with control characters visible, all else as compact JSON."""
    return visible(value) if isinstance(value, str) else jsonform.compact(value)


def get(found: Sequence[Shown], form: str, matched: Iterable[str] = (), missing: str = "(no data)") -> Iterator[str]:
    """The lines of ``get``. In a table a peel of ``matched`` without an entry is shown with ``missing``."""
    if form == "json":
        return array([one.record for one in found])
    if form == "jsonl":
        return (jsonform.dumps(one.record) for one in found)
    if form == "value":
        return (one.bare for one in found if one.good)
    rows = dict.fromkeys(matched, missing)
    rows.update({one.peel_id: one.cell if one.good else f"(undecodable: {one.error})" for one in found})
    return iter(table(("PEEL", "VALUE"), sorted(rows.items())) if rows else [])


def listing(functions: Sequence[str], form: str) -> Iterator[str]:
    """The lines of ``list``."""
    return iter([jsonform.dumps(list(functions))]) if form == "json" else (visible(name) for name in functions)


def peels(known: Sequence[Any], form: str) -> Iterator[str]:
    """The lines of ``peels``."""
    if form == "value":
        return (visible(peel.peel_id) for peel in known)
    if form in ("json", "jsonl"):
        records = [
            {"peel": peel.peel_id, "os": peel.os, "online": peel.online, "last_seen": time(peel.last_seen)} for peel in known
        ]
        return array(records) if form == "json" else (jsonform.dumps(record) for record in records)
    if not known:
        return iter([])
    return iter(table(("PEEL", "OS", "ONLINE", "LAST SEEN"), [_peel_row(peel) for peel in known]))


def _peel_row(peel: Any) -> List[str]:
    online = "-" if peel.online is None else "yes" if peel.online else "no"
    # To the second: what a heartbeat can tell.
    seen = "-" if peel.last_seen is None else jsonform.rfc3339(peel.last_seen.replace(microsecond=0))
    return [peel.peel_id, "-" if peel.os is None else str(peel.os), online, seen]


def array(records: Sequence[Any]) -> Iterator[str]:
    """A JSON array, one element a line: read by any JSON reader, and by people."""
    if not records:
        yield "[]"
        return
    yield "["
    for record in records[:-1]:
        yield "  " + jsonform.dumps(record) + ","
    yield "  " + jsonform.dumps(records[-1])
    yield "]"


def time(moment: Optional[datetime.datetime]) -> Optional[str]:
    """RFC 3339, or None where there is no time."""
    return None if moment is None else jsonform.rfc3339(moment)

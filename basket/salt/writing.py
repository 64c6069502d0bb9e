"""TOML as text, with comments. Only what our own configuration needs of it."""

from __future__ import annotations

import json
import math
import re
from typing import Any, List, Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_BREAKS = re.compile(r"[\x00-\x1f\x7f]+")


def string(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, but for DEL, which JSON lets through."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(name: str) -> str:
    return name if _BARE.match(name) else string(name)


def value(thing: Any) -> str:
    """Any value of ours on one line. ValueError for what TOML has no form for."""
    if isinstance(thing, bool):
        return "true" if thing else "false"
    if isinstance(thing, str):
        return string(thing)
    if isinstance(thing, int):
        return str(thing)
    if isinstance(thing, float):
        return "nan" if math.isnan(thing) else repr(thing)
    if isinstance(thing, (list, tuple)):
        return f"[{', '.join(map(value, thing))}]"
    if isinstance(thing, Mapping):
        inside = ", ".join(f"{key(str(name))} = {value(item)}" for name, item in thing.items())
        return f"{{ {inside} }}" if inside else "{}"
    raise ValueError(f"a {type(thing).__name__} cannot be written in TOML")


def comment(text: str, indent: str = "# ") -> List[str]:
    """``text`` as comment lines; what could end the comment becomes a blank."""
    return [f"{indent}{_BREAKS.sub(' ', text)}"]

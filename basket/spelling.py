"""The name that somebody may have meant, for messages about one that is not known. Imports nothing of ours."""

from __future__ import annotations

from typing import Iterable


def nearest(name: str, known: Iterable[str], *, alike: float = 0.6) -> str:
    """The one of ``known`` that is most like ``name``; empty where none is. ``alike``: 0 for anything to 1 for the same."""
    import difflib  # only ever needed for an error

    folded = {other.lower().replace("-", "_"): other for other in known if other != name}
    wanted = name.lower().replace("-", "_")
    close = difflib.get_close_matches(wanted, list(folded), n=1, cutoff=alike)
    # "dest" is far from "destination" by its letters, and yet surely meant.
    close = close or [other for other in folded if len(wanted) > 2 and other.startswith(wanted)]
    return folded[close[0]] if close else ""

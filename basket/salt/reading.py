"""What a minion's configuration and pillar files say about its mine, in one form. The only module that needs PyYAML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from basket.errors import ConfigError

DEFAULT_MINUTES = 60
"""Salt's ``mine_interval`` where a minion names none."""

_JINJA = re.compile(r"\{%|\{\{|^#!(?!yaml|jinja\|yaml)", re.MULTILINE)
_OPTIONS = ("allow_tgt", "allow_tgt_type")


@dataclass(frozen=True)
class Mined:
    """One entry of ``mine_functions``: under ``name`` what ``function`` gives for these arguments."""

    name: str
    function: str
    args: Tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    allowed: Optional[str] = None
    """``allow_tgt``: which minions may ask for it."""
    file: str = ""


@dataclass
class Mine:
    """Everything of one or several files. ``minutes``: ``mine_interval``; ``enabled``: False where the mine is off."""

    functions: Dict[str, Mined] = field(default_factory=dict)
    minutes: Optional[float] = None
    minion_id: Optional[str] = None
    grains: Dict[str, Any] = field(default_factory=dict)
    enabled: bool = True
    replaced: List[Mined] = field(default_factory=list)
    """Entries that a later one of the same name took the place of."""
    odd: List[Tuple[str, str]] = field(default_factory=list)
    """(file, what) that could not be understood."""


def read(text: str, file: str, mine: Mine) -> Mine:
    """Add what ``text`` says to ``mine``; what stands there already gives way, as a pillar's does to a minion's.

    ConfigError where it is not YAML, and where PyYAML is missing.
    """
    document = _yaml(text, file)
    if document is None:
        return mine
    if not isinstance(document, dict):
        raise ConfigError("holds no mapping at its top, so it is neither a minion's configuration nor a pillar", file=file)
    if set(document) == {"local"} and isinstance(document["local"], dict):
        document = document["local"]  # what `salt-call --out=yaml` prints
    _settings(document, file, mine)
    _scheduled(document.get("schedule"), file, mine)
    for name, told in _entries(document.get("mine_functions"), file, mine):
        made = _mined(name, told, file, mine)
        if made is not None:
            if name in mine.functions:
                mine.replaced.append(mine.functions[name])
            mine.functions[name] = made
    return mine


def _yaml(text: str, file: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError("reading Salt's files needs PyYAML: pip install 'zester-basket[salt]'") from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        if _JINJA.search(text):
            problem = "holds Jinja, which only Salt can fill in: have the minion print it, and import that: "
            commands = "salt-call --out=yaml pillar.items > mine.yaml"
            raise ConfigError(problem + commands, file=file, line=line) from None
        raise ConfigError(f"not valid YAML: {getattr(error, 'problem', None) or error}", file=file, line=line) from None


def _settings(document: Mapping[str, Any], file: str, mine: Mine) -> None:
    minutes = document.get("mine_interval")
    if isinstance(minutes, (int, float)) and not isinstance(minutes, bool) and minutes > 0:
        mine.minutes = float(minutes)
    elif minutes is not None:
        mine.odd.append((file, f"mine_interval: {minutes!r} is no number of minutes"))
    if isinstance(document.get("id"), str):
        mine.minion_id = document["id"]
    if isinstance(document.get("grains"), dict):
        mine.grains.update(document["grains"])
    if document.get("mine_enabled") is False:
        mine.enabled = False


def _scheduled(jobs: Any, file: str, mine: Mine) -> None:
    """A job of the scheduler that updates the mine says how often."""
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        if not isinstance(job, dict):
            continue
        if job.get("function") == "mine.send":
            mine.odd.append((file, f"schedule {name}: calls mine.send by itself; put its function under [basket.functions]"))
        elif job.get("function") == "mine.update":
            units = {"seconds": 1 / 60, "minutes": 1.0, "hours": 60.0, "days": 1440.0}
            told = [job[u] * factor for u, factor in units.items() if isinstance(job.get(u), (int, float))]
            if told and sum(told) > 0:
                mine.minutes = sum(told)


def _entries(told: Any, file: str, mine: Mine) -> List[Tuple[str, Any]]:
    """(name, what stands there), whether written as a mapping or as a list."""
    if told is None:
        return []
    items = told if isinstance(told, list) else [told]
    found: List[Tuple[str, Any]] = []
    for item in items:
        if isinstance(item, dict):
            found.extend((str(name), value) for name, value in item.items())
        elif isinstance(item, str) and isinstance(told, list):
            found.append((item, None))
        else:
            mine.odd.append((file, f"mine_functions: {item!r} is no function"))
    return found


def _mined(name: str, told: Any, file: str, mine: Mine) -> Optional[Mined]:
    """One entry; its arguments may be a mapping, a list of values and mappings, or nothing at all."""
    args: List[Any] = []
    kwargs: Dict[str, Any] = {}
    for item in told if isinstance(told, list) else [] if told in (None, "") else [told]:
        if isinstance(item, dict):
            kwargs.update({str(key): value for key, value in item.items()})
        else:
            args.append(item)
    function = kwargs.pop("mine_function", name)
    options = {key: kwargs.pop(key) for key in _OPTIONS if key in kwargs}
    if not isinstance(function, str) or not function:
        mine.odd.append((file, f"{name}: mine_function is {function!r}, which is no function"))
        return None
    kwargs = {key: value for key, value in kwargs.items() if not key.startswith("__")}
    allowed = options.get("allow_tgt")
    return Mined(name, function, tuple(args), kwargs, None if allowed is None else str(allowed), file)

"""A mine to the text of a configuration, and what there is to say about it."""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Set, Tuple

from basket.errors import BasketError, ConfigError, InvalidKeyError
from basket.keys import check_function, sanitize_peel_id
from basket.salt import table
from basket.salt.commands import Untranslatable
from basket.salt.reading import DEFAULT_MINUTES, Mine, Mined
from basket.salt.writing import comment, key, string, value


class Note(NamedTuple):
    """``file`` and ``name``: what it is about; ``nearest``: what to do instead, may be empty."""

    file: str
    name: str
    problem: str
    nearest: str


class Translation(NamedTuple):
    """``text``: TOML that our configuration reads. ``functions``: how many stand in it. ``lost``: what does not."""

    text: str
    functions: int
    lost: List[Note]
    differs: List[Note]


def translate(mine: Mine) -> Translation:
    """Pure. Everything that is not in ``text`` is in ``lost``; what is there but not quite the same, in ``differs``."""
    lost = [Note(file, "", what, "") for file, what in mine.odd]
    differs = [Note(old.file, old.name, "stands there again later, which counts", "") for old in mine.replaced]
    if not mine.enabled:
        differs.append(Note("", "mine_enabled", "the mine was off here", "without an agent nothing is published"))
    own = _facts(mine, lost)
    lines = ["# Made from a Salt minion's mine by `zester-basket import-salt`.", ""]
    lines += _peel(mine, lost)
    lines += _basket(mine)
    lines.append("[basket.functions]")
    count = 0
    taken: Set[str] = set()
    for mined in mine.functions.values():
        named, notes = _functions(mined, own, taken, lost)
        taken.update(named)
        for name, options in named.items():
            lines += [line for note in notes for line in comment(note)] if name == next(iter(named)) else []
            lines.append(f"{string(name)} = {_written(name, options)}")
            count += 1
        if not named:
            lines += comment(f"not translated: {mined.name} ({_call(mined)}): {lost[-1].problem}", "#! ")
            lines += comment(f"nearest: {lost[-1].nearest}", "#!   ") if lost[-1].nearest else []
        differs += [Note(mined.file, mined.name, note, "") for note in notes]
        if mined.allowed is not None:
            problem = f"allow_tgt ({mined.allowed}) has no counterpart in this file"
            lines += comment(f"{problem}; who may read is the NATS server's to say")
            lost.append(Note(mined.file, mined.name, problem, "grants on the NATS server: zester-basket permissions --help"))
    if own:
        lines += ["", "[facts]", *comment("the grains that stood in the minion's configuration"), f"custom = {value(own)}"]
    return Translation("\n".join(lines) + "\n", count, lost, differs)


def _peel(mine: Mine, lost: List[Note]) -> List[str]:
    if mine.minion_id is None:
        return []
    try:
        peel_id = sanitize_peel_id(mine.minion_id)
    except InvalidKeyError as error:
        lost.append(Note("", "id", str(error), "set [peel] id"))
        return []
    told = comment(f"the minion's id was {mine.minion_id}") if peel_id != mine.minion_id else []
    return ["[peel]", *told, f"id = {string(peel_id)}", ""]


def _basket(mine: Mine) -> List[str]:
    if mine.minutes is None:
        said = f"Salt's default is an hour ({DEFAULT_MINUTES}m). An unchanged value is not written again, so often costs little."
        return ["[basket]", *comment(said), 'interval = "5m"', ""]
    return ["[basket]", *comment("mine_interval"), f'interval = "{_minutes(mine.minutes)}"', ""]


def _minutes(minutes: float) -> str:
    return f"{int(minutes)}m" if minutes == int(minutes) else f"{max(1, round(minutes * 60))}s"


def _facts(mine: Mine, lost: List[Note]) -> Dict[str, Any]:
    """The minion's own grains as facts: those that TOML and MessagePack can carry."""
    from basket.codec import encode
    from basket.facts import KNOWN

    own: Dict[str, Any] = {}
    for name, grain in mine.grains.items():
        if name in KNOWN:
            lost.append(Note("", f"grains:{name}", f"would hide the facts under {name}", "give it another name"))
            continue
        try:
            value(grain)
            encode(grain)
            own[str(name)] = grain
        except (ValueError, BasketError) as error:
            lost.append(Note("", f"grains:{name}", str(error), "set it under [facts] custom by hand"))
    return own


def _functions(
    mined: Mined, own: Mapping[str, Any], taken: Collection[str], lost: List[Note]
) -> Tuple[Dict[str, Dict[str, Any]], List[str]]:
    """Name -> options of what stands for one entry, and notes; nothing, and one more in ``lost``, where nothing does."""
    from basket.functions import define

    try:
        found = table.ours(mined, own)
        notes = list(found.notes)
        named = {}
        for name, options in (found.several or {mined.name: found.options}).items():
            usable = _usable(name)
            if usable in taken or usable in named:
                raise Untranslatable(f"{usable} is the name of another function already", "give it another name")
            if usable != name:
                notes.append(f"{name!r} cannot be the name of a function here, {usable!r} can")
            if options.get("function") == usable:
                options = {other: item for other, item in options.items() if other != "function"}
            value(options)
            define(usable, {k: v for k, v in options.items() if k != "timeout"}, custom_facts=own)
            named[usable] = options
        return named, notes
    except Untranslatable as error:
        lost.append(Note(mined.file, _called(mined), error.args[0], error.args[1]))
    except (ConfigError, ValueError) as error:
        lost.append(Note(mined.file, _called(mined), str(error), ""))
    return {}, []


def _usable(name: str) -> str:
    try:
        return check_function(name)
    except InvalidKeyError:
        kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_/=.") else "_" for c in name)
        return check_function(".".join(part for part in kept.split(".") if part) or "unnamed")


def _written(name: str, options: Mapping[str, Any]) -> str:
    # Without anything to say, the interval of [basket] has to be said: a bare name is no TOML.
    if not options:
        return "{}"
    return value(options)


def _called(mined: Mined) -> str:
    return mined.name if mined.name == mined.function else f"{mined.name} ({mined.function})"


def _call(mined: Mined) -> str:
    given = [repr(arg) for arg in mined.args] + [f"{key(name)}={told!r}" for name, told in mined.kwargs.items()]
    return f"{mined.function} {' '.join(given)}".strip()

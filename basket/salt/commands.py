"""cmd.run and its kin as our command: an argument list where that means the same, a shell only where one is needed."""

from __future__ import annotations

import shlex
from typing import Any, Dict, List, Mapping, Optional, Tuple

_SHELL = frozenset("|&;<>()$`*?[]{}~#!\n\\")
"""Characters that a shell would not take as they are."""


class Untranslatable(Exception):
    """``args[0]``: why; ``args[1]``: the nearest there is."""


def command(args: Tuple[Any, ...], given: Mapping[str, Any], *, shell: bool) -> Tuple[Dict[str, Any], List[str]]:
    """The options of our function and what to say about them. ``shell``: it is cmd.shell, which always has one."""
    kwargs = dict(given)
    text = args[0] if args else kwargs.pop("cmd", None)
    words = [str(word) for word in text] if isinstance(text, list) else None
    if words is None and (not isinstance(text, str) or not text.strip()):
        raise Untranslatable("names no command", 'write { command = ["/path/to/program", "argument"] }')
    notes: List[str] = []
    if kwargs.pop("python_shell", None) is True or kwargs.pop("shell", None):
        shell = True
    if words is None:
        words = _split(str(text))
        if shell or words is None:
            options = _in_shell(str(text), kwargs, notes)
            return _timed(options, kwargs, notes), notes
    options = _as_words(words, kwargs)
    return _timed(options, kwargs, notes), notes


def _split(text: str) -> Optional[List[str]]:
    """The words of a command line that means the same without a shell, else None."""
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    return None if _SHELL.intersection(text) or "=" in words[0] else words


def _in_shell(text: str, kwargs: Dict[str, Any], notes: List[str]) -> Dict[str, Any]:
    notes.append("runs in a shell; an argument list without one is safer, where it will do")
    cwd, env, user = kwargs.pop("cwd", None), kwargs.pop("env", None), kwargs.pop("runas", None)
    if cwd:
        text = f"cd {shlex.quote(str(cwd))} && {{ {text}\n}}" if "\n" in text else f"cd {shlex.quote(str(cwd))} && {{ {text}; }}"
    for name, value in reversed(_environment(env)):
        text = f"export {name}={shlex.quote(value)}; {text}"
    if user:
        return {"command": ["runuser", "-u", str(user), "--", "/bin/sh", "-c", text]}
    return {"command": text, "shell": True}


def _as_words(words: List[str], kwargs: Dict[str, Any]) -> Dict[str, Any]:
    cwd, env, user = kwargs.pop("cwd", None), kwargs.pop("env", None), kwargs.pop("runas", None)
    if env or cwd:
        place = ["-C", str(cwd)] if cwd else []
        words = ["env", *place, *(f"{name}={value}" for name, value in _environment(env)), *words]
    if user:
        words = ["runuser", "-u", str(user), "--", *words]
    return {"command": words}


def _environment(told: Any) -> List[Tuple[str, str]]:
    found: Dict[str, str] = {}
    for item in told if isinstance(told, list) else [told] if told else []:
        if isinstance(item, dict):
            found.update({str(name): str(value) for name, value in item.items()})
        else:
            raise Untranslatable(f"its environment {told!r} is no mapping", "set the variables with: env NAME=value program")
    return list(found.items())


def _timed(options: Dict[str, Any], kwargs: Dict[str, Any], notes: List[str]) -> Dict[str, Any]:
    timeout = kwargs.pop("timeout", None)
    if isinstance(timeout, (int, float)) and timeout > 0:
        options["timeout"] = f"{timeout:g}s"
    harmless = ("output_loglevel", "ignore_retcode", "hide_output", "raise_err", "bg", "saltenv", "use_vt")
    if kwargs.pop("ignore_retcode", False):
        notes.append("an exit status other than 0 is a failure here, and keeps the previous value")
    left = [key for key in kwargs if key not in harmless]
    if left:
        raise Untranslatable(f"the arguments {', '.join(sorted(left))} have no counterpart", "put them into a script of your own")
    return options

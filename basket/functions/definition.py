"""A configured function checked: from its name and table to a ``Function``, or to a ConfigError that says what is wrong."""

from __future__ import annotations

from typing import Any, Collection, Dict, Iterable, List, Mapping, Optional

from basket.errors import ConfigError, EncodeError, InvalidKeyError
from basket.functions.builtin import BUILTINS
from basket.functions.function import Function
from basket.functions.python import Plugins, PythonError
from basket.keys import check_function
from basket.spelling import nearest

_SOURCES = ("command", "value", "file", "python", "function")
_SCHEDULE = ("interval", "timeout")
_SETTINGS: Mapping[str, Collection[str]] = {"command": ("json", "shell"), "value": (), "file": ("json",)}

KEYS = (*_SOURCES, "json", "shell", *_SCHEDULE)
"""Keys that mean something in the table of every function, besides the arguments of its own."""

_ALIKE = 0.75  # of a key to one of KEYS: the argument "interface" is 0.7 like "interval"


def define(
    name: str,
    options: Mapping[str, Any],
    *,
    custom_facts: Mapping[str, Any] = {},
    others: Collection[str] = (),
    plugins: Optional[Plugins] = None,
) -> Function:
    """The function that ``name`` and its table mean. ``options`` come without interval and timeout; ``others`` are the
    names in the same file.

    ConfigError names the wrong key in quotes (it is ``key`` of the error, too) and, where there is one, the nearest known
    name; the caller adds where it stands. A name that is neither built in nor a fact is looked for among the entry points of
    other packages, by a process that takes some 100 ms, or with those that ``plugins`` looks for together; nothing else is
    started, and of files and commands only the form is checked.
    """
    try:
        check_function(name)
    except InvalidKeyError as error:
        raise ConfigError(str(error)) from None
    given = [key for key in _SOURCES if key in options]
    if len(given) > 1:
        raise ConfigError(f"{given[0]!r} and {given[1]!r} cannot stand together", key=given[1])
    kind = given[0] if given else "function"
    rest = {key: value for key, value in options.items() if key != kind}
    if kind == "function":
        target = options.get("function", name)
        if not isinstance(target, str):
            raise ConfigError(f"'function' needs the name of a function, not {target!r}", key=kind)
        plugins = plugins or Plugins()
        found = _named(name, target, rest, custom_facts) or _plugin(name, target, rest, plugins)
        if found is None:
            raise _unknown(name, options, others, [*BUILTINS, *_facts(custom_facts), *plugins.known])
        return found
    if kind == "python":
        return Function(name, "python", _callable_name(options["python"]), _carried(rest))
    _check_keys(rest, _SETTINGS[kind])
    settings = {key: True for key in rest if _true(key, rest[key])}
    if kind == "value":
        return Function(name, "value", _carried({"value": options["value"]})["value"])
    if kind == "file":
        return Function(name, "file", _path(options["file"]), settings)
    return Function(name, "command", _command(options["command"], "shell" in settings), settings)


def foreign(name: str, options: Mapping[str, Any], custom_facts: Mapping[str, Any]) -> Optional[str]:
    """What ``define`` would look for among the functions of other packages; None for nothing."""
    target = options.get("function", name)
    if any(key in options for key in _SOURCES if key != "function") or not isinstance(target, str):
        return None
    return None if target in BUILTINS or target in _facts(custom_facts) else target


def _named(name: str, target: str, arguments: Mapping[str, Any], custom_facts: Mapping[str, Any]) -> Optional[Function]:
    """The built-in function or fact called ``target``."""
    from basket.facts import KNOWN

    entry = BUILTINS.get(target)
    # Where the operator has set such a fact by hand, the function of that name must not contradict it.
    overridden = target in KNOWN and not arguments and target in _paths(custom_facts)
    if entry is not None and not overridden:
        _check_keys(arguments, entry.arguments)
        checked: Dict[str, Any] = {}
        for key, value in arguments.items():
            try:
                checked[key] = entry.arguments[key].check(value)
            except ValueError as error:
                raise ConfigError(f"{key!r} {error}", key=key) from None
        return Function(name, "builtin", target, checked)
    if target not in _facts(custom_facts):
        return None
    _check_keys(arguments, ())
    return Function(name, "fact", target)


def _plugin(name: str, target: str, arguments: Mapping[str, Any], plugins: Plugins) -> Optional[Function]:
    """The function of another package called ``target``."""
    try:
        found = plugins.find(target)
    except PythonError as error:
        raise ConfigError(f"looking for {target!r} among the functions of other packages failed: {error}") from None
    if found is None:
        return None
    if not found["anything"]:
        _check_keys(arguments, found["arguments"])
    missing = [key for key in found["required"] if key not in arguments]
    if missing:
        raise ConfigError(f"{target} (of {found['source']}) needs the argument {missing[0]!r}")
    return Function(name, "plugin", found["what"], _carried(arguments))


def _unknown(name: str, options: Mapping[str, Any], others: Collection[str], known: Iterable[str]) -> ConfigError:
    """What is wrong where nothing is called so: mostly that another key was meant to say where the value comes from."""
    target = options.get("function", name)
    hint = "; one of your own needs a command, value, file, python or function"
    if "function" in options:
        hint = "; only built-in functions, facts and those of packages can have another name"
        if target == name:
            return ConfigError(f"'function' makes {name!r} an alias of itself{hint}", key="function")
        if target in others:
            return ConfigError(f"{target!r} is defined here{hint}", key="function")
    for key in options:
        near = "" if key in KEYS else nearest(key, KEYS, alike=_ALIKE)
        if near:
            return ConfigError(f"unknown key {key!r}; nearest known name {near!r}", key=key)
    for key in ("json", "shell"):
        if key in options:  # the likely mistake is a missing command, not a missing plugin
            return ConfigError(f"{key!r} needs a command" + (" or a file" if key == "json" else ""), key=key)
    near = nearest(target, known)
    return ConfigError(f"no function {target!r}" + (f"; nearest known name {near!r}" if near else hint))


def _facts(custom_facts: Mapping[str, Any]) -> List[str]:
    from basket.facts import KNOWN

    return [*KNOWN, *_paths(custom_facts)]


def _paths(facts: Mapping[str, Any], above: str = "") -> Iterable[str]:
    for key, value in facts.items():
        yield above + key
        if isinstance(value, Mapping):
            yield from _paths(value, f"{above}{key}.")


def _check_keys(given: Mapping[str, Any], known: Collection[str]) -> None:
    for key in given:
        if key not in known:
            near = nearest(key, _SCHEDULE, alike=_ALIKE) or nearest(key, known)
            hint = f"nearest known name {near!r}" if near else f"known: {', '.join(known)}" if known else "it takes no arguments"
            raise ConfigError(f"unknown key {key!r}; {hint}", key=key)


def _true(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{key!r} needs true or false, not {value!r}", key=key)
    return value


def _carried(values: Mapping[str, Any]) -> Dict[str, Any]:
    """The values themselves if MessagePack can carry them: it takes them to NATS, or to the process of a function."""
    from basket.codec import encode

    for key, value in values.items():
        try:
            encode(value)
        except EncodeError as error:
            raise ConfigError(f"{key!r} cannot be used: {error}", key=key) from None
    return dict(values)


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ConfigError(f"'file' needs an absolute path, not {value!r}", key="file")
    return value


def _callable_name(value: Any) -> str:
    module, _, path = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not all(part.isidentifier() for part in [*module.split("."), *path.split(".")]):
        raise ConfigError(f"'python' needs module:callable or module:object.attribute, not {value!r}", key="python")
    return str(value)


def _command(value: Any, shell: bool) -> Any:
    if isinstance(value, str):
        if not shell:
            raise ConfigError(
                '\'command\' needs a list, such as ["/opt/app", "--version"]; a string needs shell = true', key="command"
            )
        if not value.strip() or "\0" in value:
            raise ConfigError("'command' is empty or holds a NUL character", key="command")
        return value
    words = value if isinstance(value, (list, tuple)) else ()
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise ConfigError(f"'command' needs a list of strings that begins with a program, not {value!r}", key="command")
    if shell:
        raise ConfigError("with shell = true 'command' is one string, not a list", key="command")
    return tuple(words)

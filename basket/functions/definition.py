"""A configured function checked: from its name and table to a ``Function``, or to a ConfigError that says what is wrong."""

from __future__ import annotations

from typing import Any, Collection, Dict, Iterable, Mapping

from basket.errors import ConfigError, EncodeError, InvalidKeyError
from basket.functions.builtin import BUILTINS
from basket.functions.function import Function
from basket.keys import check_function

_DEFINING = ("command", "value", "file", "python", "function")
_SETTINGS: Mapping[str, Collection[str]] = {"command": ("json", "shell"), "value": (), "file": ("json",)}


def define(name: str, options: Mapping[str, Any], *, custom_facts: Mapping[str, Any] = {}) -> Function:
    """The function that ``name`` and its table mean. ``options`` come without interval and timeout.

    ConfigError names the wrong key in quotes and, where there is one, the nearest known name; the caller adds where it
    stands. A name that is neither built in nor a fact is looked for among the entry points of other packages, by a
    process that takes some 100 ms; nothing else is started, and of files and commands only the form is checked.
    """
    try:
        check_function(name)
    except InvalidKeyError as error:
        raise ConfigError(str(error)) from None
    given = [key for key in _DEFINING if key in options]
    if len(given) > 1:
        raise ConfigError(f"{given[0]!r} and {given[1]!r} cannot stand together")
    if not given:
        return _named(name, name, options, custom_facts)
    kind = given[0]
    rest = {key: value for key, value in options.items() if key != kind}
    if kind == "function":
        target = options["function"]
        if not isinstance(target, str):
            raise ConfigError(f"'function' needs the name of a function, not {target!r}")
        return _named(name, target, rest, custom_facts)
    if kind == "python":
        return Function(name, "python", _callable_name(options["python"]), _carried(rest))
    _check_keys(rest, _SETTINGS[kind])
    settings = {key: True for key in rest if _true(key, rest[key])}
    if kind == "value":
        return Function(name, "value", _carried({"value": options["value"]})["value"])
    if kind == "file":
        return Function(name, "file", _path(options["file"]), settings)
    return Function(name, "command", _command(options["command"], "shell" in settings), settings)


def _named(name: str, target: str, arguments: Mapping[str, Any], custom_facts: Mapping[str, Any]) -> Function:
    from basket.facts import KNOWN

    custom = list(_paths(custom_facts))
    entry = BUILTINS.get(target)
    # Where the operator has set such a fact by hand, the function of that name must not contradict it.
    overridden = target in custom and target in KNOWN and not arguments
    if entry is not None and not overridden:
        _check_keys(arguments, entry.arguments)
        checked: Dict[str, Any] = {}
        for key, value in arguments.items():
            try:
                checked[key] = entry.arguments[key].check(value)
            except ValueError as error:
                raise ConfigError(f"{key!r} {error}") from None
        return Function(name, "builtin", target, checked)
    if target in KNOWN or target in custom:
        if arguments:
            raise ConfigError(f"unknown key {next(iter(arguments))!r}: the fact {target} takes no arguments")
        return Function(name, "fact", target)
    return _plugin(name, target, arguments, [*BUILTINS, *KNOWN, *custom])


def _plugin(name: str, target: str, arguments: Mapping[str, Any], others: Collection[str]) -> Function:
    from basket.functions import python

    for key in ("json", "shell"):
        if key in arguments:  # the likely mistake is a missing command, not a missing plugin
            raise ConfigError(f"{key!r} needs a command" + (" or a file" if key == "json" else ""))
    try:
        found = python.find_plugin(target)
    except python.PythonError as error:
        raise ConfigError(f"looking for {target!r} among the functions of other packages failed: {error}") from None
    if "what" not in found:
        near = _nearest(target, [*others, *found["names"]])
        hint = near or "; one of your own needs a command, value, file, python or function"
        raise ConfigError(f"no function {target!r}{hint}")
    if not found["anything"]:
        _check_keys(arguments, found["arguments"])
    missing = [key for key in found["required"] if key not in arguments]
    if missing:
        raise ConfigError(f"{target} (of {found['source']}) needs the argument {missing[0]!r}")
    return Function(name, "plugin", found["what"], _carried(arguments))


def _paths(facts: Mapping[str, Any], above: str = "") -> Iterable[str]:
    for key, value in facts.items():
        yield above + key
        if isinstance(value, Mapping):
            yield from _paths(value, f"{above}{key}.")


def _check_keys(given: Mapping[str, Any], known: Collection[str]) -> None:
    for key in given:
        if key not in known:
            hint = _nearest(key, known) or (f"; known: {', '.join(known)}" if known else "; it takes no arguments")
            raise ConfigError(f"unknown key {key!r}{hint}")


def _nearest(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; nearest known name {near[0]!r}" if near else ""


def _true(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{key!r} needs true or false, not {value!r}")
    return value


def _carried(values: Mapping[str, Any]) -> Dict[str, Any]:
    """The values themselves if MessagePack can carry them: it takes them to NATS, or to the process of a function."""
    from basket.codec import encode

    for key, value in values.items():
        try:
            encode(value)
        except EncodeError as error:
            raise ConfigError(f"{key!r} cannot be used: {error}") from None
    return dict(values)


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ConfigError(f"'file' needs an absolute path, not {value!r}")
    return value


def _callable_name(value: Any) -> str:
    module, _, path = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not all(part.isidentifier() for part in [*module.split("."), *path.split(".")]):
        raise ConfigError(f"'python' needs module:callable or module:object.attribute, not {value!r}")
    return str(value)


def _command(value: Any, shell: bool) -> Any:
    if isinstance(value, str):
        if not shell:
            raise ConfigError('\'command\' needs a list, such as ["/opt/app", "--version"]; a string needs shell = true')
        if not value.strip() or "\0" in value:
            raise ConfigError("'command' is empty or holds a NUL character")
        return value
    words = value if isinstance(value, (list, tuple)) else ()
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise ConfigError(f"'command' needs a list of strings that begins with a program, not {value!r}")
    if shell:
        raise ConfigError("with shell = true 'command' is one string, not a list")
    return tuple(words)

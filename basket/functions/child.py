"""The other side: what the process of one Python function does. Runs in that process only, never in the agent.

It reads one request from its channel, answers it, and ends. A request is a MessagePack map: ``do`` is "call" (import
``what`` and call it), "find" (the entry points of some names, with their signatures) or "all" (every entry point).
"""

from __future__ import annotations

import importlib
import inspect
import socket
import sys
from typing import Any, Dict, List

from basket.codec import decode, encode
from basket.errors import EncodeError
from basket.functions.function import ENTRY_POINT_GROUP
from basket.functions.outcome import OUTPUT_MAX, describe_exception, harmless, size_text
from basket.functions.streams import HEADER


class Refusal(Exception):
    """Why it cannot be done, as the reason to show."""


def main(descriptor: int) -> None:
    """Serve the one request on this socket."""
    del sys.argv[1:]  # ours, nothing to the function
    with socket.socket(fileno=descriptor) as channel:
        channel.set_inheritable(False)  # what the function starts must not answer for it
        request = decode(_receive(channel, int.from_bytes(_receive(channel, HEADER), "big")))
        try:
            value = _serve(request)
            try:
                answer = encode({"value": encode(value)})
            except EncodeError as error:
                raise Refusal(f"returned what cannot be published: {error}") from None
            if len(answer) > OUTPUT_MAX:
                raise Refusal(f"returned {len(answer)} bytes, more than {size_text(OUTPUT_MAX)}")
        except Refusal as refusal:
            answer = encode({"error": harmless(str(refusal))})
        except BaseException as error:  # SystemExit too: whatever ends the function is its failure
            answer = encode({"error": describe_exception(error)})
        channel.sendall(len(answer).to_bytes(HEADER, "big") + answer)


def _receive(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = channel.recv(min(65536, size - len(data)))
        if not more:
            raise EOFError("the request ended early")
        data += more
    return bytes(data)


def _serve(request: Dict[str, Any]) -> Any:
    if request["do"] == "call":
        return _resolve(request["what"])(**request["arguments"])
    if request["do"] == "find":
        return _find(request["names"])
    return _all(load=request["load"])


def _resolve(what: str) -> Any:
    module_name, _, path = what.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise Refusal(f"there is no module {error.name!r} on the import path") from None
        raise Refusal(f"importing {module_name} failed: {describe_exception(error)}") from None
    except Exception as error:
        raise Refusal(f"importing {module_name} failed: {describe_exception(error)}") from None
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise Refusal(f"{module_name} has no {path!r}") from None
    if not callable(found):
        raise Refusal(f"{what} is a {type(found).__name__}, which cannot be called")
    return found


def _entry_points() -> List[Any]:
    """Those of our group, each name once (the first on the import path wins), with their distributions."""
    from importlib import metadata

    found: Dict[str, Any] = {}
    for distribution in metadata.distributions():
        for point in distribution.entry_points:
            if point.group == ENTRY_POINT_GROUP and point.name not in found:
                what = point.value.partition("[")[0].strip()
                found[point.name] = (point.name, what, str(distribution.metadata["Name"]))
    return [found[name] for name in sorted(found)]


def _find(names: List[str]) -> Dict[str, Any]:
    points = _entry_points()
    found: Dict[str, Any] = {}
    for name, what, distribution in points:
        if name in names:
            try:
                found[name] = {"what": what, "source": distribution, **_describe(what)}
            except Refusal as refusal:
                found[name] = {"error": harmless(str(refusal))}
            except BaseException as error:  # as in main
                found[name] = {"error": describe_exception(error)}
    return {"found": found, "names": [point[0] for point in points]}


def _all(*, load: bool) -> List[Dict[str, Any]]:
    listed = []
    for name, what, distribution in _entry_points():
        row: Dict[str, Any] = {"name": name, "source": distribution, "summary": "", "arguments": {}}
        if load:
            try:
                row.update(_describe(what))
            except BaseException as error:
                row["summary"] = f"cannot be loaded: {harmless(str(error)) or type(error).__name__}"
        listed.append(row)
    return listed


def _describe(what: str) -> Dict[str, Any]:
    """Summary, {argument: description}, which of them are required, and whether any other is taken."""
    function = _resolve(what)
    lines = [line.strip() for line in (inspect.getdoc(function) or "").splitlines()]
    arguments: Dict[str, str] = {}
    required: List[str] = []
    anything = False
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C without a signature: nothing can be checked beforehand
        return {"summary": lines[0] if lines else "", "arguments": {}, "required": [], "anything": True}
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            anything = True
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            if parameter.default is parameter.empty:
                raise Refusal(f"{what} cannot be called with keyword arguments alone")
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            marker = parameter.name + ":"
            said = [line[len(marker) :].strip() for line in lines if line.startswith(marker)]
            default = "" if parameter.default is parameter.empty else f"default {parameter.default!r}"
            arguments[parameter.name] = harmless(said[0] if said else default)
            if parameter.default is parameter.empty:
                required.append(parameter.name)
    return {
        "summary": harmless(lines[0]) if lines else "",
        "arguments": arguments,
        "required": required,
        "anything": anything,
    }

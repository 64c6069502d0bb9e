"""Which function of ours stands for which of Salt's, with its arguments. Data, and one small function for each shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from basket.salt import commands, grains
from basket.salt.commands import Untranslatable
from basket.salt.reading import Mined


@dataclass
class Ours:
    """Options of a function of ours. ``several`` instead, where one of Salt's becomes more than one: name -> options."""

    options: Dict[str, Any] = field(default_factory=dict)
    notes: List[str] = field(default_factory=list)
    several: Optional[Dict[str, Dict[str, Any]]] = None


Maker = Callable[[Mined, Mapping[str, Any]], Ours]
"""Takes the entry and the minion's own grains."""


@dataclass(frozen=True)
class Row:
    """One line of the table for people: ``ours`` in words, ``differs``: what is not the same."""

    salt: str
    ours: str
    differs: str
    make: Maker


def _bind(mined: Mined, names: Tuple[str, ...]) -> Dict[str, Any]:
    """Positional and keyword arguments by name; those that say nothing are left out."""
    if len(mined.args) > len(names):
        raise Untranslatable(f"takes {len(names)} arguments at most, not {len(mined.args)}", "")
    bound = {**dict(zip(names, mined.args)), **mined.kwargs}
    unknown = [name for name in bound if name not in names]
    if unknown:
        raise Untranslatable(f"the argument {unknown[0]} has no counterpart", "")
    return {name: value for name, value in bound.items() if value not in (None, False, "", [])}


def same(function: str, *, differs: str = "") -> Maker:
    """Our ``function``, which takes no argument."""

    def make(mined: Mined, own: Mapping[str, Any]) -> Ours:
        _bind(mined, ())
        return Ours({"function": function}, [differs] if differs else [])

    return make


def addresses(function: str, *, differs: str = "") -> Maker:
    """One of our address functions, with interface and cidr."""

    def make(mined: Mined, own: Mapping[str, Any]) -> Ours:
        bound = _bind(mined, ("interface", "include_loopback", "cidr", "type"))
        if bound.pop("include_loopback", False):
            raise Untranslatable("loopback addresses are never published", "leave include_loopback out")
        kind = bound.pop("type", None)
        if kind:
            nearest = "name a network: cidr = " + ('"10.0.0.0/8"' if kind == "private" else '"203.0.113.0/24"')
            raise Untranslatable(f"type: {kind} has no counterpart", nearest)
        if isinstance(bound.get("interface"), list):
            if len(bound["interface"]) != 1:
                raise Untranslatable("several interfaces at once have no counterpart", "an alias for each interface")
            bound["interface"] = bound["interface"][0]
        return Ours({"function": function, **bound}, [differs] if differs else [])

    return make


def _path(mined: Mined, own: Mapping[str, Any]) -> Ours:
    path = _bind(mined, ("path",)).get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise Untranslatable(f"{path!r} is no absolute path", "name the file by its whole path")
    return Ours({"file": path}, ["without blanks and line breaks around it"])


def _certificate(mined: Mined, own: Mapping[str, Any]) -> Ours:
    path = _bind(mined, ("glob_path", "path")).get("glob_path") or mined.kwargs.get("path")
    if not isinstance(path, str) or not path.startswith("/") or set("*?[") & set(path):
        raise Untranslatable("a pattern of files has no counterpart", 'an alias for each: { file = "/etc/pki/ca.crt" }')
    return Ours({"file": path}, ["the text of the file itself, not a map of path and text"])


def _grain(mined: Mined, own: Mapping[str, Any]) -> Ours:
    """grains.get and grains.item: a function of ours for each grain."""
    names = [str(name) for name in mined.args] + [str(v) for k, v in mined.kwargs.items() if k == "key"]
    if mined.function == "grains.get":
        names = names[:1]  # a default may follow
    if not names:
        raise Untranslatable("names no grain", "facts of every peel are published anyway")
    found = [(name, grains.fact(name, own)) for name in names]
    missing = [name for name, fact in found if fact is None]
    if missing:
        nearest = f"set it as a fact: [facts] custom = {{ {missing[0].replace(':', '.')} = ... }}, then name that fact here"
        raise Untranslatable(f"the grain {missing[0]} is no fact that is collected", nearest)
    facts = [(name, fact) for name, fact in found if fact is not None]
    notes = [f"{name}: {differs}" for name, (_, differs) in facts if differs]
    if len(facts) == 1:
        return Ours({"function": facts[0][1][0]}, notes)
    notes.append("one function for each grain, since a value of ours is one thing")
    return Ours(notes=notes, several={f"{mined.name}.{_token(name)}": {"function": fact} for name, (fact, _) in facts})


def _token(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name.replace(":", "."))


def _keys(mined: Mined, own: Mapping[str, Any]) -> Ours:
    bound = _bind(mined, ("keydir", "private", "certs"))
    options: Dict[str, Any] = {"function": "ssh.host_keys"}
    if "keydir" in bound:
        options["directory"] = bound["keydir"]
    return Ours(options, ["a list of lines, public keys only: private ones are never published"])


def _usage(mined: Mined, own: Mapping[str, Any]) -> Ours:
    paths = [str(path) for path in mined.args]
    differs = 'a map of mount point to percentage, such as {"/": "45%"}; all numbers are in the fact disk.mounts'
    return Ours({"function": "disk.usage", **({"mounts": paths} if paths and paths[0].startswith("/") else {})}, [differs])


def _run(mined: Mined, own: Mapping[str, Any]) -> Ours:
    options, notes = commands.command(mined.args, mined.kwargs, shell=mined.function == "cmd.shell")
    return Ours(options, notes)


def _mac(mined: Mined, own: Mapping[str, Any]) -> Ours:
    name = _bind(mined, ("iface",)).get("iface")
    if not isinstance(name, str) or "/" in name or not name:
        raise Untranslatable("names no interface", "network.interfaces has them all")
    return Ours({"file": f"/sys/class/net/{name}/address"})


def lost(why: str, nearest: str) -> Maker:
    """No counterpart."""

    def make(mined: Mined, own: Mapping[str, Any]) -> Ours:
        raise Untranslatable(why, nearest.replace("NAME", str(mined.args[0]) if mined.args else "NAME"))

    return make


_ONE = "one string, the primary address, where Salt gives a list; add list = true for a list"
_LOAD = "a list of three numbers, not a map"
_PKG = '{ command = ["dpkg-query", "-W", "-f", "${Version}", "NAME"] }, or ["rpm", "-q", "--qf", "%{VERSION}", "NAME"]'

ROWS: Tuple[Row, ...] = (
    Row("network.ip_addrs, network.ipaddrs", "network.ip_addrs", _ONE, addresses("network.ip_addrs", differs=_ONE)),
    Row("network.ip_addrs6, network.ipaddrs6", "network.ipv6", "", addresses("network.ipv6")),
    Row(
        "network.interfaces",
        "network.interfaces",
        "a list of {name, mac, flags, addrs}, not a map",
        same("network.interfaces", differs="a list of {name, mac, flags, addrs}, not a map"),
    ),
    Row("network.get_hostname", "network.hostname", "", same("network.hostname")),
    Row("network.get_fqdn", "network.fqdn", "", same("network.fqdn")),
    Row("network.hw_addr, network.hwaddr", '{ file = "/sys/class/net/eth0/address" }', "", _mac),
    Row("grains.get, grains.item", "the fact of that meaning, such as os.platform", "one function for each grain", _grain),
    Row(
        "grains.items",
        "none needed",
        "the facts of every peel are published",
        lost("the facts of every peel are published anyway", "read them with basket.facts(peel), select by G@fact:value"),
    ),
    Row("disk.usage, disk.percent, status.diskusage", "disk.usage", '{"/": "45%"}; all numbers: disk.mounts', _usage),
    Row("status.loadavg", "system.load", _LOAD, same("system.load", differs=_LOAD)),
    Row(
        "status.uptime",
        "system.uptime",
        "seconds, not a map",
        same("system.uptime", differs="seconds, not a map"),
    ),
    Row("status.meminfo", "memory", "{total, available, used, ...} in bytes", same("memory", differs="bytes, other names")),
    Row("status.nproc", "cpu.count", "", same("cpu.count")),
    Row("status.cpuinfo", "cpu", "{model, count, ...}", same("cpu", differs="other names: {model, count, ...}")),
    Row("ssh.host_keys", "ssh.host_keys", "a list of lines, public keys only", _keys),
    Row("cmd.run, cmd.run_stdout, cmd.shell", '{ command = ["program", "argument"] }', "an exit status is an error", _run),
    Row("file.read", '{ file = "/path" }', "without blanks around it", _path),
    Row("x509.get_pem_entries, x509.get_pem_entry", '{ file = "/path" }', "the text itself, not a map", _certificate),
    Row(
        "test.ping, test.true",
        "none needed",
        "heartbeats tell who is alive: `online`",
        lost("every agent sends heartbeats", "ask with --online, or see `zester-basket peels`"),
    ),
    Row(
        "pkg.version, pkg.list_pkgs",
        "a command",
        "",
        lost("packages are not looked at", _PKG),
    ),
    Row(
        "pillar.get, pillar.items, config.get",
        "{ value = ... }",
        "",
        lost("there is no pillar here", "{ value = ... } with what it says, or a fact under [facts] custom"),
    ),
    Row(
        "network.default_route, network.routes",
        "a command",
        "",
        lost("routes are not looked at", '{ command = ["ip", "-j", "route", "show", "default"], json = true }, or default_ipv4'),
    ),
)
"""What is known. Any other execution module: a command, a file, or a Python callable of one's own."""

_BY_NAME: Mapping[str, Maker] = {name: row.make for row in ROWS for name in row.salt.split(", ")}
_OTHER = '{ command = [...] }, { file = ... } or { python = "module:callable" }; or, while Salt is there: \
{ command = ["salt-call", "--local", "--out=json", "NAME"], json = true }'


def ours(mined: Mined, own: Mapping[str, Any]) -> Ours:
    """What stands for this entry. Untranslatable where nothing does."""
    make = _BY_NAME.get(mined.function)
    if make is None:
        raise Untranslatable("no function of ours does this", _OTHER.replace("NAME", mined.function))
    return make(mined, own)

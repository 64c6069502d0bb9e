"""[basket.functions]: however the names are written, the same functions come out; and mistakes are told by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest

from basket.config import Scheduled, parse
from basket.config.scheduled import _described, walk
from basket.connecting import make
from basket.errors import ConfigError


def functions(text: str, more: str = "") -> Dict[str, Scheduled]:
    found = parse(f"[basket.functions]\n{text}\n{more}", file="f", environ={}).basket.functions
    return {scheduled.function.name: scheduled for scheduled in found}


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        functions(text)
    return str(caught.value)


def test_the_examples_of_the_documentation() -> None:
    found = functions(
        """
        "network.ip_addrs" = "5m"
        network.fqdn = "30m"
        "custom.app_version" = { command = ["/opt/app/bin/app", "--version"], interval = "1h", timeout = "10s" }
        "custom.weight" = { value = 10 }
        "custom.ca" = { file = "/etc/ssl/site-ca.pem", interval = "1h" }
        "custom.pool" = { python = "mysite.pools:current", interval = "1m" }
        "network.dmz_ip" = { function = "network.ip_addrs", cidr = "192.0.2.0/24", interval = "5m" }
        """
    )
    told = {name: (s.function.kind, s.interval, s.timeout) for name, s in found.items()}
    assert told == {
        "network.ip_addrs": ("builtin", 300.0, 30.0),
        "network.fqdn": ("builtin", 1800.0, 30.0),
        "custom.app_version": ("command", 3600.0, 10.0),
        "custom.weight": ("value", 300.0, 30.0),
        "custom.ca": ("file", 3600.0, 30.0),
        "custom.pool": ("python", 60.0, 30.0),
        "network.dmz_ip": ("builtin", 300.0, 30.0),
    }
    assert found["network.dmz_ip"].function.what == "network.ip_addrs"


SAME = [
    '"network.ip_addrs" = { cidr = "192.0.2.0/24", interval = "1h" }',
    'network.ip_addrs = { cidr = "192.0.2.0/24", interval = "1h" }',
    'network.ip_addrs.cidr = "192.0.2.0/24"\nnetwork.ip_addrs.interval = "1h"',
    'network = { ip_addrs = { cidr = "192.0.2.0/24", interval = 3600 } }',
    '[basket.functions."network.ip_addrs"]\ncidr = "192.0.2.0/24"\ninterval = "1h"',
    '[basket.functions.network.ip_addrs]\ncidr = "192.0.2.0/24"\ninterval = "60m"',
    '[basket.functions.network]\nip_addrs = { cidr = "192.0.2.0/24", interval = "1h" }',
]


@pytest.mark.parametrize("text", SAME)
def test_every_way_to_write_a_name_means_the_same(text: str) -> None:
    assert functions(text) == functions(SAME[0])


@pytest.mark.parametrize(
    ("tables", "found"),
    [
        ({"a.b": "5m"}, [("a.b", ("a.b",))]),
        ({"a": {"b": {"c": 5}}}, [("a.b.c", ("a", "b", "c"))]),
        ({"a": {"b": "5m", "c": "5m"}, "d": "5m"}, [("a.b", ("a", "b")), ("a.c", ("a", "c")), ("d", ("d",))]),
        ({"a": {"b": {"value": {"x": 1}}}}, [("a.b", ("a", "b"))]),
        ({"a": {"b.c": {"x": 1}}}, [("a.b.c", ("a", "b.c"))]),
        ({"a.b": {"x": 1}}, [("a.b", ("a.b",))]),
        ({"network": {"ipv4": {"cidr": "x"}}}, [("network.ipv4", ("network", "ipv4"))]),
        ({"network": {"ipv4": {"cidx": "x"}}}, [("network.ipv4.cidx", ("network", "ipv4", "cidx"))]),
        ({"a": {}}, [("a", ("a",))]),
        ({"a": {"b": {}}}, [("a.b", ("a", "b"))]),
        ({}, []),
    ],
)
def test_where_names_end_and_tables_begin(tables: Any, found: List[Any]) -> None:
    assert [(name, path) for name, path, _ in walk(tables, _described)] == found


def test_functions_are_in_the_order_of_their_names() -> None:
    """So that moving a line in the file is no change."""
    assert functions('"os.name" = 5\n"cpu.count" = 5') == functions('"cpu.count" = 5\n"os.name" = 5')
    assert list(functions('"os.name" = 5\n"cpu.count" = 5')) == ["cpu.count", "os.name"]


def test_defaults_come_from_the_table_above() -> None:
    config = parse('[basket]\ninterval = "7s"\ntimeout = "3s"\nfunctions."os.name" = {}\nfunctions."cpu.count" = "9s"')
    assert [(s.interval, s.timeout) for s in config.basket.functions] == [(9.0, 3.0), (7.0, 3.0)]


def test_custom_facts_are_functions_too() -> None:
    assert functions('"rack.row" = "1h"', "[facts.custom]\nrack.row = 3")["rack.row"].function.kind == "fact"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '"network.ipaddrs" = "5m"',
            "f:2: [basket.functions] \"network.ipaddrs\": no function 'network.ipaddrs'; nearest known name 'network.ip_addrs'",
        ),
        ('network.ipaddrs = "5m"', "nearest known name 'network.ip_addrs'"),
        ('network.fqdn = "5m"\n"network.fqdn" = "6m"', 'f:3: [basket.functions] "network.fqdn": stands there twice'),
        ('"os.name" = 0', 'f:2: [basket.functions] "os.name": 0s is too short: at least 0.1s'),
        ('"os.name" = -5', 'f:2: [basket.functions] "os.name": a duration cannot be negative'),
        ('"os.name" = "5 minutes"', 'f:2: [basket.functions] "os.name": \'5 minutes\' is not a duration; write "5m"'),
        ('"os.name" = {\ninterval = "x" }', 'f:3: [basket.functions] "os.name": interval: '),
        ('[basket.functions."os.name"]\n\ntimeout = 0', 'f:4: [basket.functions] "os.name": timeout: 0s is too short'),
        ('"os.name" = true', 'expected an interval, such as "5m", or a table, not a boolean'),
        ('"os.name" = ["uname", "-s"]', "a command is written { command = [...] }"),
        ('"a..b" = "5m"', "bad function name 'a..b'"),
        ('"a b" = "5m"', "bad function name 'a b'"),
        (
            '[basket.functions."a.b"]\nfunction = "network.ip_addrs"\ncidrr = "x"',
            "f:4: [basket.functions] \"a.b\": unknown key 'cidrr'; nearest known name 'cidr'",
        ),
        ('[basket.functions."a.b"]\nfunction = "network.ip_addrs"\ncidr = "x"', "f:4: "),
        ('"a.b" = { function = "network.ip_adrs" }', "nearest known name 'network.ip_addrs'"),
        ('"a.b" = { command = ["x"], value = 5 }', "'command' and 'value' cannot stand together"),
        ('"a.b" = { command = "x -y" }', "f:2: [basket.functions] \"a.b\": 'command' needs a list"),
        ('"a.b" = { value = 1979-05-27 }', "f:2: [basket.functions] \"a.b\": 'value' cannot be used"),
        (
            '"custom.x" = { comand = ["a"] }',
            "f:2: [basket.functions] \"custom.x\": unknown key 'comand'; nearest known name 'command'",
        ),
        ('"custom.x" = { comand = "a", shell = true }', "unknown key 'comand'; nearest known name 'command'"),
        ('"custom.x" = { comand = "a", json = true }', "unknown key 'comand'; nearest known name 'command'"),
        ('[basket.functions."custom.x"]\ninterval = "5m"\ncomand = ["a"]', "f:4: "),
        (
            'custom.x = { comand = ["a"] }',
            "(or is 'comand' meant as a key of the table around it; nearest known name 'command'?)",
        ),
        ('custom.x = { fil = "/etc/x" }', "is 'fil' meant as a key of the table around it; nearest known name 'file'?"),
        ('"network.ip_addrs" = { intervall = "5m" }', "unknown key 'intervall'; nearest known name 'interval'"),
        ('"os.name" = { intervall = "5m" }', "unknown key 'intervall'; nearest known name 'interval'"),
        ('"os.name" = { timeot = "5m" }', "unknown key 'timeot'; nearest known name 'timeout'"),
        ('"network.hostname" = { interface = "eth0" }', "unknown key 'interface'; it takes no arguments"),
        ('"network.ip_adrs" = { interface = "eth0" }', "nearest known name 'network.ip_addrs'"),
        (
            '[basket.functions."a.b"]\nfunction = "a.b"',
            "f:3: [basket.functions] \"a.b\": 'function' makes 'a.b' an alias of itself; only built-in functions, facts and",
        ),
        (
            '"a.b" = { function = "c.d" }\n"c.d" = { value = 1 }',
            "f:2: [basket.functions] \"a.b\": 'c.d' is defined here; only built-in functions, facts and those of packages can",
        ),
        ('"a.b" = { function = "zzzzzzz" }', "no function 'zzzzzzz'; only built-in functions, facts and those of packages can"),
        ("custom.weight = { valu = 10 }", "is 'valu' meant as a key of the table around it; nearest known name 'value'?"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    assert message in refused(text)


def test_who_only_asks_reads_no_functions() -> None:
    """A plugin that was removed must not break every query, nor start a process for each."""
    text = '[basket]\nreplicas = 2\nfunctions."no.such" = "5m"'
    config = parse(text, file="f", functions=False)
    assert (config.basket.functions, config.basket.replicas) == ((), 2)
    with pytest.raises(ConfigError, match="no function"):
        parse(text, file="f")


def test_what_is_no_table_of_functions() -> None:
    with pytest.raises(ConfigError, match=r"f:1: \[basket\] functions: expected a table, not a list"):
        parse('basket.functions = ["network.ip_addrs"]', file="f")


def test_connecting_looks_for_no_functions(tmp_path: Path) -> None:
    path = tmp_path / "basket.toml"
    path.write_text('[basket.functions]\n"no.such" = "5m"\n[peel]\nid = "web-01"\n[nodegroups]\na = "web*"\n')
    assert make(config=str(path)).peel_id == "web-01"

"""What the configuration may say about a function, and the error for what it may not."""

from __future__ import annotations

import datetime

import pytest

from basket.errors import ConfigError
from basket.functions import Function, catalogue, define
from basket.functions.builtin import BUILTINS


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("network.ip_addrs", {}, ("builtin", "network.ip_addrs", {})),
        ("network.ip_addrs", {"interface": "eth0"}, ("builtin", "network.ip_addrs", {"interface": "eth0"})),
        (
            "network.dmz_ip",
            {"function": "network.ip_addrs", "cidr": "192.0.2.0/24", "list": True},
            ("builtin", "network.ip_addrs", {"cidr": "192.0.2.0/24", "list": True}),
        ),
        ("default_ipv4", {}, ("fact", "default_ipv4", {})),
        ("memory.total", {}, ("fact", "memory.total", {})),
        ("memory", {}, ("fact", "memory", {})),
        ("rack.row", {}, ("fact", "rack.row", {})),
        ("custom.row", {"function": "rack.row"}, ("fact", "rack.row", {})),
        ("custom.v", {"command": ["app", "--version"]}, ("command", ("app", "--version"), {})),
        ("custom.v", {"command": ["app"], "json": True}, ("command", ("app",), {"json": True})),
        ("custom.v", {"command": ["app"], "json": False, "shell": False}, ("command", ("app",), {})),
        ("custom.v", {"command": "a | b", "shell": True}, ("command", "a | b", {"shell": True})),
        ("custom.v", {"value": 10}, ("value", 10, {})),
        ("custom.v", {"value": False}, ("value", False, {})),
        ("custom.v", {"value": {"a": [1, {"b": 2}]}}, ("value", {"a": [1, {"b": 2}]}, {})),
        ("custom.v", {"file": "/etc/ssl/ca.pem"}, ("file", "/etc/ssl/ca.pem", {})),
        ("custom.v", {"python": "mysite.pools:current"}, ("python", "mysite.pools:current", {})),
        ("custom.v", {"python": "m:Class.method", "n": 1}, ("python", "m:Class.method", {"n": 1})),
        ("disk.usage", {"mounts": ["/", "/home"]}, ("builtin", "disk.usage", {"mounts": ["/", "/home"]})),
    ],
)
def test_what_a_table_means(name, options, expected):
    made = define(name, options, custom_facts={"rack": {"row": 7}})
    assert made.name == name
    assert (made.kind, made.what, dict(made.arguments)) == expected


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("network.ip_addr", {}, "nearest known name 'network.ip_addrs'"),
        ("os.nmae", {}, "nearest known name 'os.name'"),
        ("x", {"function": "memory.totl"}, "nearest known name 'memory.total'"),
        ("rack.rwo", {}, "nearest known name 'rack.row'"),
        ("zzzzzzzz", {}, "no function 'zzzzzzzz'"),
        ("zzzzzzzz", {}, "needs a command, value, file, python or function"),
        ("x", {"function": 3}, "'function' needs the name"),
        ("network.ip_addrs", {"interfce": "eth0"}, "'interfce'; nearest known name 'interface'"),
        ("network.hostname", {"cidr": "192.0.2.0/24"}, "takes no arguments"),
        ("os.name", {"cidr": "192.0.2.0/24"}, "takes no arguments"),
        ("network.ip_addrs", {"cidr": "300.0.0.0/8"}, "'cidr' needs a network"),
        ("network.ip_addrs", {"cidr": "192.0.2.7/24"}, 'the network is "192.0.2.0/24"'),
        ("network.ip_addrs", {"cidr": 5}, "'cidr' needs a network"),
        ("network.ip_addrs", {"list": 1}, "'list' needs true or false"),
        ("network.ip_addrs", {"interface": ""}, "'interface' needs the name"),
        ("network.ip_addrs", {"interface": ["eth0"]}, "'interface' needs the name"),
        ("disk.usage", {"mounts": "/"}, "'mounts' needs a list"),
        ("disk.usage", {"mounts": []}, "'mounts' needs a list"),
        ("disk.usage", {"mounts": ["home"]}, "absolute path"),
        ("ssh.host_keys", {"directory": "etc"}, "'directory' needs an absolute path"),
        ("x", {"command": ["a"], "value": 1}, "'command' and 'value' cannot stand together"),
        ("x", {"command": "a --b"}, "shell = true"),
        ("x", {"command": ["a"], "shell": True}, "one string"),
        ("x", {"command": []}, "'command' needs a list of strings"),
        ("x", {"command": ["a", 1]}, "'command' needs a list of strings"),
        ("x", {"command": ["", "a"]}, "'command' needs a list of strings"),
        ("x", {"command": ["a\0b"]}, "'command' needs a list of strings"),
        ("x", {"command": " ", "shell": True}, "'command' is empty"),
        ("x", {"command": ["a"], "json": "yes"}, "'json' needs true or false"),
        ("x", {"command": ["a"], "jsn": True}, "'jsn'; nearest known name 'json'"),
        ("x", {"value": 1, "json": True}, "'json'"),
        ("network.hostname", {"interval": 5}, "unknown key 'interval'; it takes no arguments"),
        ("x.y", {"pyton": "a:b"}, "unknown key 'pyton'; nearest known name 'python'"),
        ("x", {"json": True}, "'json' needs a command"),
        ("x", {"value": datetime.date(2024, 1, 1)}, "'value' cannot be used"),
        ("x", {"value": 2**70}, "64 bits"),
        ("x", {"file": "relative"}, "'file' needs an absolute path"),
        ("x", {"file": "/x", "shell": True}, "'shell'"),
        ("x", {"python": "no_colon"}, "'python' needs module:callable"),
        ("x", {"python": "a:"}, "'python' needs module:callable"),
        ("x", {"python": "a:b()"}, "'python' needs module:callable"),
        ("x", {"python": "a..b:c"}, "'python' needs module:callable"),
        ("x", {"python": "a:b:c"}, "'python' needs module:callable"),
        ("x", {"python": ["a:b"]}, "'python' needs module:callable"),
        ("x", {"python": "a:b", "when": datetime.time(1)}, "'when' cannot be used"),
        ("a b", {"value": 1}, "bad function name"),
        ("a..b", {"value": 1}, "bad function name"),
        ("", {"value": 1}, "bad function name"),
    ],
)
def test_what_is_wrong_is_named(name, options, says):
    with pytest.raises(ConfigError) as caught:
        define(name, options, custom_facts={"rack": {"row": 7}})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"command": ["a"], "jsn": True}, "jsn"),
        ({"command": ["a"], "value": 1}, "value"),
        ({"command": "a"}, "command"),
        ({"function": "network.ip_addrs", "cidr": 5}, "cidr"),
        ({"function": "x"}, "function"),
        ({"python": "a"}, "python"),
        ({"file": "a"}, "file"),
        ({"shell": True}, "shell"),
        ({}, ""),
    ],
)
def test_the_error_carries_the_key_to_blame(options, key):
    with pytest.raises(ConfigError) as caught:
        define("x", options)
    assert caught.value.key == key


def test_a_fact_set_by_hand_beats_the_built_in_function_of_that_name():
    made = define("network.fqdn", {}, custom_facts={"network": {"fqdn": "by.hand"}})
    assert made.kind == "fact", "the function would publish another name than the facts do"
    assert define("network.fqdn", {}).kind == "builtin"


def test_a_reload_sees_every_difference_between_two_functions():
    base = define("x", {"value": 1})
    assert base == define("x", {"value": 1})
    assert hash(base) == hash(define("x", {"value": 1}))
    for other in ({"value": True}, {"value": 1.0}, {"value": "1"}, {"value": [1]}):
        assert define("x", other) != base
    assert define("y", {"value": 1}) != base
    assert define("x", {"command": ["a"]}) != define("x", {"command": ["a"], "json": True})
    assert base != "x"


def test_arguments_in_another_order_are_no_change():
    one = Function("x", "builtin", "b", {"a": 1, "b": 2})
    assert one == Function("x", "builtin", "b", {"b": 2, "a": 1})


def test_the_catalogue_describes_every_argument():
    listed = {one.name: one for one in catalogue(plugins=False)}
    assert set(listed) == set(BUILTINS)
    assert set(listed["network.ip_addrs"].arguments) == {"interface", "cidr", "list"}
    for one in listed.values():
        assert one.summary and one.source == "built-in"
        assert all(one.arguments.values())

"""Every mistake that an operator makes is told with file, line, table, key, what is wrong, and the nearest known name."""

from __future__ import annotations

from typing import Any

import pytest

from basket.config import parse
from basket.errors import ConfigError


def refused(text: str, environ: Any = None) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, file="f", environ=environ or {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # names
        ('\n[natz]\nurl = "x"', "f:2: [natz]: unknown table; nearest known name 'nats'"),
        ('nodegroup.a = "x"', "f:1: [nodegroup]: unknown table; nearest known name 'nodegroups'"),
        ('[nats]\n\npasword = "x"', "f:3: [nats] pasword: unknown key; nearest known name 'password'"),
        ('[nats]\nnkey-seed = "x"', "f:2: [nats] nkey-seed: unknown key; nearest known name 'nkey_seed'"),
        ('[nats]\ntls = { cer = "x" }', "f:2: [nats.tls] cer: unknown key; nearest known name 'cert'"),
        ("[nats]\nreplicas = 3", "f:2: [nats] replicas: unknown key; it belongs in [basket]"),
        ("[agent]\nxyzzy = 1", "f:2: [agent] xyzzy: unknown key; known here: heartbeat, listen, listen_anywhere, resolver"),
        (
            '[[template]]\nsource = "/a"\ndest = "/b"',
            "f:3: [[template]] number 1 dest: unknown key; nearest known name 'destination'",
        ),
        ('[peel]\n"a b" = 1', 'f:2: [peel] "a b": unknown key'),
        # types
        ('peel = "web-01"', "f:1: [peel]: expected a table, not a string"),
        ('[[peel]]\nid = "a"', "f:1: [peel]: expected a table, not a list; write [peel], not [[...]]"),
        ("[peel]\nid = 5", 'f:2: [peel] id: expected a string, such as "web-01", not a number'),
        ('[basket]\nreplicas = "3"', "f:2: [basket] replicas: expected a whole number from 1 to 5, without quotes, not a string"),
        (
            "[basket]\nreplicas = true",
            "f:2: [basket] replicas: expected a whole number from 1 to 5, without quotes, not a boolean",
        ),
        ('[agent]\nresolver = "yes"', "f:2: [agent] resolver: expected true or false, without quotes, not a string"),
        ("[facts]\npublish = 1", "f:2: [facts] publish: expected true or false, without quotes, not a number"),
        ("[facts]\ncustom = 1", "f:2: [facts] custom: expected a table, not a number"),
        ("[nats]\ntls = true", "f:2: [nats] tls: expected a table, not a boolean"),
        ("[nats]\nurl = 4222", "f:2: [nats] url: expected a string or a list of strings"),
        ("[nats]\nurl = []", "f:2: [nats] url: expected a list of strings"),
        ('[nats]\nurl = [\n"nats://a",\n5]', "f:4: [nats] url, element 2: expected a string, not a number"),
        ('[nats]\nurl = [\n"nats://a",\n""]', "f:4: [nats] url, element 2: expected a string, not an empty one"),
        ("[basket]\nscope = 1", "f:2: [basket] scope: expected a target"),
        ('[nodegroups]\na = ["x"]', "f:2: [nodegroups] a: expected a target"),
        # durations
        ("[basket]\ninterval = 0", "f:2: [basket] interval: 0s is too short: at least 0.1s"),
        ("[basket]\ninterval = -1", "f:2: [basket] interval: a duration cannot be negative, and -1 is"),
        ('[basket]\ninterval = "5 minutes"', "f:2: [basket] interval: '5 minutes' is not a duration; write \"5m\""),
        (
            "[basket]\ntimeout = true",
            'f:2: [basket] timeout: a duration is a string such as "5m", or seconds as a number; not a boolean',
        ),
        ('[facts]\ninterval = "0s"', "f:2: [facts] interval: 0s is too short"),
        ("[nats]\ntimeout = 0", "f:2: [nats] timeout: 0s is too short"),
        ('[agent]\nheartbeat = "1m"', "f:2: [agent] heartbeat: 60s is too long: heartbeats expire after 30s"),
        ('[agent]\nlisten = "0.0.0.0:9434"', "f:2: [agent] listen: 0.0.0.0 can be reached from other machines"),
        ('[agent]\nlisten = "nats-1:9434"', "f:2: [agent] listen: 'nats-1:9434' is no address with a port"),
        ('[agent]\nlisten = "127.0.0.1"', "f:2: [agent] listen: '127.0.0.1' is no address with a port"),
        ('[agent]\nlisten = "::1:9434"', "f:2: [agent] listen: '::1:9434' is no address with a port"),
        ("[agent]\nlisten = 9434", "f:2: [agent] listen: expected a string"),
        ('[agent]\nheartbeat = "1ms"', "f:2: [agent] heartbeat: must be 0, which turns it off"),
        # ranges and forms
        ("[basket]\nreplicas = 0", "f:2: [basket] replicas: 0 is not a whole number from 1 to 5"),
        ('[peel]\nid = "-web"', "f:2: [peel] id: bad peel id '-web'"),
        ('[peel]\nid = "localhost"', "f:2: [peel] id: 'localhost' cannot be a peel id"),
        ('[peel]\nid = ""', "f:2: [peel] id: is empty"),
        ('[peel]\nstate = "~/zester"', "f:2: [peel] state: '~/zester': neither '~' nor"),
        ('[peel]\nstate = "a\\nb"', "f:2: [peel] state: holds a line break"),
        ("[facts]\ncustom = { a = 1979-05-27 }", "f:2: [facts] custom: cannot be published"),
        ("[facts]\ncustom.a = 123456789012345678901234567890", "f:2: [facts] custom: cannot be published"),
        # targets
        ('[nodegroups]\n"a b" = "x"', 'f:2: [nodegroups] "a b": the name of a group'),
        ('[nodegroups]\na.b = "x"', "f:2: [nodegroups] a: expected a target, not a table; a name with a dot needs quotes"),
        ('[nodegroups]\nb = "x"\na = "web* and"', "f:3: [nodegroups] a: bad target 'web* and', at character 9"),
        ('[nodegroups]\na = "N@none"', "f:2: [nodegroups] a: bad target 'N@none'"),
        ('[nodegroups]\na = "N@a"', "refers to itself"),
        (
            '[nodegroups]\nc = "N@b"\nb = "N@front"\nfront = "(role:x"',
            "f:4: [nodegroups] front: bad target '(role:x', at character 1",
        ),
        ('[nodegroups]\nc = "N@b"\nb = "N@none"', "f:3: [nodegroups] b: bad target 'N@none'"),
        ('[basket]\nscope = "G@a:{{ fact.a }}"', "f:2: [basket] scope: "),
        ('[basket]\nscope = "G@a:{{ facts.a"', "f:2: [basket] scope: "),
        ('[basket]\nscope = "G@a:{{ facts.a }} and"', "f:2: [basket] scope: bad target"),
        ('[basket]\nscope = "N@none"', "f:2: [basket] scope: bad target 'N@none'"),
        # templates
        ('[template]\nsource = "/a"', "f:1: [template]: there can be several, so it is written [[template]]"),
        ('[[template]]\ndestination = "/a"', "f:1: [[template]] number 1: has no source"),
        ('[[template]]\nsource = "/a"', "f:1: [[template]] number 1: has no destination"),
        (
            '[[template]]\nsource = "/a"\ndestination = "/b"\n[[template]]\nsource = "/c"\ndestination = "/b"',
            "f:6: [[template]] number 2 destination: number 1 writes the same file",
        ),
        (
            '[[template]]\nsource = "/a"\ndestination = "/b"\ncheck = "x -c"',
            "f:4: [[template]] number 1 check: expected a list of strings",
        ),
        (
            '[[template]]\nsource = "/a"\ndestination = "/b"\nwait = "1s"',
            "f:4: [[template]] number 1 wait: expected the quiet time",
        ),
        (
            '[[template]]\nsource = "/a"\ndestination = "/b"\nwait = ["9s", "1s"]',
            "f:4: [[template]] number 1 wait: the quiet time (9s)",
        ),
        ('[[template]]\nsource = "/a"\ndestination = "/b"\nwait = ["x", "1s"]', "f:4: [[template]] number 1 wait: 'x' is not"),
        # expectations
        ('[basket.expect]\n"network.ip addrs" = "ip"', 'f:2: [basket.expect] "network.ip addrs": bad function name'),
        ('[basket.expect]\na.b = "ip"\n"a.b" = "str"', 'f:3: [basket.expect] "a.b": stands there twice, with quotes and without'),
        ('[basket.expect]\na.b = "ipp"', 'f:2: [basket.expect] "a.b": '),
        ('[basket.expect]\n"a.b" = 5', 'f:2: [basket.expect] "a.b": expected what a value must look like'),
    ],
)
def test_message(text: str, message: str) -> None:
    assert message in refused(text)


def test_a_scope_that_only_facts_can_complete_is_accepted() -> None:
    """The facts are not known when the file is read: what can be right must not be refused."""
    for scope in (
        "G@cluster:{{ facts.cluster_name }}",
        "web* or S@{{ facts.default_ipv4 }}",
        "S@{{ facts.net }}/8 and not L@{{ facts.id }}",
        'G@os.name:"{{ facts.os.name }}" and G@os.family:{{facts.os.family}}',
        "N@{{ facts.site }}",
        "{{ facts.a.b }} or {{ facts.a.c }}",
    ):
        assert parse(f"basket.scope = '{scope}'").basket.scope == scope


def test_a_blank_scope_is_none() -> None:
    assert parse('basket.scope = "  "').basket.scope == ""


def test_scope_and_groups_may_use_groups() -> None:
    config = parse('[basket]\nscope = "N@a"\n[nodegroups]\na = "N@b or x"\nb = "y*"')
    assert config.nodegroups == {"a": "N@b or x", "b": "y*"}


def test_the_first_mistake_is_told_even_where_the_section_is_unused() -> None:
    assert "f:3" in refused('[facts]\npublish = false\ninterval = "x"')


def test_expect_names_may_be_quoted_or_not() -> None:
    config = parse('[basket.expect]\nnetwork.ip_addrs = "ip"\n"custom.ports" = ["port"]\ncustom.value = "int"')
    assert config.basket.expect == {"network.ip_addrs": "ip", "custom.ports": ["port"], "custom.value": "int"}


def test_a_custom_fact_cannot_hide_what_is_collected():
    with pytest.raises(ConfigError, match="os would hide all facts"):
        parse('[facts]\ncustom = { os = "mine" }\n')
    assert parse("[facts]\ncustom = { os = { mine = 1 } }\n").facts.custom == {"os": {"mine": 1}}

"""conf/basket.toml is what operators start from: it must say what is true, all of it, and work when uncommented."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Dict, Set

import pytest
import tomli

from basket.config import Config, load, parse
from basket.config.building import KEYS
from basket.errors import ConfigError

FILE = Path(__file__).resolve().parents[2] / "conf" / "basket.toml"
TEXT = FILE.read_text(encoding="utf-8")

_SETTING = re.compile(r"#((?:[\w.\"-]+ = |\[).*)\Z")
_LOGIN = {"credentials", "nkey_seed", "user", "password", "password_file", "password_env", "token", "token_file", "token_env"}
_TWICE = 'scope = ""'  # the default, above its example


def uncommented(*, login: Set[str]) -> str:
    """The file with every example in force, and of the ways to log in those named."""
    lines = []
    for line in TEXT.splitlines():
        setting = _SETTING.match(line)
        if setting and (setting[1].split()[0] not in _LOGIN or setting[1].split()[0] in login):
            lines.append(setting[1])
        elif line != _TWICE:
            lines.append(line)
    return "\n".join(lines)


def test_it_equals_the_defaults() -> None:
    """Whoever copies it must not change anything by that."""
    assert replace(load(str(FILE)), file=None) == Config()


def test_every_default_is_said_aloud_and_every_other_key_is_shown() -> None:
    data = tomli.loads(uncommented(login=_LOGIN))
    shown: Dict[str, Set[str]] = {
        "[peel]": set(data["peel"]),
        "[nats]": set(data["nats"]),
        "[nats.tls]": set(data["nats"]["tls"]),
        "[basket]": set(data["basket"]),
        "[facts]": set(data["facts"]),
        "[agent]": set(data["agent"]),
        "[[template]]": set(data["template"][0]),
    }
    assert shown == {name: set(keys) for name, keys in KEYS.items()}
    assert set(data) == {"peel", "nats", "basket", "facts", "nodegroups", "agent", "template"}


@pytest.mark.parametrize(
    "login", [{"credentials"}, {"nkey_seed"}, {"user", "password"}, {"user", "password_env"}, {"token"}, {"token_env"}]
)
def test_every_example_works(login: Set[str]) -> None:
    environ = {"BASKET_PASSWORD": "hidden", "BASKET_TOKEN": "hidden"}
    config = parse(uncommented(login=login), environ=environ)
    names = {scheduled.function.name for scheduled in config.basket.functions}
    assert {"network.ip_addrs", "network.fqdn", "disk.usage", "custom.pool", "network.dmz_ip"} <= names
    assert config.basket.expect["network.ip_addrs"] == "ip" and config.basket.expect["network.ipv4"] == ["ip"]
    assert config.nodegroups == {"frontends": "role:webserver or L@edge-01,edge-02"}
    assert config.facts.custom["role"] == "webserver"
    assert config.templates[0].wait == (1.0, 10.0)
    assert config.peel.id == "web-01"


@pytest.mark.parametrize("key", ["password_file", "token_file"])
def test_the_files_of_the_examples_are_read_and_missed(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[nats\] {key}: cannot read"):
        parse(uncommented(login={key, "user"} if key == "password_file" else {key}))


def test_every_example_is_found_by_this_test() -> None:
    """An example that does not look like one would be neither checked nor usable by taking its # away."""
    for line in TEXT.splitlines():
        assert not line.startswith("#") or line in ("#",) or line.startswith("# ") or _SETTING.match(line), line

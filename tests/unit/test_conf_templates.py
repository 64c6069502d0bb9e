"""The templates of conf/: what one peel publishes by mistake costs it its own lines, or is told by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from template_fakes import FakeBasket

from basket.errors import TemplateError
from basket.template import Renderer

TEMPLATES = Path(__file__).resolve().parents[2] / "conf" / "templates"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1nIpxXX5Ex"
ODD = [5, True, None, "web-02 x", "ssh-ed25519 AAAA\n", {"ssh-rsa": 1}, [], [5, None, ["ssh-rsa AAAA"]], b"ssh-rsa AAAA", 1.5]


def text(name, values, **options):
    return Renderer(FakeBasket(values), facts=lambda: {"default_ipv4": "192.0.2.9"}, **options).text(str(TEMPLATES / name))


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_host_keys_that_are_no_list_of_keys_are_left_out(odd):
    lines = text("known_hosts.j2", {"ssh.host_keys": {"web-01": [KEY], "web-02": odd, "web-03": [KEY]}}).splitlines()
    assert lines[1:] == [f"web-01 {KEY}", f"web-03 {KEY}"]


def test_host_keys_with_control_characters_are_left_out_where_text_is_expected():
    values = {"ssh.host_keys": {"web-01": [KEY], "web-02": [KEY + "\x1b"]}}
    with pytest.raises(TemplateError, match="from peel web-02"):
        text("known_hosts.j2", values)
    assert text("known_hosts.j2", values, expect={"ssh.host_keys": ["str"]}).splitlines()[1:] == [f"web-01 {KEY}"]


@pytest.mark.parametrize("odd", [7, True, None, [], ["web-02.example.org"], {"web-02": 1}, b"web-02.example.org"], ids=repr)
def test_a_full_name_that_is_no_text_is_left_out(odd):
    addresses = {"web-01": "192.0.2.1", "web-02": "192.0.2.2"}
    lines = text("hosts.j2", {"network.ip_addrs": addresses, "network.fqdn": {"web-01": "web-01.example.org", "web-02": odd}})
    assert lines.splitlines()[-2:] == ["192.0.2.1 web-01.example.org web-01", "192.0.2.2 web-02"]


@pytest.mark.parametrize("template", ["databases.json", "firewall.nft", "haproxy.cfg", "hosts", "prometheus.json", "zone"])
def test_what_is_no_address_is_told_with_its_peel_or_left_out_where_it_is_expected(template):
    values = {"network.ip_addrs": {"web-01": "192.0.2.1", "web-02": 7}}
    with pytest.raises(TemplateError, match=r"peel web-02 .*IP address"):
        text(f"{template}.j2", values)
    made = text(f"{template}.j2", values, expect={"network.ip_addrs": "ip"})
    assert "192.0.2.1" in made and "web-02" not in made

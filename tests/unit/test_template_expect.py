"""[basket.expect]: what passes as an address, a name, a port; and that hostile values and patterns do no harm."""

from __future__ import annotations

import time

import pytest

from basket.config import parse
from basket.errors import ConfigError
from basket.expect import Expectations, cidr, compiled, hostname, ip, port

GOOD = {
    "ip": ["192.0.2.1", "2001:db8::1", "0.0.0.0"],
    "cidr": ["192.0.2.0/24", "2001:db8::/32", "192.0.2.1/32", "0.0.0.0/0"],
    "hostname": ["web-01", "web-01.example.org", "3com.com", "a" * 63],
    "port": [1, 65535, "8080"],
    "int": [0, -5, 2**40],
    "str": ["", "a b", "Größe", "日本"],
    "/v[0-9]+/": ["v1", "v123"],
}
BAD = {
    "ip": ["", "192.0.2", "192.0.2.1\n", "192.0.2.010", "fe80::1%eth0", "fe80::1%\n", 3221225985, None, ["192.0.2.1"], b"\x01"],
    "cidr": ["192.0.2.0", "192.0.2.5/24", "192.0.2.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255", "/24", "1.2.3.4/-1"],
    "hostname": ["", "a_b", "-a", "a-", "a..b", "a.", "192.0.2.1", "a b", "a\n", "a" * 64, ".".join(["a" * 60] * 5), "ä", 5],
    "port": [0, 65536, "0", "-1", "80 ", "8o", "٣", True, 80.0, None, "080808"],
    "int": ["5", True, 5.0, None],
    "str": ["a\nb", "a\x1b[2J", "\x7f", "a\u2028b", "\x85", 5, None, b"a"],
    "/v[0-9]+/": ["xv1", "v1x", "v1\n", "", 1, "v" + "1" * 5000],
}


@pytest.mark.parametrize("kind,value", [(kind, value) for kind, values in GOOD.items() for value in values])
def test_what_is_as_it_should_be_is_let_through(kind, value):
    assert Expectations({"f": kind}).reason("f", value) is None


@pytest.mark.parametrize("kind,value", [(kind, value) for kind, values in BAD.items() for value in values])
def test_what_is_not_is_refused_with_a_reason_on_one_line(kind, value):
    reason = Expectations({"f": kind}).reason("f", value)
    assert reason is not None and reason.startswith(("is ", "has "))
    assert reason.isprintable() and len(reason) < 200


def test_a_list_is_judged_by_its_elements():
    expected = Expectations({"f": ["ip", "hostname"], "g": ["ip"]})
    assert expected.reason("f", ["192.0.2.1", "web-01"]) is None
    assert expected.reason("g", []) is None
    assert "number 2" in expected.reason("g", ["192.0.2.1", "x"])
    assert expected.reason("g", "192.0.2.1") is not None, "a string is no list of addresses"
    assert expected.reason("f", ["a b"]) is not None
    assert expected.reason("other", object()) is None, "nothing is expected of other functions"


def test_a_hostile_value_cannot_make_an_expression_take_for_ever():
    begun = time.monotonic()
    assert Expectations({"f": "/(a+)+b/"}).reason("f", "a" * 4000) is not None
    assert Expectations({"f": "/(a|aa)+$b/"}).reason("f", "a" * 200) is not None
    assert time.monotonic() - begun < 5.0


@pytest.mark.parametrize("kind", ["/v{e}/", "/{i}/", "/(?:v1){d<=9}/", "/(v1){s}/", "/v1{e<=9}/"])
def test_a_brace_that_counts_nothing_is_a_brace(kind):
    # To the engine that matches it would mean "or anything like it", and let everything through.
    expected = Expectations({"f": kind})
    assert expected.reason("f", "qqq") is not None and expected.reason("f", "") is not None
    assert expected.reason("f", kind.strip("/").replace("(?:", "").replace("(", "").replace(")", "")) is None


def test_an_expression_means_here_what_it_means_in_a_target():
    assert Expectations({"f": "/[[:digit:]]+/"}).reason("f", "12") is None
    assert Expectations({"f": "/a++b/"}).reason("f", "aab") is None
    for kind, told in (("/(a{1000}){1000}/", "too large"), (f"/{'a' * 5000}/", "at most 4096"), ("/ab(/", "at character 3")):
        with pytest.raises(ValueError, match=told):
            compiled(kind)


def test_what_only_one_engine_reads_refuses_the_value_and_breaks_nothing(monkeypatch):
    import regex

    def refuses(*_):
        raise regex.error("not that")

    monkeypatch.setattr(regex, "compile", refuses)
    assert Expectations({"f": "/a+/"}).reason("f", "aa") == "cannot be compared with /a+/: not that"


def test_spelling_is_made_uniform():
    # One machine, one line: two spellings of an address would be two members of an allow list.
    assert ip("2001:DB8:0::1") == "2001:db8::1"
    assert cidr("2001:DB8::/32") == "2001:db8::/32"
    assert hostname("Web-01") == "Web-01"
    assert port("0080"[2:]) == 80


@pytest.mark.parametrize("wanted", ["ipp", "", "IP", "/[/", "//", "/", [], ["ip", 5], 5, None, {"a": "ip"}])
def test_what_says_nothing_is_refused_when_it_is_read(wanted):
    with pytest.raises(ValueError):
        compiled(wanted)


def test_the_configuration_names_line_key_and_nearest_type():
    with pytest.raises(ConfigError, match=r"f.toml:3: \[basket.expect\] .*'hostnam' is no known type; nearest known 'hostname'"):
        parse('[basket.expect]\n"network.ip_addrs" = "ip"\n"network.fqdn" = "hostnam"\n', file="f.toml")
    config = parse('[basket.expect]\nnetwork.ip_addrs = "ip"\n"custom.v" = \'/v\\d+/\'\n"network.ipv4" = ["ip"]\n')
    assert dict(config.basket.expect) == {"network.ip_addrs": "ip", "custom.v": "/v\\d+/", "network.ipv4": ["ip"]}
    Expectations(config.basket.expect)


@pytest.mark.parametrize("mode", ["640", "0640", "0600", "1777"])
def test_the_mode_of_a_template_is_octal(mode):
    section = parse(
        f'[[template]]\nsource = "/a"\ndestination = "/b"\nmode = "{mode}"\nbackup = true\ntimeout = "5s"\n'
    ).templates[0]
    assert (section.mode, section.backup, section.timeout) == (int(mode, 8), True, 5.0)


@pytest.mark.parametrize("mode", ["640", '"rw-r--r--"', '"0888"', '"6"', '""'])
def test_another_mode_is_refused(mode):
    # mode = 640 would be decimal: rwsr-x--t in the end.
    with pytest.raises(ConfigError, match="mode"):
        parse(f'[[template]]\nsource = "/a"\ndestination = "/b"\nmode = {mode}\n')

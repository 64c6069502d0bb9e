"""Which peels each form means, and that broken facts mean nothing and break nothing."""

from __future__ import annotations

from collections import UserDict
from datetime import datetime
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basket.target import matcher, parse

FACTS = {
    "role": "webserver",
    "roles": ["web", "DB", 7],
    "nothing": None,
    "empty": [],
    "blank": "",
    "is_primary": True,
    "spare": False,
    "count": 8,
    "load": 1.5,
    "whole": 2.0,
    "million": 1000000.0,
    "version": "5.15.0",
    "text_number": "9",
    "url": "http://x:80/y",
    "star": "a*b",
    "note": "two\nlines",
    "raw": b"webserver",
    "when": datetime(2024, 1, 1),
    "maps": [{"a": 1}, None],
    "os": {"name": "Linux", "family": "debian", "platform": "debian", "pretty": "Mac OS X"},
    "cpu": {"count": 8},
    "a": {"b": {"c": {"d": "deep"}}},
    "network": {"ipv4": ["10.1.2.3", "192.168.0.9/24"], "ipv6": ["fe80::1%eth0", "2001:db8::5"]},
    "default_ipv4": "172.16.0.1",
}

BY_ID = [
    ("web*", ["web-01", "web", "web01_pl"], ["db-01", "aweb", "WEB-01"]),
    ("web-0[1-3]", ["web-01", "web-03"], ["web-04", "web-011"]),
    ("web-0[^1-3]", ["web-04"], ["web-01"]),
    ("web-0[!1-3]", ["web-04"], ["web-01"]),
    ("db-?", ["db-1"], ["db-", "db-10"]),
    ("*-01", ["web-01", "-01"], ["web-02"]),
    ("*b-*", ["web-01"], ["web01"]),
    ("web*01", ["web-01", "web01"], ["web0", "we01"]),
    ("w*b*1", ["web-01", "wb1"], ["web-02"]),
    ("web*web", ["webweb"], ["web"]),
    ("*", ["web-01", "x"], []),
    ("web-01", ["web-01"], ["web-011", "aweb-01", "WEB-01"]),
    ("web01.pl", ["web01_pl", "web01.pl"], ["web01xpl", "web01-pl"]),
    ("web01.*", ["web01_pl", "web01.pl"], ["web01-pl"]),
    ("web*.p[.l]", ["web01_pl", "web01_p."], ["web01_p_"]),
    (r"E@^web-\d+$", ["web-01"], ["web-", "xweb-01", "web-01x"]),
    ("E@eb", ["web-01"], ["db-01"]),
    (r"E@^(web|api)-\d+$", ["web-01", "api-2"], ["db-01"]),
    ("E@^WEB", ["WEB-01"], ["web-01"]),
    ("E@(?i)^WEB", ["web-01"], ["db-01"]),
    (r"E@^web-\d+\z", ["web-01"], ["web-01x"]),
    ("E@^[[:alpha:]]+$", ["web"], ["web1"]),
    (r"E@^\p{L}+$", ["web"], ["web1"]),
    ("E@^(?>a|ab)c", ["ac"], ["abc"]),
    ("E@web{e}", ["web{e}"], ["web", "wee"]),
    ("L@web-01,web-02", ["web-01", "web-02"], ["web-03", "web"]),
    ("L@web01.pl", ["web01_pl"], ["web01-pl"]),
    ("web-01,web-02", ["web-01", "web-02"], ["web-03"]),
    ("not web*", ["db"], ["web"]),
    ("web* and *1 and not *01", ["web-11"], ["web-01", "web-2"]),
    ("a or b or c", ["a", "b", "c"], ["d"]),
]


@pytest.mark.parametrize(("expression", "inside", "outside"), BY_ID)
def test_matching_by_id(expression, inside, outside):
    matches = matcher(parse(expression))
    assert [peel for peel in inside if not matches(peel, {})] == []
    assert [peel for peel in outside if matches(peel, {})] == []


BY_FACT = [
    ("role:webserver", True),
    ("role:WebServer", True),
    ("role:web", False),
    ("G@role:web*", True),
    ("G@role:WEB*", True),
    ("G@role:w?bserver", True),
    ("G@role:[A-W]ebserver", True),
    ("G@role:!=web*", False),
    ("G@role:!=db", True),
    ("G@role:!=WEBSERVER", False),
    ("G@missing:x", False),
    ("G@missing:!=x", False),
    ("G@missing.deep:!=x", False),
    ("G@missing:*", False),
    ("not G@missing:x", True),
    ("G@nothing:*", False),
    ("G@nothing:!=x", False),
    ("G@role.deeper:x", False),
    ("G@role.deeper:!=x", False),
    ("G@os:linux", False),
    ("G@os:!=linux", False),
    ("G@os:*", True),
    ("G@os.name:linux", True),
    ("I@os.name:linux", True),
    ('G@os.pretty:"mac os x"', True),
    ('G@os.pretty:"mac os"', False),
    ('G@os.pretty:"mac*"', True),
    ("G@a.b.c.d:deep", True),
    ("G@a.b.c:*", True),
    ("G@roles:web", True),
    ("G@roles:db", True),
    ("G@roles:7", True),
    ("G@roles:x", False),
    ("G@roles:we*", True),
    ("G@roles:!=web", False),
    ("G@roles:!=x", True),
    ("G@roles:>6", True),
    ("G@empty:*", False),
    ("G@empty:!=x", True),
    ("G@maps:x", False),
    ("G@maps:!=x", True),
    ('G@blank:""', True),
    ("G@blank:*", True),
    ("G@is_primary:true", True),
    ("G@is_primary:True", True),
    ("G@is_primary:1", False),
    ("G@spare:false", True),
    ("G@count:8", True),
    ("G@cpu.count:8", True),
    ("G@count:8.0", False),
    ("G@count:>7", True),
    ("G@count:>=8", True),
    ("G@count:>=8.0", True),
    ("G@count:<10", True),
    ("G@count:<=7", False),
    ("G@count:>8", False),
    ("G@count:<8", False),
    ("G@load:1.5", True),
    ("G@load:>1.25", True),
    ("G@whole:2", True),
    ("G@whole:2.0", False),
    ("G@million:1e+06", True),
    ("G@million:>=1000000", True),
    ("G@text_number:>10", False),
    ("G@text_number:<10", True),
    ("G@version:>=5.10.0", True),
    ("G@version:<5.2.0", True),
    ("G@role:>WEBSERVE", True),
    ("G@role:>=WEBSERVER", True),
    ("G@role:<x", True),
    ("G@count:<abc", True),
    ("G@is_primary:>0", True),
    ("G@url:http://x:80/y", True),
    ("G@star:a[*]b", True),
    ("G@star:axb", False),
    ("G@note:two*lines", True),
    ("G@raw:webserver", False),
    ("G@raw:!=webserver", False),
    ("G@when:*", False),
    ("P@os.family:(debian|rhel)", True),
    ("P@os.family:^DEB", True),
    ("P@os.family:rhel", False),
    ("P@roles:^d", True),
    ("P@count:^8$", True),
    ("P@missing:.*", False),
    ("P@os:.*", False),
    ("S@10.0.0.0/8", True),
    ("S@10.1.2.3", True),
    ("S@10.1.2.4", False),
    ("S@192.168.0.0/24", True),
    ("S@172.16.0.0/12", True),
    ("S@11.0.0.0/8", False),
    ("S@2001:db8::/32", True),
    ("S@fe80::/10", True),
    ("S@2001:db9::/32", False),
    ("S@0.0.0.0/0", True),
    ("S@::/0", True),
    ("G@os.name:linux and S@10.0.0.0/8 and not role:db", True),
    ("role:db or G@cpu.count:>4", True),
    ("N@near and web*", True),
    ("not N@near", False),
]


@pytest.mark.parametrize(("expression", "outcome"), BY_FACT)
def test_matching_by_fact(expression, outcome):
    matches = matcher(parse(expression, {"near": "N@net or role:db", "net": "S@10.0.0.0/8"}))
    assert matches("web-01", FACTS) is outcome
    assert matches("web-01", MappingProxyType(FACTS)) is outcome
    assert matches("web-01", UserDict(FACTS)) is outcome


EVERY_FACT_FORM = (
    "role:webserver",
    "G@role:!=x",
    "G@role:!=x*",
    "G@role:*",
    "G@role:>1",
    "G@role:<=zzz",
    "G@os.name:linux",
    "G@os.name:!=linux",
    "G@a.b.c.d:!=x",
    "P@role:.*",
    "P@os.name:(a+)+$",
    "S@10.0.0.0/8",
    "S@::/0",
)

BROKEN = [None, 5, "role", b"role", [], ["role"], {}, {"role": None}, {1: 2, b"os": 3, None: 4}, float("nan"), object(), True]


@pytest.mark.parametrize("facts", BROKEN, ids=lambda facts: type(facts).__name__)
def test_broken_facts_match_nothing_by_fact(facts):
    for expression in EVERY_FACT_FORM:
        assert matcher(parse(expression))("web-01", facts) is False, expression
    assert matcher(parse("web*"))("web-01", facts)
    assert matcher(parse("web* or role:x"))("web-01", facts)


ODD = [
    {"os": "linux"},
    {"os": ["name"]},
    {"os": {"name": {"x": 1}}},
    {"os": {"name": object()}},
    {"role": object()},
    {"role": b"\xff"},
    {"role": 10**5000},
    {"role": float("nan")},
    {"role": "9" * 100_000},
    {"role": "\udcff"},
    {"role": [[["web"]], {"x": []}, object(), None, b"x"]},
    {"network": "10.0.0.1"},
    {"network": {"ipv4": 5, "ipv6": {"a": 1}}},
    {"network": {"ipv4": [None, 5, "10", "\x00", "\udcff", "10.0.0.256", "::ffff:10.0.0.1", "1" * 5000], "ipv6": "x"}},
    {"default_ipv4": ["10.0.0.1"]},
]


@pytest.mark.parametrize("facts", ODD, ids=[f"odd{n}" for n in range(len(ODD))])
def test_odd_facts_never_raise(facts):
    for expression in EVERY_FACT_FORM:
        assert matcher(parse(expression))("web-01", facts) in (True, False)
    assert not matcher(parse("S@10.0.0.0/8"))("web-01", facts)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.datetimes()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(["role", "os", "name", "network", "ipv4", "a", "b"]), st.text(), st.integers()), inner
        ),
    ),
    max_leaves=10,
)
MATCHERS = [matcher(parse(expression)) for expression in EVERY_FACT_FORM]


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_whatever_is_in_the_bucket_the_answer_is_yes_or_no(facts):
    for matches in MATCHERS:
        assert matches("web-01", facts) in (True, False)


def test_an_unknown_node_is_refused_at_once():
    with pytest.raises(TypeError, match="not a target"):
        matcher("web*")

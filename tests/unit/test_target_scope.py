"""The scope's template: filled from this peel's facts, and never wider than what was written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basket.config import parse as parse_config
from basket.connecting import filler
from basket.errors import ConfigError, MissingError, TargetError
from basket.facts import network
from basket.target import fill_scope, matcher, parse

FACTS = {
    "cluster": "a",
    "count": 8,
    "primary": True,
    "load": 1.5,
    "os": {"name": "Mac OS X", "family": "darwin"},
    "star": "*",
    "evil": "a or *",
    "quote": 'say "hi"',
    "pattern": ".|",
    "blank": " ",
    "empty": "",
    "nil": None,
    "list": ["a"],
    "address": "10.0.0.1",
}


def fill(template, facts):
    def fact(path):
        value = facts
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value is None:
            raise MissingError(f"no fact {path!r} on this host")
        return value

    return fill_scope(template, fact)


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("web*", "web*"),
        ("G@cluster:{{ facts.cluster }}", "G@cluster:a"),
        ("G@cluster:{{facts.cluster}} and G@c:{{  facts.count  }}", "G@cluster:a and G@c:8"),
        ("G@p:{{ facts.primary }}", "G@p:true"),
        ("G@p:{{ facts.load }}", "G@p:1.5"),
        ("G@x:pre-{{ facts.cluster }}-{{ facts.count }}", "G@x:pre-a-8"),
        ("G@os.name:{{ facts.os.name }}", 'G@os.name:"Mac OS X"'),
        ("G@os.name:!={{ facts.os.name }}", 'G@os.name:!="Mac OS X"'),
        ('G@os.name:"{{ facts.os.name }}"', 'G@os.name:"Mac OS X"'),
        ('G@os.name:"{{ facts.os.name }} 11" or x', 'G@os.name:"Mac OS X 11" or x'),
        ("G@x:{{ facts.star }}", 'G@x:"[*]"'),
        ("G@x:{{ facts.quote }}", 'G@x:"say ""hi"""'),
        ('G@x:"{{ facts.quote }}"', 'G@x:"say ""hi"""'),
        ("S@{{ facts.address }}/8", "S@10.0.0.1/8"),
        ("E@^{{ facts.cluster }}-", "E@^a-"),
        ("(G@x:{{ facts.evil }})", '(G@x:"a or [*]")'),
    ],
)
def test_holes_are_filled(template, filled):
    assert fill(template, FACTS) == filled
    parse(filled)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("G@c:{{ facts.missing }}", "'missing'"),
        ("G@c:{{ facts.os.missing }}", "'os.missing'"),
        ("G@c:{{ facts.cluster.deeper }}", "'cluster.deeper'"),
        ("G@c:{{ facts.nil }}", "'nil'"),
        ("G@c:{{ facts.empty }}", "is empty"),
        ("G@c:{{ facts.blank }}", "is empty"),
        ("G@c:{{ facts.list }}", "not one value"),
        ("G@c:{{ facts.os }}", "not one value"),
        ("G@c:{{ cluster }}", "not understood"),
        ("G@c:{{ facts.cluster | upper }}", "not understood"),
        ("G@c:{{ }}", "not understood"),
        ("G@c:{{ facts.cluster }", "never closed"),
        ("G@c:x-{{ facts.os.name }}", "put quotes"),
        ("G@c:{{ facts.os.name }}-x", "put quotes"),
        ("E@^{{ facts.pattern }}", "regular expression"),
        ("x and (P@a:{{ facts.evil }}", "regular expression"),
        ('E@"{{ facts.evil }}"', "regular expression"),
    ],
)
def test_what_cannot_be_filled_is_an_error_and_names_it(template, said):
    with pytest.raises(ConfigError) as caught:
        fill(template, FACTS)
    assert said in str(caught.value)
    assert repr(template) in str(caught.value)


def test_only_the_facts_that_it_names_are_asked_for():
    asked = []
    fill_scope("G@c:{{ facts.a.b }} or G@c:{{ facts.c }}", lambda path: asked.append(path) or "x")
    assert asked == ["a.b", "c"]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [
            "G@c:{{ facts.x }}",
            'G@c:"{{ facts.x }}"',
            "G@c:a{{ facts.x }}",
            "{{ facts.x }}",
            "L@a,{{ facts.x }}",
            "E@^{{ facts.x }}$",
        ]
    ),
    st.one_of(st.text(), st.lists(st.sampled_from(["a", " or ", "*", '"', "(", ")", "not ", "E@.", "b,c", ":"])).map("".join)),
)
def test_a_fact_never_widens_the_scope(template, text):
    """Whatever the fact holds, a peel that nobody named stays outside."""
    try:
        tree = parse(fill(template, {"x": text}))
    except (ConfigError, TargetError):
        return
    assert not matcher(tree)("stranger-99", {"c": "stranger-99", "role": "x"})


def test_a_fact_matches_itself_through_the_scope():
    for text in ("Mac OS X", "*", "[a]", 'say "hi"', "a or b", ">5", "a:b", "x?"):
        assert matcher(parse(fill("G@c:{{ facts.x }}", {"x": text})))("peel", {"c": text}), text


def test_a_configured_scope_reads_no_other_facts_than_it_names(monkeypatch):
    """The resolver alone may take two seconds, and each query fills the scope in anew."""
    asked = []
    monkeypatch.setattr(network, "fqdn", lambda: asked.append("fqdn") or "x")
    monkeypatch.setattr(network, "interfaces", lambda: asked.append("interfaces") or [])
    config = parse_config(
        'facts.custom = { site.name = "a", n = 8 }\nbasket.scope = "G@a:{{ facts.site.name }} or G@n:{{ facts.n }}"'
    )
    assert filler(config.facts.custom)(config.basket.scope) == "G@a:a or G@n:8"
    assert asked == []
    with pytest.raises(ConfigError, match=r"scope 'G@a:\{\{ facts\.none \}\}': no fact 'none' on this host"):
        filler({})("G@a:{{ facts.none }}")

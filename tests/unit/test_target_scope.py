"""The scope's template: filled from this peel's facts, and never wider than what was written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basket.errors import ConfigError, TargetError
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
    assert fill_scope(template, FACTS) == filled
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
        fill_scope(template, FACTS)
    assert said in str(caught.value)
    assert repr(template) in str(caught.value)


@pytest.mark.parametrize("facts", [None, [], "x", {"cluster": {}}])
def test_broken_facts_are_a_missing_fact(facts):
    with pytest.raises(ConfigError, match="cluster"):
        fill_scope("G@c:{{ facts.cluster }}", facts)


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
        tree = parse(fill_scope(template, {"x": text}))
    except (ConfigError, TargetError):
        return
    assert not matcher(tree)("stranger-99", {"c": "stranger-99", "role": "x"})


def test_a_fact_matches_itself_through_the_scope():
    for text in ("Mac OS X", "*", "[a]", 'say "hi"', "a or b", ">5", "a:b", "x?"):
        assert matcher(parse(fill_scope("G@c:{{ facts.x }}", {"x": text})))("peel", {"c": text}), text

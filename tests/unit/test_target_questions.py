"""What can be told of a target without peels: it decides what is fetched, and what is sent to a resolver."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basket.target import exact_ids, matcher, matches_factless, needs_facts, parse, shared_expression

GROUPS = {
    "front": "role:webserver or L@edge-01,edge-02",
    "edge": "L@edge-01",
    "regex": "P@a:b",
    "both": "a and b",
    "name": "N@web",
    "web": "web*",
}

FACTS_NEEDED = [
    ("web*", False),
    ("*", False),
    ("L@a,b or E@c and not d", False),
    ("N@edge", False),
    ("role:webserver", True),
    ("P@a:b", True),
    ("S@10.0.0.0/8", True),
    ("N@front", True),
    ("web* or not (db* and role:x)", True),
]


@pytest.mark.parametrize(("expression", "needed"), FACTS_NEEDED)
def test_facts_are_fetched_only_for_targets_that_look_at_them(expression, needed):
    assert needs_facts(parse(expression, GROUPS)) is needed


@pytest.mark.parametrize(
    ("expression", "might"),
    [
        ("web*", True),
        ("role:x", False),
        ("web* and role:x", False),
        ("web* or role:x", True),
        ("not role:x", True),
        ("N@front", True),
        ("N@regex", False),
        ("S@0.0.0.0/0 or P@a:b", False),
    ],
)
def test_peels_without_facts_are_left_out_only_where_none_can_match(expression, might):
    assert matches_factless(parse(expression, GROUPS)) is might


EXACT = [
    ("web-01", {"web-01"}),
    ("web01.pl", {"web01_pl"}),
    ("L@a,b,web01.pl", {"a", "b", "web01_pl"}),
    ("a or b,c", {"a", "b", "c"}),
    ("a or web*", None),
    ("a and role:x", {"a"}),
    ("a,b and b,c", {"b"}),
    ("a,b and not b", {"a", "b"}),
    ("not a", None),
    ("web*", None),
    ("E@^web-01$", None),
    ("role:x", None),
    ("N@edge", {"edge-01"}),
    ("N@front", None),
    ('"Mac OS X"', set()),
    ("(a or b) and (b or c) and web*", {"b"}),
]


@pytest.mark.parametrize(("expression", "ids"), EXACT)
def test_exact_ids_spare_the_reading_of_everything(expression, ids):
    found = exact_ids(parse(expression, GROUPS))
    assert found == (None if ids is None else frozenset(ids))


SHARED = [
    ("web*", "web*", "glob"),
    ("web-0[^1]", "web-0[^1]", "glob"),
    (r"E@^(web|api)-\d+$", r"E@^(web|api)-\d+$", "compound"),
    ("a,b", "L@a,b", "compound"),
    ("role:webserver", "G@role:webserver", "compound"),
    ("I@a:b", "G@a:b", "compound"),
    ("G@a:>=5", "G@a:>=5", "compound"),
    ("G@a:!=b*", "G@a:!=b*", "compound"),
    ('G@os.name:"Mac OS X"', 'G@os.name:"Mac OS X"', "compound"),
    ("G@a:b(c)", 'G@a:"b(c)"', "compound"),
    ("S@10.1.2.3/8", "S@10.0.0.0/8", "compound"),
    ("not web* and (a or b)", "not web* and (a or b)", "compound"),
    ("N@front and x", "(G@role:webserver or L@edge-01,edge-02) and x", "compound"),
    ("not N@both", "not (a and b)", "compound"),
    ("N@both or x", "a and b or x", "compound"),
    ("N@name", "web*", "glob"),
]


@pytest.mark.parametrize(("expression", "shared", "kind"), SHARED)
def test_what_both_implementations_know_is_sent(expression, shared, kind):
    tree = parse(expression, GROUPS)
    assert shared_expression(tree) == (shared, kind)


NOT_SHARED = [
    "P@a:b",
    "web* and P@a:b",
    "not P@a:b",
    "N@regex",
    "E@(?=a)b",
    r"E@(a)\1",
    "E@(?>a)b",
    r"E@a\Z",
    'E@"a b"',
    "web-[!0]",
    "G@a:[!0]",
    '"Mac OS X"',
    '"and"',
    'L@"or",a',
    'G@a:""',
    'G@a:">5"',
    'G@a:"say ""hi"""',
    "not not a",
]


@pytest.mark.parametrize("expression", NOT_SHARED)
def test_what_only_this_side_knows_is_never_sent(expression):
    """The other side would answer with an empty list, which would pass for "no peel matches"."""
    assert shared_expression(parse(expression, GROUPS)) is None


ATOMS = st.sampled_from(["a", "b", "a,b", "*", "role:x", "N@front", "N@both", "not a", "not N@both", "edge-01", "E@^[ab]$"])
COMPOUNDS = st.recursive(
    ATOMS,
    lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(COMPOUNDS, st.sampled_from(["a", "b", "c", "edge-01"]), st.sampled_from([{}, {"role": "x"}, {"role": "webserver"}]))
def test_answers_agree_with_the_matcher(expression, peel, facts):
    tree = parse(expression, GROUPS)
    outcome = matcher(tree)(peel, facts)
    ids = exact_ids(tree)
    assert not outcome or ids is None or peel in ids
    if not needs_facts(tree):
        assert outcome == matcher(tree)(peel, {})
    if matcher(tree)(peel, {}):
        assert matches_factless(tree)
    shared = shared_expression(tree)
    assert shared is not None
    assert matcher(parse(shared[0]))(peel, facts) == outcome

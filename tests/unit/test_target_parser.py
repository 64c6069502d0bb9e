"""Reading targets: every form gives its tree, and everything that cannot be read says where and why."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basket.errors import TargetError
from basket.target import parse, patterns
from basket.target.tree import And, Fact, FactRegex, Glob, Group, Listed, Not, Or, Regex, Subnet

GROUPS = {
    "frontends": "role:webserver or L@edge-01,edge-02",
    "outer": "N@frontends and not db*",
    "one": "N@two",
    "two": "web* and N@three",
    "three": "N@one",
    "self": "N@self",
    "broken": "web* and",
    "number": 5,
}

FORMS = [
    ("web*", Glob("web*")),
    ("*", Glob("*")),
    ("web-0[1-3]", Glob("web-0[1-3]")),
    ("db-?", Glob("db-?")),
    ("web-[^0]", Glob("web-[^0]")),
    ("web01.example.com", Glob("web01.example.com")),
    (r"E@^web-\d+$", Regex(r"^web-\d+$")),
    ("L@web-01,web-02", Listed(("web-01", "web-02"))),
    ("L@web-01 , web-02", Listed(("web-01", "web-02"))),
    ("L@,web-01,,", Listed(("web-01",))),
    ("L@web01.pl", Listed(("web01.pl",))),
    ("web-01,web-02", Listed(("web-01", "web-02"))),
    ("web-01, web-02", Listed(("web-01", "web-02"))),
    ('L@"or",web-01', Listed(("or", "web-01"))),
    ("G@os.family:debian", Fact("os.family", "==", "debian")),
    ("I@os.family:debian", Fact("os.family", "==", "debian")),
    ("role:webserver", Fact("role", "==", "webserver")),
    ("role:>=5", Fact("role", ">=", "5")),
    ("G@a:!=b", Fact("a", "!=", "b")),
    ("G@a:>=5", Fact("a", ">=", "5")),
    ("G@a:<=5", Fact("a", "<=", "5")),
    ("G@a:>5", Fact("a", ">", "5")),
    ("G@a:<5", Fact("a", "<", "5")),
    ('G@a:">5"', Fact("a", "==", ">5")),
    ('G@a:!="x y"', Fact("a", "!=", "x y")),
    ("G@a:==5", Fact("a", "==", "==5")),
    ("G@url:http://x:80/y", Fact("url", "==", "http://x:80/y")),
    ("G@mac:00:11:22", Fact("mac", "==", "00:11:22")),
    ("G@a:x,y", Fact("a", "==", "x,y")),
    ('G@a:""', Fact("a", "==", "")),
    ("G@cpu.model:Intel(R)", Fact("cpu.model", "==", "Intel(R)")),
    ("G@os.platform:deb*", Fact("os.platform", "==", "deb*")),
    ("G@a:and", Fact("a", "==", "and")),
    ("P@os.family:(debian|rhel)", FactRegex("os.family", "(debian|rhel)")),
    (r"P@a:x:\d", FactRegex("a", r"x:\d")),
    ("S@10.0.0.0/8", Subnet("10.0.0.0/8")),
    ("S@10.1.2.3/8", Subnet("10.0.0.0/8")),
    ("S@10.1.2.3", Subnet("10.1.2.3/32")),
    ("S@2001:DB8::1/32", Subnet("2001:db8::/32")),
    ('"Mac OS X"', Glob("Mac OS X")),
    ('"and"', Glob("and")),
    ('G@os.name:"Mac OS X"', Fact("os.name", "==", "Mac OS X")),
    ('os.name:"Mac OS X"', Fact("os.name", "==", "Mac OS X")),
    ('"os.name:Mac OS X"', Fact("os.name", "==", "Mac OS X")),
    ('G@a:"say ""hi"" (now) and then"', Fact("a", "==", 'say "hi" (now) and then')),
    (r'E@"^a b\d$"', Regex(r"^a b\d$")),
]


@pytest.mark.parametrize(("expression", "tree"), FORMS)
def test_every_form_gives_its_tree_alone_and_inside_a_compound(expression, tree):
    assert parse(expression) == tree
    assert parse(f"  {expression}\t") == tree
    assert parse(f"({expression})") == tree
    assert parse(f"x1 and ({expression} or x2)") == And((Glob("x1"), Or((tree, Glob("x2")))))
    assert parse(f"not {expression} and x1") == And((Not(tree), Glob("x1")))


A, B, C, D = (Glob(name) for name in "abcd")

COMPOUNDS = [
    ("a or b and c", Or((A, And((B, C))))),
    ("a and b or c", Or((And((A, B)), C))),
    ("not a and b", And((Not(A), B))),
    ("not (a and b)", Not(And((A, B)))),
    ("not not a", Not(Not(A))),
    ("(a or b) and c", And((Or((A, B)), C))),
    ("a and (b and c) and d", And((A, B, C, D))),
    ("a or (b or (c or d))", Or((A, B, C, D))),
    ("a AND b Or NOT c", Or((And((A, B)), Not(C)))),
    ("not(a)or(b)and(c)", Or((Not(A), And((B, C))))),
    ("((a))", A),
    ("a\nand\tb", And((A, B))),
    ("android or order or nothing", Or((Glob("android"), Glob("order"), Glob("nothing")))),
    ("a,b and c", And((Listed(("a", "b")), C))),
    ("L@a, and b", And((Listed(("a",)), B))),
]


@pytest.mark.parametrize(("expression", "tree"), COMPOUNDS)
def test_not_binds_tightest_then_and_then_or(expression, tree):
    assert parse(expression) == tree


LINUX = Fact("os.name", "==", "linux")

PATTERNS = [
    (r"E@^(web|api)-\d+$ and G@os.name:linux", And((Regex(r"^(web|api)-\d+$"), LINUX))),
    ("(E@^(a|b)$ or c)", Or((Regex("^(a|b)$"), C))),
    ("(E@a|b)", Regex("a|b")),
    ("((E@(a|(b|c)))) and d", And((Regex("(a|(b|c))"), D))),
    ("E@[)(] and a", And((Regex("[)(]"), A))),
    ("(E@[^])]x)", Regex("[^])]x")),
    ("(E@[[:alpha:])]x)", Regex("[[:alpha:])]x")),
    (r"(E@a\))", Regex(r"a\)")),
    (r"(E@\(a)", Regex(r"\(a")),
    ("E@(a b|c) or d", Or((Regex("(a b|c)"), D))),
    ("E@[a b] or d", Or((Regex("[a b]"), D))),
    (r"E@a\ b or d", Or((Regex(r"a\ b"), D))),
    ("(P@os.name:^(linux|mac os)$ and a)", And((FactRegex("os.name", "^(linux|mac os)$"), A))),
    ("(G@a:b(c))", Fact("a", "==", "b(c)")),
    ("(G@a:b)and(c)", And((Fact("a", "==", "b"), C))),
]


@pytest.mark.parametrize(("expression", "tree"), PATTERNS)
def test_a_pattern_ends_where_a_reader_would_say_it_ends(expression, tree):
    assert parse(expression) == tree


ERRORS = [
    ("", 0, "nothing here"),
    ("   ", 3, "nothing here"),
    ("web* and", 8, "ends here"),
    ("web* or  ", 9, "ends here"),
    ("not", 3, "ends here"),
    ("and web*", 0, "nothing before 'and'"),
    ("web* and or x", 9, "nothing before 'or'"),
    ("(web*", 0, "never closed"),
    ("a and (b or (c)", 6, "never closed"),
    ("()", 1, "nothing before this ')'"),
    ("web*)", 4, "closes nothing"),
    ("web* web-01", 5, "side by side"),
    ("(web* web-01)", 6, "side by side"),
    ("a not b", 2, "side by side"),
    ("G@nocolon", 9, "no colon"),
    ("G@", 2, "no colon"),
    ("P@nocolon and a", 9, "no colon"),
    ("G@:v", 2, "no fact"),
    (":v", 0, "no fact"),
    ("G@a:", 4, "no value"),
    ("G@a: b", 4, "no value"),
    ("G@a:!=", 6, "no value after '!='"),
    ('"a:"', 3, "no value"),
    ("G@a..b:c", 4, "empty part"),
    ("G@.a:c", 2, "empty part"),
    ("a.:c", 2, "empty part"),
    ('"a b:c"', 2, "in the fact's path"),
    ('"a(b:c"', 2, "in the fact's path"),
    ('"G@a:b c"', 1, "inside quotes"),
    ('"E@a b"', 1, "inside quotes"),
    ("G@a:[9-0]", 5, "backwards"),
    ("G@a:b(c", 5, "inside a word"),
    ('G@a:b"c"', 5, "inside a word"),
    ("E@", 2, "no pattern"),
    ("E@ web", 2, "no pattern"),
    ("P@a:", 4, "no pattern"),
    ("E@[", 2, "character set"),
    ("web* or E@(a", 10, "unterminated subpattern"),
    ("E@a**", 4, "multiple repeat"),
    (r"E@aa\q", 4, "bad escape"),
    (r'E@"a""b\q"', 7, "bad escape"),
    ("E@(?R)", 3, "unknown extension"),
    ("E@\\p{Nope}", 10, "unknown property"),
    (r"E@\pL(?R)", 5, "not understood"),
    ("E@(a{1000}){1000}", 2, "too large"),
    (r"E@\pL(a{1000}){1000}", 14, "too large"),
    ("P@a:(", 4, "unterminated subpattern"),
    ("L@,,", 0, "a list without a name"),
    ("L@", 0, "a list without a name"),
    ("a or L@ , ,", 5, "a list without a name"),
    (",", 0, "a list without a name"),
    ("L@web*", 5, "exact ids"),
    ("web-01,db*", 9, "exact ids"),
    ("web-01,role:db", 11, "cannot hold ':'"),
    ("S@", 2, "not an address"),
    ("S@300.0.0.0/8", 2, "not an address"),
    ("S@10.0.0.0/33", 2, "prefix length"),
    ("S@10.0.0.0/x", 2, "prefix length"),
    ("S@10.0.0/8", 2, "not an address"),
    ("S@2001:db8::/129", 2, "prefix length"),
    ("N@", 2, "no name"),
    ("web* and N@nobody", 9, "unknown named group 'nobody'"),
    ("N@self", 0, "self -> self"),
    ("N@one", 0, "one -> two -> three -> one"),
    ("x or N@broken", 5, "in the named group 'broken'"),
    ("N@number", 0, "not a string"),
    ("X@web", 0, "unknown prefix 'X@'"),
    ("g@a:b", 0, "unknown prefix 'g@'"),
    ("web/01", 3, "cannot hold '/'"),
    ("web$", 3, "cannot hold '$'"),
    ("büro*", 1, "cannot hold"),
    ("'web*'", 0, "cannot hold"),
    ("web-[01", 4, "never closed"),
    ("web-[3-1]", 5, "backwards"),
    ('"web', 0, "never closed"),
    ('a and "web', 6, "never closed"),
    ('""', 1, "empty name"),
    ('web"x"', 3, "inside a word"),
    ("web*(a)", 4, "inside a word"),
    ('"a"b', 3, "inside a word"),
]


@pytest.mark.parametrize(("expression", "position", "problem"), ERRORS)
def test_every_mistake_is_located_and_named(expression, position, problem):
    with pytest.raises(TargetError) as caught:
        parse(expression, GROUPS)
    assert (caught.value.position, caught.value.expression) == (position, expression)
    assert problem in caught.value.problem
    assert isinstance(caught.value, ValueError)


def test_an_error_says_what_was_expected():
    with pytest.raises(TargetError) as caught:
        parse("web* and N@frontend", GROUPS)
    assert "frontends" in caught.value.expected
    with pytest.raises(TargetError, match="none is configured"):
        parse("N@frontends")
    with pytest.raises(TargetError, match=r"one of E@ L@ G@"):
        parse("R@web")


@pytest.mark.parametrize("thing", [None, 5, b"web*", ["web*"]])
def test_what_is_no_string_is_a_target_error_too(thing):
    with pytest.raises(TargetError, match="a target is a string"):
        parse(thing)


def test_a_named_group_keeps_its_name_and_its_tree():
    frontends = Group("frontends", Or((Fact("role", "==", "webserver"), Listed(("edge-01", "edge-02")))))
    assert parse("N@frontends", GROUPS) == frontends
    assert parse("N@outer or a", GROUPS) == Or((Group("outer", And((frontends, Not(Glob("db*"))))), A))
    assert parse('N@"two words"', {"two words": "a"}) == Group("two words", A)
    # Used twice, it is no cycle.
    assert parse("N@frontends or not N@frontends", GROUPS) == Or((frontends, Not(frontends)))


DEEP = [
    "(" * 5000 + "a" + ")" * 5000,
    "not " * 5000 + "a",
    "not (" * 5000 + "a" + ")" * 5000,
    "(" * 100_000,
    "E@" + "(" * 2000 + ")" * 2000,
    "P@a:" + "(?:" * 100 + ")" * 100,
]


@pytest.mark.parametrize("expression", DEEP, ids=lambda text: text[:12])
def test_deep_nesting_is_an_error_and_no_crash(expression):
    with pytest.raises(TargetError, match="nested more than"):
        parse(expression)


def test_depth_counts_through_groups_in_whatever_order_they_were_read():
    groups = {"g0": "a"}
    for number in range(1, 40):
        groups[f"g{number}"] = "(" * 20 + f"not N@g{number - 1}" + ")" * 20
    with pytest.raises(TargetError, match="nested more than"):
        parse("N@g39", groups)
    with pytest.raises(TargetError, match="nested more than"):
        parse(" or ".join(f"N@g{number}" for number in range(40)), groups)


def test_groups_that_double_at_every_step_are_refused():
    groups = {"g0": "a", **{f"g{n}": f"N@g{n - 1} or N@g{n - 1}" for n in range(1, 30)}}
    with pytest.raises(TargetError, match="more than 4096 matchers"):
        parse("N@g29", groups)


LONG = [
    "a" * (256 * 1024 + 1),
    "a" * 5000,
    "G@a:" + "b" * 5000,
    "E@" + "a" * 5000,
    " or ".join(["a"] * 5000),
]


@pytest.mark.parametrize("expression", LONG, ids=lambda text: text[:8])
def test_length_is_bounded(expression):
    with pytest.raises(TargetError, match=r"at most|more than"):
        parse(expression)


def test_a_list_of_ten_thousand_ids_is_read():
    ids = tuple(f"web-{number:05d}" for number in range(10_000))
    assert parse("L@" + ",".join(ids)) == Listed(ids)


@pytest.mark.parametrize(
    "count,told",
    [
        (0, "expected no group, since none is configured"),
        (2, "expected one of the configured groups: 'a0', 'a1'"),
        (5, "expected one of the configured groups: 'a0', 'a1', 'a2', 'a3', 'a4'"),
        (8, "expected one of the configured groups: 'a0', 'a1', 'a2', 'a3', 'a4' and 3 more"),
    ],
)
def test_an_unknown_group_is_answered_with_those_there_are(count, told):
    with pytest.raises(TargetError) as caught:
        parse("N@zzz", {f"a{number}": "*" for number in reversed(range(count))})
    assert str(caught.value).endswith(f"unknown named group 'zzz'; {told}")


def test_a_mistake_in_a_group_of_a_group_is_told_of_the_innermost_alone():
    groups = {"outer": "web* and N@middle", "middle": "not N@inner", "inner": "db* and"}
    with pytest.raises(TargetError) as caught:
        parse("a or N@outer", groups)
    told = "in the named group 'inner', 'db* and', at character 8: the expression ends here"
    assert (caught.value.problem, caught.value.expression, caught.value.position) == (told, "a or N@outer", 5)


def test_reading_prints_no_warning():
    # What a test before this one has read would not be read again.
    patterns.read.cache_clear()
    re.purge()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pattern in ("[[a]", "[a&&b]", "[a||b]", "[a~~b]", "[[:digit:]]"):
            parse("E@" + pattern)


PIECES = st.sampled_from(
    [
        "web*", "db-?", "and", "or", "not", "(", ")", " ", "E@", "L@", "G@", "P@", "S@", "N@", "I@", "a", ",", ":", '"', "[", "]",
        "\\", "^", "|", "!=", ">=", "<", "10.0.0.0/8", "frontends", "self", "*", "+", "?", "{", "}", "{1,3}", ".", "$", "\n", "é",
        "(?", "(?:", "(?R", "\\p", "\\d", "[:alpha:]", "-", "]]",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES).map("".join), st.lists(PIECES).map(" ".join)))
def test_parsing_raises_nothing_but_target_error(expression):
    try:
        tree = parse(expression, GROUPS)
    except TargetError as error:
        assert 0 <= error.position <= len(expression)
    else:
        assert parse(str(tree), GROUPS) == tree

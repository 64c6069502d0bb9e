"""Hostile patterns and facts: whatever they are, an answer or an error comes in bounded time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from basket.errors import TargetError
from basket.target import matcher, parse, patterns
from basket.target.allowance import Allowance

MEGABYTE = 1_000_000


def _searcher(pattern, budget=1.0, clock=time.monotonic):
    return patterns.searcher(pattern, Allowance(budget, pattern, clock))


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(a|a?)+$", "(.*)*$", "(.*a){20}$", "a*a*a*a*a*a*a*b$", "(?=(a+)+!!).", r"(a+)\1*$"]
)
@pytest.mark.parametrize("text", ["a" * 63 + "!", "a" * MEGABYTE + "!"], ids=["an id", "a megabyte"])
def test_a_hostile_pattern_ends_in_time(pattern, text):
    search = _searcher(pattern, budget=0.05)
    begun = time.monotonic()
    try:
        search(text)
    except TargetError as error:
        assert "took too long" in error.problem
    assert time.monotonic() - begun < 2


def test_the_error_names_pattern_budget_and_the_peel_to_blame():
    matches = matcher(parse("G@x:1 or P@note:(a|aa)+$"), budget=0.1)
    assert not matches("web-01", {"note": "fine"})
    with pytest.raises(TargetError, match=r"\(a\|aa\)\+\$.*0\.1 s.*'web-02'") as caught:
        matches("web-02", {"note": "a" * 5000 + "!"})
    assert caught.value.expression == "G@x:1 or P@note:(a|aa)+$"


def test_the_budget_is_one_for_all_peels_together():
    matches = matcher(parse("E@(a|aa)+$"), budget=0.3)
    begun = time.monotonic()
    with pytest.raises(TargetError, match="took too long"):
        for number in range(10_000):
            matches("a" * 40 + "!" * (number % 3 + 1), {})
    assert time.monotonic() - begun < 1.5
    # Once spent, it stays spent: no further peel gets time of its own.
    begun = time.monotonic()
    for _ in range(100):
        with pytest.raises(TargetError):
            matches("a" * 40 + "!", {})
    assert time.monotonic() - begun < 0.3


def test_a_long_list_of_costly_elements_is_bounded_too():
    facts = {"list": ["a" * 40 + "!"] * 20_000}
    begun = time.monotonic()
    with pytest.raises(TargetError, match="took too long"):
        matcher(parse("P@list:(a|aa)+$"), budget=0.2)("web-01", facts)
    with pytest.raises(TargetError, match="took too long"):
        # Every element is harmless alone, the list is not.
        matcher(parse("P@list:a+a+!b$"), budget=0.02)("web-01", facts)
    assert time.monotonic() - begun < 2


def test_ordinary_use_costs_nothing_for_ever():
    """A matcher may live for months: what an innocent search takes must not add up to an error."""
    ticks = iter(range(10**9))
    search = _searcher(r"^(?:(?:web|api)-)+\d+$", budget=0.001, clock=lambda: next(ticks) * 0.00009)
    assert all(search("web-api-01") for _ in range(1000))


def test_time_beyond_the_free_part_is_charged_once():
    now = [0.0]
    allowance = Allowance(1.0, "x", lambda: now[0])
    outer = allowance.begin()
    inner = allowance.begin()
    now[0] += 0.4
    allowance.charge(inner, "x")
    allowance.charge(outer, "x")
    assert 0.59 < allowance.left < 0.61
    again = allowance.begin()
    now[0] += 0.7
    with pytest.raises(TargetError):
        allowance.charge(again, "x")


def test_a_costly_search_does_not_stop_other_threads():
    """The connection's thread must be able to answer the server meanwhile."""
    seen = []
    stop = threading.Event()

    def tick():
        while not stop.wait(0.005):
            seen.append(time.monotonic())

    ticker = threading.Thread(target=tick)
    ticker.start()
    begun = time.monotonic()
    with pytest.raises(TargetError):
        _searcher("(a|aa)+$", budget=0.4)("a" * MEGABYTE + "!")
    took = time.monotonic() - begun
    stop.set()
    ticker.join()
    assert len(seen) > took / 0.005 / 10


HARMLESS = [
    "web",
    "^web-\\d+$",
    "(debian|rhel)",
    "^(web|api)-\\d+$",
    "(\\d{1,3}\\.){3}\\d{1,3}",
    "^[a-z]+-[0-9]+$",
    "^(?i:web)",
    "web.*",
]
HOSTILE = [
    "(a+)+$",
    "(a|aa)+",
    "(a*)*",
    "(?:a?){50}b",
    "(a)\\1",
    "(?=a)b",
    "(?<!a)b",
    "(?:ab|b)*c",
    "(a{0,9}){0,9}",
    "a*a*a*a*a*b",
]


@pytest.mark.parametrize("pattern", HARMLESS)
def test_ordinary_patterns_need_no_clock_on_ordinary_ids(pattern):
    assert patterns.read(pattern).harmless >= 16


@pytest.mark.parametrize("pattern", HOSTILE)
def test_patterns_that_can_blow_up_always_have_a_clock(pattern):
    assert patterns.read(pattern).harmless < 16


def test_a_bound_is_for_one_line_even_when_the_anchor_is_for_many():
    assert patterns.read("(?m)^a*b$").harmless < patterns.read("^a*b$").harmless


SAME_MEANING = [
    ("a{e}", "a{e}"), ("a{", "a{"), ("a{,2}b", "aab"), ("{", "{"), ("}", "}"), ("[[]", "["), ("[a&&b]", "&"), ("[a~~]", "~"),
    ("[a||b]", "|"), ("[]{]", "{"), ("[^]]", "a"), (r"a\z", "a"), (r"\{e\}", "{e}"), ("(?i)A", "a"), (r"\bweb\b", "a web"),
    (r"[\]\[]", "]"), ("(?:foo){e<=1}", "foo{e<=1}"), (r"[\w-]+", "a-b"), ("a(?#[)b", "ab"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "text"), SAME_MEANING)
def test_both_engines_read_a_pattern_the_same(pattern, text):
    """Whether a text is short or long must not change what a pattern means."""
    import regex

    ready = patterns.read(pattern)
    other = regex.compile(ready.source, regex.V0)
    for candidate in (text, "fo", "wee", "ax", "", "a{e", "zz"):
        assert bool(ready.quick(candidate)) == bool(other.search(candidate)), candidate
    assert ready.quick(text)


def test_the_second_engine_is_loaded_only_when_needed():
    """It costs two megabytes in an agent that has thirty-four."""
    code = (
        "import sys; from basket.target import parse, matcher\n"
        "m = matcher(parse('E@^(web|api)-[0-9]+$ and G@os.name:linux and not P@a:(b|c)'))\n"
        "assert m('web-01', {'os': {'name': 'linux'}})\n"
        "print(sorted({'regex', 'socket', 'ipaddress', 'asyncio', 'difflib'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    assert shown.stdout.strip() == "[]"


def test_what_only_the_first_engine_reads_is_an_error_and_no_crash(monkeypatch):
    import regex

    def refuse(source, flags):
        raise regex.error("cannot", source, 0)

    monkeypatch.setattr(regex, "compile", refuse)
    with pytest.raises(TargetError, match="cannot be searched safely"):
        _searcher("(x|xx)+y$")("x")

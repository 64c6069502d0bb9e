"""Globs against the standard library's, and against texts made to be slow."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basket.target import globs

PATTERN = st.text(alphabet="ab*?[]!A.", max_size=12)
TEXT = st.text(alphabet="ab]![A.\n", max_size=12)


@settings(max_examples=600, deadline=None)
@given(PATTERN, TEXT)
def test_globs_mean_what_the_shell_means(pattern, text):
    assert globs.compile_glob(pattern)(text) == fnmatchcase(text, pattern)


@settings(max_examples=300, deadline=None)
@given(PATTERN, TEXT)
def test_ignoring_case_is_the_same_on_lowered_texts(pattern, text):
    assert globs.compile_glob(pattern, ignore_case=True)(text.lower()) == fnmatchcase(text.lower(), pattern.lower())


@pytest.mark.parametrize(
    ("pattern", "text", "outcome"),
    [
        ("[^a]", "b", True),
        ("[^a]", "a", False),
        ("[]]", "]", True),
        ("[^]]", "]", False),
        ("[a-]", "-", True),
        ("[-a]", "-", True),
        ("[a-c]", "b", True),
        ("[a-c]", "-", False),
        ("[\\]", "\\", True),
        ("a[", "a[", True),
        ("*[0-9]?x", "web-05x", True),
        ("*ab*ab", "xab", False),
        ("*ab*ab", "xabab", True),
        ("a*b", "ab", True),
        ("ab*b", "ab", False),
    ],
)
def test_edges(pattern, text, outcome):
    assert globs.compile_glob(pattern)(text) is outcome


def test_a_capital_range_ignores_case_too():
    assert globs.compile_glob("[A-C]x[Z-a]", ignore_case=True)("bxz")


def test_dots_are_underscored_except_inside_sets():
    assert globs.underscored("web[.x].example.*") == "web[.x]_example_*"
    assert globs.underscored("web*") == "web*"


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*a*a*a*b", "*[ab]*[ab]*[ab]*[ab]*[ab]*c", "*a?a*a?a*a?a*b", "a*" * 40 + "b"])
def test_stars_do_not_backtrack(pattern):
    text = "a" * 1_000_000
    begun = time.monotonic()
    assert not globs.compile_glob(pattern)(text)
    assert time.monotonic() - begun < 1

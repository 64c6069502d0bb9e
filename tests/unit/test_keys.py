"""Peel ids and function names: a bad one must never reach a subject, and a host must never take another's name by accident."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basket.errors import BasketError, InvalidKeyError
from basket.keys import PEEL_ID_MAX, check_function, check_peel_id, join_key, sanitize_peel_id, split_key


@pytest.mark.parametrize(
    "host,peel_id",
    [
        ("web-01", "web-01"),
        ("web01.pl", "web01_pl"),
        ("web01-pl", "web01-pl"),
        ("db.example.com", "db_example_com"),
        ("_-_web", "web"),
        (".web", "web"),
        ("a b", "a-b"),
        ("schlüssel", "schl--ssel"),  # each byte of the UTF-8 sequence, as the Go implementation does
        ("x\udcffy", "x-y"),
        ("WEB", "WEB"),
        ("a" * PEEL_ID_MAX, "a" * PEEL_ID_MAX),
    ],
)
def test_host_names_become_ids(host, peel_id):
    assert sanitize_peel_id(host) == peel_id


@pytest.mark.parametrize("host", ["", "...", "-_-", "ü", "localhost", "LOCALHOST", "localhost.localdomain", "a" * 65, "."])
def test_host_names_that_name_nobody_are_refused(host):
    with pytest.raises(InvalidKeyError):
        sanitize_peel_id(host)


@pytest.mark.parametrize("peel_id", ["a", "0", "web-01", "A_b-c", "a" * 64, "localhost-1"])
def test_good_ids_pass_unchanged(peel_id):
    assert check_peel_id(peel_id) == peel_id


def test_a_dotted_id_is_the_id_that_its_host_has():
    assert check_peel_id("db.example.com") == "db_example_com"


@pytest.mark.parametrize(
    "bad",
    ["", "-a", "_a", "a b", "a*", "a>", "a\n", "web\n", "é", "a" * 65, "localhost", "LocalHost", ".", "a/b", "a=b", "a\x00"],
)
def test_bad_ids_are_refused_and_named(bad):
    with pytest.raises(InvalidKeyError, match="peel id") as caught:
        check_peel_id(bad)
    assert repr(bad) in str(caught.value)


@pytest.mark.parametrize("not_text", [None, 5, b"web", ["web"]])
def test_other_types_are_refused_by_the_same_error(not_text):
    with pytest.raises(InvalidKeyError, match="is a string"):
        check_peel_id(not_text)
    with pytest.raises(InvalidKeyError, match="is a string"):
        check_function(not_text)


@pytest.mark.parametrize("name", ["a", "network.ip_addrs", "a/b=c-d_e.F", "1.2.3"])
def test_good_functions_pass_unchanged(name):
    assert check_function(name) == name


@pytest.mark.parametrize("bad", ["", ".", ".a", "a.", "a..b", "a b", "a.*", ">", "a.>", "a\n", "a:b", "ä", "a\r\nPUB x 0"])
def test_bad_functions_are_refused(bad):
    with pytest.raises(InvalidKeyError, match="function name"):
        check_function(bad)


def test_both_errors_are_value_errors_and_ours():
    for check in (check_peel_id, check_function):
        with pytest.raises(ValueError):
            check("")
        with pytest.raises(BasketError):
            check("")


@given(st.text(max_size=80))
def test_whatever_the_host_is_called_its_id_can_stand_in_a_key(name):
    try:
        made = sanitize_peel_id(name)
    except InvalidKeyError:
        return
    assert check_peel_id(made) == made
    assert "." not in made


@given(
    st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,10}", fullmatch=True),
    st.from_regex(r"[a-z/=]{1,5}(\.[a-z-]{1,5}){0,3}", fullmatch=True),
)
def test_the_first_dot_parts_id_and_function(peel_id, function):
    assert split_key(join_key(peel_id, function)) == (peel_id, function)


def test_a_key_without_a_dot_has_no_function():
    assert split_key("web-01") == ("web-01", "")

"""Facts as texts and numbers: as Go prints them, since either side may have written the fact or the target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basket.target import values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (8, "8"),
        (-1, "-1"),
        (2**64 - 1, "18446744073709551615"),
        (0.0, "0"),
        (-0.0, "-0"),
        (2.0, "2"),
        (1.5, "1.5"),
        (-1.25, "-1.25"),
        (0.1, "0.1"),
        (100000.0, "100000"),
        (123456.5, "123456.5"),
        (999999.5, "999999.5"),
        (1000000.0, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (1e21, "1e+21"),
        (1e100, "1e+100"),
        (0.0001, "0.0001"),
        (0.00012, "0.00012"),
        (0.00001, "1e-05"),
        (1.5e-7, "1.5e-07"),
        (5e-324, "5e-324"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
        ("as it is", "as it is"),
        (None, None),
        (b"x", None),
        ({}, None),
        ([], None),
        (10**1000, None),
    ],
)
def test_scalars_print_as_in_go(value, text):
    assert values.text_of(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_float_is_the_same_float(value):
    assert float(values.text_of(value)) == value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("8", 8),
        ("-8", -8),
        ("+8", 8),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("18446744073709551615", 2**64 - 1),
        ("", None),
        ("8 ", None),
        ("0x10", None),
        ("1_000", None),
        ("nan", None),
        ("inf", None),
        ("٣", None),
        ("5.15.0", None),
        ("1" * 41, None),
    ],
)
def test_only_plain_numbers_are_numbers(text, number):
    assert values.number_of(text) == number

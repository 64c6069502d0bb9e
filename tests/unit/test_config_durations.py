"""What an operator writes for a duration is what it means; anything doubtful is refused with the right spelling."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basket.config import duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("1d2h3m4s5ms", 93784.005),
        ("1.5h", 5400.0),
        ("0s", 0.0),
        ("0", 0.0),
        ("10", 10.0),
        ("2.5", 2.5),
        (10, 10.0),
        (0.25, 0.25),
        (0, 0.0),
        ("3650d", 3650 * 86400.0),
    ],
)
def test_seconds(written: Any, seconds: float) -> None:
    assert duration(written) == pytest.approx(seconds)
    assert isinstance(duration(written), float)


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("5 minutes", 'write "5m"'),
        ("5 min", 'write "5m"'),
        ("10sec", 'write "10s"'),
        ("1 hour", 'write "1h"'),
        ("5M", 'write "5m"'),
        ("1h 30m", 'write "1h30m"'),
        (" 5m", 'write "5m"'),
        ("-5s", "cannot be negative"),
        (-5, "cannot be negative"),
        (-0.1, "cannot be negative"),
        ("", "cannot be empty"),
        ("soon", "write one such as"),
        ("30m1h", "write one such as"),
        ("5m5m", "write one such as"),
        ("5m30", "write one such as"),
        ("m", "write one such as"),
        ("1w", "write one such as"),
        ("٥m", "write one such as"),
        ("5m\n", "write"),
        ("1e3", "write one such as"),
        ("x" * 10000, "write one such as"),
        (True, "is a string"),
        (None, "is a string"),
        (["5m"], "is a string"),
        (math.nan, "ten years"),
        (math.inf, "ten years"),
        (10**400, "ten years"),
        ("3651d", "ten years"),
        ("9" * 15, "ten years"),
    ],
)
def test_refused_with_advice(written: Any, advice: str) -> None:
    with pytest.raises(ValueError, match=advice.replace("(", r"\(")) as caught:
        duration(written)
    assert len(str(caught.value)) < 200


@given(st.text() | st.text("0123456789.dhms -", max_size=12) | st.integers() | st.floats())
def test_nothing_else_ever_comes_out(written: Any) -> None:
    try:
        seconds = duration(written)
    except ValueError:
        return
    assert 0.0 <= seconds <= 3650 * 86400.0

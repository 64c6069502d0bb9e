"""The name that was meant: near by its letters or cut short, never the misspelt one itself, and never just any."""

from __future__ import annotations

import pytest

from basket.spelling import nearest

KNOWN = ("destination", "interval", "nkey_seed", "Timeout")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("intervall", "interval"),
        ("NKEY-SEED", "nkey_seed"),
        ("timeout", "Timeout"),
        ("dest", "destination"),
        ("de", ""),
        ("zzzz", ""),
        ("interval", ""),
    ],
)
def test_what_was_meant(name: str, found: str) -> None:
    assert nearest(name, KNOWN) == found


def test_how_much_alike_it_must_be() -> None:
    assert nearest("interface", KNOWN) == "interval"
    assert nearest("interface", KNOWN, alike=0.75) == ""

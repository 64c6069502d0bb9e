"""What the command line prints: every kind of value in every format, and nothing that could steer a terminal."""

from __future__ import annotations

import datetime
import json
from types import SimpleNamespace

import msgpack
import pytest

from basket import jsonform
from basket.cli import answers, functions, output
from basket.visible import visible, width

UTC = datetime.timezone.utc


def entry(peel_id="web-01", value=None, error=None, function="a.b"):
    updated = datetime.datetime(2024, 5, 1, 12, 0, 0, 250000, tzinfo=UTC)
    return SimpleNamespace(peel_id=peel_id, function=function, value=value, revision=7, updated=updated, online=True, error=error)


def lines(entries, form, matched=()):
    return list(answers.get(answers.shown(entries), form, matched))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (1.5, 1.5),
        ("zażółć 漢字 🙂", "zażółć 漢字 🙂"),
        (b"\x00\xff", "AP8="),
        (bytearray(b"ab"), "YWI="),
        ([], []),
        ({}, {}),
        ((1, [2]), [1, [2]]),
        (datetime.datetime(2024, 5, 1, 12, 0, tzinfo=UTC), "2024-05-01T12:00:00Z"),
        (datetime.datetime(2024, 5, 1, 12, 0, 0, 120000, tzinfo=UTC), "2024-05-01T12:00:00.12Z"),
        (datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2))), "2024-05-01T10:00:00Z"),
        (msgpack.Timestamp(-(10**12), 500_000_000), "@-999999999999.5"),
        (msgpack.ExtType(5, b"ab"), {"ext": 5, "data": "YWI="}),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        ({1: "a", 1.5: "b", False: "c", None: "d", b"k": "e"}, {"1": "a", "1.5": "b", "false": "c", "null": "d", "aw==": "e"}),
        ({8.0: "a", -0.0: "b", 1e6: "c", 0.25: "d"}, {"8": "a", "-0": "b", "1e+06": "c", "0.25": "d"}),
        ({1e21: "a", float("nan"): "b"}, {"1e+21": "a", "NaN": "b"}),
        ({1: "number", "1": "string"}, {"1 (int)": "number", "1": "string"}),
        ({"null": 1, None: 2, "null (nil)": 3}, {"null": 1, "null (nil) (nil)": 2, "null (nil)": 3}),
        ({(1, "a"): 1}, {'[1,"a"]': 1}),
    ],
)
def test_every_messagepack_value_has_its_stated_json_form(value, expected):
    """A value that another program's JSON reader refuses would lose the whole answer."""
    for text in (jsonform.dumps(value), jsonform.compact(value), jsonform.readable(value)):
        assert json.loads(text, parse_constant=pytest.fail) == expected
        assert "\n" not in text


def test_json_for_programs_is_ascii_and_json_for_people_is_not():
    assert jsonform.dumps("ł\x9b").isascii()
    assert jsonform.readable(["ł\x9b\u202e\U000e0001"]) == '["ł\\u009b\\u202e\\udb40\\udc01"]'


def test_a_value_nested_without_end_spoils_no_other():
    """One hostile peel must not turn the answer of all the others into a crash."""
    deep = []
    for _ in range(900):
        deep = [deep]
    found = answers.shown([entry("bad", deep), entry("good", 1)])
    assert [one.good for one in found] == [False, True]
    assert "256 levels" in found[0].error
    assert json.loads("\n".join(answers.get(found, "json")))[1]["value"] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ż 漢 👩‍💻", "plain ż 漢 👩‍💻"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\t\0", "a\\nb\\r\\t\\x00"),
        ("\x7f\x9b\x85", "\\x7f\\x9b\\x85"),
        ("\u202eevil\u2066\u200f", "\\u202eevil\\u2066\\u200f"),
        ("\u2028\u2029\ufeff", "\\u2028\\u2029\\ufeff"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_could_steer_a_terminal_is_shown_as_an_escape(text, expected):
    assert visible(text) == expected


def test_table_shows_every_peel_and_stays_aligned():
    rows = lines([entry("web-01", "10.0.0.1"), entry("漢字", [1, {"a": "ł"}])], "table", matched=["web-02", "web-01"])
    assert rows == ["PEEL    VALUE", "web-01  10.0.0.1", "web-02  (no data)", '漢字    [1,{"a":"ł"}]']
    assert {width(row[: row.index("  ")]) for row in rows} <= {4, 6}


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("two\nlines", '"two\\nlines"'),
        ("", '""'),
        (" ", '" "'),
        ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
        ({"a": "\x1b"}, '{"a":"\\u001b"}'),
        (None, "null"),
        (b"\x00", '"AA=="'),
    ],
)
def test_a_table_cell_is_one_harmless_line(value, cell):
    assert lines([entry("p", value)], "table")[1] == f"p     {cell}"


def test_a_hostile_peel_id_cannot_forge_a_row():
    rows = lines([entry("a\nweb-02  10.6.6.6", 1, function="x"), entry("b", error="cut\nshort")], "table")
    assert rows[1].startswith("a\\nweb-02  10.6.6.6")
    assert rows[2].endswith("(undecodable: cut\\nshort)")
    assert len(rows) == 3


def test_json_formats_carry_the_whole_entry():
    entries = [entry("web-01", {1: b"x"}), entry("web-02", error="3 bytes that are not one MessagePack value")]
    expected = [
        {"peel": "web-01", "function": "a.b", "value": {"1": "eA=="}},
        {"peel": "web-02", "function": "a.b", "error": "3 bytes that are not one MessagePack value"},
    ]
    for record in expected:
        record.update({"revision": 7, "updated": "2024-05-01T12:00:00.25Z", "online": True})
    assert json.loads("\n".join(lines(entries, "json"))) == expected
    assert [json.loads(line) for line in lines(entries, "jsonl")] == expected
    assert lines([], "json") == ["[]"]
    assert lines([], "jsonl") == []


def test_value_format_gives_one_line_a_value_for_shell_loops():
    values = ["10.0.0.1", "a b", "two\nlines", 'say "x"', 5, True, None, {"a": ["ł"]}]
    expected = ["10.0.0.1", "a b", "two\\nlines", 'say "x"', "5", "true", "null", '{"a":["\\u0142"]}']
    assert lines([*(entry("p", value) for value in values), entry("q", error="no")], "value", matched=["r"]) == expected


def test_peels_in_every_format():
    seen = datetime.datetime(2024, 5, 1, 12, 0, 0, 999, tzinfo=UTC)
    known = [
        SimpleNamespace(peel_id="db-01", os=None, online=None, last_seen=None),
        SimpleNamespace(peel_id="web-01", os="debian\x1b", online=True, last_seen=seen),
        SimpleNamespace(peel_id="web-02", os="linux", online=False, last_seen=seen),
    ]
    assert list(answers.peels(known, "table")) == [
        "PEEL    OS          ONLINE  LAST SEEN",
        "db-01   -           -       -",
        "web-01  debian\\x1b  yes     2024-05-01T12:00:00Z",
        "web-02  linux       no      2024-05-01T12:00:00Z",
    ]
    assert list(answers.peels(known, "value")) == ["db-01", "web-01", "web-02"]
    first = {"peel": "db-01", "os": None, "online": None, "last_seen": None}
    assert json.loads("\n".join(answers.peels(known, "json")))[0] == first
    assert json.loads(next(iter(answers.peels(known, "jsonl")))) == first
    assert list(answers.peels([], "table")) == []


def test_list_formats():
    assert list(answers.listing(["a.b", "c\x1b"], "value")) == ["a.b", "c\\x1b"]
    assert json.loads("".join(answers.listing(["a.b"], "json"))) == ["a.b"]


def test_functions_listing_shows_arguments_and_origin():
    builtins = [
        SimpleNamespace(name="network.ip_addrs", summary="The address.", arguments={"cidr": "only in it"}, source="built-in"),
        SimpleNamespace(name="site.pool", summary="Ours.", arguments={}, source="site-pools"),
    ]
    shown = "\n".join(functions.listing(builtins, "table"))
    assert "network.ip_addrs  The address.\n" in shown
    assert "cidr: only in it" in shown
    assert "Ours. (from site-pools)" in shown
    assert json.loads("\n".join(functions.listing(builtins, "json")))[0]["arguments"] == {"cidr": "only in it"}
    assert list(functions.listing(builtins, "value")) == ["network.ip_addrs", "site.pool"]


def test_columns_stay_straight_where_the_output_knows_only_ascii(monkeypatch):
    monkeypatch.setattr(output.sys, "stdout", SimpleNamespace(encoding="ascii"))
    assert output.table(("A", "B"), [("ł", "x")]) == ["A       B", "\\u0142  x"]

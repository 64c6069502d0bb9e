"""Values to MessagePack and back: what other languages write must be read, and what none could read must not be written."""

from __future__ import annotations

import datetime
import enum
import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basket.codec import MAX_DEPTH, decode, encode
from basket.errors import DecodeError, EncodeError

UTC = datetime.timezone.utc
WHEN = datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, UTC)


def _nested(levels, innermost=1):
    value = innermost
    for _ in range(levels):
        value = [value]
    return value


# -- read: every form that another implementation may choose ----------------------------------------------------------

READ = [
    (b"\xc0", None),
    (b"\xc2", False),
    (b"\xc3", True),
    (b"\x05", 5),
    (b"\xe0", -32),
    (b"\xcc\x05", 5),  # Go may choose a wider form than needed
    (b"\xcc\xff", 255),
    (b"\xcd\xff\xff", 65535),
    (b"\xce\xff\xff\xff\xff", 2**32 - 1),
    (b"\xcf" + b"\xff" * 8, 2**64 - 1),
    (b"\xd0\x80", -128),
    (b"\xd1\x80\x00", -32768),
    (b"\xd2\x80\x00\x00\x00", -(2**31)),
    (b"\xd3\x80" + b"\x00" * 7, -(2**63)),
    (b"\xca" + struct.pack(">f", 0.5), 0.5),
    (b"\xcb" + struct.pack(">d", 0.1), 0.1),
    (b"\xcb" + struct.pack(">d", float("inf")), float("inf")),
    (b"\xa0", ""),
    (b"\xa3\xe2\x82\xac", "€"),
    (b"\xd9\x01a", "a"),
    (b"\xda\x00\x01a", "a"),
    (b"\xdb\x00\x00\x00\x01a", "a"),
    (b"\xc4\x00", b""),
    (b"\xc4\x02\x00\xff", b"\x00\xff"),
    (b"\xc5\x00\x01\xff", b"\xff"),
    (b"\xc6\x00\x00\x00\x01\xff", b"\xff"),
    (b"\x90", []),
    (b"\xdc\x00\x02\x01\x02", [1, 2]),
    (b"\xdd\x00\x00\x00\x01\xc0", [None]),
    (b"\x80", {}),
    (b"\xde\x00\x01\xa1k\x01", {"k": 1}),
    (b"\xdf\x00\x00\x00\x01\xa1k\x90", {"k": []}),
    (b"\x81\x01\xa1v", {1: "v"}),
    (b"\x81\xc3\x01", {True: 1}),
    (b"\x81\xc0\x01", {None: 1}),
    (b"\x81\xca" + struct.pack(">f", 1.5) + b"\x01", {1.5: 1}),
    (b"\x81\xc4\x01k\x01", {b"k": 1}),
    (b"\xd6\xff" + struct.pack(">I", 1), datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    (b"\xd7\xff" + struct.pack(">Q", (500_000_000 << 34) | 1), datetime.datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)),
    (b"\xc7\x0c\xff" + struct.pack(">Iq", 0, -1), datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    (b"\xd4\x07\x01", msgpack.ExtType(7, b"\x01")),
    (b"\xc7\x00\x07", msgpack.ExtType(7, b"")),
]


@pytest.mark.parametrize("data,value", READ, ids=[data.hex() for data, _ in READ])
def test_every_form_of_every_kind_is_read(data, value):
    found = decode(data)
    assert found == value
    assert type(found) is type(value)


def test_a_time_beyond_the_years_that_python_knows_is_still_read():
    far = b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 2**40)
    assert decode(b"\x92" + far + b"\x01") == [msgpack.Timestamp(2**40, 0), 1]


@pytest.mark.parametrize(
    "data,says",
    [
        (b"", "empty"),
        (b"\xc1", "not one MessagePack value"),
        (b"\x92\x01", "not one MessagePack value"),
        (b"\x01\x02", "more than one"),
        (b"\xa1\xff", "not one MessagePack value"),
        (b"\xdd\xff\xff\xff\xff", "not one MessagePack value"),
        (b"\xdb\xff\xff\xff\xff", "not one MessagePack value"),
        (b"\x81\x90\x01", "not one MessagePack value"),
        (b"\x91" * 200_000, "levels deep"),
        (b"hello world", "more than one"),
        (b"\xd6\xff\x00", "not one MessagePack value"),
        (b"\xc7\x05\xff12345", "not one MessagePack value"),  # a timestamp of a length that there is not
    ],
)
def test_junk_is_one_kind_of_error_that_says_why(data, says):
    with pytest.raises(DecodeError, match=says) as caught:
        decode(data)
    assert len(str(caught.value)) < 300


@given(st.binary(max_size=64))
def test_no_bytes_whatever_raise_anything_but_a_decode_error(data):
    try:
        decode(data)
    except DecodeError:
        pass


# -- written: round trip, and only what every reader takes ------------------------------------------------------------

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.datetimes(timezones=st.just(UTC)),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(0, 9), inner, max_size=4),
)


@given(values)
def test_what_is_written_is_read_back_the_same(value):
    assert decode(encode(value)) == value


def test_strings_are_str_bytes_are_bin_and_times_are_timestamps():
    assert encode("ä") == b"\xa2\xc3\xa4"
    assert encode(b"ab") == b"\xc4\x02ab"
    assert encode(bytearray(b"ab")) == b"\xc4\x02ab"
    assert encode(datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == b"\xd6\xff\x00\x00\x00\x01"
    assert decode(encode(WHEN)) == WHEN


def test_times_of_other_zones_are_the_same_moment():
    there = WHEN.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
    assert encode(there) == encode(WHEN)


def test_tuples_are_lists_and_kinds_of_str_and_int_are_what_they_are_kinds_of():
    class Color(str, enum.Enum):
        RED = "red"

    assert decode(encode((1, (2,)))) == [1, [2]]
    assert decode(encode([Color.RED, enum.IntEnum("Number", "ONE").ONE])) == ["red", 1]


@pytest.mark.parametrize(
    "value,says",
    [
        ({1, 2}, "the value is a set, which MessagePack cannot carry; make it a list"),
        ({"a": [1, {"b": object()}]}, r"the value\['a'\]\[1\]\['b'\] is a object"),
        (datetime.datetime(2024, 1, 1), "datetime without a time zone"),
        ([datetime.date(2024, 1, 1)], r"the value\[0\] is a date"),
        (2**64, "beyond 64 bits"),
        ({"n": -(2**63) - 1}, r"the value\['n'\] is an integer beyond 64 bits"),
        ("\ud800", "lone surrogate"),
        ({"\udcff": 1}, "a key of the value is a string that is not valid Unicode"),
        (1j, "is a complex"),
        ({("a", "b"): 1}, "a key of the value is a tuple"),
        ([{(): 1}], r"a key of the value\[0\] is a tuple"),
    ],
)
def test_what_cannot_be_carried_is_named_with_its_place(value, says):
    with pytest.raises(EncodeError, match=says):
        encode(value)


def test_an_encode_error_is_a_type_error():
    with pytest.raises(TypeError):
        encode(object())


def test_the_deepest_that_is_written_can_be_read():
    deepest = _nested(MAX_DEPTH - 1)
    assert decode(encode(deepest)) == deepest
    with pytest.raises(EncodeError, match="levels deep"):
        encode(_nested(MAX_DEPTH + 1))
    with pytest.raises(EncodeError, match="levels deep"):
        encode(_nested(100_000))


def test_what_contains_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(EncodeError, match="levels deep"):
        encode(loop)
    mapping = {}
    mapping["again"] = {"and": mapping}
    with pytest.raises(EncodeError, match="levels deep"):
        encode(mapping)

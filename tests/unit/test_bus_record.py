"""Stored messages as the server tells them: what a hostile writer put into headers must not pass for the server's word."""

from __future__ import annotations

import base64
import datetime

import pytest

from basket.bus.headers import status
from basket.bus.record import delivery, from_delivery, from_direct, from_stored, moment, take_direct_run

UTC = datetime.timezone.utc
SERVER = (
    b"Nats-Stream: KV_basket\r\nNats-Subject: $KV.basket.a.b\r\nNats-Sequence: 7\r\n"
    b"Nats-Time-Stamp: 2024-05-06T07:08:09.123456789Z\r\n"
)


def _direct(stored=b"", server=SERVER, tail=b"Nats-Num-Pending: 0\r\n"):
    return b"NATS/1.0" + stored + b"\r\n" + server + tail + b"\r\n"


def _as_dict(headers):
    """What nats-py makes of a header block: the last of each name."""
    lines = headers.decode().split("\r\n")
    made = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    if lines[0][8:].strip():
        made["Status"] = lines[0][9:12]
    return made


@pytest.fixture(params=[lambda h: h, _as_dict], ids=["raw", "parsed"])
def form(request):
    """The two forms in which headers come: as bytes, and as nats-py parsed them."""
    return request.param


def test_a_value(form):
    record = from_direct(form(_direct()), b"\x01")
    assert (record.subject, record.data, record.revision, record.deleted) == ("$KV.basket.a.b", b"\x01", 7, False)
    assert moment(record.stamp) == datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)


@pytest.mark.parametrize("header", [b"KV-Operation: DEL", b"KV-Operation: PURGE", b"Nats-Marker-Reason: MaxAge"])
def test_a_marker_of_deletion(form, header):
    assert from_direct(form(_direct(b"\r\n" + header)), b"").deleted is True


def test_another_operation_is_a_value(form):
    assert from_direct(form(_direct(b"\r\nKV-Operation: PUT")), b"\x01").deleted is False


def test_headers_of_the_writer_do_not_pass_for_the_servers(form):
    spoof = b"\r\nNats-Subject: $KV.basket.victim.b\r\nNats-Sequence: 999\r\nNats-Time-Stamp: 1999-01-01T00:00:00Z"
    record = from_direct(form(_direct(spoof)), b"\x01")
    assert (record.subject, record.revision) == ("$KV.basket.a.b", 7)
    assert moment(record.stamp).year == 2024


@pytest.mark.parametrize("code", [b" 204 EOB", b" 404", b" 503", b" 100 Idle Heartbeat"])
def test_a_status_of_the_writer_does_not_pass_for_the_servers(form, code):
    headers = form(_direct(code))
    assert status(headers) == 0
    assert from_direct(headers, b"").subject == "$KV.basket.a.b"


@pytest.mark.parametrize("headers", [None, b"", b"NATS/1.0 404\r\n\r\n", b"NATS/1.0\r\nX: y\r\n\r\n", {}, {"Nats-Subject": "a"}])
def test_what_is_no_record(headers):
    assert from_direct(headers, b"") is None


def test_the_json_answer_of_a_message_get():
    marker = base64.b64encode(b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n").decode()
    record = from_stored({"subject": "$KV.basket.a.b", "seq": 3, "data": "AQ==", "time": "2024-05-06T07:08:09Z"})
    assert (record.data, record.revision, record.deleted) == (b"\x01", 3, False)
    assert from_stored({"subject": "s", "seq": 3, "hdrs": marker, "time": "2024-05-06T07:08:09Z"}).deleted is True


@pytest.mark.parametrize(
    "reply,found",
    [
        (b"$JS.ACK.KV_basket.c.1.42.5.1700000000000000001.3", (42, 5, 1700000000000000001, 3)),
        (b"$JS.ACK.hub.HASH.KV_basket.c.1.42.5.1700000000000000001.3.token", (42, 5, 1700000000000000001, 3)),
        (b"$JS.FC.KV_basket.c.abc", None),
        (b"$JS.ACK.KV_basket.c.1.x.5.1.3", None),
        (b"", None),
        (b"_INBOX.a.b.c.d.e.f.g.h", None),
    ],
)
def test_the_place_of_a_delivery(reply, found):
    assert delivery(reply) == found


def test_a_delivered_message():
    reply = b"$JS.ACK.KV_basket.c.1.42.5.1700000000123456789.3"
    record = from_delivery(b"$KV.basket.a.b", reply, b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n", b"")
    assert (record.subject, record.revision, record.deleted) == ("$KV.basket.a.b", 42, True)
    assert moment(record.stamp) == datetime.datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    assert from_delivery(b"x", b"elsewhere", None, b"") is None


@pytest.mark.parametrize(
    "stamp,found",
    [
        ("2024-05-06T07:08:09Z", datetime.datetime(2024, 5, 6, 7, 8, 9, 0, UTC)),
        (b"2024-05-06T07:08:09.5Z", datetime.datetime(2024, 5, 6, 7, 8, 9, 500000, UTC)),
        (1_700_000_000_000_001_999, datetime.datetime(2023, 11, 14, 22, 13, 20, 1, UTC)),
        (None, datetime.datetime(1970, 1, 1, tzinfo=UTC)),
        ("junk", datetime.datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_servers_time(stamp, found):
    assert moment(stamp) == found


COMMON = b"HMSG _INBOX.x.7.1 1 "


def _wire(headers, data):
    return COMMON + b"%d %d\r\n" % (len(headers), len(headers) + len(data)) + headers + data + b"\r\n"


def _in_batch(stored=b"", server=SERVER, tail=b"Nats-Num-Pending: 0\r\nNats-Last-Sequence: 6\r\n"):
    return _direct(stored, server, tail)


def _run(*messages):
    taken = []
    chunk = b"".join(messages)
    return taken, chunk[take_direct_run(chunk, 0, COMMON, taken) :]


@pytest.mark.parametrize("stored", [b"", b"\r\nNats-Expected-Last-Subject-Sequence: 0"])
@pytest.mark.parametrize("tail", [b"", b"Nats-UpTo-Sequence: 9\r\n"])
def test_a_run_gives_what_its_messages_give_one_by_one(stored, tail):
    headers = _in_batch(stored, tail=b"Nats-Num-Pending: 1\r\nNats-Last-Sequence: 6\r\n" + tail)
    values = [b"\x01", b"", b"two\r\n", _wire(headers, b"looks like another")]
    taken, left = _run(*[_wire(headers, value) for value in values])
    assert taken == [from_direct(headers, value) for value in values]
    assert left == b""


@pytest.mark.parametrize(
    "odd",
    [
        _in_batch(b"\r\nKV-Operation: DEL"),
        _in_batch(b"\r\nNats-Msg-Id: 1"),
        _in_batch(b"\r\nNats-Stream: X\r\nNats-Subject: victim\r\nNats-Sequence: 9\r\nNats-Time-Stamp: t"),
        _in_batch(server=SERVER.replace(b"a.b", b"a.\xff")),
        _in_batch(tail=b"Nats-Num-Pending: 0\r\n"),
        b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\n\r\n",
        # A writer's headers that hold what looks like the end of all headers; the server's own follow.
        _in_batch(b"\r\n" + SERVER + b"Nats-Num-Pending: 0\r\nNats-Last-Sequence: 6\r\n\r\n"),
    ],
)
def test_a_run_ends_before_anything_but_a_plain_value(odd):
    plain = _wire(_in_batch(), b"\x01")
    taken, left = _run(plain, _wire(odd, b"\x02"), plain)
    assert [record[1] for record in taken] == [b"\x01"]
    assert left == _wire(odd, b"\x02") + plain


def test_a_run_ends_before_a_message_that_is_not_whole():
    one = _wire(_in_batch(), b"value")
    for missing in range(1, len(one)):
        taken, left = _run(one, one[:-missing])
        assert len(taken) == 1 and left == one[:-missing]

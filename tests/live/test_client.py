"""The blocking facade against a real server: everything that a script may call, and every way in which it may fail."""

from __future__ import annotations

import asyncio
import datetime
import threading

import pytest

import basket
from basket.bus import bulk, wire

UTC = datetime.timezone.utc
CLOSED_TO = "authorization { users = [{user: w, password: w}, {user: p, password: p, permissions: %s}] }"


@pytest.fixture
def fleet(shared_server, basket_for, unique):
    """Three peels: two web servers (one of them alive) and a database, with values and facts; asked by the first."""

    class Fleet:
        role = unique
        fn = f"{unique}.ip"
        web1 = basket_for(shared_server, f"{unique}-web-01")
        web2 = basket_for(shared_server, f"{unique}-web-02")
        db = basket_for(shared_server, f"{unique}-db-01")

        @staticmethod
        def ids(entries):
            return [entry.peel_id[len(unique) + 1 :] for entry in entries]

    fleet = Fleet()
    for number, (one, kind) in enumerate([(fleet.web2, "web"), (fleet.web1, "web"), (fleet.db, "db")]):
        one.publish(fleet.fn, f"10.0.0.{number}")
        one.publish_facts({"role": f"{unique}-{kind}", "os": {"name": "linux"}, "number": number})
    fleet.web2.beat()
    return fleet


# -- asking by target -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target,found",
    [
        ("{u}-*", ["db-01", "web-01", "web-02"]),
        ("{u}-web-*", ["web-01", "web-02"]),
        ("{u}-web-01", ["web-01"]),
        ("L@{u}-web-02,{u}-db-01,{u}-nobody", ["db-01", "web-02"]),
        ("role:{u}-web", ["web-01", "web-02"]),
        ("G@role:{u}-db", ["db-01"]),
        ("role:{u}-web and not {u}-web-01", ["web-02"]),
        ("{u}-db-01 or role:{u}-web", ["db-01", "web-01", "web-02"]),
        ("{u}-* and not role:{u}-web", ["db-01"]),
        ("{u}-nobody", []),
        ("role:{u}-nothing", []),
    ],
)
def test_a_target_selects_sorted_by_peel_id(fleet, target, found):
    target = target.format(u=fleet.role)
    assert fleet.ids(fleet.web1.get(target, fleet.fn)) == found
    assert [peel_id[len(fleet.role) + 1 :] for peel_id in fleet.web1.peels(target)] == found


def test_an_entry_tells_everything(fleet):
    before = datetime.datetime.now(UTC) - datetime.timedelta(minutes=1)
    (entry,) = fleet.web1.get(f"{fleet.role}-web-02", fleet.fn)
    assert (entry.peel_id, entry.function, entry.value) == (f"{fleet.role}-web-02", fleet.fn, "10.0.0.0")
    assert entry.error is None
    assert entry.online is True
    assert isinstance(entry.revision, int)
    assert before < entry.updated < before + datetime.timedelta(minutes=2)
    assert entry.updated.tzinfo is not None
    with pytest.raises(AttributeError):
        entry.value = 5
    assert "10.0.0.0" in repr(entry)


def test_a_list_of_functions_gives_a_dict(fleet):
    other = f"{fleet.role}.other"
    fleet.db.publish(other, 1)
    answer = fleet.web1.get(f"{fleet.role}-*", [fleet.fn, other])
    assert list(answer) == [fleet.fn, other]
    assert fleet.ids(answer[fleet.fn]) == ["db-01", "web-01", "web-02"]
    assert fleet.ids(answer[other]) == ["db-01"]
    assert fleet.web1.get(f"{fleet.role}-db-01", (other,))[other][0].value == 1
    assert fleet.web1.get("*", []) == {}


def test_online_only(fleet):
    everybody = f"{fleet.role}-*"
    assert [entry.online for entry in fleet.web1.get(everybody, fleet.fn)] == [False, False, True]
    assert fleet.ids(fleet.web1.get(everybody, fleet.fn, online_only=True)) == ["web-02"]
    assert fleet.ids(fleet.web1.get(f"{fleet.role}-web-01", fleet.fn, online_only=True)) == []


def test_max_age_spares_the_values_of_peels_that_live(fleet):
    everybody = f"{fleet.role}-*"
    assert len(fleet.web1.get(everybody, fleet.fn, max_age=60)) == 3
    assert fleet.ids(fleet.web1.get(everybody, fleet.fn, max_age=0)) == ["web-02"]
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError, match="max_age"):
            fleet.web1.get(everybody, fleet.fn, max_age=bad)


def test_scope_narrows_and_can_be_turned_off(fleet, shared_server):
    from basket.config import parse

    config = parse(
        f'[nats]\nurl = "{shared_server.url}"\n[basket]\nscope = "{fleet.role}-web-*"\n[nodegroups]\ndbs = "{fleet.role}-db-*"\n'
    )
    with basket.connect(config=config, peel_id="asker") as b:
        everybody = f"{fleet.role}-*"
        assert fleet.ids(b.get(everybody, fleet.fn)) == ["web-01", "web-02"]
        assert fleet.ids(b.get(everybody, fleet.fn, scope="")) == ["db-01", "web-01", "web-02"]
        assert fleet.ids(b.get(everybody, fleet.fn, scope="N@dbs")) == ["db-01"]
        assert fleet.ids(b.get("N@dbs", fleet.fn, scope="")) == ["db-01"]
        assert b.peels(everybody) == [f"{fleet.role}-web-01", f"{fleet.role}-web-02"]
        assert [peel.peel_id for peel in b.peel_info(everybody)] == b.peels(everybody)


def test_a_bad_target_or_scope_is_an_error_and_nothing_is_asked(fleet):
    for arguments in [("web and", fleet.fn), ("", fleet.fn)]:
        with pytest.raises(basket.TargetError):
            fleet.web1.get(*arguments)
    with pytest.raises(basket.TargetError):
        fleet.web1.get("*", fleet.fn, scope="((")
    with pytest.raises(basket.InvalidKeyError):
        fleet.web1.get("*", "bad function")


# -- one value --------------------------------------------------------------------------------------------------------


def test_value_default_and_missing(fleet):
    owner = fleet.db.peel_id
    assert fleet.web1.value(owner, fleet.fn) == "10.0.0.2"
    assert fleet.web1.value(owner, "no.such", default=None) is None
    with pytest.raises(KeyError):
        fleet.web1.value(owner, "no.such")
    with pytest.raises(basket.MissingError, match=r"no\.such"):
        fleet.web1.value(owner, "no.such")


def test_a_stored_nil_is_a_value_and_not_missing(fleet):
    fleet.db.publish(f"{fleet.role}.nil", None)
    assert fleet.web1.value(fleet.db.peel_id, f"{fleet.role}.nil", default="x") is None
    assert fleet.web1.get(fleet.db.peel_id, f"{fleet.role}.nil")[0].value is None


@pytest.mark.parametrize("peel_id", ["bad id", "", "a*", ">", None])
def test_a_bad_peel_id_is_refused(fleet, peel_id):
    for call in (
        lambda: fleet.web1.value(peel_id, "x"),
        lambda: fleet.web1.functions(peel_id),
        lambda: fleet.web1.facts(peel_id),
        lambda: basket.connect("nats://127.0.0.1:1", peel_id=peel_id or ""),
    ):
        with pytest.raises(basket.InvalidKeyError):
            call()


def test_functions_are_those_that_are_there(fleet):
    fleet.db.publish(f"{fleet.role}.a", 1)
    assert fleet.web1.functions(fleet.db.peel_id) == [f"{fleet.role}.a", fleet.fn]
    fleet.db.delete(f"{fleet.role}.a")
    assert fleet.web1.functions(fleet.db.peel_id) == [fleet.fn]
    assert fleet.web1.functions("nobody-at-all") == []


def test_facts_of_a_peel(fleet):
    assert fleet.web1.facts(fleet.db.peel_id)["os"] == {"name": "linux"}
    with pytest.raises(basket.MissingError, match="nobody"):
        fleet.web1.facts("nobody")


# -- who is there -----------------------------------------------------------------------------------------------------


def test_peels_are_those_with_facts_or_values(shared_server, basket_for, unique):
    facts_only = basket_for(shared_server, f"{unique}-facts")
    facts_only.publish_facts({"a": 1})
    values_only = basket_for(shared_server, f"{unique}-values")
    values_only.publish(f"{unique}.x", 1)
    gone = basket_for(shared_server, f"{unique}-gone")
    gone.publish(f"{unique}.x", 1)
    gone.delete(f"{unique}.x")
    assert facts_only.peels(f"{unique}-*") == [f"{unique}-facts", f"{unique}-values"]
    assert facts_only.peels(f"not role:x and {unique}-*") == [f"{unique}-facts", f"{unique}-values"]


def test_peel_info(fleet):
    info = {peel.peel_id: peel for peel in fleet.web1.peel_info(f"{fleet.role}-*")}
    assert list(info) == sorted(info)
    alive, quiet = info[f"{fleet.role}-web-02"], info[f"{fleet.role}-web-01"]
    assert (alive.os, alive.online) == ("linux", True)
    assert (quiet.os, quiet.online) == ("linux", False)
    assert alive.last_seen.tzinfo is not None
    assert quiet.last_seen <= alive.last_seen


def test_peel_info_of_strange_facts(shared_server, basket_for, unique):
    for number, facts in enumerate([{"os": "linux"}, {"os": {"name": 5}}, {}]):
        basket_for(shared_server, f"{unique}-{number}").publish_facts(facts)
    asker = basket_for(shared_server, "asker")
    assert [peel.os for peel in asker.peel_info(f"{unique}-*")] == [None, None, None]


def test_who_is_alive_among_many(shared_server, basket_for, unique):
    """Beyond some dozens the whole list of heartbeats is fetched instead of each by name."""
    made = basket_for(shared_server, "asker")
    many = [f"{unique}-{n:03}" for n in range(70)]
    made._basket.put_many({f"{peel_id}.{unique}": b"\x01" for peel_id in many}, deadline=_soon())
    made._heartbeats.put_many(dict.fromkeys(many[:2], b"\x80"), deadline=_soon())
    entries = made.get(f"{unique}-*", unique)
    assert len(entries) == 70
    assert [entry.peel_id for entry in entries if entry.online] == many[:2]
    assert [entry.peel_id for entry in made.get(f"{unique}-*", unique, online_only=True)] == many[:2]


def test_online_is_none_where_heartbeats_are_unknown(server_with, basket_for, unique):
    denied = ", ".join(
        f'"$JS.API.{verb}.KV_peel-heartbeat"' for verb in ("DIRECT.GET", "STREAM.INFO", "STREAM.CREATE", "STREAM.MSG.GET")
    )
    denied += ', "$JS.API.DIRECT.GET.KV_peel-heartbeat.>", "$JS.API.CONSUMER.CREATE.KV_peel-heartbeat.>"'
    server = server_with(CLOSED_TO % f"{{publish: {{deny: [{denied}]}}}}")
    writer = basket_for(server, "web-01", user="w", password="w")
    writer.publish("x", 1)
    writer.publish_facts({})
    writer.beat()
    blind = basket_for(server, "blind", user="p", password="p")
    assert blind.get("*", "x")[0].online is None
    assert blind.get("web-01", "x")[0].online is None
    assert [(peel.peel_id, peel.online) for peel in blind.peel_info()] == [("web-01", None)]
    for only in ({"online_only": True}, {"max_age": 5}):
        with pytest.raises(basket.PermissionDeniedError):
            blind.get("*", "x", **only)  # an answer that leaves everybody out would be a lie


# -- writing ----------------------------------------------------------------------------------------------------------


def test_publish_gives_growing_revisions_and_the_last_value_counts(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    first, second = b.publish("custom.x", {"a": [1, None]}), b.publish("custom.x", 2.5)
    assert second > first
    (entry,) = b.get(unique, "custom.x")
    assert (entry.value, entry.revision) == (2.5, second)


def test_publish_many(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    revisions = b.publish_many({"a.b": 1, "c.d": [2], "e": {"f": None}})
    assert list(revisions) == ["a.b", "c.d", "e"]
    assert len(set(revisions.values())) == 3
    assert [b.value(unique, name) for name in revisions] == [1, [2], {"f": None}]
    assert b.publish_many({}) == {}


def test_publish_many_says_what_failed_and_stores_the_rest(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    with pytest.raises(basket.PublishError) as caught:
        b.publish_many({"good": 1, "bad name": 2, "a.set": {1}, "big": "x" * (2 << 20), "fine": 3})
    failed = caught.value.failed
    assert {name: type(error) for name, error in failed.items()} == {
        "bad name": basket.InvalidKeyError,
        "a.set": basket.EncodeError,
        "big": basket.ValueTooLargeError,
    }
    assert sorted(caught.value.published) == ["fine", "good"]
    assert b.functions(unique) == ["fine", "good"]
    assert "a.set" in str(caught.value)


def test_what_cannot_be_published_is_told_before_anything_is_sent(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    with pytest.raises(basket.ValueTooLargeError) as caught:
        b.publish("big", b"x" * (1 << 20))
    assert caught.value.limit == 1 << 20
    assert caught.value.size > 1 << 20
    with pytest.raises(basket.EncodeError):
        b.publish("x", object())
    with pytest.raises(basket.InvalidKeyError):
        b.publish("a..b", 1)
    assert b.functions(unique) == []
    assert b.connections == 1


def test_the_largest_value_that_fits_is_stored(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    value = b"x" * ((1 << 20) - 5)
    b.publish("big", value)
    assert b.value(unique, "big") == value
    assert b.get("*", "big", timeout=10)[0].value == value


def test_delete_and_flush(shared_server, basket_for, unique):
    b, other = basket_for(shared_server, unique), basket_for(shared_server, f"{unique}-other")
    b.publish_many({"a.b": 1, "c": 2, "d": 3})
    other.publish_many({"a.b": 1, "c": 2})
    assert b.delete("c") is True
    assert b.delete("c") is False
    assert b.delete("never.was") is False
    assert b.value(unique, "c", default="gone") == "gone"
    assert [e.peel_id for e in b.get(f"{unique}*", "c")] == [f"{unique}-other"]
    assert b.delete("a.b", peel_id=f"{unique}-other") is True
    assert b.functions(f"{unique}-other") == ["c"]
    assert b.flush() == 2
    assert b.functions(unique) == []
    assert b.flush() == 0
    assert b.flush(f"{unique}-other") == 1
    assert b.peels(f"{unique}*") == []
    b.publish("c", 5)  # a deleted key can be written again
    assert b.value(unique, "c") == 5


def test_an_id_is_not_a_prefix_of_another(shared_server, basket_for, unique):
    short, long = basket_for(shared_server, unique), basket_for(shared_server, f"{unique}x")
    short.publish("a", 1)
    long.publish("a", 2)
    assert short.flush() == 1
    assert short.value(f"{unique}x", "a") == 2


# -- all the ways of reading give the same ----------------------------------------------------------------------------


def _soon(seconds=10.0):
    import time

    return time.monotonic() + seconds


def _everything(b, unique):
    info = [(peel.peel_id, peel.os, peel.online) for peel in b.peel_info(f"{unique}*")]
    return (
        [e[:5] for e in b.get(f"{unique}*", "v")],
        [e[:5] for e in b.get(f"L@{unique}-0,{unique}-1,{unique}-9,{unique}-7", "v")],
        [e[:4] for e in b.get(f"role:{unique}", "v")],
        {name: len(entries) for name, entries in b.get(f"{unique}*", ["v", "w"]).items()},
        [e.online for e in b.get(f"{unique}*", "v")],
        b.peels(f"{unique}*"),
        b.peels(f"not role:{unique} and {unique}*"),
        info,
        b.functions(f"{unique}-1"),
        b.value(f"{unique}-1", "v"),
        b.value(f"{unique}-0", "v", default="none"),
        b.facts(f"{unique}-1"),
    )


def _without_stamps(answer):
    return tuple(
        [tuple(e)[:4] if isinstance(e, tuple) and len(e) == 5 else e for e in part] if isinstance(part, list) else part
        for part in answer
    )


@pytest.fixture
def populated(shared_server, basket_for, unique):
    asker = basket_for(shared_server, f"{unique}-asker")
    for number in range(8):
        one = basket_for(shared_server, f"{unique}-{number}")
        one.publish_many({"v": {"n": number}, "w": [number] * number})
        for round_ in range(4):
            one.publish_facts({"role": unique if number % 2 else "other", "round": round_, "os": {"name": "linux"}})
        if number in (1, 2):
            one.beat()
    basket_for(shared_server, f"{unique}-0").delete("v")
    return asker


def test_the_public_way_of_nats_py_gives_the_same(populated, shared_server, basket_for, unique, monkeypatch):
    expected = _everything(populated, unique)
    assert len(expected[0]) == 7
    monkeypatch.setattr(wire, "SHORT_WAY", False)
    slow = basket_for(shared_server, f"{unique}-slow")
    assert slow._link.client._short_way is False
    assert _without_stamps(_everything(slow, unique)) == _without_stamps(expected)
    assert slow.publish_many({"a": 1, "b": b"x" * 100_000}).keys() == {"a", "b"}
    assert slow.delete("a") is True
    assert slow.functions(f"{unique}-slow") == ["b"]


def test_an_old_server_gives_the_same(populated, shared_server, basket_for, unique):
    expected = _everything(populated, unique)
    old = basket_for(shared_server, f"{unique}-old")
    old._link.server_version = (2, 10, 26)
    assert _without_stamps(_everything(old, unique)) == _without_stamps(expected)


def test_a_bucket_without_direct_gets_gives_the_same(populated, shared_server, basket_for, unique):
    expected = _everything(populated, unique)
    other = basket_for(shared_server, f"{unique}-nodirect")
    for bucket in (other._basket, other._facts, other._heartbeats):
        bucket.direct = False
    assert _without_stamps(_everything(other, unique)) == _without_stamps(expected)


def test_small_pages_give_the_same(populated, unique, monkeypatch):
    expected = _everything(populated, unique)
    monkeypatch.setattr(bulk, "PAGE_BYTES", 200)
    assert _everything(populated, unique) == expected


def test_a_real_old_server(old_server, basket_for, unique):
    b = basket_for(old_server, f"{unique}-1")
    b.publish_many({"v": 1, "w": 2})
    b.publish_facts({"role": unique})
    b.beat()
    assert b._link.server_version < (2, 11)
    assert [e.value for e in b.get("*", "v")] == [1]
    assert [e.value for e in b.get(f"role:{unique}", "w")] == [2]
    assert b.get(f"{unique}-1", "v")[0].online is True
    assert b.flush() == 2
    assert b.peels() == [f"{unique}-1"]


# -- missing, closed, misused -----------------------------------------------------------------------------------------


def test_an_empty_server_answers_everything_with_nothing(server, basket_for):
    b = basket_for(server)
    assert b.get("*", "x") == []
    assert b.get("web-01", "x") == []
    assert b.get("role:web", "x") == []
    assert b.peels() == b.peel_info() == b.functions("web-01") == []
    assert b.value("web-01", "x", default=1) == 1
    assert b.delete("x") is False
    assert b.flush() == 0


def test_every_call_after_close_says_so(shared_server, unique):
    b = basket.connect(shared_server.url, peel_id=unique)
    assert (b.closed, b.state) == (False, "connected")
    b.close()
    b.close()
    assert (b.closed, b.state) == (True, "closed")
    for call in (
        lambda: b.publish("x", 1),
        lambda: b.publish_many({"x": 1}),
        lambda: b.get("*", "x"),
        lambda: b.get("role:x", "x"),
        lambda: b.value("a", "x"),
        lambda: b.value("a", "x", default=1),
        lambda: b.functions("a"),
        b.peels,
        b.peel_info,
        b.flush,
        b.beat,
        lambda: b.delete("x"),
        lambda: b.publish_facts({}),
        lambda: b.facts("a"),
    ):
        with pytest.raises(basket.ClosedError):
            call()


def test_the_context_manager_closes(shared_server, unique):
    with basket.connect(shared_server.url, peel_id=unique) as b:
        b.publish("x", 1)
    assert b.closed


@pytest.mark.parametrize("timeout", [float("inf"), 1e12])
def test_a_timeout_without_end_is_allowed(shared_server, unique, timeout):
    with basket.connect(shared_server.url, peel_id=unique, timeout=timeout) as b:
        assert b.publish("x", 1) > 0
        assert b.get("*", unique) == []
        assert b.peels(unique) == [unique]


def test_no_timeout_at_all_is_an_error_and_never_a_hang(shared_server, basket_for, unique):
    b = basket_for(shared_server, unique)
    try:
        b.publish("x", 1, timeout=0)
    except (basket.ServerError, basket.OutcomeUnknownError):
        pass
    assert b.publish("x", 2) > 0
    assert b.value(unique, "x") == 2


@pytest.mark.parametrize("timeout", [-5, float("nan"), "5s", True])
def test_a_timeout_that_is_none_is_told_as_such(shared_server, basket_for, unique, timeout):
    with pytest.raises(ValueError, match="timeout is a number of seconds"):
        basket_for(shared_server, unique).publish("x", 1, timeout=timeout)
    with pytest.raises(ValueError, match="timeout is a number of seconds"):
        basket.connect(shared_server.url, peel_id=unique, timeout=timeout)


@pytest.mark.parametrize("function", [None, 5, b"x", [None], ["x", 7]])
def test_what_is_no_function_name_is_told_as_such(shared_server, basket_for, unique, function):
    with pytest.raises(basket.InvalidKeyError, match="a function name is a string"):
        basket_for(shared_server, unique).get("*", function)


def test_works_inside_a_running_asyncio_loop(shared_server, unique):
    async def main():
        with basket.connect(shared_server.url, peel_id=unique) as b:
            b.publish("x", 1)
            return b.value(unique, "x"), [e.value for e in b.get("*", unique)], b.peels(unique)

    assert asyncio.run(main()) == (1, [], [unique])


def test_sixteen_threads_share_one_basket(server, basket_for, unique):
    b = basket_for(server, unique)
    b.publish_facts({"role": unique})
    errors = []

    def work(number):
        try:
            for round_ in range(15):
                b.publish(f"f{number}", [number, round_])
                assert b.value(unique, f"f{number}") == [number, round_]
                assert b.get(unique, f"f{number}")[0].value == [number, round_]
                assert [e.value for e in b.get(f"role:{unique}", f"f{number}")] == [[number, round_]]
                if round_ % 5 == 0:
                    b.publish_many({f"m{number}.{n}": n for n in range(20)})
                    assert unique in b.peels(f"{unique}*")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(b.functions(unique)) == 16 * 21
    assert len(b._link.pending) == 0
    assert b.connections == 1


def test_the_configuration_may_be_a_path_object(shared_server, tmp_path):
    file = tmp_path / "basket.toml"
    file.write_text(f'[peel]\nid = "path-01"\n[nats]\nurl = "{shared_server.url}"\n')
    with basket.connect(config=file) as b:
        assert b.peel_id == "path-01"


def test_a_name_too_long_for_the_protocol_is_refused_before_it_is_sent(basket_for, shared_server, unique):
    """The server cuts the connection of who sends so long a line; asked again, it would do so for ever."""
    b = basket_for(shared_server, unique)
    before = b.connections
    for call in (lambda: b.publish("x" * 4096, 1), lambda: b.value(unique, "x" * 4096), lambda: b.get("*", "x" * 4096)):
        with pytest.raises(basket.InvalidKeyError, match="4096 characters"):
            call()
    assert b.connections == before
    b.publish("x" * 512, 1)
    assert b.value(unique, "x" * 512) == 1


def test_a_peel_that_is_gone_can_be_forgotten_whole(basket_for, shared_server, unique):
    gone, other = basket_for(shared_server, f"{unique}-gone"), basket_for(shared_server, f"{unique}-op")
    gone.publish("a", 1)
    gone.publish_facts({"role": unique})
    assert other.peels(f"role:{unique}") == [gone.peel_id]
    assert other.flush(gone.peel_id) == 1
    assert other.delete_facts(gone.peel_id) is True
    assert other.delete_facts(gone.peel_id) is False
    assert other.peels(f"role:{unique}") == [] and other.peels(gone.peel_id) == []

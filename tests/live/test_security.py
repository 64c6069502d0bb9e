"""Least privilege on real servers whose users have exactly what ``zester-basket permissions`` prints: all work goes on, and
a stolen peel can lie about itself and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import threading
import time

import pytest

import basket
from basket.bus import bulk
from basket.cli import main
from basket.codec import encode
from basket.embedded import EmbeddedServer
from basket.permissions import as_accounts, as_block, permissions

PEELS = {
    "web-01": [],
    "web-02": [],
    "res-01": ["--resolver"],
    "reader": ["--reader"],
    "some": ["--reader", "--functions", "network.*,disk.usage"],
    "some-facts": ["--reader", "--functions", "network.*", "--facts"],
    "writer": ["--functions", "network.*"],
}

OPERATOR = '{ user = "operator", password = "pw" }'


def _printed(*words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["permissions", *words]) == 0
    return out.getvalue()


def _user(name):
    return f'{{ user = "{name}", password = "pw"\n{_printed(name, *PEELS[name])} }}'


def _together():
    users = "\n".join([OPERATOR, *map(_user, PEELS)])
    return f"authorization {{ users = [\n{users}\n] }}\n"


def _apart():
    return as_accounts([OPERATOR], [_user(name) for name in PEELS])


class Guarded:
    """A server with these users, its buckets made and protected by the operator."""

    def __init__(self, directory, config, apart):
        self.apart = apart
        self.server = EmbeddedServer(str(directory), config=config).start()
        self.open = []
        self.operator = self.connect("operator")
        self.changed = self.operator.protect_buckets()

    def connect(self, user, **options):
        url = self.server.url.replace("://", f"://{user}:pw@")
        one = basket.connect(url, peel_id=user, **options)
        self.open.append(one)
        return one

    def violations(self, user):
        """What the server has refused this user so far."""
        return [line for line in self.server.log.read_text().splitlines() if "Violation" in line and f'/user:{user}"' in line]

    def write(self, values):
        """Values of any peel, by the operator."""
        packed = {key: encode(value) for key, value in values.items()}
        stored, failed = self.operator._basket.put_many(packed, deadline=time.monotonic() + 10)
        assert not failed and len(stored) == len(packed)

    def stop(self):
        for one in self.open:
            one.close()
        self.server.stop()


@pytest.fixture(scope="module", params=["together", "apart"])
def guarded(request, tmp_path_factory):
    apart = request.param == "apart"
    one = Guarded(tmp_path_factory.mktemp(request.param), _apart() if apart else _together(), apart)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def web(guarded):
    """Two peels that have published what peels publish."""
    two = guarded.connect("web-01"), guarded.connect("web-02")
    for number, one in enumerate(two, 1):
        one.publish_many({"network.ip_addrs": f"192.0.2.{number}", "disk.usage": {"/": "40%"}, "custom.secret": "s"})
        one.publish_facts({"role": "webserver", "os": {"name": "linux"}})
        one.beat()
    return two


def _ids(entries):
    return [entry.peel_id for entry in entries]


def _refused(call, subject):
    """PermissionDeniedError that names the subject, at once and not at some deadline."""
    begun = time.monotonic()
    with pytest.raises(basket.PermissionDeniedError) as caught:
        call()
    assert time.monotonic() - begun < 1.5
    assert caught.value.subject == subject
    assert subject in str(caught.value)


def _ask(one, subject, data=b""):
    return one._link.request(subject, data, deadline=time.monotonic() + 5)


# -- what goes on ---------------------------------------------------------------------------------------------------------


def test_a_peel_does_all_its_work_and_is_refused_nothing(guarded, web):
    one, _ = web
    before = guarded.violations("web-01")
    assert _ids(one.get("web-02", "network.ip_addrs")) == ["web-02"]
    assert _ids(one.get("web*", "network.ip_addrs")) == ["web-01", "web-02"]
    assert _ids(one.get("web-01,web-02", "network.ip_addrs")) == ["web-01", "web-02"]
    assert _ids(one.get("role:webserver", "network.ip_addrs", online_only=True, max_age=60)) == ["web-01", "web-02"]
    assert set(one.get("not G@role:db", ["network.ip_addrs", "disk.usage"])) == {"network.ip_addrs", "disk.usage"}
    assert [entry.online for entry in one.get("web*", "disk.usage")] == [True, True]
    assert one.value("web-02", "network.ip_addrs") == "192.0.2.2"
    assert one.functions("web-02") == ["custom.secret", "disk.usage", "network.ip_addrs"]
    assert {"web-01", "web-02"} <= set(one.peels())
    assert one.peels("role:webserver") == ["web-01", "web-02"]
    assert all(peel.online for peel in one.peel_info("web*"))
    assert one.facts("web-02")["role"] == "webserver"
    one.publish("custom.gone", 1)
    assert one.revisions(["custom.gone"])
    assert one.delete("custom.gone") is True
    assert one.beat() > 0
    assert guarded.violations("web-01") == before


def test_a_peel_watches_and_mirrors(guarded, web):
    one, two = web
    before = guarded.violations("web-01")
    with one.watch("role:webserver", ["network.ip_addrs", "custom.live"]) as changes:
        present = [changes.wait(5), changes.wait(5)]
        assert [(c.peel_id, c.function) for c in present] == [("web-01", "network.ip_addrs"), ("web-02", "network.ip_addrs")]
        two.publish("custom.live", "now")
        change = changes.wait(5)
        assert (change.peel_id, change.value) == ("web-02", "now")
        two.delete("custom.live")
        assert changes.wait(5).kind == "delete"
    with one.mirror():
        assert _ids(one.get("role:webserver", "network.ip_addrs")) == ["web-01", "web-02"]
    assert guarded.violations("web-01") == before


def test_large_answers_come_by_every_way(guarded, web, unique):
    one, _ = web
    before = guarded.violations("web-01")
    many = [f"{unique}-{number:04}" for number in range(2200)]
    guarded.write({f"{peel_id}.load.{unique}": number for number, peel_id in enumerate(many)})
    reader = one._basket
    deadline = time.monotonic() + 20
    assert len(one.get("L@" + ",".join(many[:1500]), f"load.{unique}")) == 1500  # pages of exact keys, heartbeats listed
    assert len(one.get(f"{unique}*", f"load.{unique}")) == 2200  # by pattern
    consumed = bulk.consume(reader, [f"$KV.basket.*.load.{unique}"], deadline=deadline)
    assert len(consumed) == 2200
    assert len(bulk.live_keys(reader, [f"{many[0]}.>", f"{many[1]}.>"], deadline=deadline)) == 2  # a consumer with two filters
    # Large enough that the server asks whether we keep up, and waits for the answer.
    guarded.write({f"{peel_id}.large.{unique}": "x" * 200_000 for peel_id in many[:60]})
    assert len(bulk.consume(reader, [f"$KV.basket.*.large.{unique}"], deadline=deadline)) == 60
    assert guarded.violations("web-01") == before


def test_a_reader_reads_everything_and_writes_nothing(guarded, web):
    reader = guarded.connect("reader")
    assert _ids(reader.get("role:webserver", "network.ip_addrs")) == ["web-01", "web-02"]
    with reader.watch("web*", "network.ip_addrs") as changes:
        assert changes.wait(5) is not None
    assert "web-01" in reader.peels()
    assert not guarded.violations("reader")
    _refused(lambda: reader.publish("custom.a", 1), "$KV.basket.reader.custom.a")
    _refused(lambda: reader.publish_facts({}), "$KV.facts.reader")
    _refused(reader.beat, "$KV.peel-heartbeat.reader")


def test_a_resolver_answers_and_only_it(guarded, web):
    one, _ = web
    resolver = guarded.connect("res-01")
    resolver.serve_targets()
    asked = encode({"expr": "role:webserver", "type": "compound"})
    assert basket.codec.decode(_ask(one, "zester.target.resolve", asked).data)["peels"] == ["web-01", "web-02"]
    assert one.peels("role:webserver") == ["web-01", "web-02"]
    assert not guarded.violations("res-01")
    _refused(lambda: one.serve_targets(), "zester.target.resolve")
    # Not outside the queue group: whoever only listens would hear what everybody asks for.
    _refused(
        lambda: resolver._link.subscribe("zester.target.resolve", print, deadline=time.monotonic() + 5), "zester.target.resolve"
    )
    resolver.stop_serving_targets()


# -- what is refused ------------------------------------------------------------------------------------------------------


def test_a_peel_cannot_write_what_is_not_its_own(guarded, web):
    thief, two = web
    deadline = time.monotonic() + 10
    _refused(lambda: thief.delete("network.ip_addrs", peel_id="web-02"), "$KV.basket.web-02.network.ip_addrs")
    _refused(lambda: thief._basket.put("web-02.a", b"\x01", deadline=deadline), "$KV.basket.web-02.a")
    _refused(lambda: thief._facts.put("web-02", b"\x80", deadline=deadline), "$KV.facts.web-02")
    _refused(lambda: thief._heartbeats.put("web-02", b"\x80", deadline=deadline), "$KV.peel-heartbeat.web-02")
    # An id that begins like ours is another's, too.
    _refused(lambda: thief._basket.put("web-011.a", b"\x01", deadline=deadline), "$KV.basket.web-011.a")
    with pytest.raises(basket.PublishError, match=r"not let these credentials publish to \$KV.basket.web-02.disk.usage"):
        thief.flush("web-02")
    assert two.value("web-02", "network.ip_addrs") == "192.0.2.2"
    assert thief.facts("web-02")["role"] == "webserver"


@pytest.mark.parametrize(
    "verb",
    [
        "STREAM.CREATE.KV_basket",
        "STREAM.UPDATE.KV_basket",
        "STREAM.PURGE.KV_basket",
        "STREAM.DELETE.KV_basket",
        "STREAM.PURGE.KV_facts",
        "STREAM.DELETE.KV_peel-heartbeat",
        "STREAM.CREATE.mine",
        "STREAM.MSG.DELETE.KV_basket",
        "STREAM.SNAPSHOT.KV_basket",
        "STREAM.LIST",
        "STREAM.NAMES",
        "STREAM.INFO.other",
        # Who knew the name of a consumer could end it, or have it deliver elsewhere.
        "CONSUMER.NAMES.KV_basket",
        "CONSUMER.LIST.KV_basket",
        "CONSUMER.INFO.KV_basket.any",
        "CONSUMER.MSG.NEXT.KV_basket.any",
        "CONSUMER.DURABLE.CREATE.KV_basket.any",
        "INFO",
    ],
)
def test_a_peel_cannot_manage_streams_or_find_out_consumers(guarded, web, verb):
    _refused(lambda: _ask(web[0], f"$JS.API.{verb}"), f"$JS.API.{verb}")


@pytest.mark.parametrize("subject", ["_INBOX_web-02.>", "_INBOX.>", ">", "$KV.basket.>", "$JS.EVENT.>", "$JS.>", "*.*"])
def test_a_peel_cannot_listen_to_others(guarded, web, subject):
    _refused(lambda: web[0]._link.subscribe(subject, print, deadline=time.monotonic() + 5), subject)


def test_a_peel_cannot_write_into_the_inbox_of_another(guarded, web):
    inbox = web[1]._link.inbox
    assert inbox.startswith("_INBOX_web-02.")
    _refused(lambda: _ask(web[0], f"{inbox}.1", b"forged"), f"{inbox}.1")


def test_a_consumer_that_delivers_elsewhere_changes_nothing(guarded, web):
    thief, two = web
    for number, target in enumerate(("$KV.basket.web-02.network.ip_addrs", "$KV.facts.web-02", "$JS.API.STREAM.PURGE.KV_basket")):
        config = {
            "name": f"astray{number}",
            "deliver_subject": target,
            "ack_policy": "none",
            "filter_subject": "$KV.facts.web-01",
        }
        body = json.dumps({"stream_name": "KV_facts", "config": {**config, "inactive_threshold": 5_000_000_000}}).encode()
        _ask(thief, f"$JS.API.CONSUMER.CREATE.KV_facts.astray{number}.$KV.facts.web-01", body)
    thief.publish_facts({"role": "webserver", "os": {"name": "linux"}})
    assert two.value("web-02", "network.ip_addrs") == "192.0.2.2"
    assert two.facts("web-02")["role"] == "webserver"


def test_a_rollup_header_does_not_wipe_the_bucket(guarded, web):
    thief, two = web
    for verb in ("all", "sub"):
        with pytest.raises(basket.JetStreamError, match="rollup"):
            thief._basket.put("web-01.a", b"\x01", deadline=time.monotonic() + 5, headers={"Nats-Rollup": verb})
    assert two.value("web-02", "network.ip_addrs") == "192.0.2.2"


def test_protecting_tells_what_it_changed(guarded):
    assert guarded.changed == ["basket", "facts", "peel-heartbeat"]
    assert guarded.operator.protect_buckets() == []


def _astray(guarded, raw, subject, reply):
    """Publish as the stolen peel with a reply subject of its choice."""

    async def work(nc):
        await nc.publish(subject, b"\xa1x", reply=reply)
        await nc.flush()

    raw(guarded.server, work, user="web-01", password="pw")


def test_replies_sent_astray_are_harmless_with_two_accounts(guarded, web, raw):
    _, two = web
    if not guarded.apart:
        pytest.skip("this is what the two accounts are for")
    _astray(guarded, raw, "$KV.basket.web-01.a", "$KV.basket.web-02.network.ip_addrs")
    _astray(guarded, raw, "$JS.API.DIRECT.GET.KV_basket.$KV.basket.web-01.a", "$KV.facts.web-02")
    _astray(guarded, raw, "$JS.API.STREAM.INFO.KV_basket", "$KV.peel-heartbeat.web-02")
    _astray(guarded, raw, "$JS.API.DIRECT.GET.KV_basket.$KV.basket.web-01.none", "$JS.API.STREAM.DELETE.KV_basket")
    _astray(guarded, raw, "$KV.basket.web-01.a", "$JS.API.STREAM.PURGE.KV_basket")
    two.publish("custom.after", 1)  # whatever the server made of those came before this
    assert two.value("web-02", "network.ip_addrs") == "192.0.2.2"
    assert two.facts("web-02")["role"] == "webserver"
    assert "web-01" in two.peels()


def test_replies_sent_astray_are_what_one_account_cannot_prevent(guarded, web, raw, until):
    """Should this ever fail, then the server has learnt to check replies, and one account is enough."""
    _, two = web
    if guarded.apart:
        pytest.skip("about one account for all")
    two.publish("custom.victim", "mine")
    _astray(guarded, raw, "$KV.basket.web-01.a", "$KV.basket.web-02.custom.victim")
    until(lambda: two.get("web-02", "custom.victim")[0].error)
    two.delete("custom.victim")


def test_a_resolver_is_not_made_to_write_for_others(guarded, web, raw):
    resolver = guarded.connect("res-01")
    resolver.serve_targets()
    _astray(guarded, raw, "zester.target.resolve", "$KV.basket.web-02.network.ip_addrs")
    # Answered in order, so that what came before would have been answered by now.
    assert _ask(web[0], "zester.target.resolve", encode({"expr": "*"})).data
    assert web[1].value("web-02", "network.ip_addrs") == "192.0.2.2"
    resolver.stop_serving_targets()


# -- readers of some functions --------------------------------------------------------------------------------------------


def test_a_reader_of_some_functions_gets_those(guarded, web, unique):
    some = guarded.connect("some")
    assert some.value("web-01", "network.ip_addrs") == "192.0.2.1"
    assert _ids(some.get("web-01", "disk.usage")) == ["web-01"]
    assert _ids(some.get("web*", "network.ip_addrs")) == ["web-01", "web-02"]
    assert _ids(some.get("web-01,web-02", "network.ip_addrs", online_only=True)) == ["web-01", "web-02"]
    assert _ids(some.get("E@^web", "network.ip_addrs", max_age=60)) == ["web-01", "web-02"]
    assert set(some.get("web*", ["network.ip_addrs", "disk.usage"])) == {"network.ip_addrs", "disk.usage"}
    many = [f"{unique}-{number:04}" for number in range(1300)]
    guarded.write({f"{peel_id}.network.{unique}": number for number, peel_id in enumerate(many)})
    assert len(some.get("L@" + ",".join(many[:900]), f"network.{unique}")) == 900
    assert len(some.get(f"{unique}*", f"network.{unique}")) == 1300


def test_a_reader_of_some_functions_is_refused_the_others(guarded, web):
    some = guarded.connect("some")
    prefix = "$JS.API.DIRECT.GET.KV_basket.$KV.basket"
    _refused(lambda: some.value("web-01", "custom.secret"), f"{prefix}.web-01.custom.secret")
    _refused(lambda: some.get("web-01", "custom.secret"), f"{prefix}.web-01.custom.secret")
    for call in (
        lambda: some.get("*", "custom.secret"),
        lambda: some.get("*", ["network.ip_addrs", "custom.secret"]),
        lambda: some.watch("*", "custom.secret"),
        lambda: some.watch("*", ["network.ip_addrs", "custom.secret"]),
        lambda: some.functions("web-01"),
        lambda: some.get("role:webserver", "network.ip_addrs"),  # facts are not granted with some functions
        lambda: some.facts("web-01"),
        lambda: some.peels(),
        lambda: some.mirror(["network.ip_addrs"]),
        lambda: some.publish("network.ip_addrs", "1"),
    ):
        begun = time.monotonic()
        with pytest.raises(basket.PermissionDeniedError) as caught:
            call()
        assert time.monotonic() - begun < 2
        assert caught.value.subject.startswith("$")
    # By the side doors: the body asks for what the subject does not say, wildcards where they do not belong.
    subject = "$KV.basket.*.network.ip_addrs"
    for config in ({"filter_subjects": ["$KV.basket.>"]}, {"filter_subject": "$KV.basket.>"}, {}):
        body = {
            "stream_name": "KV_basket",
            "config": {"name": "x", "deliver_subject": some._link.inbox + ".9", "ack_policy": "none"},
        }
        body["config"].update(config)
        answer = _ask(some, f"$JS.API.CONSUMER.CREATE.KV_basket.x.{subject}", json.dumps(body).encode()).json()
        assert "error" in answer, answer
    assert _ask(some, f"{prefix}.web-01.network.ip_addrs", b'{"last_by_subj": "$KV.basket.web-01.custom.secret"}').status == 408
    assert _ask(some, f"{prefix}.>.network.ip_addrs").status == 404


def test_a_reader_of_some_functions_watches_them(guarded, web):
    some = guarded.connect("some")
    with some.watch("web*", ["network.ip_addrs", "disk.usage"]) as changes:
        present = {(c.peel_id, c.function) for c in (changes.wait(5) for _ in range(4))}
        assert present == {(p, f) for p in ("web-01", "web-02") for f in ("network.ip_addrs", "disk.usage")}
        web[1].publish("disk.usage", {"/": "41%"})
        assert changes.wait(5).value == {"/": "41%"}
        web[1].publish("network.ip_addrs", "192.0.2.2")
        assert changes.wait(5).function == "network.ip_addrs"
        # Another's refusal is its own: this watch goes on.
        with pytest.raises(basket.PermissionDeniedError):
            some.watch("*", "custom.secret")
        web[1].publish("disk.usage", {"/": "40%"})
        assert changes.wait(5).value == {"/": "40%"}


def test_a_refused_form_is_not_tried_again(guarded, web):
    some = guarded.connect("some")
    some.get("web*", "network.ip_addrs")
    before = len(guarded.violations("some"))
    assert before  # the batched form was tried
    for _ in range(3):
        some.get("web*", "network.ip_addrs")
        some.get("web*", ["network.ip_addrs", "disk.usage"])
    assert len(guarded.violations("some")) == before


def test_facts_can_be_granted_with_some_functions(guarded, web):
    some = guarded.connect("some-facts")
    assert _ids(some.get("role:webserver", "network.ip_addrs")) == ["web-01", "web-02"]
    with some.watch("role:webserver", "network.ip_addrs") as changes:
        assert changes.wait(5).peel_id == "web-01"
    with some.mirror(["network.ip_addrs"]):
        assert _ids(some.get("role:webserver", "network.ip_addrs")) == ["web-01", "web-02"]
    with pytest.raises(basket.PermissionDeniedError):
        some.get("role:webserver", "disk.usage")


def test_a_peel_that_reads_some_functions_still_has_its_own(guarded, web):
    writer = guarded.connect("writer")
    writer.publish_many({"custom.a": 1, "custom.b": 2})
    assert writer.functions("writer") == ["custom.a", "custom.b"]
    assert set(writer.revisions(["custom.a", "custom.b"])) == {"custom.a", "custom.b"}
    assert _ids(writer.get("web*", "network.ip_addrs")) == ["web-01", "web-02"]
    assert writer.flush() == 2
    with pytest.raises(basket.PermissionDeniedError):
        writer.get("web*", "disk.usage")


# -- around it ------------------------------------------------------------------------------------------------------------


def test_a_missing_bucket_is_told_with_who_can_make_it(server_with):
    server = server_with(f"authorization {{ users = [\n{OPERATOR}\n{_user('web-01')}\n{_user('some')}\n] }}\n")
    with basket.connect(server.url.replace("://", "://web-01:pw@"), peel_id="web-01") as b:
        for call in (lambda: b.publish("a", 1), lambda: b.get("*", "a"), lambda: b.watch("*", "a")):
            with pytest.raises(basket.BucketMissingError, match=r"STREAM.CREATE.KV_basket.*permissions --protect"):
                call()
    some = server.url.replace("://", "://some:pw@")
    with basket.connect(some, peel_id="some") as b, pytest.raises(basket.BucketMissingError, match="does not exist"):
        b.value("web-01", "network.ip_addrs")


def test_an_operator_protects_buckets_from_the_command_line(server_with, capsys):
    server = server_with(f"authorization {{ users = [\n{OPERATOR}\n{_user('web-01')}\n] }}\n")
    operator, peel = (server.url.replace("://", f"://{user}:pw@") for user in ("operator", "web-01"))
    assert main(["permissions", "--protect", "--server", peel]) == 3
    assert main(["permissions", "--protect", "--server", operator]) == 0
    assert main(["permissions", "--protect", "--server", operator]) == 0
    told = capsys.readouterr().err
    assert "protected: basket, facts, peel-heartbeat" in told and "protected already" in told
    assert "pw@" not in told


def test_an_agent_needs_no_more_than_is_printed(guarded, tmp_path):
    path = tmp_path / "basket.toml"
    path.write_text(
        f'[peel]\nid = "web-02"\n[nats]\nurl = "{guarded.server.url}"\nuser = "web-02"\npassword = "pw"\n'
        '[basket.functions]\n"custom.agent" = { value = 7 }\n'
    )
    path.chmod(0o600)
    before = guarded.violations("web-02")
    done = subprocess.run(
        [sys.executable, "-m", "basket", "--config", str(path), "agent", "--once"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert guarded.operator.value("web-02", "custom.agent") == 7
    assert guarded.violations("web-02") == before
    guarded.operator.delete("custom.agent", peel_id="web-02")
    guarded.connect("web-02").publish_facts({"role": "webserver", "os": {"name": "linux"}})


def test_a_bucket_made_without_direct_reads_can_be_read(server_with, raw):
    server = server_with(f"authorization {{ users = [\n{OPERATOR}\n{_user('web-01')}\n] }}\n")

    async def make(nc):
        await nc.jetstream().create_key_value(bucket="basket", direct=False)

    raw(server, make, user="operator", password="pw")
    with basket.connect(server.url.replace("://", "://web-01:pw@"), peel_id="web-01") as b:
        b.publish("a", 1)
        assert b.value("web-01", "a") == 1
        assert _ids(b.get("*", "a")) == ["web-01"]
        assert b.functions("web-01") == ["a"]


def test_consumers_end_with_what_needed_them(guarded, web, until):
    """Deleting one's own consumer is granted: without it each read would leave one behind for half a minute."""
    one = guarded.connect("some")
    with one.watch("web*", ["network.ip_addrs", "disk.usage"]):
        one.get("web*", "network.ip_addrs")
    until(lambda: not _ask(guarded.operator, "$JS.API.CONSUMER.NAMES.KV_basket").json()["consumers"])


def test_the_inbox_stays_private_under_threads(guarded, web):
    """Eight threads share one connection and one private prefix: every answer finds its asker."""
    one, _ = web
    wrong = []

    def ask():
        for _ in range(20):
            for number in (1, 2):
                if one.value(f"web-0{number}", "network.ip_addrs") != f"192.0.2.{number}":
                    wrong.append(number)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_reader_of_some_functions_reads_on_after_a_lost_connection(tmp_path):
    """What it may not ask is found out anew on each connection, and must not end the query that finds it out."""
    grants = "\n".join(as_block(permissions("rd", reader=True, functions=["f"])))
    config = f"authorization {{ users = [ {{user: op, password: op}}, {{user: rd, password: rd, {grants}}} ] }}"
    operator = {"user": "op", "password": "op", "peel_id": "p-1"}
    with EmbeddedServer(str(tmp_path), config=config) as server, basket.connect(server.url, **operator) as op:
        op.publish("f", 1)
        op.beat()
        with basket.connect(server.url, user="rd", password="rd", peel_id="rd") as rd:
            for _ in range(3):
                assert [(e.value, e.online) for e in rd.get("*", "f")] == [(1, True)]
                before = rd.connections
                rd._link.call(lambda b=rd: b._link.client._transport._io_writer.transport.abort())
                deadline = time.monotonic() + 20
                while rd.connections == before and time.monotonic() < deadline:
                    assert rd.value("p-1", "f") == 1  # waits for the next connection

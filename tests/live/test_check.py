"""``zester-basket check`` against real servers that are right, wrong, old, closed and gone: what it says is what is so."""

from __future__ import annotations

import json

import pytest

from basket import checking
from basket.cli.program import main

ACCOUNTS = """
accounts {{ A {{ jetstream: enabled, users: [
  {{ user: operator, password: x }}
  {{ user: peel, password: x, permissions: {{ publish: [{publish}], subscribe: [{subscribe}] }} }}
] }} }}
"""
READS = (
    '"$JS.API.STREAM.INFO.*", "$JS.API.DIRECT.GET.*", "$JS.API.DIRECT.GET.*.>", "$JS.API.STREAM.MSG.GET.*", '
    '"$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.DELETE.>", "$JS.FC.>", "zester.target.resolve"'
)
OWN = '"$KV.basket.web-01.>", "$KV.facts.web-01", "$KV.peel-heartbeat.web-01"'


@pytest.fixture
def check(tmp_path, capsys):
    """Runs it: ``check(server, more configuration)`` gives its exit status and what it found, by check and state."""

    def run(server, text="", *, user="", options=()):
        url = server if isinstance(server, str) else server.url
        if user:
            url = url.replace("nats://", f"nats://{user}:x@")
        config = tmp_path / "basket.toml"
        config.write_text(f'[peel]\nid = "web-01"\n[nats]\nurl = "{url}"\n{text}')
        config.chmod(0o600)
        status = main(["check", "--config", str(config), "--timeout", "2s", "--format", "json", *options])
        found = json.loads(capsys.readouterr().out)
        return status, [
            (one["check"], one["state"], f"{one['what']} -> {one['advice']}" if one["advice"] else one["what"]) for one in found
        ]

    return run


def about(found, check, *states):
    return [what for name, state, what in found if name == check and (not states or state in states)]


FUNCTIONS = '[basket.functions]\n"custom.weight" = { value = 10 }\n'


def test_a_good_setup_has_nothing_to_complain_about(check, server_with):
    server = server_with(ACCOUNTS.format(publish=f"{OWN}, {READS}", subscribe='"_INBOX_web-01.>"'))
    # The operator's agent was here first: this user may not make buckets.
    assert check(server, FUNCTIONS, user="operator")[0] == 0
    status, found = check(server, FUNCTIONS, user="peel")
    assert status == 0
    assert {state for _, state, _ in found} == {"ok"}, found
    assert "may not write other peels' values" in about(found, "grants")[-1]
    assert any("custom.weight = 10" in what for what in about(found, "function"))


@pytest.mark.parametrize(
    "granted, options",
    [
        ({}, []),
        ({"resolver": True}, []),
        ({"reader": True}, ["--reader"]),
        ({"functions": ["network.*"]}, ["--reads", "network.ip_addrs"]),
        ({"functions": ["network.*"], "reader": True}, ["--reader", "--reads", "network.ip_addrs"]),
    ],
)
def test_what_permissions_prints_is_what_check_wants(check, server_with, granted, options):
    """The two commands must agree, or an operator runs between them in circles."""
    from basket.permissions import as_block, permissions

    block = "\n".join(as_block(permissions("web-01", **granted)))
    users = "{ user: operator, password: x }\n{ user: peel, password: x,\n" + block + "\n}"
    server = server_with("accounts { A { jetstream: enabled, users: [\n" + users + "\n] } }")
    check(server, user="operator")
    status, found = check(server, user="peel", options=options)
    assert status == 0 and {state for _, state, _ in found} <= {"ok", "warning"}, found
    assert not about(found, "grants", "warning", "failed"), found


def test_nothing_is_left_behind(check, server, basket_for):
    """A check on a living system must not change what others read."""
    b = basket_for(server)
    b.publish_facts({"role": "webserver"})
    check(server, FUNCTIONS)
    assert b.functions("web-01") == [] and b.facts("web-01") == {"role": "webserver"}
    assert [peel.online for peel in b.peel_info("web-01")] == [False], "it must not pretend that an agent is alive"


def test_no_server_is_status_3_and_says_where_it_looked(check):
    status, found = check("nats://127.0.0.1:1", FUNCTIONS)
    assert status == 3
    assert "nats://127.0.0.1:1" in about(found, "server", "failed")[0]
    assert about(found, "function", "ok"), "functions need no server"


def test_a_refused_password(check, server_with):
    server = server_with(ACCOUNTS.format(publish=OWN, subscribe='"_INBOX_web-01.>"'))
    status, found = check(server, user="nobody")
    assert status == 3 and "refused these credentials" in about(found, "server", "failed")[0]


def test_a_server_without_jetstream(check, tmp_path):
    import subprocess

    from basket.embedded import find_binary, greeting

    argv = [find_binary(), "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", str(tmp_path)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(tmp_path, process)
        assert greeting("127.0.0.1", port)
        status, found = check(f"nats://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(5)
    assert status == 3 and "no JetStream" in about(found, "bucket basket", "failed")[0]


def _port(directory, process):
    import threading
    import time

    pause, deadline = threading.Event(), time.monotonic() + 10
    while time.monotonic() < deadline:
        for file in directory.glob(f"*_{process.pid}.ports"):
            try:
                return int(json.loads(file.read_text())["nats"][0].rpartition(":")[2])
            except (ValueError, KeyError, IndexError):
                pass
        pause.wait(0.02)
    raise AssertionError("nats-server did not start")


def test_each_missing_grant_is_named(check, server_with):
    publish = '"$KV.basket.web-01.>", "$JS.API.STREAM.INFO.*", "$JS.API.DIRECT.GET.KV_basket.>"'
    server = server_with(ACCOUNTS.format(publish=publish, subscribe='"_INBOX_web-01.>"'))
    check(server, user="operator")
    status, found = check(server, user="peel")
    assert status == 3
    refused = " ".join(about(found, "grants", "failed"))
    for grant in ("watch values", "write own facts", "write own heartbeat"):
        assert f"may not {grant}" in refused
    assert "zester-basket permissions" in refused
    assert "may write own values, read single values, delete own values" in " ".join(about(found, "grants", "ok"))


def test_a_reader_of_some_functions_is_not_blamed_for_its_limits(check, server_with):
    network = "$KV.basket.*.network.>"
    reads = f'"$JS.API.STREAM.INFO.*", "$JS.API.DIRECT.GET.*.{network}", "$JS.API.CONSUMER.CREATE.*.*.{network}"'
    beats = '"$JS.API.DIRECT.GET.KV_peel-heartbeat", "$JS.API.DIRECT.GET.KV_peel-heartbeat.>"'
    publish = f'{reads}, {beats}, "$JS.API.CONSUMER.DELETE.>", "$JS.FC.>"'
    server = server_with(ACCOUNTS.format(publish=publish, subscribe='"_INBOX_web-01.>"'))
    check(server, user="operator")
    status, found = check(server, user="peel")
    assert status == 3 and "--reader" in about(found, "grants", "failed")[0], "and it says how to check such a one"
    status, found = check(server, user="peel", options=["--reader", "--reads", "network.ip_addrs"])
    assert status == 0, found
    assert "may read single values, read many values, watch values" in about(found, "grants", "ok")


def test_more_than_a_peel_needs_is_a_warning(check, server_with):
    server = server_with(ACCOUNTS.format(publish='">"', subscribe='"_INBOX.>"'))
    status, found = check(server, user="peel")
    assert status == 0
    assert "may write other peels' values" in about(found, "grants", "warning")[0]
    assert "_INBOX_web-01.>" in about(found, "access", "warning")[0], "others may read its replies"


def test_a_server_that_asks_nobody_is_a_warning(check, server):
    status, found = check(server)
    assert status == 0 and "asks nobody" in about(found, "access", "warning")[0]


def test_a_bucket_made_by_a_client_that_leaves_direct_reads_off(check, server, raw):
    async def make(nc):
        await nc.jetstream().create_key_value(bucket="basket", history=3)

    raw(server, make)
    status, found = check(server)
    assert status == 0
    told = " ".join(about(found, "bucket basket", "warning"))
    assert "nats stream edit KV_basket --force --allow-direct" in told
    assert "keeps 3 values of a key, not 1" in told and "--max-msgs-per-subject=1" in told


def test_heartbeats_that_never_expire_and_values_that_do(check, server, raw):
    async def make(nc):
        js = nc.jetstream()
        await js.create_key_value(bucket="peel-heartbeat", direct=True)
        await js.create_key_value(bucket="basket", direct=True, ttl=60, storage="memory")

    raw(server, make)
    found = check(server)[1]
    assert "--max-age=30s" in about(found, "bucket peel-heartbeat", "warning")[0]
    told = " ".join(about(found, "bucket basket", "warning"))
    assert "drops values after 60 s" in told and "--max-age=-1" in told and "memory" in told


def test_functions_fail_alone_and_are_ended(check, server):
    text = """
[basket.functions]
"custom.bad" = { command = ["false"] }
"custom.slow" = { command = ["sleep", "60"], timeout = "200ms" }
"custom.fine" = { value = "é\\n" }
"""
    status, found = check(server, text)
    assert status == 1, found
    failed = " ".join(about(found, "function", "failed"))
    assert "custom.bad: exit status 1" in failed and "custom.slow: still running" in failed
    assert [what for what in about(found, "function", "ok") if what.startswith("custom.fine = é\\n")]
    assert check(server, text, options=["--no-functions"])[0] == 0


def test_a_broken_template_and_a_missing_command_are_the_configurations_matter(check, server, tmp_path):
    pytest.importorskip("jinja2")
    (tmp_path / "bad.j2").write_text("fine\n{% for x in %}\n")
    (tmp_path / "good.j2").write_text("{{ facts.os.name }}\n")
    text = f"""
[[template]]
source = "{tmp_path}/bad.j2"
destination = "{tmp_path}/nowhere/bad"
[[template]]
source = "{tmp_path}/good.j2"
destination = "{tmp_path}/good"
check = ["no-such-program", "{{path}}"]
"""
    status, found = check(server, text)
    assert status == 2
    told = about(found, "template", "failed")
    assert any("bad.j2:2" in what for what in told) and any("no-such-program" in what for what in told)
    assert any("there is no directory" in what for what in told)
    assert any("good.j2" in what for what in about(found, "template", "ok"))


def test_secrets_open_to_everybody(check, server, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("x\n")
    secret.chmod(0o644)
    text = f'user = "peel"\npassword_file = "{secret}"\n'
    found = check(server, text)[1]
    assert any(str(secret) in what and "chmod 600" in what for what in about(found, "files", "warning"))


def test_an_old_server_is_told(check, old_server):
    status, found = check(old_server)
    assert status == 0 and "from 2.11 on" in about(found, "version", "ok")[0]


def test_as_text_each_problem_has_its_advice_below(server, tmp_path, capsys):
    config = tmp_path / "basket.toml"
    config.write_text(f'[peel]\nid = "web-01"\n[nats]\nurl = "{server.url}"\n{FUNCTIONS}')
    config.chmod(0o600)
    assert main(["check", "--config", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = next(index for index, line in enumerate(lines) if line.startswith("warning  access: "))
    assert lines[place + 1].startswith("         -> ")


def test_the_library_may_be_asked_too(server, tmp_path):
    config = tmp_path / "basket.toml"
    config.write_text(f'[peel]\nid = "web-01"\n[nats]\nurl = "{server.url}"\n')
    results = list(checking.run(str(config)))
    assert not [one for one in results if one.state == checking.FAILED]

"""The real agent as a process of its own, against a real server."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from harness import PAUSE, AgentProcess, alive, wait_for

import basket
from basket import target as basket_target
from basket.bus.bucket import Bucket, BucketSpec
from basket.query.resolve import Resolver


@pytest.fixture
def agent(server, tmp_path):
    agent = AgentProcess(tmp_path / "agent", server.url)
    yield agent
    agent.kill()


@pytest.fixture
def reader(server):
    with basket.connect(server.url, peel_id="reader-01") as b:
        yield b


def published(reader, *names, peel="web-01"):
    return lambda: set(names) <= set(reader.functions(peel))


THREE = """
[basket.functions]
"custom.weight" = { value = 10 }
"custom.date" = { command = ["date", "+%s%N"], interval = "300ms" }
"network.hostname" = "5m"
"""


def test_publishes_functions_facts_and_heartbeats_and_ends_with_0(agent, reader):
    agent.write(THREE).start()
    wait_for(published(reader, "custom.weight", "custom.date", "network.hostname"))
    first = reader.value("web-01", "custom.date")
    wait_for(lambda: reader.value("web-01", "custom.date") != first, 3, "a new value at its interval")
    assert reader.value("web-01", "custom.weight") == 10
    (entry,) = wait_for(lambda: [e for e in reader.get("web-01", "custom.weight") if e.online])
    assert entry.revision > 0
    assert wait_for(lambda: reader.facts("web-01"))["os"]["name"] == "linux"
    (start,) = agent.lines("agent starting")
    assert f"version={basket.__version__} peel=web-01 server={agent.url} functions=3" in start
    status, seconds = agent.end()
    assert status == 0 and seconds < 2


def test_an_unchanged_value_is_written_once(agent, reader):
    agent.write(
        '[basket.functions]\n"custom.same" = { command = ["echo", "same"], interval = "100ms" }\n"custom.clock" = '
        '{ command = ["date", "+%s%N"], interval = "100ms" }'
    ).start()
    wait_for(published(reader, "custom.same", "custom.clock"))
    revision = reader.get("web-01", "custom.same")[0].revision
    seen = set()
    wait_for(lambda: seen.add(reader.value("web-01", "custom.clock")) or len(seen) > 8)
    assert reader.get("web-01", "custom.same")[0].revision == revision


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_hanging_function_delays_no_other_and_no_end_and_leaves_no_process(agent, reader, tmp_path, number):
    agent.write(
        f"""
[basket.functions]
"custom.hangs" = {{ command = ["sh", "-c", "trap '' TERM; echo $$ > {tmp_path}/pid; sleep 1000 & wait"] }}
"custom.quick" = {{ value = 1 }}
"custom.date" = {{ command = ["date", "+%s%N"], interval = "200ms" }}
"""
    ).start()
    wait_for(published(reader, "custom.quick", "custom.date"), 5)
    pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()))
    first = reader.value("web-01", "custom.date")
    wait_for(lambda: reader.value("web-01", "custom.date") != first, 3)
    status, seconds = agent.end(number)
    assert status == 0 and seconds < 5
    assert not alive(pid)
    assert not [line for line in agent.log.splitlines() if "Traceback" in line or "Exception" in line]


def test_a_command_past_its_timeout_is_ended_and_told_once(agent, reader, tmp_path):
    agent.write(
        f"""
[basket.functions]
"custom.slow" = {{ command = ["sh", "-c", "echo $$ >> {tmp_path}/pids; sleep 1000"], interval = "300ms", timeout = "500ms" }}
"custom.bad" = {{ command = ["sh", "-c", "echo broken >&2; exit 3"], interval = "200ms" }}
"""
    ).start()
    pids = wait_for(
        lambda: (
            (tmp_path / "pids").exists()
            and len((tmp_path / "pids").read_text().split()) > 2
            and (tmp_path / "pids").read_text().split()
        )
    )
    assert not alive(int(pids[0]))
    assert len(agent.lines("function failed function=custom.slow")) == 1
    (line,) = agent.lines("function failed function=custom.bad")
    assert "broken" in line
    assert reader.functions("web-01") == []


def test_a_failing_function_keeps_its_value_and_recovers(agent, reader, tmp_path):
    source = tmp_path / "value"
    source.write_text("good")
    agent.write(f'[basket.functions]\n"custom.f" = {{ command = ["cat", "{source}"], interval = "200ms" }}').start()
    wait_for(published(reader, "custom.f"))
    source.unlink()
    wait_for(lambda: agent.lines("function failed"))
    assert reader.value("web-01", "custom.f") == "good"
    source.write_text("better")
    wait_for(lambda: reader.value("web-01", "custom.f") == "better")
    wait_for(lambda: agent.lines("function works again"))
    assert len(agent.lines("function failed")) == 1


def test_starts_without_a_server_and_publishes_when_it_comes(agent, server):
    server.stop()
    agent.write(THREE).start()
    wait_for(lambda: agent.lines("cannot connect yet"))
    PAUSE.wait(1.5)  # several attempts, told once
    assert len(agent.lines("cannot connect")) == 1
    server.start()
    with basket.connect(server.url, peel_id="reader-01") as reader:
        wait_for(published(reader, "custom.weight", "custom.date"), 6)
    assert agent.lines("connected")
    assert agent.end()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_quickly_while_there_is_no_server(agent, server, number):
    server.stop()
    agent.write(THREE).start()
    wait_for(lambda: agent.lines("cannot connect yet"))
    status, seconds = agent.end(number)
    assert status == 0 and seconds < 2


def test_ends_in_time_while_connecting_to_a_server_that_never_answers(agent):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        agent.url = f"nats://127.0.0.1:{silent.getsockname()[1]}"
        agent.write(THREE, nats='timeout = "60s"').start()
        silent.accept()
        status, seconds = agent.end()
        assert status == 0 and seconds < 5


def test_ends_in_time_while_the_server_is_frozen(agent, server, reader):
    agent.write(THREE).start()
    wait_for(published(reader, "custom.weight"))
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        PAUSE.wait(0.5)  # into a write that nobody answers
        status, seconds = agent.end()
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert status == 0 and seconds < 5


def test_signals_during_start_up_end_it_as_well(agent):
    for delay in (0.05, 0.15, 0.3, 0.5):
        agent.write(THREE).start()
        PAUSE.wait(delay)
        agent.process.send_signal(signal.SIGTERM)
        # Before its handlers stand Python ends by the signal itself.
        assert agent.process.wait(5) in (0, -signal.SIGTERM)
    assert "Traceback" not in agent.log


def test_after_an_outage_the_newest_value_arrives(agent, server, tmp_path):
    source = tmp_path / "value"
    source.write_text("before")
    agent.write(f'[basket.functions]\n"custom.f" = {{ command = ["cat", "{source}"], interval = "200ms" }}').start()
    with basket.connect(server.url, peel_id="reader-01") as reader:
        wait_for(published(reader, "custom.f"))
    server.kill()
    source.write_text("after")
    PAUSE.wait(1.0)
    server.start()
    with basket.connect(server.url, peel_id="reader-01") as reader:
        wait_for(lambda: reader.value("web-01", "custom.f") == "after", 3)
        revision = reader.get("web-01", "custom.f")[0].revision
        PAUSE.wait(0.6)
        assert reader.get("web-01", "custom.f")[0].revision == revision  # and nothing after it


def test_a_store_wiped_while_the_server_was_away_is_filled_again(agent, server):
    import shutil

    agent.write(THREE).start()
    with basket.connect(server.url, peel_id="reader-01") as reader:
        wait_for(published(reader, "custom.weight"))
        wait_for(lambda: reader.facts("web-01"))
    server.stop()
    shutil.rmtree(server.store / "jetstream")
    server.start()
    with basket.connect(server.url, peel_id="reader-01") as reader:
        wait_for(published(reader, "custom.weight", "network.hostname"), 8)
        wait_for(lambda: reader.facts("web-01"), 8)
        wait_for(lambda: reader.get("web-01", "custom.weight")[0].online, 8)


def test_a_key_deleted_behind_its_back_comes_back(agent, reader):
    agent.write(THREE).start()
    wait_for(published(reader, "custom.weight"))
    assert reader.delete("custom.weight", peel_id="web-01")
    wait_for(published(reader, "custom.weight"), 15)


def test_a_bucket_deleted_and_made_anew_is_filled_again(agent, reader):
    agent.write(THREE).start()
    wait_for(published(reader, "custom.weight"))
    bucket = Bucket(reader._link, BucketSpec("basket", ""))
    bucket.api("STREAM.DELETE", deadline=time.monotonic() + 5)
    wait_for(published(reader, "custom.weight", "network.hostname"), 15)


def test_once_publishes_everything_and_leaves(agent, reader):
    agent.write(THREE).start("--once")
    assert agent.process.wait(10) == 0
    assert reader.functions("web-01") == ["custom.date", "custom.weight", "network.hostname"]
    assert reader.facts("web-01")
    assert reader.get("web-01", "custom.weight")[0].online is False  # it is not there to stay


def test_once_names_what_failed_and_publishes_the_rest(agent, reader):
    agent.write('[basket.functions]\n"custom.bad" = { command = ["false"] }\n"custom.good" = { value = 1 }').start("--once")
    assert agent.process.wait(10) == 1
    assert reader.functions("web-01") == ["custom.good"]
    assert agent.lines("custom.bad")


def test_once_without_a_server_is_3(agent, server):
    server.stop()
    agent.write(THREE).start("--once")
    assert agent.process.wait(10) == 3
    assert "Traceback" not in agent.log


def test_refused_credentials_are_told_once_and_good_ones_are_used_at_once(agent, tmp_path):
    from basket.embedded import EmbeddedServer

    with EmbeddedServer(str(tmp_path / "guarded"), config='authorization { user: "web", password: "right" }') as guarded:
        agent.url = guarded.url
        agent.write(THREE, nats='user = "web"\npassword = "wrong"').start()
        wait_for(lambda: agent.lines("cannot connect yet"))
        PAUSE.wait(1.0)
        assert len(agent.lines("cannot connect")) == 1 and "wrong" not in agent.log
        agent.write(THREE, nats='user = "web"\npassword = "right"')
        with basket.connect(guarded.url, peel_id="reader-01", user="web", password="right") as reader:
            wait_for(published(reader, "custom.weight"), 5)


def test_settings_that_can_never_work_end_it_with_2(agent):
    agent.write(THREE, nats='tls = { ca = "/nowhere/ca.pem" }').start()
    assert agent.process.wait(10) == 2
    assert "/nowhere/ca.pem" in agent.log and "Traceback" not in agent.log


def test_a_reload_touches_only_what_changed(agent, reader, tmp_path):
    count = f"echo run >> {tmp_path}/runs; wc -l < {tmp_path}/runs"

    def config(weight, more=""):
        return f"""
[basket.functions]
"custom.weight" = {{ value = {weight} }}
"custom.count" = {{ command = ["sh", "-c", "{count}"], interval = "1h" }}
{more}
"""

    agent.write(config(1, '"custom.gone" = { value = 1 }')).start()
    wait_for(published(reader, "custom.weight", "custom.count", "custom.gone"))
    agent.write(config(2, '"custom.fresh" = { value = 1 }'))
    wait_for(lambda: reader.value("web-01", "custom.weight") == 2, 5)
    wait_for(published(reader, "custom.fresh"), 5)
    wait_for(lambda: "custom.gone" not in reader.functions("web-01"), 5)
    assert reader.value("web-01", "custom.count") == "1"  # ran once, and keeps its schedule


def test_a_broken_file_changes_nothing_and_is_told_once_with_its_line(agent, reader):
    agent.write(THREE).start()
    wait_for(published(reader, "custom.date"))
    good = agent.file.read_text()
    agent.file.write_text(good + '\n"custom.broken" = { value = \n')
    wait_for(lambda: agent.lines("configuration not taken over"), 5)
    (line,) = agent.lines("configuration not taken over")
    assert re.search(r"basket\.toml:\d+", line)
    first = reader.value("web-01", "custom.date")
    wait_for(lambda: reader.value("web-01", "custom.date") != first, 3, "going on")
    agent.file.write_text(good.replace("value = 10", "value = 11"))
    wait_for(lambda: reader.value("web-01", "custom.weight") == 11, 5)


def test_sighup_reads_the_configuration_again(agent, reader):
    agent.write(THREE).start()
    wait_for(published(reader, "custom.weight"))
    agent.file.write_text(agent.file.read_text().replace("value = 10", "value = 12"))
    agent.process.send_signal(signal.SIGHUP)
    wait_for(lambda: reader.value("web-01", "custom.weight") == 12, 5)
    assert agent.process.poll() is None


def test_another_server_in_the_configuration_is_connected_to(agent, server, tmp_path):
    from basket.embedded import EmbeddedServer

    agent.write(THREE).start()
    with basket.connect(server.url, peel_id="reader-01") as reader:
        wait_for(published(reader, "custom.weight"))
    with EmbeddedServer(str(tmp_path / "other")) as other:
        agent.url = other.url
        agent.write(THREE)
        with basket.connect(other.url, peel_id="reader-01") as reader:
            wait_for(published(reader, "custom.weight", "custom.date", "network.hostname"), 8)
            wait_for(lambda: reader.facts("web-01"), 8)
        assert agent.end()[0] == 0


def test_another_peel_id_takes_its_keys_along(agent, reader):
    agent.write(THREE).start()
    wait_for(published(reader, "custom.weight", "custom.date"))
    agent.write(THREE, peel='id = "web-02"')
    wait_for(published(reader, "custom.weight", "custom.date", "network.hostname", peel="web-02"), 8)
    wait_for(lambda: reader.functions("web-01") == [], 5)


def test_the_json_log_is_one_object_a_line(agent, reader):
    nasty = r"printf 'a\\033[2Jb' >&2; exit 1"
    agent.write(f'[basket.functions]\n"custom.bad" = {{ command = ["sh", "-c", "{nasty}"] }}').start("--log-format", "json")
    wait_for(lambda: agent.lines("function failed"))
    agent.end()
    entries = [json.loads(line) for line in agent.log.splitlines()]
    assert all({"ts", "level", "msg"} <= set(entry) for entry in entries)
    assert "\x1b" not in agent.log
    assert entries[0]["peel"] == "web-01"


def test_passwords_in_the_address_are_not_logged(agent, server):
    agent.url = server.url.replace("nats://", "nats://admin:hunter2@")
    agent.write(THREE).start("-v")
    wait_for(lambda: agent.lines("written"))
    agent.end()
    assert "hunter2" not in agent.log


def test_500_functions_of_which_many_hang(agent, reader):
    hanging = "\n".join(f'"hang.f{n}" = {{ command = ["sleep", "1000"] }}' for n in range(20))
    quick = "\n".join(f'"quick.f{n}" = {{ value = {n} }}' for n in range(480))
    agent.write(f"[basket.functions]\n{hanging}\n{quick}").start()
    wait_for(lambda: len(reader.functions("web-01")) == 480, 15, "480 values")
    status, seconds = agent.end()
    assert status == 0 and seconds < 5


def test_it_is_small_and_sleeps_most_of_the_time(agent, reader):
    agent.write(THREE.replace('"300ms"', '"5m"')).start()
    wait_for(published(reader, "custom.weight"))
    pid = agent.process.pid

    def wake_ups():
        total = 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                told = (task / "status").read_text()
            except FileNotFoundError:  # a thread that ended a moment ago
                continue
            total += int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", told)[1])
        return total

    def resident():
        return int(re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])

    wait_for(lambda: resident() < 34_000, 10, f"less than 34 MB (it has {resident()} kB)")
    seen = []
    while len(seen) < 4 and (not seen or min(seen) >= 4):  # other work on the machine is counted too, now and then
        before = wake_ups()
        PAUSE.wait(5)
        seen.append((wake_ups() - before) / 5)
    assert min(seen) < 4, seen  # 0.8 a second over a longer time; a heartbeat costs a handful


def test_a_resolver_answers_for_others_over_a_restart_of_the_server_and_until_it_is_told_not_to(agent, server, reader):
    """[agent] resolver = true: any number of agents offer target resolution, and no master is needed."""
    target = basket_target.parse("role:webserver")

    def told():
        return Resolver(reader._link).ask(target, deadline=time.monotonic() + 2)

    facts = '[facts]\ncustom = { role = "webserver" }\n'
    agent.write(f"{facts}[agent]\nresolver = true\n").start()
    wait_for(lambda: told() == {"web-01"}, what="the agent's answer")
    server.kill()
    server.start()
    wait_for(lambda: told() == {"web-01"}, what="its answer after the restart")
    agent.write(f"{facts}[agent]\nresolver = false\n")
    wait_for(lambda: told() is None, what="its silence")
    agent.write(f"{facts}[agent]\nresolver = true\n")
    wait_for(lambda: told() == {"web-01"}, what="its answer again")


def plugin(directory, name, source):
    """Install a function for the processes that have ``directory`` on their import path."""
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.py").write_text(source)
    metadata = directory / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[zester_basket.functions]\ncustom.{name} = {name}:read\n")


def test_a_plugin_that_hangs_while_the_configuration_is_read_stops_nothing(agent, reader, tmp_path, monkeypatch):
    """Ten seconds for each of them would let the heartbeat expire, and the watchdog of systemd end the agent."""
    hanging, seen = tmp_path / "hanging", tmp_path / "seen"
    plugin(
        tmp_path / "plugins",
        "odd",
        "import os, time\n"
        f"if os.path.exists({str(hanging)!r}):\n    open({str(seen)!r}, 'w').close()\n    time.sleep(1000)\n"
        "def read():\n    return 1\n",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "plugins"))
    agent.write(THREE + '"custom.odd" = "1h"\n').start()
    wait_for(published(reader, "custom.odd", "custom.date"))
    hanging.touch()
    agent.write(THREE.replace("value = 10", "value = 11") + '"custom.odd" = "1h"\n')
    wait_for(seen.exists, what="the import")
    values = set()
    wait_for(lambda: values.add(reader.value("web-01", "custom.date")) or len(values) > 5, 5, "new values meanwhile")
    assert not agent.lines("configuration not taken over")
    assert reader.value("web-01", "custom.weight") == 10
    (line,) = wait_for(lambda: agent.lines("configuration not taken over"), 15)
    assert "custom.odd" in line
    assert agent.end()[0] == 0


def test_a_fact_that_the_scope_needs_may_go_and_come_back(agent, reader, tmp_path):
    """The file is valid either way, and must not end an agent whose template watches values in that scope."""
    source, destination = tmp_path / "weights.j2", tmp_path / "weights"
    source.write_text('{% for e in basket("*", "custom.weight", min=1) %}{{ e.peel_id }}={{ e.value }}\n{% endfor %}')
    template = f'[[template]]\nsource = "{source}"\ndestination = "{destination}"\nwait = ["50ms", "1s"]\n'

    def config(custom, weight=10):
        functions = THREE.replace("value = 10", f"value = {weight}")
        return f'[basket]\nscope = "G@site:{{{{ facts.site }}}}"\n[facts]\ncustom = {custom}\n{functions}\n{template}'

    agent.write(config('{ site = "north" }')).start()
    wait_for(lambda: destination.exists() and destination.read_text() == "web-01=10\n", what="the file")
    agent.write(config("{}", 11))
    wait_for(lambda: agent.lines("the scope cannot be applied"))
    wait_for(lambda: reader.value("web-01", "custom.weight") == 11, what="the rest of the change")
    assert agent.process.poll() is None and destination.read_text() == "web-01=10\n"
    agent.write(config('{ site = "south" }', 12))
    wait_for(lambda: destination.read_text() == "web-01=12\n", what="the file again")
    assert agent.lines("the scope is applied again")
    assert agent.end()[0] == 0
    assert "unexpected error" not in agent.log


def test_facts_that_are_switched_off_are_deleted(agent, reader):
    agent.write(f'{THREE}\n[facts]\ncustom = {{ role = "web" }}\n').start()
    wait_for(lambda: reader.peels("role:web") == ["web-01"])
    agent.write(f'{THREE}\n[facts]\npublish = false\ncustom = {{ role = "web" }}\n')
    wait_for(lambda: reader.peels("role:web") == [], what="their end")


def test_what_leaves_the_configuration_while_it_is_stopped_is_deleted_when_it_runs_again(agent, reader):
    with basket.connect(agent.url, peel_id="web-01") as script:
        script.publish("custom.script", 1)
    agent.write(f"{THREE}\n").start()
    wait_for(published(reader, "custom.weight", "custom.date", "network.hostname"))
    wait_for(lambda: reader.facts("web-01"))
    agent.end()
    agent.write("[facts]\npublish = false\n").start()
    wait_for(lambda: reader.functions("web-01") == ["custom.script"])
    wait_for(lambda: reader.peels("web-01") and not reader.peels("G@os.name:*"), what="the end of the facts")
    agent.end()
    assert list(agent.state.iterdir()) == []


def test_a_damaged_note_of_what_was_published_and_none_at_all_keep_nobody_from_starting(agent, reader):
    agent.state.mkdir()
    (agent.state / "published.web-01").write_bytes(b"\0\xff" * 100)
    agent.write(THREE).start()
    wait_for(published(reader, "custom.weight"))
    agent.end()
    note = agent.state / "published.web-01"
    assert "custom.weight" in note.read_text().split()
    note.unlink()
    note.mkdir()  # neither to be read nor to be replaced
    agent.start()
    wait_for(lambda: agent.lines("what is published cannot be noted"))
    assert agent.end()[0] == 0 and "Traceback" not in agent.log


def test_what_an_earlier_agent_published_is_gone_where_there_is_no_bucket_either(agent, reader):
    agent.state.mkdir()
    (agent.state / "published.web-01").write_text("custom.gone\n")
    agent.write("[facts]\npublish = false\n[agent]\nheartbeat = 0\n").start()
    wait_for(lambda: not (agent.state / "published.web-01").exists())
    assert agent.end()[0] == 0 and not agent.lines("cannot")


def test_a_new_peel_id_takes_what_scripts_published_away_too(agent, reader):
    with basket.connect(agent.url, peel_id="web-01") as script:
        script.publish("custom.script", 1)
    agent.write(THREE).start()
    wait_for(published(reader, "custom.weight"))
    wait_for(lambda: reader.facts("web-01"))
    agent.write(THREE, peel='id = "web-02"')
    wait_for(published(reader, "custom.weight", peel="web-02"))
    wait_for(lambda: reader.functions("web-01") == [] and "web-01" not in reader.peels(), what="the end of the old id")


def test_another_state_directory_alone_is_no_reason_to_connect_anew(agent, reader):
    agent.write(THREE).start()
    wait_for(published(reader, "custom.weight"))
    wait_for(lambda: (agent.state / "published.web-01").exists())
    agent.state = agent.state.with_name("elsewhere")
    agent.write(THREE)
    wait_for(lambda: (agent.state / "published.web-01").exists())
    assert agent.lines("configuration taken over") and not agent.lines("connecting anew")


def test_two_hosts_with_one_id_are_told_so_once(agent, reader, tmp_path):
    agent.write(THREE).start()
    wait_for(published(reader, "custom.weight"))
    other = AgentProcess(tmp_path, agent.url)
    other.write(THREE.replace("value = 10", "value = 11")).start()
    try:
        wait_for(lambda: agent.lines("do two hosts share its id?"), 15)
        (line,) = agent.lines("do two hosts share its id?")
        assert "custom.weight" in line
    finally:
        other.end()


@pytest.mark.parametrize("options", [[], ["--once"]])
def test_an_agent_that_publishes_no_value_says_so(agent, options):
    agent.write().start(*options)
    (line,) = wait_for(lambda: agent.lines("this agent publishes no value"))
    assert str(agent.file) in line
    if options:
        assert agent.process.wait(10) == 0


def test_once_with_nothing_to_publish_is_2(agent, server):
    server.stop()
    agent.write("[facts]\npublish = false").start("--once")
    assert agent.process.wait(10) == 2
    assert "nothing to publish" in agent.log and "Traceback" not in agent.log


def test_once_runs_each_function_one_time(agent, reader, tmp_path):
    agent.write(
        f"""
[basket.functions]
"custom.count" = {{ command = ["sh", "-c", "echo run >> {tmp_path}/runs"], interval = "100ms" }}
"custom.slow" = {{ command = ["sleep", "1.5"] }}
"""
    ).start("--once")
    assert agent.process.wait(10) == 0
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_configuration_that_others_may_write_is_warned_about(agent):
    agent.write(THREE)
    agent.file.chmod(0o666)
    agent.start()
    (line,) = wait_for(lambda: agent.lines("which decides what runs here"))
    assert str(agent.file) in line

"""The real agent under systemd's rules and a monitoring system's eyes: what it says while NATS comes, goes and comes again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def get(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.fixture
def agent(tmp_path):
    """Starts agents: ``agent(text of the configuration, environment)`` gives the process; its log is ``log.read_text()``."""
    started = []

    def start(text, environ=None):
        config = tmp_path / "basket.toml"
        config.write_text(text)
        log = tmp_path / "agent.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "basket", "--config", str(config), "agent"],
                cwd=ROOT,
                stdout=out,
                stderr=out,
                env={**os.environ, **(environ or {})},
            )
        started.append(process)
        process.log = log
        process.config = config
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(5)


def configuration(url, tmp_path, functions, listen='listen = "127.0.0.1:0"'):
    return f"""
[peel]
id = "web-01"
state = "{tmp_path}"
[nats]
url = "{url}"
[basket.functions]
{functions}
[agent]
{listen}
"""


def address(process, until):
    def told():
        for line in process.log.read_text().splitlines():
            if "health and metrics are served" in line:
                return line.rpartition("address=")[2]
        return None

    return until(told)


def test_ready_follows_the_connection_and_healthy_does_not(agent, server, tmp_path, until):
    """A restart of NATS must take the peel out of service, not have it restarted."""
    functions = '"custom.a" = { value = 1 }\n"custom.bad" = { command = ["false"] }'
    process = agent(configuration(server.url, tmp_path, functions))
    url = address(process, until)
    until(lambda: get(url + "/readyz")[0] == 200)
    assert json.loads(get(url + "/readyz")[1])["failing"] == {"custom.bad": "exit status 1"}
    server.stop()
    until(lambda: get(url + "/readyz")[0] == 503)
    assert get(url + "/healthz")[0] == 200
    server.start()
    until(lambda: get(url + "/readyz")[0] == 200)
    status, metrics = get(url + "/metrics")
    if status != 501:  # without prometheus_client there are none
        assert 'zester_basket_function_failing{function="custom.bad"} 1.0' in metrics
        assert "zester_basket_connections_total 2.0" in metrics


def test_an_agent_without_nats_is_up_and_not_ready(agent, tmp_path, until):
    process = agent(configuration("nats://127.0.0.1:1", tmp_path, '"custom.a" = { value = 1 }'))
    url = address(process, until)
    assert get(url + "/healthz")[0] == 200
    status, body = get(url + "/readyz")
    assert status == 503 and json.loads(body)["not_yet_published"] == ["custom.a"]


def test_listening_is_turned_off_and_on_while_running(agent, server, tmp_path, until):
    functions = '"custom.a" = { value = 1 }'
    process = agent(configuration(server.url, tmp_path, functions))
    url = address(process, until)
    process.config.write_text(configuration(server.url, tmp_path, functions, listen=""))
    until(lambda: get(url + "/healthz")[0] == 0)
    threads = Path(f"/proc/{process.pid}/task")
    if threads.exists():
        until(lambda: not any("basket-http" in (one / "comm").read_text() for one in threads.iterdir()))


def test_a_taken_port_does_not_keep_the_agent_from_its_work(agent, server, basket_for, tmp_path, until):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f'listen = "127.0.0.1:{taken.getsockname()[1]}"'
        process = agent(configuration(server.url, tmp_path, '"custom.a" = { value = 1 }', listen))
        b = basket_for(server, "reader")
        until(lambda: b.value("web-01", "custom.a", default=None) == 1)
        assert "cannot listen for health and metrics" in process.log.read_text()


@pytest.fixture
def systemd(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        path = str(tmp_path / "notify")
        one.bind(path)
        one.settimeout(10.0)

        def said(word):
            while True:
                message = one.recv(4096).decode()
                if word in message.split("\n"):
                    return message

        yield path, said


def test_what_systemd_hears_of_a_life(agent, server, systemd, tmp_path):
    """READY, signs of life, a reload with its end, the stop: what Type=notify and WatchdogSec= wait for."""
    path, said = systemd
    text = configuration(server.url, tmp_path, '"custom.a" = { value = 1 }', listen="")
    process = agent(text, {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
    said("READY=1")
    said("STATUS=connected to NATS")
    for _ in range(3):
        said("WATCHDOG=1")
    process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in said("RELOADING=1")
    said("READY=1")
    process.send_signal(signal.SIGTERM)
    said("STOPPING=1")
    assert process.wait(10) == 0


def test_it_is_ready_before_there_is_a_server(agent, systemd, tmp_path):
    """Otherwise a boot without NATS would have systemd kill and restart it for ever."""
    path, said = systemd
    agent(configuration("nats://127.0.0.1:1", tmp_path, '"custom.a" = { value = 1 }', listen=""), {"NOTIFY_SOCKET": path})
    assert "STATUS=connecting to NATS" in said("READY=1")


def test_a_functions_command_cannot_speak_to_systemd(agent, server, basket_for, systemd, tmp_path, until):
    path, _ = systemd
    functions = '"custom.env" = { command = "echo ${NOTIFY_SOCKET:-none} ${WATCHDOG_USEC:-none}", shell = true }'
    agent(configuration(server.url, tmp_path, functions, listen=""), {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "9000000"})
    b = basket_for(server, "reader")
    assert until(lambda: b.value("web-01", "custom.env", default=None)) == "none none"

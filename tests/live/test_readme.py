"""README and docs/ are true: their commands, Python, configurations and template are run as they stand; what they name exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

import basket
from basket import config

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
README = TEXTS["README.md"]
FIRST_RUN = README.partition("## First run\n")[2].partition("\n## ")[0]

ELSEWHERE = ("pip install", "bin/zipapp", "dist/zester-basket.pyz", "curl", "salt-call", "man ")
"""Lines that install something, or need what is not here; other tests see to them, or a person."""

ENDLESS = ("zester-basket server", "zester-basket --config first.toml", "zester-basket watch")
"""Lines that run until Ctrl-C: the first run below, and ``test_cli``."""


def blocks(language, text=None):
    """Every block of code in ``language``, in that text or in all of them."""
    fences = rf"^```{language}\n(.*?)^```$"
    return [
        block for each in (TEXTS.values() if text is None else [text]) for block in re.findall(fences, each, flags=re.M | re.S)
    ]


def commands(text=None):
    for block in blocks("sh", text):
        for line in block.splitlines():
            plain = re.sub(r"\s+# .*$", "", line).strip()
            if plain and not plain.startswith("#"):
                yield plain


@pytest.fixture(scope="module")
def world(tmp_path_factory, shared_server):
    """A webserver's agent has published, and this host's configuration stands where the environment says."""
    home = tmp_path_factory.mktemp("readme")
    etc = home / "etc"
    (etc / "salt" / "minion.d").mkdir(parents=True)
    (etc / "bash_completion.d").mkdir()
    (etc / "salt" / "minion").write_text("id: web01\nmine_functions:\n  network.ip_addrs: []\n")
    (etc / "salt" / "minion.d" / "mine.conf").write_text("mine_interval: 10\n")
    (home / "host.toml").write_text(
        f'[peel]\nid = "web-01"\nstate = "{home}/state"\n[nats]\nurl = "{shared_server.url}"\n'
        '[basket.functions]\n"network.ip_addrs" = "5m"\n"disk.usage" = "1m"\n'
        '[facts]\ncustom = { role = "webserver", os = { family = "debian" } }\n'
    )
    binaries = home / "bin"
    binaries.mkdir()
    launcher = binaries / "zester-basket"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m basket "$@"\n')
    launcher.chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "BASKET_CONFIG": str(home / "host.toml"),
    }

    def run(command):
        # What the README writes below /etc is written below a directory of the test.
        command = command.replace(" /etc/", f" {etc}/")
        if "--config basket.toml" in command:  # made by import-salt, which cannot know where the server is
            command += f" --server {shared_server.url}"
        return subprocess.run(["bash", "-c", command], env=environ, cwd=home, capture_output=True, text=True, timeout=60)

    agent = run("zester-basket agent --once")
    assert agent.returncode == 0, agent.stderr
    return run


@pytest.mark.parametrize("command", dict.fromkeys(line for line in commands() if not line.startswith((*ELSEWHERE, *ENDLESS))))
def test_each_command_works_as_it_stands(world, command):
    done = world(command)
    assert done.returncode == 0, done.stderr
    assert done.stdout or ">" in command or "publish" in command


def test_the_first_python_of_the_readme_works(shared_server, capsys):
    source = blocks("python", README)[0].replace("nats://127.0.0.1:4222", shared_server.url)
    exec(compile(source, "README.md", "exec"), {})
    with basket.connect(shared_server.url, peel_id="lb-01") as b:
        assert b.value("lb-01", "custom.app_version") == "2.1.0"


def test_the_rest_of_its_python_is_the_api_that_there_is(shared_server):
    """Line by line: what it calls exists and takes these arguments. The loop over changes is left after its first turn."""
    source = "\n".join(blocks("python")[1:]).replace("print(change.kind, change.peel_id, change.value)", "break")
    with basket.connect(shared_server.url, peel_id="readme-02") as b:
        b.publish("custom.app_version", "1")
        b.publish_facts({"role": "webserver", "os": {"name": "linux"}})
        b.publish("network.ip_addrs", "192.0.2.1")
        seen = []
        exec(compile(source, "README.md", "exec"), {"b": b, "print": lambda *shown: seen.append(shown)})
        assert b.functions("readme-02") == []  # its last line but a few is flush()
        assert b.status().mirror.functions == ("network.ip_addrs",)


@pytest.mark.parametrize("text", blocks("toml"))
def test_each_configuration_is_valid(text):
    config.parse(text)


def test_the_template_of_the_readme_makes_a_backend(world, tmp_path):
    (tmp_path / "haproxy.j2").write_text(blocks("jinja")[0])
    deadline = time.monotonic() + 10
    done = world(f"zester-basket render {tmp_path}/haproxy.j2")
    while "server web-01 " not in done.stdout and time.monotonic() < deadline:
        done = world(f"zester-basket render {tmp_path}/haproxy.j2")
    assert re.search(r"^    server web-01 [0-9.]+:8080 check$", done.stdout, flags=re.MULTILINE), done.stderr


def test_the_first_run_shows_a_value(tmp_path, server, until):
    """With the address of a server that is here already, since its own port may be taken; ``test_cli`` runs the command."""
    serve, agent, ask = commands(FIRST_RUN)
    assert serve == "zester-basket server" and blocks("toml", FIRST_RUN)[0].startswith("# first.toml\n")
    (tmp_path / "first.toml").write_text(blocks("toml", FIRST_RUN)[0])
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "BASKET_CONFIG": ""}

    def argv(command):
        return [sys.executable, "-m", "basket", "--server", server.url, *shlex.split(command)[1:]]

    def asked():
        done = subprocess.run(argv(ask), env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=20)
        return done.stdout if done.returncode == 0 else ""

    running = subprocess.Popen(argv(agent), env=environ, cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        assert re.search(r"^web-01  [0-9.]+$", until(asked), flags=re.MULTILINE)
        until((tmp_path / "zester-state").is_dir)  # here, and not where a newcomer may not write
    finally:
        running.terminate()
        running.communicate(timeout=20)
    assert running.returncode == 0


# What they name


def anchors(text):
    """What links may point to: the headings, as they are shown on the web."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_each_link_leads_somewhere(name):
    for link in re.findall(r"\]\(([^)]+)\)", re.sub(r"`[^`]*`", "", TEXTS[name])):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        there = (ROOT / name).parent / path if path else ROOT / name
        assert there.exists(), link
        assert not anchor or anchor in anchors(there.read_text()), link


def test_each_page_is_linked_from_the_readme():
    assert set(TEXTS) - {"README.md"} <= set(re.findall(r"\]\(([^)#]+)", README))


def test_each_test_that_is_cited_exists():
    found = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    file = ""
    for cited, function in re.findall(r"`(?:tests/\w+/)?(test_\w+\.py|…)(?:::(\w+))?`", "\n".join(TEXTS.values())):
        file = file if cited == "…" else cited
        assert file in found, file
        assert f"def {function}" in found[file], f"{file}::{function}"

"""Templates against a real server: the command, the agent, what stands in conf/templates, outages and wiped stores."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from harness import PAUSE, ROOT, AgentProcess, wait_for

import basket
from basket.config import Config, FactsSection, PeelSection, TemplateSection
from basket.embedded import EmbeddedServer
from basket.template import Renderer, complaints, live
from basket.template.live import Keeper
from basket.template.owed import listed

TEMPLATES = ROOT / "conf" / "templates"

LIST = "{% for e in basket('role:web', 'network.ip_addrs'MORE) %}\n{{ e.peel_id }} {{ e.value }}\n{% endfor %}\n"


class Fleet:
    """Peels that publish, each through a connection of its own; and a place for files."""

    def __init__(self, server, directory):
        self.server = server
        self.path = directory
        self.peels = {}

    def peel(self, peel_id):
        if peel_id not in self.peels:
            self.peels[peel_id] = basket.connect(self.server.url, peel_id=peel_id)
        return self.peels[peel_id]

    def publish(self, peel_id, *, role=None, **values):
        peel = self.peel(peel_id)
        if role is not None:
            peel.publish_facts({"role": role})
        peel.publish_many({name.replace("__", "."): value for name, value in values.items()})

    def web(self, number, address=None):
        self.publish(f"web-{number:02}", role="web", network__ip_addrs=address or f"10.0.0.{number}")

    def template(self, text=LIST, *, more="", name="t.j2"):
        path = self.path / name
        staged = self.path / "staged.j2"
        staged.write_text(text.replace("MORE", more))
        staged.replace(path)
        return path

    def content(self, name="out"):
        path = self.path / name
        return path.read_text() if path.exists() else None

    def render(self, *arguments, **options):
        argv = [sys.executable, "-m", "basket", "--server", self.server.url, "render", *map(str, arguments)]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30, **options)

    def leftovers(self):
        return [name for name in os.listdir(self.path) if name.endswith(".staged")]

    def close(self):
        for peel in self.peels.values():
            peel.close()


@pytest.fixture
def fleet(server, tmp_path, monkeypatch):
    config = tmp_path / "basket.toml"
    config.write_text(f'[peel]\nid = "me"\nstate = "{tmp_path}/state"\n[basket.expect]\n"custom.strict" = "ip"\n')
    monkeypatch.setenv("BASKET_CONFIG", str(config))
    fleet = Fleet(server, tmp_path)
    yield fleet
    fleet.close()


# -- what stands in conf/templates --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two webservers and a database, as the templates expect them."""
    server = EmbeddedServer(str(tmp_path_factory.mktemp("nats"))).start()
    fleet = Fleet(server, tmp_path_factory.mktemp("site"))
    keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1nIpxXX5Ex/RxGT6uxLZtJGy4RVz7ssgpNkTfA7SQs root@x", "nokey"]
    for peel_id, role, address in (
        ("web-01", "webserver", "192.0.2.1"),
        ("web-02", "webserver", "2001:db8::2"),
        ("db-01", "database", "192.0.2.3"),
    ):
        fleet.publish(
            peel_id,
            role=role,
            network__ip_addrs=address,
            network__fqdn=f"{peel_id}.example.org" if peel_id != "web-02" else "db-01.example.org",
            ssh__host_keys=keys,
        )
    asker = basket.connect(server.url, peel_id="me")
    yield Renderer(asker, facts=lambda: {"default_ipv4": "192.0.2.9"})
    asker.close()
    fleet.close()
    server.stop()


def test_every_template_of_ours_is_tested():
    assert {path.name for path in TEMPLATES.iterdir()} == {
        "databases.json.j2",
        "firewall.nft.j2",
        "haproxy.cfg.j2",
        "hosts.j2",
        "known_hosts.j2",
        "prometheus.json.j2",
        "zone.j2",
    }


def test_haproxy(site):
    text = site.text(str(TEMPLATES / "haproxy.cfg.j2"))
    backend = text.partition("backend webservers\n")[2]
    assert re.findall(r"^    server .*", backend, re.M) == [
        "    server web-01 192.0.2.1:8080 check",
        "    server web-02 2001:db8::2:8080 check",
    ]
    assert text.endswith("check\n") and "\n\n\n" not in text


def test_databases_of_an_application(site):
    text = site.text(str(TEMPLATES / "databases.json.j2"))
    assert json.loads(text) == {"databases": [{"name": "db-01", "host": "192.0.2.3", "port": 5432}]}


def test_firewall_rules(site, tmp_path):
    text = site.text(str(TEMPLATES / "firewall.nft.j2"))
    assert re.findall(r"elements = .*", text) == ["elements = { 192.0.2.1 }", "elements = { 2001:db8::2 }"]
    assert text.count("{") == text.count("}") and "drop" in text
    if shutil.which("nft"):
        (tmp_path / "rules").write_text(text)
        subprocess.run(["nft", "-c", "-f", str(tmp_path / "rules")], check=True)


def test_hosts(site):
    lines = site.text(str(TEMPLATES / "hosts.j2")).splitlines()
    # web-02 claims to be db-01.example.org, and is not believed.
    assert lines[-3:] == ["192.0.2.3 db-01.example.org db-01", "192.0.2.1 web-01.example.org web-01", "2001:db8::2 web-02"]
    assert "127.0.0.1 localhost" in lines


def test_prometheus(site):
    groups = json.loads(site.text(str(TEMPLATES / "prometheus.json.j2")))
    assert [(group["targets"], group["labels"]["peel"]) for group in groups] == [
        (["192.0.2.3:9100"], "db-01"),
        (["192.0.2.1:9100"], "web-01"),
        (["[2001:db8::2]:9100"], "web-02"),
    ]


def test_known_hosts(site, tmp_path):
    text = site.text(str(TEMPLATES / "known_hosts.j2"))
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["db-01", "web-01", "web-02"]
    assert "nokey" not in text and "root@x" not in text
    if shutil.which("ssh-keygen"):
        (tmp_path / "known").write_text(text)
        found = subprocess.run(["ssh-keygen", "-F", "web-01", "-f", str(tmp_path / "known")], capture_output=True, text=True)
        assert found.returncode == 0 and "ssh-ed25519" in found.stdout


def test_zone(site):
    text = site.text(str(TEMPLATES / "zone.j2"))
    assert re.search(r"^@ IN SOA ns\.peels\.example\.org\. hostmaster\.peels\.example\.org\. [1-9][0-9]* 3600 ", text, re.M)
    assert text.splitlines()[-3:] == ["db-01 IN A 192.0.2.3", "web-01 IN A 192.0.2.1", "web-02 IN AAAA 2001:db8::2"]


# -- the command ----------------------------------------------------------------------------------------------------------------


def test_render_prints_or_writes_and_tells_by_its_status(fleet):
    fleet.web(1)
    source, out = fleet.template(more=", min=1"), fleet.path / "out"
    assert (fleet.render(source).stdout, fleet.render(source, "-").stdout) == ("web-01 10.0.0.1\n", "web-01 10.0.0.1\n")
    made = fleet.render(source, out)
    assert (made.returncode, made.stdout, fleet.content()) == (0, "", "web-01 10.0.0.1\n")
    assert "up to date" in fleet.render(source, out).stderr

    fleet.web(2, "10.0.0.2\nevil")
    made = fleet.render(source, out)
    assert made.returncode == 2 and "t.j2:2" in made.stderr and "from peel web-02 (target 'role:web')" in made.stderr
    fleet.web(2)
    for name in ("web-01", "web-02"):
        fleet.peel(name).delete("network.ip_addrs")
    made = fleet.render(source, out)
    assert made.returncode == 1 and "2 peels match, none has data that counts, at least 1 needed" in made.stderr
    assert fleet.render(fleet.path / "none.j2").returncode == 2
    assert fleet.render(fleet.template("{{ nope }}"), out).returncode == 2
    assert fleet.content() == "web-01 10.0.0.1\n" and not fleet.leftovers()


def test_an_empty_list_is_written_where_the_template_allows_it(fleet):
    fleet.web(1)
    (fleet.path / "out").write_text("old\n")
    fleet.peel("web-01").delete("network.ip_addrs")
    made = fleet.render(fleet.template(), fleet.path / "out")
    assert (made.returncode, fleet.content()) == (0, "")
    assert "is empty: none of the 1 peels that match has data that counts" in made.stderr


def test_values_that_are_not_as_expected_are_left_out_and_never_an_empty_list(fleet):
    source = fleet.template("{% for e in basket('*', 'custom.strict') %}{{ e.value }}\n{% endfor %}")
    fleet.publish("web-01", custom__strict="10.0.0.1")
    fleet.publish("web-02", custom__strict="evil\nline")
    made = fleet.render(source, fleet.path / "out")
    assert (made.returncode, fleet.content()) == (0, "10.0.0.1\n")
    assert "left out: custom.strict of web-02 is no IP address: 'evil\\nline'" in made.stderr
    fleet.peel("web-01").delete("custom.strict")
    assert fleet.render(source, fleet.path / "out").returncode == 1
    assert fleet.content() == "10.0.0.1\n"


def test_without_nats_nothing_is_touched(fleet):
    fleet.web(1)
    source = fleet.template()
    fleet.render(source, fleet.path / "out")
    fleet.server.stop()
    assert fleet.render(source, fleet.path / "out").returncode == 3
    assert fleet.content() == "web-01 10.0.0.1\n"


def test_check_and_reload_have_a_status_of_their_own(fleet):
    fleet.web(1)
    source, out = fleet.template(), fleet.path / "out"
    made = fleet.render(source, out, "--check", "grep -q nothing-of-that {path}")
    assert made.returncode == 4 and "check command failed: exit status 1" in made.stderr and fleet.content() is None
    made = fleet.render(source, out, "--check", "grep -q web-01 {path}", "--reload", "sh -c 'echo why >&2; exit 7'")
    assert made.returncode == 4 and "reload command failed: exit status 7: why" in made.stderr
    assert fleet.content() == "web-01 10.0.0.1\n" and listed(str(fleet.path / "state"))
    assert fleet.render(source, out, "--reload", "true").returncode == 0
    assert not listed(str(fleet.path / "state"))


def test_the_configuration_of_the_same_file_is_used(fleet):
    fleet.web(1)
    source, out = fleet.template(), fleet.path / "out"
    with open(fleet.path / "basket.toml", "a") as config:
        config.write(f'[[template]]\nsource = "{source}"\ndestination = "{out}"\nmode = "0600"\n')
        config.write(f'check = ["grep", "-q", "10.0.0.1", "{{path}}"]\nreload = ["touch", "{fleet.path}/reloaded"]\n')
    assert fleet.render(source, out).returncode == 0
    assert out.stat().st_mode & 0o777 == 0o600 and (fleet.path / "reloaded").exists()
    fleet.web(1, "10.0.0.9")
    assert fleet.render(source, out).returncode == 4
    assert fleet.render(source, fleet.path / "elsewhere").returncode == 0, "another destination is another matter"


def test_a_dry_run_changes_nothing_and_is_coloured_only_for_people(fleet):
    fleet.web(1)
    source, out = fleet.template(), fleet.path / "out"
    fleet.render(source, out)
    fleet.web(2)
    made = fleet.render(source, out, "--dry-run", "--reload", f"touch {fleet.path}/reloaded")
    assert made.returncode == 0 and "\x1b" not in made.stdout
    assert made.stdout.splitlines()[2:] == ["@@ -1 +1,2 @@", " web-01 10.0.0.1", "+web-02 10.0.0.2"]
    assert fleet.content() == "web-01 10.0.0.1\n" and not (fleet.path / "reloaded").exists()
    argv = f"{sys.executable} -m basket --server {fleet.server.url} render {source} {out} --dry-run"
    if shutil.which("script"):
        environ = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        for env, coloured in (({**environ, "TERM": "xterm"}, True), ({**environ, "NO_COLOR": "1"}, False)):
            shown = subprocess.run(["script", "-qec", argv, "/dev/null"], cwd=ROOT, capture_output=True, text=True, env=env)
            assert ("\x1b[32m+web-02 10.0.0.2\x1b[0m" in shown.stdout) is coloured


@pytest.mark.parametrize(
    "options", ["--watch", "--dry-run", "--check true", "--mode 0600", "--mode 0000", "--backup", "- --watch"]
)
def test_what_needs_a_file_says_so(fleet, options):
    made = fleet.render(fleet.template(), *options.split())
    assert made.returncode == 2 and "need a DEST" in made.stderr


def test_watch_follows_until_it_is_told_to_stop(fleet):
    fleet.web(1)
    source, out = fleet.template(), fleet.path / "out"
    argv = [sys.executable, "-m", "basket", "--server", fleet.server.url, "render", str(source), str(out), "--watch"]
    process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: fleet.content() == "web-01 10.0.0.1\n", what="the first rendering")
        begun = time.monotonic()
        fleet.web(2)
        wait_for(lambda: fleet.content() == "web-01 10.0.0.1\nweb-02 10.0.0.2\n", what="the second")
        assert time.monotonic() - begun < 4.0  # one second of quiet, on a busy machine
        process.send_signal(signal.SIGTERM)
        assert process.wait(5.0) == 0
    finally:
        process.kill()
        process.wait()
    assert not fleet.leftovers()


# -- kept current ---------------------------------------------------------------------------------------------------------------


class Kept:
    """A Keeper with short waits, and what it did."""

    def __init__(self, fleet, *sections, facts=600.0, **options):
        self.fleet = fleet
        self.rounds = []
        sections = sections or (self.section(**options),)
        self.config = Config(
            peel=PeelSection("me", str(fleet.path / "state")), facts=FactsSection(interval=facts), templates=sections
        )
        self.basket = basket.connect(fleet.server.url, peel_id="me", timeout=2.0)
        self.keeper = Keeper(self.config, listener=lambda done, failed: self.rounds.append((done, failed)))
        self.keeper.use(self.basket)
        self.keeper.start()

    def section(self, name="out", source=None, **options):
        source = source or self.fleet.path / "t.j2"
        return TemplateSection(str(source), str(self.fleet.path / name), wait=(0.2, 2.0), **options)

    @property
    def count(self):
        return sum(len(done) for done, _ in self.rounds)

    def settled(self, seconds=0.8):
        """How many renderings there are once none has come for a while."""
        before = -1
        while before != self.count:
            before = self.count
            PAUSE.wait(seconds)
        return before

    def close(self):
        self.keeper.stop()
        self.basket.close()


@pytest.fixture
def keep(fleet, monkeypatch):
    monkeypatch.setattr(live, "SETTLE", 0.3)
    made = []

    def start(*sections, **options):
        made.append(Kept(fleet, *sections, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_it_renders_on_changes_of_what_it_asked_for_and_of_nothing_else(fleet, keep):
    fleet.web(1)
    fleet.template()
    kept = keep()
    wait_for(lambda: fleet.content() == "web-01 10.0.0.1\n")
    before = kept.settled()
    fleet.publish("web-01", network__fqdn="web-01.example.org")
    fleet.publish("db-01", role="db", network__ip_addrs="10.0.0.99")
    assert kept.settled() == before, "another function, and a peel that does not match"
    for number in range(2, 7):
        fleet.web(number)
    wait_for(lambda: "web-06" in fleet.content())
    assert kept.settled() <= before + 2, "a burst is rendered once (facts and values of one peel may part)"
    fleet.publish("db-01", role="web")
    wait_for(lambda: "db-01 10.0.0.99" in fleet.content(), what="a peel that matches by its facts now")
    fleet.peel("web-02").delete("network.ip_addrs")
    wait_for(lambda: "web-02" not in fleet.content())


def test_it_follows_the_template_and_what_that_includes(fleet, keep):
    fleet.web(1)
    fleet.template("{% include 'part.j2' %}")
    fleet.template("one\n", name="part.j2")
    kept = keep()
    wait_for(lambda: fleet.content() == "one\n")
    kept.settled()
    fleet.template("two\n", name="part.j2")
    wait_for(lambda: fleet.content() == "two\n", what="following the included file")
    fleet.template("{{ nope }}")
    wait_for(lambda: kept.rounds[-1][0][0].error is not None)
    assert fleet.content() == "two\n"
    fleet.template("three {{ basket('*', 'network.ip_addrs') | length }}\n")
    wait_for(lambda: fleet.content() == "three 1\n", what="following the template itself")
    fleet.web(2)
    wait_for(lambda: fleet.content() == "three 2\n", what="following what it asks for now")


def test_it_follows_its_own_facts(fleet, keep, monkeypatch):
    from basket import facts

    monkeypatch.setattr(facts, "collect", lambda custom={}: {"role": ROLE[0]})
    ROLE = ["one"]
    fleet.template("{{ facts.role }}\n")
    keep(facts=0.3)
    wait_for(lambda: fleet.content() == "one\n")
    ROLE[0] = "two"
    wait_for(lambda: fleet.content() == "two\n")


@pytest.mark.parametrize(
    "leaves", [lambda peel: peel.delete("network.ip_addrs"), lambda peel: peel.publish_facts({"role": "db"})]
)
def test_who_leaves_while_the_first_version_is_checked_is_missed_at_once(fleet, keep, leaves):
    fleet.web(1)
    fleet.web(2)
    fleet.template()
    checking, go = fleet.path / "checking", fleet.path / "go"
    check = ("sh", "-c", f"touch {checking}; while [ ! -e {go} ]; do sleep 0.05; done")
    kept = keep(check=check)
    wait_for(checking.exists, what="the check")
    leaves(fleet.peel("web-01"))  # nothing is watched yet
    go.touch()
    wait_for(lambda: fleet.content() == "web-02 10.0.0.2\n", what="the second version")

    # Another template asks for the same, which is watched by now for the first.
    checking.unlink()
    go.unlink()
    kept.keeper.apply(replace(kept.config, templates=(*kept.config.templates, kept.section("more", check=check))))
    wait_for(checking.exists, what="the check of another template")
    fleet.peel("web-02").delete("network.ip_addrs")
    go.touch()
    wait_for(lambda: (fleet.content(), fleet.content("more")) == ("", ""), what="both being current")


def test_over_another_connection_all_is_looked_at_again(fleet, keep):
    fleet.web(1)
    fleet.template()
    kept = keep()
    wait_for(lambda: fleet.content() == "web-01 10.0.0.1\n")
    before = kept.settled()
    with basket.connect(fleet.server.url, peel_id="me") as other:
        kept.keeper.use(other)
        wait_for(lambda: kept.count >= before + 2, what="a rendering after the watches began anew")
        fleet.peel("web-01").delete("network.ip_addrs")
        wait_for(lambda: fleet.content() == "")


def test_one_reload_a_round_and_a_failing_one_again_in_the_next(fleet, keep):
    fleet.web(1)
    fleet.template()
    ran, status = fleet.path / "ran", fleet.path / "status"
    status.write_text("1")
    reload = ("sh", "-c", f"echo x >> {ran}; exit $(cat {status})")
    kept = Kept.section
    maker = type("S", (), {"fleet": fleet})()
    sections = [kept(maker, name, reload=reload) for name in ("a", "b", "c")]
    kept = keep(*sections)
    wait_for(lambda: kept.rounds and kept.rounds[-1][1])
    kept.settled()
    before = ran.read_text()
    assert before == "x\n" * len(kept.rounds) and len(listed(str(fleet.path / "state"))) == 3
    status.write_text("0")
    fleet.web(2)
    wait_for(lambda: ran.read_text() == before + "x\n")
    wait_for(lambda: not listed(str(fleet.path / "state")))
    kept.settled()
    assert ran.read_text() == before + "x\n"


def test_an_outage_changes_nothing_and_is_followed_by_one_rendering_of_what_is_then_true(fleet, keep, monkeypatch, caplog):
    monkeypatch.setattr(complaints, "PATIENCE", 0.5)
    caplog.set_level(logging.INFO, "basket.template")
    fleet.web(1)
    fleet.web(2)
    source = fleet.template()
    kept = keep()
    wait_for(lambda: fleet.content() == "web-01 10.0.0.1\nweb-02 10.0.0.2\n")
    before = kept.settled()
    fleet.server.kill()
    wait_for(lambda: kept.basket.state == "suspended")
    fleet.template(LIST + "more\n")  # so that there is something to wait for
    wait_for(
        lambda: any("NATS" in str(r.fields.get("waits_for")) for r in caplog.records if hasattr(r, "fields")), what="telling"
    )
    assert fleet.content() == "web-01 10.0.0.1\nweb-02 10.0.0.2\n" and kept.count == before
    fleet.server.start()
    wait_for(lambda: "more" in fleet.content())
    assert fleet.content() == "web-01 10.0.0.1\nweb-02 10.0.0.2\nmore\n" and kept.settled() == before + 1
    assert source.exists()


@pytest.mark.parametrize("more", ["", ", min=1"])
def test_a_wiped_store_empties_no_file(fleet, keep, more):
    fleet.web(1)
    fleet.web(2)
    fleet.template(more=more)
    kept = keep()
    wait_for(lambda: fleet.content() == "web-01 10.0.0.1\nweb-02 10.0.0.2\n")
    kept.settled()
    fleet.server.kill()
    shutil.rmtree(fleet.server.store / "jetstream")
    fleet.server.start()
    wait_for(lambda: kept.basket.state == "connected")
    seen = set()
    for _ in range(60):
        seen.add(fleet.content())
        PAUSE.wait(0.02)
    fleet.web(3)  # the first to be there again
    for _ in range(60):
        seen.add(fleet.content())
        PAUSE.wait(0.02)
    assert seen == {"web-01 10.0.0.1\nweb-02 10.0.0.2\n"}
    fleet.web(1)
    fleet.web(2)
    wait_for(lambda: fleet.content() == "web-01 10.0.0.1\nweb-02 10.0.0.2\nweb-03 10.0.0.3\n", what="everybody's return")


def test_who_goes_offline_leaves_a_list_of_those_online(fleet, keep, monkeypatch):
    monkeypatch.setattr(live, "LOOK", 0.3)
    fleet.web(1)
    fleet.peel("web-01").beat()
    fleet.template(more=", online_only=true")
    keep()
    wait_for(lambda: fleet.content() == "web-01 10.0.0.1\n")
    # As the bucket's own time to live would do, half a minute later.
    fleet.peel("web-01")._heartbeats.delete("web-01", deadline=time.monotonic() + 5)
    wait_for(lambda: fleet.content() == "", what="noticing that it is gone")


# -- the agent ---------------------------------------------------------------------------------------------


class Agent(AgentProcess):
    """One of the fleet, which renders."""

    def __init__(self, fleet):
        super().__init__(fleet.path / "agent", fleet.server.url)
        self.fleet = fleet

    def write(self, text):
        return super().write(text, peel='id = "me"')

    def template(self, name="out", source="t.j2", more=""):
        return (
            f'[[template]]\nsource = "{self.fleet.path}/{source}"\ndestination = "{self.fleet.path}/{name}"\n'
            f'wait = ["100ms", "1s"]\n{more}\n'
        )


@pytest.fixture
def agent(fleet):
    agent = Agent(fleet)
    yield agent
    agent.kill()


def test_the_agent_keeps_its_templates_current_and_follows_its_configuration(fleet, agent):
    fleet.web(1)
    fleet.template()
    agent.write(agent.template()).start()
    wait_for(lambda: fleet.content() == "web-01 10.0.0.1\n", what="rendering at the start")
    fleet.web(2)
    wait_for(lambda: "web-02" in fleet.content(), what="following a change")
    fleet.template("other\n", name="u.j2")
    agent.write(agent.template() + agent.template("added", "u.j2"))
    wait_for(lambda: fleet.content("added") == "other\n", what="a template that was added")
    agent.write(agent.template("added", "u.j2", 'mode = "0600"'))
    wait_for(lambda: (fleet.path / "added").stat().st_mode & 0o777 == 0o600, what="a template that was changed")
    fleet.web(3)
    fleet.template("changed\n", name="u.j2")
    wait_for(lambda: fleet.content("added") == "changed\n")
    assert "web-03" not in fleet.content(), "a template that was removed is rendered no more"
    agent.process.terminate()
    assert agent.process.wait(6.0) == 0
    assert not fleet.leftovers()


def test_rendering_does_not_delay_functions_and_ends_with_the_agent(fleet, agent):
    fleet.web(1)
    fleet.template()
    slow = f'check = ["sh", "-c", "touch {fleet.path}/checking; sleep 60"]'
    count = (
        f'"custom.count" = {{ command = ["sh", "-c", "echo x >> {fleet.path}/n; wc -l < {fleet.path}/n"], interval = "200ms" }}'
    )
    agent.write(f"[basket.functions]\n{count}\n" + agent.template(more=slow)).start()
    wait_for(lambda: (fleet.path / "checking").exists())
    before = int(fleet.peel("x").value("me", "custom.count", 0))
    wait_for(lambda: int(fleet.peel("x").value("me", "custom.count")) >= before + 4, 5.0, "the schedule going on")
    begun = time.monotonic()
    agent.process.terminate()
    assert agent.process.wait(8.0) == 0 and time.monotonic() - begun < 5.0
    assert fleet.content() is None and not fleet.leftovers()


def test_an_agent_without_templates_does_not_load_jinja_and_one_without_jinja_says_so(fleet, agent):
    code = "import sys; sys.modules['jinja2'] = None; sys.argv = ['zester-basket', *sys.argv[1:]]; from basket.cli import main; "
    code += "sys.exit(main())"
    agent.write(agent.template())
    argv = [sys.executable, "-c", code, "agent", "--config", str(agent.file)]
    made = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert made.returncode == 2 and "zester-basket[template]" in made.stderr
    agent.write("")
    process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert "agent starting" in process.stderr.readline()
        agent.write(agent.template())  # refused, and the running configuration stays
        for line in process.stderr:
            if "not taken over" in line:
                assert "zester-basket[template]" in line
                break
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        process.stderr.close()

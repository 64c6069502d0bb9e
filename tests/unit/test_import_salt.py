"""A Salt minion's mine to our configuration: what comes out must load, mean the same, and what is lost must be said."""

from __future__ import annotations

import pytest

pytest.importorskip("yaml")

from basket import salt
from basket.cli.program import main
from basket.config import parse
from basket.errors import ConfigError
from basket.salt.grains import FACTS
from basket.salt.table import ROWS


def translated(*texts):
    mine = salt.Mine()
    for number, text in enumerate(texts):
        salt.read(text, f"f{number}", mine)
    made = salt.translate(mine)
    config = parse(made.text)
    return made, config, {one.function.name: one.function for one in config.basket.functions}


@pytest.mark.parametrize(
    "written",
    [
        "mine_functions:\n  network.ip_addrs:\n    interface: eth0\n    cidr: 10.0.0.0/8\n",
        "mine_functions:\n  network.ip_addrs:\n    - interface: eth0\n    - cidr: 10.0.0.0/8\n",
        "mine_functions:\n  network.ip_addrs: [eth0, false, 10.0.0.0/8]\n",
        "mine_functions:\n  - network.ip_addrs: {interface: eth0, cidr: 10.0.0.0/8}\n",
        "local:\n  mine_functions:\n    network.ip_addrs: {interface: eth0, cidr: 10.0.0.0/8}\n",
    ],
    ids=["dict", "list of dicts", "positional", "list of functions", "salt-call's output"],
)
def test_every_way_to_write_the_same_function(written):
    made, _, functions = translated(written)
    assert made.functions == 1 and not made.lost
    assert functions["network.ip_addrs"].arguments == {"interface": "eth0", "cidr": "10.0.0.0/8"}


@pytest.mark.parametrize(
    "written",
    [
        "  inner_ip:\n    mine_function: network.ip_addrs\n    cidr: 10.0.0.0/8\n",
        "  inner_ip:\n    - mine_function: network.ip_addrs\n    - cidr: 10.0.0.0/8\n",
    ],
    ids=["dict", "list"],
)
def test_aliases(written):
    _, _, functions = translated("mine_functions:\n" + written)
    assert functions["inner_ip"].what == "network.ip_addrs" and functions["inner_ip"].arguments == {"cidr": "10.0.0.0/8"}


def test_the_name_that_others_ask_for_stays():
    """Consumers asked the mine for network.ipaddrs: they must find it under that name."""
    _, _, functions = translated("mine_functions: [network.ipaddrs, status.uptime, network.interfaces]")
    assert {name: one.what for name, one in functions.items()} == {
        "network.ipaddrs": "network.ip_addrs",
        "status.uptime": "system.uptime",
        "network.interfaces": "network.interfaces",
    }


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("mine_interval: 15", 900.0),
        ("mine_interval: 0.5", 30.0),
        ("schedule: {a: {function: mine.update, minutes: 5}}", 300.0),
        ("schedule: {a: {function: mine.update, hours: 1, minutes: 30}}", 5400.0),
    ],
)
def test_the_interval_is_in_minutes(text, seconds):
    assert translated(text)[1].basket.interval == seconds


def test_without_an_interval_the_comment_tells_of_salts_default():
    made, config, _ = translated("mine_functions: [status.uptime]")
    assert config.basket.interval == 300.0 and "60m" in made.text


@pytest.mark.parametrize(
    "arguments, what",
    [
        ("['uptime -p']", ("uptime", "-p")),
        ("[[/bin/echo, 'a b']]", ("/bin/echo", "a b")),
        ("{cmd: \"/bin/echo 'a b'\"}", ("/bin/echo", "a b")),
        ("['who | wc -l']", "who | wc -l"),
        ("['echo $HOME']", "echo $HOME"),
        ("['A=1 env']", "A=1 env"),
        ("['/bin/true', {python_shell: true}]", "/bin/true"),
        ("['id', {runas: nobody}]", ("runuser", "-u", "nobody", "--", "id")),
        ("['pwd', {cwd: /srv}]", ("env", "-C", "/srv", "pwd")),
        ("['app', {env: {A: 'b c'}}]", ("env", "A=b c", "app")),
        ("['app', {env: [{A: b}, {C: d}]}]", ("env", "A=b", "C=d", "app")),
    ],
)
def test_commands(arguments, what):
    """A shell only where there was need of one: what Salt ran without it must not get one here."""
    _, _, functions = translated(f"mine_functions: {{cmd.run: {arguments}}}")
    assert functions["cmd.run"].what == what


def test_a_shell_command_keeps_its_directory_environment_and_user():
    """Run for real, since quoting is easily wrong."""
    from basket.functions import run

    text = "mine_functions: {cmd.run: ['echo \"$A\" | tr a-z A-Z; pwd', {cwd: '/', env: {A: \"it's\"}, timeout: 5}]}"
    _, config, functions = translated(text)
    assert run(functions["cmd.run"], timeout=5.0) == "IT'S\n/"
    assert config.basket.functions[0].timeout == 5.0


def test_grains_become_facts():
    made, _, functions = translated(
        "grains: {roles: [web, db], dc: ams}\n"
        "mine_functions:\n"
        "  my_os: [{mine_function: grains.get}, os]\n"
        "  mem: [{mine_function: grains.item}, mem_total]\n"
        "  dcg: [{mine_function: grains.get}, dc]\n"
        "  inv: [{mine_function: grains.item}, os_family, 'roles']\n"
    )
    assert {name: one.what for name, one in functions.items()} == {
        "my_os": "os.platform",
        "mem": "memory.total",
        "dcg": "dc",
        "inv.os_family": "os.family",
        "inv.roles": "roles",
    }
    assert any("bytes" in note.problem for note in made.differs)


def test_the_minions_own_grains_become_custom_facts():
    _, config, _ = translated("id: web01.example.com\ngrains: {roles: [web], deep: {a: 1}}")
    assert config.facts.custom == {"roles": ["web"], "deep": {"a": 1}}
    assert config.peel.id == "web01_example_com"


def test_a_grain_that_would_hide_collected_facts_is_left_out():
    made, config, _ = translated("grains: {os: Special, dc: ams}")
    assert config.facts.custom == {"dc": "ams"}
    assert [note.name for note in made.lost] == ["grains:os"]


@pytest.mark.parametrize(
    "entry, why, nearest",
    [
        ("pkg.version: [nginx]", "packages", "dpkg-query"),
        ("test.ping: []", "heartbeats", "peels"),
        ("docker.ps: []", "no function of ours", "salt-call"),
        ("x: [{mine_function: grains.get}, roles]", "roles is no fact", "[facts] custom"),
        ("x: {mine_function: network.ip_addrs, type: private}", "type: private", "cidr"),
        ("x: {mine_function: network.ip_addrs, include_loopback: true}", "loopback", ""),
        ("x: {mine_function: network.ip_addrs, cidr: 10.0.0.0/99}", "cidr", ""),
        ("file.read: [relative/path]", "absolute", ""),
        ("cmd.run: ['id', {umask: '022'}]", "umask", "script"),
        ("cmd.run: []", "names no command", ""),
        ("pillar.get: [a]", "no pillar", "value"),
        ("x509.get_pem_entries: ['/etc/pki/*.crt']", "pattern", "file"),
    ],
)
def test_what_has_no_counterpart_is_said_with_the_nearest_thing(entry, why, nearest):
    made, _, functions = translated(f"mine_functions:\n  {entry}\n")
    assert functions == {} and made.functions == 0
    [note] = made.lost
    assert why in note.problem and nearest in note.nearest
    assert "#! not translated" in made.text, "in the file too: messages are lost in a pipe"


def test_allow_tgt_is_never_dropped_in_silence():
    """Somebody relied on it to keep a secret."""
    made, _, functions = translated(
        "mine_functions:\n  k:\n    - mine_function: ssh.host_keys\n    - allow_tgt: 'G@role:lb'\n    - allow_tgt_type: glob\n"
    )
    assert "k" in functions
    assert any("allow_tgt (G@role:lb)" in note.problem and "permissions" in note.nearest for note in made.lost)


def test_a_later_file_wins_and_that_is_said():
    made, _, functions = translated(
        "mine_functions: {a: [{mine_function: cmd.run}, x]}", "mine_functions: {a: [{mine_function: cmd.run}, y]}"
    )
    assert functions["a"].what == ("y",)
    assert any("stands there again" in note.problem for note in made.differs)


def test_names_that_cannot_be_ours_are_changed_and_two_never_become_one():
    made, _, functions = translated(
        "mine_functions: {'host keys': {mine_function: ssh.host_keys}, host_keys: {mine_function: ssh.host_keys}}"
    )
    assert set(functions) == {"host_keys"} and made.functions == 1
    assert any("name of another function" in note.problem for note in made.lost)


@pytest.mark.parametrize("hostile", ["a\nb", ']]] = "', "\x7f", "\\u0000", "'''"])
def test_nothing_in_a_file_breaks_the_toml(hostile):
    import json

    text = json.dumps(
        {"mine_functions": {hostile: ["x"], "cmd.run": [f"echo {hostile}"], "b": [{"mine_function": hostile}, hostile]}}
    )
    translated(text)


def test_jinja_is_told_with_the_way_around_it():
    with pytest.raises(ConfigError, match="salt-call --out=yaml"):
        salt.read("mine_functions:\n{% for x in y %}\n  {{ x }}: []\n{% endfor %}\n", "f", salt.Mine())


@pytest.mark.parametrize("text", ["a: [", "- just\n- a list\n", "!!python/object/apply:os.system ['true']"])
def test_what_is_no_yaml_of_salts_is_an_error_with_its_file(text):
    with pytest.raises(ConfigError) as caught:
        salt.read(text, "minion", salt.Mine())
    assert caught.value.file == "minion"


def test_without_pyyaml_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"zester-basket\[salt\]"):
        salt.read("a: 1", "f", salt.Mine())


def test_every_row_of_the_table_names_functions_and_every_fact_exists():
    from basket.facts import KNOWN

    names = [name for row in ROWS for name in row.salt.split(", ")]
    assert len(names) == len(set(names)) and all("." in name for name in names)
    assert {fact for fact, _ in FACTS.values()} <= set(KNOWN)


def test_the_command(tmp_path, capsys):
    minion = tmp_path / "minion"
    minion.write_text("mine_interval: 5\nmine_functions:\n  disk.usage: []\n  docker.ps: []\n")
    assert main(["import-salt", str(minion)]) == 0
    out, err = capsys.readouterr()
    assert parse(out).basket.functions[0].interval == 300.0
    assert "docker.ps" in err and "disk.usage" in err
    minion.write_text("master: salt\n")
    assert main(["import-salt", str(minion)]) == 1
    assert main(["import-salt", str(tmp_path / "none")]) == 2

"""The command line as a user meets it: real processes, a real server, exit statuses, messages, formats."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgpack
import pytest

from basket import embedded
from basket.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]


class Done:
    def __init__(self, status, out, err, seconds):
        self.status, self.out, self.err, self.seconds = status, out, err, seconds

    def __repr__(self):
        return f"status {self.status}, out {self.out!r}, err {self.err!r}"


@pytest.fixture
def environ(tmp_path):
    """A user with an empty configuration and the peel id me-01."""
    config = tmp_path / "basket.toml"
    config.write_text(f'[peel]\nid = "me-01"\nstate = "{tmp_path}"\n')
    return {**os.environ, "PYTHONPATH": str(ROOT), "BASKET_CONFIG": str(config)}


@pytest.fixture
def cli(environ):
    """Runs one command to its end. No command may print a traceback, whatever happens."""

    def run(*arguments, url=None, stdin=b"", timeout=20, **extra):
        argv = [sys.executable, "-m", "basket", *(["--server", url] if url else []), *arguments]
        started = time.monotonic()
        done = subprocess.run(argv, env={**environ, **extra}, input=stdin, capture_output=True, timeout=timeout)
        made = Done(done.returncode, done.stdout.decode(), done.stderr.decode(), time.monotonic() - started)
        assert "Traceback" not in made.err
        return made

    return run


def raw_put(url, values):
    """Bytes put by an independent client, as another implementation would: {(bucket, key): bytes}."""
    import nats

    async def put():
        connection = await nats.connect(url)
        js = connection.jetstream()
        for (bucket, key), data in values.items():
            await (await js.key_value(bucket)).put(key, data)
        await connection.close()

    asyncio.run(put())


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A server with three peels that have facts, values of every kind, and one broken value."""
    import basket

    server = EmbeddedServer(str(tmp_path_factory.mktemp("filled"))).start()
    for peel_id, role in (("web-01", "webserver"), ("web-02", "webserver"), ("db-01", "database")):
        with basket.connect(server.url, peel_id=peel_id) as b:
            b.publish_facts({"role": role, "os": {"name": "linux", "platform": "debian"}})
            b.publish_many({"app.name": f"app on {peel_id}", "app.weight": 10})
            if role == "webserver":
                b.publish("web.only", {"port": 80})
            if peel_id == "web-01":
                b.beat()
                b.publish("hostile", "\x1b[2Jcleared\nforged-01  10.6.6.6\u202e")
    raw_put(
        server.url,
        {
            ("basket", "web-01.mixed"): msgpack.packb({1: b"\x00", "t": msgpack.Timestamp(1714564800), "n": float("nan")}),
            ("basket", "web-02.mixed"): b"\xc1 broken",
            ("basket", "db-01.broken"): b"",
        },
    )
    yield server
    server.stop()


# What is asked, and how it is answered


def test_get_by_glob_shows_a_table(cli, filled):
    done = cli("get", "web-*", "app.name", url=filled.url)
    assert (done.status, done.err) == (0, "")
    assert done.out == "PEEL    VALUE\nweb-01  app on web-01\nweb-02  app on web-02\n"


def test_get_by_role_shows_peels_without_the_function_too(cli, filled):
    done = cli("get", "role:webserver or db-01", "web.only", url=filled.url)
    assert done.status == 0
    assert done.out.splitlines() == ["PEEL    VALUE", "db-01   (no data)", 'web-01  {"port":80}', 'web-02  {"port":80}']


def test_get_json_is_the_whole_entry(cli, filled):
    done = cli("get", "role:webserver", "app.weight", "--format", "json", url=filled.url)
    records = json.loads(done.out)
    assert [(record["peel"], record["function"], record["value"]) for record in records] == [
        ("web-01", "app.weight", 10),
        ("web-02", "app.weight", 10),
    ]
    assert all(record["revision"] > 0 and record["updated"].endswith("Z") for record in records)
    assert records[0]["online"] is True


def test_get_value_feeds_a_shell_loop(cli, filled, environ):
    command = f'{sys.executable} -m basket --server {filled.url} get "web-*" app.weight --format value'
    script = f'for n in $({command}); do echo "<$n>"; done'
    done = subprocess.run(["sh", "-c", script], env=environ, stdout=subprocess.PIPE, timeout=20)
    assert done.stdout == b"<10>\n<10>\n"


def test_one_broken_value_is_named_and_the_others_are_shown(cli, filled):
    done = cli("get", "web-*", "mixed", "--format", "jsonl", url=filled.url)
    good, broken = (json.loads(line, parse_constant=pytest.fail) for line in done.out.splitlines())
    assert done.status == 0
    assert good["value"] == {"1": "AA==", "t": "2024-05-01T12:00:00Z", "n": "NaN"}
    assert "error" in broken and "value" not in broken
    assert done.err.startswith("zester-basket: web-02: mixed cannot be read: ")
    table = cli("get", "web-*", "mixed", url=filled.url)
    assert "web-02  (undecodable: " in table.out
    alone = cli("get", "db-01", "broken", url=filled.url)
    assert alone.status == 1


def test_what_others_wrote_cannot_steer_the_terminal(cli, filled):
    for form in ("table", "value", "json", "jsonl"):
        done = cli("get", "web-01", "hostile", "--format", form, url=filled.url)
        assert done.status == 0
        assert "\x1b" not in done.out and "\u202e" not in done.out
        assert not any(line.startswith("forged-01") for line in done.out.splitlines())


def test_nothing_there_is_status_1_and_says_why(cli, filled):
    nobody = cli("get", "mail-*", "app.name", url=filled.url)
    assert (nobody.status, nobody.out) == (1, "")
    assert "no peel matches 'mail-*'" in nobody.err
    without = cli("get", "*", "no.such", "--format", "json", url=filled.url)
    assert (without.status, json.loads(without.out)) == (1, [])
    assert "3 peels match '*', none has no.such" in without.err
    one = cli("get", "web-01", "no.such", url=filled.url)
    assert one.status == 1
    assert "1 peel matches 'web-01', and it has no no.such" in one.err


def test_list(cli, filled):
    done = cli("list", "db-01", url=filled.url)
    assert (done.status, done.out.split()) == (0, ["app.name", "app.weight", "broken"])
    assert json.loads(cli("list", "db-01", "--format", "json", url=filled.url).out) == done.out.split()
    nobody = cli("list", "mail-01", url=filled.url)
    assert (nobody.status, nobody.out) == (1, "")
    assert "mail-01" in nobody.err


def test_peels(cli, filled):
    done = cli("peels", url=filled.url)
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == ["PEEL", "OS", "ONLINE", "LAST", "SEEN"]
    assert [row[0] for row in rows[1:]] == ["db-01", "web-01", "web-02"]
    assert rows[2][2] == "yes"
    assert cli("peels", "G@role:database", "--format", "value", url=filled.url).out == "db-01\n"
    assert [peel["peel"] for peel in json.loads(cli("peels", "--online", "--format", "json", url=filled.url).out)] == ["web-01"]
    assert cli("peels", "mail*", url=filled.url).status == 1


def test_a_scope_limits_and_an_empty_one_lifts_it(cli, filled, tmp_path):
    config = tmp_path / "scoped.toml"
    config.write_text('[peel]\nid = "me-01"\n[basket]\nscope = "G@role:database"\n')
    url = filled.url
    assert cli("peels", "--format", "value", "--config", str(config), url=url).out == "db-01\n"
    assert len(cli("peels", "--format", "value", "--config", str(config), "--scope", "", url=url).out.split()) == 3
    outside = cli("get", "web-*", "app.name", "--config", str(config), url=url)
    assert outside.status == 1
    assert "within the scope 'G@role:database'" in outside.err


# Writing


def test_publish_and_delete_round_trip(cli, server):
    url = server.url
    done = cli("publish", "custom.app_version", "2.1.0", url=url)
    assert (done.status, done.out) == (0, "")
    assert done.err == "zester-basket: published me-01.custom.app_version, revision 1\n"
    assert cli("get", "me-01", "custom.app_version", "--format", "value", url=url).out == "2.1.0\n"
    assert cli("delete", "custom.app_version", url=url).status == 0
    again = cli("delete", "custom.app_version", url=url)
    assert again.status == 1
    assert "nothing was deleted" in again.err


@pytest.mark.parametrize(
    ("words", "stdin", "shown"),
    [
        (["5"], b"", '"5"'),
        (["--json", "5"], b"", "5"),
        (["--json", '{"a": [1, null]}'], b"", '{"a": [1, null]}'),
        (["-"], b"two\nlines\n", '"two\\nlines"'),
        (["-", "--json"], b"[1,\n2]\n", "[1, 2]"),
        (["-5"], b"", '"-5"'),
    ],
)
def test_publish_takes_text_json_and_standard_input(cli, shared_server, words, stdin, shown):
    url = shared_server.url
    assert cli("publish", "cli.kinds", *words, url=url, stdin=stdin).status == 0
    record = cli("get", "me-01", "cli.kinds", "--format", "jsonl", url=url).out
    assert f'"value": {shown},' in record


def test_publish_as_another_peel(cli, server):
    assert cli("publish", "a.b", "x", "--peel", "other-01", url=server.url).status == 0
    assert cli("list", "other-01", url=server.url).out == "a.b\n"


def test_deleting_what_others_publish_needs_a_yes(cli, server):
    url = server.url
    for name in ("a.b", "c.d"):
        cli("publish", name, "x", "--peel", "other-01", url=url)
    for words in (["a.b"], ["--all"]):
        refused = cli("delete", "--peel", "other-01", *words, url=url)
        assert refused.status == 2
        assert "--yes" in refused.err
    assert cli("list", "other-01", url=url).out.split() == ["a.b", "c.d"]
    assert cli("delete", "--peel", "other-01", "a.b", "--yes", url=url).status == 0
    all_of_it = cli("delete", "--peel", "other-01", "--all", "--yes", url=url)
    assert (all_of_it.status, all_of_it.err) == (0, "zester-basket: deleted 1 value of other-01\n")
    assert cli("list", "other-01", url=url).status == 1


@pytest.mark.parametrize("named", [[], ["--peel", "me-01"]])
def test_ones_own_values_go_without_a_yes_and_the_running_agents_facts_stay(cli, server, named):
    """Named or not: without facts no target by fact would select this peel until its agent tells them again."""
    import basket

    with basket.connect(server.url, peel_id="me-01") as agent:
        agent.publish_facts({"role": "mine"})
        agent.publish("a.b", "x")
        done = cli("delete", *named, "--all", url=server.url)
        assert (done.status, done.err) == (0, "zester-basket: deleted 1 value of me-01\n")
        assert agent.peels("role:mine") == ["me-01"]


@pytest.mark.parametrize(("answer", "status", "left"), [("n\n", 1, 2), ("\n", 1, 2), ("y\n", 0, 0)])
def test_a_terminal_is_asked(cli, server, environ, answer, status, left):
    for name in ("a.b", "c.d"):
        cli("publish", name, "x", "--peel", "other-01", url=server.url)
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "basket", "--server", server.url, "delete", "--peel", "other-01", "--all"]
    process = subprocess.Popen(argv, env=environ, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.write(ours, answer.encode())
    _, said = process.communicate(timeout=20)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == status
    assert b"Delete all 2 values of other-01 (a.b, c.d)? [y/N]" in said
    assert len(cli("list", "other-01", url=server.url).out.split()) == left


# Errors: each its own message and status, nothing half done


@pytest.fixture
def closed_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def test_server_down(cli, closed_port):
    for words in (["get", "*", "a.b"], ["list", "web-01"], ["peels"], ["publish", "a.b", "x"], ["delete", "a.b"]):
        done = cli(*words, "--timeout", "1s", url=f"nats://127.0.0.1:{closed_port}")
        assert (done.status, done.out) == (3, ""), words
        assert str(closed_port) in done.err
        assert done.seconds < 5


@pytest.mark.parametrize("banner", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_something_else_listens_there(cli, banner):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        import threading

        def greet():
            while True:
                try:
                    kept.append(listening.accept()[0])
                    kept[-1].sendall(banner)
                except OSError:
                    return

        kept = []
        threading.Thread(target=greet, daemon=True).start()
        done = cli("peels", "--timeout", "1s", url=f"nats://127.0.0.1:{listening.getsockname()[1]}")
        assert done.status == 3
        assert done.seconds < 6
        listening.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@pytest.fixture
def plain_server(tmp_path):
    """A NATS server without JetStream."""
    argv = [embedded.find_binary(), "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", str(tmp_path)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ports = tmp_path / f"{Path(argv[0]).name}_{process.pid}.ports"
    deadline = time.monotonic() + 10
    while not (ports.exists() and ports.read_text().strip().endswith("}")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    yield json.loads(ports.read_text())["nats"][0]
    process.terminate()
    process.wait(5)


def test_no_jetstream(cli, plain_server):
    for words in (["peels"], ["publish", "a.b", "x"], ["get", "*", "a.b"]):
        done = cli(*words, "--timeout", "2s", url=plain_server)
        assert (done.status, done.out) == (3, "")
        assert "JetStream" in done.err


RESTRICTED = """
authorization {
  users = [
    { user: admin, password: secret }
    { user: reader, password: secret, permissions: {
        publish: ["$JS.API.STREAM.INFO.>", "$JS.API.DIRECT.GET.>", "$JS.API.STREAM.MSG.GET.>", "zester.target.resolve"]
        subscribe: ["_INBOX.>"] } }
  ]
}
"""


@pytest.fixture
def guarded(tmp_path):
    server = EmbeddedServer(str(tmp_path / "guarded"), config=RESTRICTED).start()
    yield server
    server.stop()


def as_user(server, user, password="secret"):
    return f"nats://{user}:{password}@127.0.0.1:{server.port}"


def test_credentials_and_permissions(cli, guarded):
    nobody = cli("peels", "--timeout", "2s", url=guarded.url)
    assert nobody.status == 3
    wrong = cli("peels", "--timeout", "2s", url=as_user(guarded, "admin", "pa55word"))
    assert wrong.status == 3
    assert "pa55word" not in wrong.err
    # The reader may not make the bucket that is missing.
    missing = cli("get", "*", "a.b", "--timeout", "2s", url=as_user(guarded, "reader"))
    assert (missing.status, missing.out) == (3, "")
    assert "basket" in missing.err.partition(":")[2]
    assert cli("publish", "a.b", "x", url=as_user(guarded, "admin")).status == 0
    assert cli("peels", url=as_user(guarded, "admin")).status == 0
    refused = cli("publish", "a.b", "y", "--timeout", "2s", url=as_user(guarded, "reader"))
    assert refused.status == 3
    assert "secret" not in refused.err
    assert cli("get", "me-01", "a.b", "--format", "value", url=as_user(guarded, "admin")).out == "x\n"


def test_a_frozen_server_is_left_at_the_deadline(cli, server):
    cli("publish", "a.b", "x", url=server.url)
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        for words in (["get", "*", "a.b"], ["publish", "a.b", "y"]):
            done = cli(*words, "--timeout", "1s", url=server.url)
            assert done.status == 3
            assert done.seconds < 6
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[peel]\nid = "a"\n[nats\n', ["bad.toml:3"]),
        ('[peel]\nid = "a"\nnmae = "x"\n', ["bad.toml:3", "[peel]", "nmae"]),
        ('[nats]\ntimeout = "5 parsecs"\n', ["bad.toml:2", "[nats]", "timeout"]),
        ('[peel]\nid = "-*-"\n', ["bad.toml:2", "[peel]", "id"]),
        ('[nodegroups]\nfront = "web* and"\n', ["bad.toml:2", "[nodegroups]", "front"]),
    ],
)
def test_a_bad_configuration_names_file_line_and_key(cli, shared_server, tmp_path, text, parts):
    (tmp_path / "bad.toml").write_text(text)
    for words in (["peels"], ["agent", "--once"]):
        done = cli(*words, "--config", str(tmp_path / "bad.toml"), url=None if words[0] == "agent" else shared_server.url)
        assert (done.status, done.out) == (2, ""), done
        for part in parts:
            assert part in done.err
        assert done.err.count("\n") == 1


@pytest.mark.parametrize("function", ["bad name", "network.ip_adrs", "broken.x"])
def test_a_mistake_in_the_functions_is_told_by_who_runs_them_and_keeps_nobody_from_asking(cli, filled, tmp_path, function):
    """`get` on a host whose package of functions is broken."""
    plugin = tmp_path / "plugin"
    (plugin / "broken-1.dist-info").mkdir(parents=True)
    (plugin / "broken-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (plugin / "broken-1.dist-info" / "entry_points.txt").write_text("[zester_basket.functions]\nbroken.x = broken\n")
    (plugin / "broken.py").write_text("raise RuntimeError('broken for good')\n")
    path = f"{ROOT}{os.pathsep}{plugin}"
    config = tmp_path / "bad.toml"
    config.write_text(f'[peel]\nid = "me-01"\n[basket.functions]\n"{function}" = "5m"\n')
    done = cli("agent", "--once", "--config", str(config), PYTHONPATH=path)
    assert done.status == 2 and "bad.toml:4" in done.err and function.partition(".")[0] in done.err, done
    watch = ["watch", "web-01", "app.weight", "--count", "1"]
    for words in (["get", "web-01", "app.weight"], ["peels"], ["list", "web-01"], watch):
        done = cli(*words, "--config", str(config), url=filled.url, PYTHONPATH=path)
        assert (done.status, done.err) == (0, "")


def test_a_configuration_that_is_not_there(cli, tmp_path):
    for extra, words in (({}, ["--config", "/no/such.toml"]), ({"BASKET_CONFIG": "/no/such.toml"}, [])):
        done = cli("peels", *words, **extra)
        assert done.status == 2
        assert "/no/such.toml" in done.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["publish", "bad name", "x"], "bad function name 'bad name'"),
        (["publish", "a..b", "x"], "bad function name"),
        (["get", "*", ".a"], "bad function name"),
        (["publish", "a.b", "x", "--peel", "web/01"], "bad peel id 'web/01'"),
        (["list", "web 01"], "bad peel id"),
        (["list", "x" * 65], "at most 64"),
        (["publish", "cli.big", "--json", "18446744073709551616"], "beyond 64 bits"),
        (["publish", "cli.big", "--json", '"\\ud800"'], "not valid Unicode"),
        (["publish", "cli.big", "--json", "[1,"], "line 1, column"),
        (["get", "(web*", "a.b"], "^"),
        (["get", "", "a.b"], "bad target"),
        (["get", "N@nowhere", "a.b"], "nowhere"),
        (["peels", "--server", "http://x"], "http"),
        (["peels", "--server", "127.0.0.1"], "nats://127.0.0.1"),
    ],
)
def test_what_the_caller_has_to_mend_is_status_2(cli, shared_server, words, part):
    done = cli(*words, url=shared_server.url)
    assert (done.status, done.out) == (2, "")
    assert part in done.err


def test_too_large_a_value_is_refused_whole(cli, server):
    done = cli("publish", "a.b", "-", stdin=b"x" * 1_100_000, url=server.url)
    assert done.status == 2
    assert "1100" in done.err.replace(",", "") and "1048576" in done.err.replace(",", "")
    assert cli("list", "me-01", url=server.url).status == 1


def test_a_host_without_a_name_can_ask_but_not_write(cli, shared_server, tmp_path):
    """`get` on an administrator's laptop needs no peel id; a write under `localhost` would be everybody's key."""
    config = tmp_path / "nameless.toml"
    config.write_text('[peel]\nid = "web-09"\n')
    assert cli("peels", "mail*", "--config", str(config), url=shared_server.url).status == 1
    config.write_text('[peel]\nid = "localhost"\n')
    assert cli("publish", "a.b", "x", "--config", str(config), url=shared_server.url).status == 2


# The terminal's habits


def test_a_closed_pipe_is_no_error(server, environ):
    """`zester-basket get '*' x | head -1` over more lines than a pipe holds."""
    import basket

    with basket.connect(server.url, peel_id="big-01") as b:
        b.publish_many({f"f.n{index}": "x" * 100 for index in range(3000)})
    argv = [sys.executable, "-m", "basket", "--server", server.url, "list", "big-01"]
    process = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"f.n0\n"
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_ctrl_c_is_130_without_traceback(server, environ):
    server_pid = server.process.pid
    os.kill(server_pid, signal.SIGSTOP)  # so that the command is waiting when Ctrl-C comes
    try:
        argv = [sys.executable, "-m", "basket", "--server", server.url, "--timeout", "30s", "peels"]
        process = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 10
        while not connected_to(process.pid, server.port):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=5)
    finally:
        os.kill(server_pid, signal.SIGCONT)
    assert (process.returncode, out, said) == (130, b"", b"")


def connected_to(pid, port):
    """Whether the process holds an established connection to the port (state 01 in the kernel's table)."""
    inodes = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return any(r[2].endswith(f":{port:04X}") and r[3] == "01" and f"socket:[{r[9]}]" in inodes for r in rows)


def test_an_ascii_terminal(cli, server):
    cli("publish", "a.b", "zażółć 🙂", url=server.url)
    done = cli("get", "*", "a.b", url=server.url, PYTHONIOENCODING="ascii:strict")
    assert done.out.splitlines()[1] == "me-01  za\\u017c\\xf3\\u0142\\u0107 \\U0001f642"


def test_a_configured_function_runs_as_configured(cli, tmp_path):
    config = tmp_path / "functions.toml"
    config.write_text(
        '[basket.functions]\n"custom.x" = { command = ["echo", "hello"], interval = "1h" }\n"custom.v" = { value = [1, "ł"] }\n'
    )
    assert cli("functions", "custom.x", "--config", str(config)).out == "hello\n"
    assert json.loads(cli("functions", "custom.v", "--format", "json", "--config", str(config)).out) == [1, "ł"]


def test_a_failing_function_is_status_1(cli, tmp_path):
    config = tmp_path / "functions.toml"
    config.write_text(
        '[basket.functions]\n"custom.x" = { command = ["sh", "-c", "echo no such app >&2; exit 3"], interval = "1h" }\n'
    )
    done = cli("functions", "custom.x", "--config", str(config))
    assert (done.status, done.out) == (1, "")
    assert "custom.x" in done.err and "no such app" in done.err


def test_ending_it_ends_the_command_that_it_runs(environ, tmp_path):
    config = tmp_path / "functions.toml"
    pid_file = tmp_path / "pid"
    config.write_text(f'[basket.functions]\n"custom.x" = {{ command = ["sh", "-c", "echo $$ > {pid_file}; exec sleep 60"] }}\n')
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        argv = [sys.executable, "-m", "basket", "functions", "custom.x", "--config", str(config)]
        process = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 10
        while not (pid_file.exists() and pid_file.read_text().strip()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child = int(pid_file.read_text())
        process.send_signal(number)
        _, said = process.communicate(timeout=5)
        assert (process.returncode, said) == (status, b"")
        assert not Path(f"/proc/{child}").exists()
        pid_file.unlink()


# The server


def test_server_runs_in_the_foreground_and_keeps_its_data(cli, environ, tmp_path):
    store = tmp_path / "data"
    for expected in (None, "kept\n"):
        argv = [sys.executable, "-m", "basket", "server", "--port", "0", "--store", str(store)]
        process = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            told = process.stderr.readline().decode()
            url = told.partition(" on ")[2].partition(",")[0]
            assert url.startswith("nats://127.0.0.1:") and str(store) in told
            deadline = time.monotonic() + 10
            while True:
                try:
                    embedded.greeting("127.0.0.1", int(url.rpartition(":")[2]))
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < deadline
                    time.sleep(0.02)
            if expected is None:
                assert cli("publish", "a.b", "kept", url=url).status == 0
            else:
                assert cli("get", "me-01", "a.b", "--format", "value", url=url).out == expected
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=10)
        assert process.returncode in (0, 1)


def test_server_says_what_it_cannot_do(cli, shared_server, tmp_path):
    taken = cli("server", "--port", str(shared_server.port), "--store", str(tmp_path / "a"))
    assert taken.status == 2
    assert str(shared_server.port) in taken.err
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    nowhere = cli("server", "--port", "0", "--store", str(tmp_path / "file" / "b"))
    assert nowhere.status == 2
    bad_host = cli("server", "--host", "192.0.2.1", "--port", "0", "--store", str(tmp_path / "c"))
    assert bad_host.status == 2
    assert "192.0.2.1" in bad_host.err


class TestWatch:
    def start(self, environ, url, *arguments):
        argv = [sys.executable, "-m", "basket", "--server", url, "watch", *arguments]
        return subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_shows_what_is_there_then_each_change_and_ends_on_ctrl_c(self, environ, cli, server):
        cli("publish", "custom.w", "one", url=server.url)
        watch = self.start(environ, server.url, "*", "custom.w")
        assert watch.stdout.readline() == "me-01  one\n"
        cli("publish", "custom.w", "two\x1b[2J", url=server.url)
        assert watch.stdout.readline() == "me-01  two\\x1b[2J\n"
        cli("delete", "custom.w", url=server.url)
        assert watch.stdout.readline() == "me-01  (gone)\n"
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=10)
        assert (watch.returncode, out, err) == (0, "", "")

    def test_json_is_one_object_a_line_and_an_outage_is_told_once(self, environ, cli, server):
        cli("publish", "custom.w", "1", "--json", url=server.url)
        watch = self.start(environ, server.url, "*", "custom.w", "--format", "json", "--count", "2")
        first = json.loads(watch.stdout.readline())
        assert (first["kind"], first["peel"], first["function"], first["value"]) == ("put", "me-01", "custom.w", 1)
        server.kill()
        assert "waiting for it to come back" in watch.stderr.readline()
        server.start()
        cli("publish", "custom.w", "2", "--json", url=server.url)
        assert json.loads(watch.stdout.readline())["value"] == 2
        out, err = watch.communicate(timeout=10)
        assert (watch.returncode, out) == (0, "")
        assert "connected again" in err

    def test_a_bad_target_is_told_at_once(self, cli, server):
        done = cli("watch", "web* and", "custom.w", url=server.url)
        assert done.status == 2 and "web* and" in done.err

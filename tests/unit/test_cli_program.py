"""The command line without a server: what it imports, how it reads its arguments, how it tells each error."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from basket import errors
from basket.cli import exits, functions, output, parser, program, server, writing

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = list(parser._HOMES)


def child(code, **options):
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environ", {})}
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, timeout=20, **options)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_neither_nats_nor_asyncio(arguments):
    """Completion and packaging tools ask for help often; it must stay quick and must work without NATS."""
    found = child(
        "import sys\nfrom basket.cli import main\n"
        f"status = main({arguments!r})\n"
        "heavy = sorted({'nats', 'asyncio', 'ssl', 'watchdog', 'psutil', 'subprocess'} & set(sys.modules))\n"
        "sys.exit(repr(heavy) if heavy else status)"
    )
    assert found.returncode == 0, found.stderr.decode()
    assert found.stdout
    if arguments != ["--version"]:
        assert b"example" in found.stdout


def test_each_listed_command_exists_and_no_other():
    shown = parser.build().format_help()
    listed = shown.partition("  COMMAND\n")[2].partition("\n\n")[0]
    assert re.findall(r"^    (\S+)", listed, flags=re.MULTILINE) == COMMANDS


def arguments(*words):
    made = parser.build().parse_args(list(words))
    return made, [*made.servers_before, *getattr(made, "servers_after", [])]


def test_global_options_stand_before_or_after_the_command():
    before, servers = arguments("--config", "x", "--server", "nats://a", "--timeout", "2s", "-v", "list", "web-01")
    assert (before.config, servers, before.timeout, before.verbose) == ("x", ["nats://a"], 2.0, True)
    after, servers = arguments("list", "--config", "x", "web-01", "--server", "nats://a", "--timeout", "2s", "-v")
    assert (after.config, servers, after.timeout, after.verbose) == ("x", ["nats://a"], 2.0, True)
    both, servers = arguments("--server", "nats://a", "--timeout", "2s", "list", "web-01", "--server", "nats://b,nats://c")
    assert (servers, both.timeout, both.verbose, both.config) == (["nats://a", "nats://b,nats://c"], 2.0, False, None)


def test_a_negative_number_is_a_value_and_not_an_option():
    assert arguments("publish", "a.b", "-5")[0].value == "-5"
    assert arguments("publish", "a.b", "-5C")[0].value == "-5C"
    assert arguments("publish", "a.b", "-.5")[0].value == "-.5"
    assert arguments("publish", "a.b", "-")[0].value == "-"


def test_a_negative_time_is_told_as_that(capsys):
    """Not as an option that lacks its argument, as older Pythons would say on their own."""
    for words in (["--timeout", "-5s", "peels"], ["peels", "--timeout", "-5s"], ["get", "*", "a.b", "--max-age", "-1h"]):
        assert program.main(words) == 2
        assert "a duration cannot be negative" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["get", "*", "a.b"], ["peels"], ["watch", "*", "a.b"]])
def test_a_bad_scope_is_told_as_that_before_any_server_is_asked(words, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("BASKET_CONFIG", str(tmp_path / "empty.toml"))
    (tmp_path / "empty.toml").write_text("")
    nowhere = ["--server", "nats://127.0.0.1:1", "--timeout", "1s"]
    assert program.main([*words, "--scope", "role:web and", *nowhere]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("zester-basket: bad target: in --scope: ") and said[1:] == ["  role:web and", "              ^"]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["frobnicate"],
        ["get", "web*"],
        ["get", "web*", "a.b", "--format", "yaml"],
        ["get", "--timeout", "soon", "web*", "a.b"],
        ["get", "--timeout", "0", "web*", "a.b"],
        ["--timeout", "-5s", "peels"],
        ["watch", "web*"],
        ["delete"],
        ["delete", "a.b", "--all"],
        ["server", "--port", "99999"],
        ["get", "web*", "bad name"],
        ["get", "web* and", "a.b"],
        ["list", "--", "-x"],
        ["publish", "a.b", "--json", "{"],
        ["publish", "a.b", "x", "--peel", "*"],
        ["peels", "--server", ""],
        ["peels", "--config", ""],
        ["functions", "os.name", "novalue"],
        ["functions", "os.naem"],
    ],
)
def test_wrong_usage_is_status_2_with_one_clear_line(words, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("BASKET_CONFIG", str(tmp_path / "empty.toml"))
    (tmp_path / "empty.toml").write_text("")
    assert program.main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("zester-basket: ")
    assert "Traceback" not in said.err


def test_version(capsys):
    import basket

    assert program.main(["--version"]) == 0
    assert capsys.readouterr().out == f"zester-basket {basket.__version__}\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.MissingError("x"), 1),
        (errors.FunctionError("a", "x"), 1),
        (errors.DecodeError("x"), 1),
        (errors.ConfigError("x"), 2),
        (errors.TargetError("x", expression="y"), 2),
        (errors.InvalidKeyError("x"), 2),
        (errors.EncodeError("x"), 2),
        (errors.ValueTooLargeError("x", size=2, limit=1), 2),
        (errors.BasketError("x"), 2),
        (exits.UsageError("x"), 2),
        (errors.ServerError("x"), 3),
        (errors.UnreachableError("x"), 3),
        (errors.BasketTimeoutError("x"), 3),
        (errors.JetStreamError("x"), 3),
        (errors.BucketMissingError("x"), 3),
        (errors.AuthError("x"), 3),
        (errors.PermissionDeniedError("x"), 3),
        (errors.OutcomeUnknownError("x"), 3),
        (errors.ClosedError("x"), 3),
        (errors.PublishError({"a": errors.EncodeError("x")}, {}), 2),
        (errors.PublishError({"a": errors.EncodeError("x"), "b": errors.BasketTimeoutError("x")}, {}), 3),
        (output.OutputError("x"), 74),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("x"), 70),
    ],
)
def test_each_error_has_its_status_and_no_traceback(error, status, capsys):
    """A script decides by the status whether to retry (3), to mend its call (2), or to go without (1)."""
    assert exits.tell(error) == status
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert status == 130 or said.startswith("zester-basket: ")


def test_a_bad_target_has_a_caret_under_the_place(capsys):
    error = errors.TargetError("unknown thing", expression="漢\x1b web%%", position=6, expected="a peel")
    exits.tell(error)
    assert capsys.readouterr().err.splitlines() == [
        "zester-basket: bad target: unknown thing; expected a peel",
        "  漢\\x1b web%%",
        "            ^",
    ]


def test_a_bug_is_told_in_one_line_and_in_full_with_v(capsys):
    exits.tell(ValueError("two\nlines"))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ValueError: two\\nlines" in said
    assert "-v" in said
    exits.tell(ValueError("x"), verbose=True)
    assert "ValueError: x" in capsys.readouterr().err


def test_ctrl_c_is_130_and_silent(monkeypatch, capsys):
    monkeypatch.setattr(functions, "_run", lambda args: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert program.main(["functions"]) == 130
    assert capsys.readouterr().err == ""


def test_help_into_a_closed_pipe_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "basket", "--help"], stdout=writer, stderr=subprocess.PIPE, cwd=str(ROOT), timeout=20
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "basket", "functions"], stdout=full, stderr=subprocess.PIPE, cwd=str(ROOT), timeout=20
        )
    assert done.returncode == 74
    assert done.stderr.startswith(b"zester-basket: cannot write the output: ")
    assert b"Traceback" not in done.stderr


def test_closed_standard_streams_do_not_crash_it():
    code = "import os, sys\nos.close(1); os.close(2)\nos.execv(sys.executable, [sys.executable, '-m', 'basket', 'functions'])"
    assert child(code, cwd=str(ROOT)).returncode == 0


def test_output_that_cannot_show_a_character_does_not_crash():
    code = "import sys\nfrom basket.cli import output\noutput.prepare()\noutput.lines(['ł 🙂'])\noutput.message('ł')"
    done = child(code, environ={"PYTHONIOENCODING": "ascii:strict"})
    assert (done.stdout, done.stderr) == (b"\\u0142 \\U0001f642\n", b"zester-basket: \\u0142\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ('"x"', "x"), ('{"a": [1, null, true]}', {"a": [1, None, True]}), ("-1.5e3", -1500.0), (" [ ] ", [])],
)
def test_json_values(text, value):
    assert writing.parse_json(text) == value


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1,}', "line 1, column"),
        ('{"a":\n 1 2}', "line 2, column 4"),
        ("NaN", "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("1e999", "1e999"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ("", "line 1, column 1"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_json_names_the_place(text, place):
    with pytest.raises(exits.UsageError) as raised:
        writing.parse_json(text)
    assert place in str(raised.value)


def standard_input(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_standard_input_loses_its_last_line_break_and_nothing_else(monkeypatch):
    standard_input(monkeypatch, b"two\nlines\n\n")
    assert writing._from_stdin() == "two\nlines\n"


def test_standard_input_is_bounded_and_text(monkeypatch):
    monkeypatch.setattr(writing, "STDIN_LIMIT", 10)
    standard_input(monkeypatch, b"x" * 11)
    with pytest.raises(exits.UsageError, match="more than 10 bytes"):
        writing._from_stdin()
    standard_input(monkeypatch, b"ab\xff")
    with pytest.raises(exits.UsageError, match=r"not UTF-8 text: .* at byte 3"):
        writing._from_stdin()


def test_function_arguments_are_typed_by_how_they_read():
    given = ["list=true", "cidr=192.0.2.0/24", 'mounts=["/"]', "n=5", "text=a=b", "empty="]
    expected = {"list": True, "cidr": "192.0.2.0/24", "mounts": ["/"], "n": 5, "text": "a=b", "empty": ""}
    assert functions.arguments(given) == expected
    with pytest.raises(exits.UsageError, match="given twice"):
        functions.arguments(["a=1", "a=2"])


def test_the_server_store_is_the_users_own(monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert server.default_store() == "/data/zester-basket/nats"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/u%x")
    assert server.default_store() == "/home/u%x/.local/share/zester-basket/nats"
    assert "/home/u" not in server_help(), "help and man page say the same on every machine"


def server_help():
    root = parser.build()
    return next(action for action in root._actions if action.dest == "command").choices["server"].format_help()


def test_the_launcher_works_from_a_checkout(tmp_path):
    """A fresh clone's first command, from any directory."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "bin" / "zester-basket"), "--version"], stdout=subprocess.PIPE, cwd=str(tmp_path), timeout=20
    )
    assert done.stdout.startswith(b"zester-basket ")


def test_the_launcher_takes_the_environment_next_to_it(tmp_path):
    """After bin/demo, bin/zester-basket works with a system Python that has nothing installed."""
    for name in ("bin", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    launcher = tmp_path / "bin" / "zester-basket"
    launcher.write_text((ROOT / "bin" / "zester-basket").read_text())
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    done = subprocess.run([sys.executable, "-I", "-S", str(launcher), "peels", "a b"], stdout=subprocess.PIPE, timeout=20)
    assert done.stdout.decode() == f"{launcher} peels a b\n"


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "basket", "--version"], stdout=subprocess.PIPE, cwd=str(ROOT), timeout=20)
    assert done.stdout.startswith(b"zester-basket ")


def test_the_launcher_says_how_to_install(tmp_path):
    """Without dependencies (-S hides site-packages) and without an environment next to it."""
    (tmp_path / "bin").mkdir()
    launcher = tmp_path / "bin" / "zester-basket"
    launcher.write_text((ROOT / "bin" / "zester-basket").read_text())
    done = subprocess.run([sys.executable, "-I", "-S", str(launcher), "peels"], stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 1
    assert b"nats" in done.stderr
    assert b"bin/demo" in done.stderr

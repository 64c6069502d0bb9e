"""Commands, files and fixed values: the value they give, and the reason shown for each way to fail."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from basket.errors import FunctionError
from basket.functions import define, run
from basket.functions.outcome import REASON_MAX, harmless


def value(**options):
    return run(define("custom.it", options), timeout=10)


def reason(**options):
    with pytest.raises(FunctionError) as caught:
        value(**options)
    assert caught.value.function == "custom.it"
    shown = caught.value.reason
    assert shown.isprintable(), "a reason is one line of the log, whatever a command printed"
    return shown


def sh(script):
    return ["/bin/sh", "-c", script]


def test_output_is_stripped_text():
    assert value(command=["printf", "  \n2.1.0 \\303\\251\n\n"]) == "2.1.0 é"
    assert value(command=["true"]) == ""


def test_output_as_json():
    assert value(command=["echo", '{"a": [1, 2.5, null, "é"]}'], json=True) == {"a": [1, 2.5, None, "é"]}


def test_a_list_never_meets_a_shell(tmp_path):
    assert value(command=["echo", "$HOME; echo $(id)", "*"]) == "$HOME; echo $(id) *"


def test_a_shell_where_it_is_asked_for():
    assert value(command="printf a; echo b | tr b c", shell=True) == "ac"


def test_environment_and_standard_input(monkeypatch):
    monkeypatch.setenv("POOL_NAME", "blue")
    assert value(command="echo $POOL_NAME; cat", shell=True) == "blue", "cat must find an empty standard input, not ours"


def test_no_descriptor_of_ours_is_inherited():
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            os.set_inheritable(server.fileno(), True)
            # 3 is ls's own look at the directory
            assert value(command=sh("ls /proc/self/fd")).split() == ["0", "1", "2", "3"]
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"command": ["no-such-program-here"]}, "command not found: no-such-program-here"),
        ({"command": ["/no/such/program"]}, "command not found: /no/such/program"),
        ({"command": ["/etc"]}, "/etc is a directory"),
        ({"command": ["/etc/passwd"]}, "/etc/passwd is not executable"),
        ({"command": sh("echo first >&2; echo 'disk gone' >&2; echo >&2; exit 3")}, "exit status 3: disk gone"),
        ({"command": ["false"]}, "exit status 1"),
        ({"command": sh("kill -SEGV $$")}, "killed by SIGSEGV"),
        ({"command": sh("echo dying >&2; kill -KILL $$")}, "killed by SIGKILL: dying"),
        ({"command": sh("exec head -c 2000000 /dev/zero")}, "printed more than 1 MiB"),
        ({"command": ["yes"]}, "printed more than 1 MiB"),
        ({"command": ["printf", "ab\\377c"]}, "what it printed is not UTF-8 text: byte 0xff at position 2"),
        ({"command": ["echo", "{"], "json": True}, "what it printed is not JSON"),
        ({"command": ["true"], "json": True}, "empty where JSON was expected"),
        ({"command": ["echo", "[123456789012345678901234567890]"], "json": True}, "beyond 64 bits"),
        ({"command": ["echo", '["\\ud800"]'], "json": True}, "lone surrogate"),
        ({"command": ["printf", "%s", "[" * 20000], "json": True}, "nested too deep"),
        ({"command": sh("printf '\\033[31mred\\007\\n' >&2; exit 1")}, "exit status 1: \\x1b[31mred\\x07"),
        ({"command": sh("printf 'bad \\377 byte' >&2; exit 1")}, "exit status 1: bad \ufffd byte"),
        ({"command": sh("head -c 300000 /dev/zero | tr '\\0' x >&2; exit 1")}, "exit status 1: xxx"),
    ],
)
def test_every_failure_has_its_reason(options, says):
    assert says in reason(**options)


def test_exactly_as_much_as_is_allowed_is_taken():
    assert len(value(command=sh("head -c 1048576 /dev/zero | tr '\\0' x"))) == 1 << 20


def test_a_script_without_its_interpreter(tmp_path):
    script = tmp_path / "app"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    assert "interpreter that its first line names does not exist" in reason(command=[str(script)])
    script.write_text("echo no first line\n")
    assert "Exec format error" in reason(command=[str(script)])


def test_a_value_is_itself():
    assert value(value={"a": [1, True]}) == {"a": [1, True]}


def test_a_file_is_its_stripped_text(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN\nabc\n-----END é\n", encoding="utf-8")
    assert value(file=str(path)) == "-----BEGIN\nabc\n-----END é"
    path.write_text("[1]")
    assert value(file=str(path), json=True) == [1]


def test_every_way_a_file_can_fail(tmp_path):
    path = tmp_path / "f"
    assert "No such file" in reason(file=str(path))
    assert "is a directory" in reason(file=str(tmp_path))
    path.write_bytes(b"x" * ((1 << 20) + 1))
    assert "larger than 1 MiB" in reason(file=str(path))
    path.write_bytes(b"ok\xc3")
    assert "not UTF-8 text: byte 0xc3 at position 2" in reason(file=str(path))
    path.write_text("nope")
    assert "is not JSON" in reason(file=str(path), json=True)
    pipe = tmp_path / "pipe"
    os.mkfifo(str(pipe))
    assert "not a regular file" in reason(file=str(pipe)), "opening a pipe that nobody writes to would hang"
    assert "not a regular file" in reason(file="/dev/zero")


def test_reading_bad_files_leaks_no_descriptor(tmp_path):
    reason(file=str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        reason(file=str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain é", "plain é"),
        ("two\nlines\r\n\n", "two; lines"),
        ("a\x00b\x1b[0m\x7f", "a\\x00b\\x1b[0m\\x7f"),
        ("turn\u202earound", "turn\\u202earound"),
        ("\udcff", "\\udcff"),
        ("a\u2028b\x85c", "a; b; c"),
    ],
)
def test_reasons_are_harmless(raw, shown):
    assert harmless(raw) == shown


def test_reasons_are_short():
    assert len(harmless("\x00" * 10_000_000)) == REASON_MAX


def test_sixteen_threads_at_once():
    found, failed = {}, []

    def work(number):
        try:
            for turn in range(5):
                assert run(define("t", {"command": ["echo", f"{number}-{turn}"]}), timeout=20) == f"{number}-{turn}"
            found[number] = run(define("t", {"function": "os.name"}), timeout=20)
            with pytest.raises(FunctionError, match="exit status 1"):
                run(define("t", {"command": ["false"]}), timeout=20)
        except BaseException as error:
            failed.append(error)

    before = len(os.listdir("/proc/self/fd"))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert set(found.values()) == {"linux"} and len(found) == 16
    assert len(os.listdir("/proc/self/fd")) <= before + 2, "each run would leave a descriptor behind"

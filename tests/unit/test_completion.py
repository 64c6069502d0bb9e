"""Completion scripts and the man page come from the parser: a new option must be in both without anybody thinking of it."""

from __future__ import annotations

import argparse
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from basket.cli import completion
from basket.cli.exits import UsageError
from basket.cli.parser import build

ROOT = Path(__file__).resolve().parents[2]
page = runpy.run_path(str(ROOT / "man" / "page.py"))["page"]


def script(shell):
    shtab = pytest.importorskip("shtab")
    if shell not in shtab.SUPPORTED_SHELLS:
        pytest.skip(f"this shtab knows no {shell}")
    return completion.script(shell)


def commands():
    parser = build()
    return next(a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_every_command_can_be_completed(shell):
    text = script(shell)
    for name in commands():
        assert name in text


def test_bash_completes_commands_options_choices_and_functions(tmp_path):
    """In a real bash, as a Tab would."""
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    file = tmp_path / "script"
    file.write_text(script("bash"))
    ask = """
. "$1"; shift
complete -p zester-basket >/dev/null || exit 9
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
_shtab_zester_basket zester-basket "${COMP_WORDS[$COMP_CWORD]}" "${COMP_WORDS[$COMP_CWORD-1]}"
echo "${COMPREPLY[@]}"
"""

    def tab(*words):
        return (
            subprocess.run(
                ["bash", "--norc", "-c", ask, "bash", str(file), "zester-basket", *words],
                check=True,
                stdout=subprocess.PIPE,
                timeout=10,
            )
            .stdout.decode()
            .split()
        )

    assert tab("ge") == ["get"]
    assert "--config" in tab("--con")
    assert tab("get", "--format", "jsonl") == ["jsonl"]
    assert "network.ip_addrs" in tab("get", "web*", "network.ip")


def test_fish_and_zsh_know_files_and_functions():
    assert "_files" in script("zsh")
    assert "network.ip_addrs" in script("fish")


def test_without_shtab_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(UsageError, match=r"zester-basket\[completion\]"):
        completion.script("bash")


def test_a_shell_that_this_shtab_does_not_know(monkeypatch):
    shtab = pytest.importorskip("shtab")
    monkeypatch.setattr(shtab, "SUPPORTED_SHELLS", ["bash"])
    with pytest.raises(UsageError, match="knows no fish"):
        completion.script("fish")


def test_the_man_page_is_current():
    """``bin/man`` writes it anew."""
    assert (ROOT / "man" / "zester-basket.1").read_text(encoding="utf-8") == page(), "run bin/man"


def test_the_man_page_says_what_help_says():
    text = page()
    for name, parser in commands().items():
        assert f".SS {name.replace('-', chr(92) + '-')}" in text
        for action in parser._actions:
            for option in action.option_strings:
                assert option.replace("-", "\\-") in text, f"{name} {option}"


def test_man_finds_nothing_wrong_with_it(tmp_path):
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    told = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=page().encode(),
        capture_output=True,
        timeout=20,
    )
    problems = [line for line in told.stderr.decode().splitlines() if "cannot adjust" not in line and "can't break" not in line]
    assert told.returncode == 0 and problems == []

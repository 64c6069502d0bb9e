"""Files that others may read or write: the warning names the file and what to do, once, and never for nothing."""

from __future__ import annotations

import os

import pytest

from basket import exposure
from basket.config import load, parse
from basket.connecting import make


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(exposure, "_warned", set())


@pytest.fixture
def warned(caplog):
    return lambda: [(record.fields["file"], record.getMessage()) for record in caplog.records if "chmod" in record.getMessage()]


def _file(path, mode, text="x"):
    path.write_text(text)
    os.chmod(path, mode)
    return str(path)


@pytest.mark.parametrize("mode,warns", [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o644, True)])
def test_a_secret_is_for_its_owner(tmp_path, warned, mode, warns):
    path = _file(tmp_path / "secret", mode)
    os.chown(path, -1, os.getgid())
    exposure.secret_file(path)
    exposure.secret_file(path)
    assert [file for file, _ in warned()] == [path] * warns
    assert all("chmod 600" in text for _, text in warned())


@pytest.mark.parametrize("mode,warns", [(0o755, False), (0o757, True), (0o777, True)])
def test_what_runs_here_is_not_written_by_others(tmp_path, warned, mode, warns):
    os.chmod(tmp_path, 0o755)
    path = _file(tmp_path / "program", mode)
    exposure.configured(parse(f'basket.functions."custom.a" = {{ command = ["{path}"] }}'))
    assert [file for file, _ in warned()] == [path] * warns


def test_a_missing_file_is_not_our_business(tmp_path, warned):
    exposure.secret_file(str(tmp_path / "none"))
    exposure.secret_file(None)
    assert not warned()


def test_the_configuration_and_what_it_names(tmp_path, warned, monkeypatch):
    os.chmod(tmp_path, 0o755)
    command = _file(tmp_path / "command", 0o777)
    modules = tmp_path / "modules"
    modules.mkdir(mode=0o755)
    module = _file(modules / "mysite.py", 0o666)
    monkeypatch.syspath_prepend(str(modules))
    password = _file(tmp_path / "password", 0o644)
    text = f"""
[nats]
user = "web"
password_file = "{password}"
[basket.functions]
"custom.a" = {{ command = ["{command}"] }}
"custom.b" = {{ python = "mysite:current" }}
"""
    path = _file(tmp_path / "basket.toml", 0o664, text)
    if os.stat(path).st_gid == 0:
        os.chmod(path, 0o666)
    config = load(path)
    assert not warned(), "reading applies nothing"
    exposure.configured(config)
    assert {file for file, _ in warned()} == {command, module, password, path}


def test_a_configuration_with_a_password_in_it_is_a_secret(tmp_path, warned):
    os.chmod(tmp_path, 0o755)
    exposure.configured(load(_file(tmp_path / "plain.toml", 0o644, '[nats]\nurl = "nats://a"\n')))
    assert not warned()
    for name, text in (("a.toml", 'user = "u"\npassword = "p"'), ("b.toml", 'token = "t"'), ("c.toml", 'url = "nats://u:p@a"')):
        path = _file(tmp_path / name, 0o644, f"[nats]\n{text}\n")
        exposure.configured(load(path))
        assert warned()[-1][0] == path


def test_who_connects_is_told_of_open_secrets(tmp_path, warned):
    password = _file(tmp_path / "password", 0o644)
    path = _file(tmp_path / "basket.toml", 0o666, f'[nats]\nuser = "web"\npassword_file = "{password}"\n[peel]\nid = "a"\n')
    make(config=path)
    assert [file for file, _ in warned()] == [password], "what the agent runs here is the agent's to tell"


def test_the_state_directory_and_the_pinned_id_are_private(tmp_path):
    """A pinned id that others may replace would make this peel write under another name."""
    from basket.config import PeelSection
    from basket.identity import peel_id

    state = tmp_path / "state"
    before = os.umask(0)
    try:
        assert peel_id(PeelSection(state=str(state)), pin=True, host_name=lambda: ("web-01", True)) == "web-01"
    finally:
        os.umask(before)
    assert os.stat(state).st_mode & 0o777 == 0o700
    assert os.stat(state / "node-id").st_mode & 0o777 == 0o600
